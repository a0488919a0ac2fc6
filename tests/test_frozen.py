"""The bundled worlds dream the very frames that they dreamt when frozen.json was written: a move
or a new name changes no pixel.
"""

import json

import numpy as np
import pytest
import torch

from tests.support import frozen

KEPT = json.loads(frozen.FILE.read_text())


def test_every_bundled_world_is_frozen():
    assert frozen.worlds() == sorted(KEPT["worlds"])


@pytest.fixture
def one_thread():
    """Sums that several threads share may be rounded otherwise on another machine; and on a busy
    one threads wait for each other, hundreds of times a frame.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", sorted(KEPT["worlds"]))
def test_200_frames_are_the_same(name):
    """On another kind of machine sums are rounded otherwise, and dreams part slowly: there the
    first frames are compared, by eye as it were.
    """
    kept = KEPT["worlds"][name]
    if frozen.machine() == KEPT["machine"]:
        assert [frozen.digest(frame) for frame in frozen.frames(name)] == kept["hashes"]
        return
    for frame, small in zip(frozen.frames(name), kept["small"], strict=False):
        np.testing.assert_allclose(frozen.small(frame), small, atol=4)


@pytest.mark.parametrize("name", sorted(KEPT["worlds"]))
def test_the_figures_of_the_card_are_the_same(name):
    assert frozen.figures(name) == KEPT["worlds"][name]["figures"]
