"""What tests of the contract of environments have in common."""

import numpy as np


def walk(env, actions):
    """The frames that actions lead to."""
    return [env.step(action)[0] for action in actions]


def assert_same(these, those):
    """Frames are equal, one by one."""
    assert len(these) == len(those)
    for number, (this, that) in enumerate(zip(these, those, strict=True)):
        assert np.array_equal(this, that), f"frame {number} differs"


def assert_sentence(caught):
    """An error is told in one sentence."""
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text.split()) > 4
