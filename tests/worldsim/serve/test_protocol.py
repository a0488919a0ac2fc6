"""Frames on the wire."""

import numpy as np
import pytest

from worldsim.serve.protocol import FORMATS, HEADER, MOST, pack_frame, unpack_frame


def draw(size):
    """A picture that is no noise."""
    y, x = np.mgrid[:size, :size]
    return np.stack([255 * x / size, 255 * y / size, 128 + 0 * x], -1).astype(np.uint8)


@pytest.mark.parametrize("form", FORMATS)
def test_a_frame_arrives(form):
    frame = draw(64)
    message = pack_frame(3, MOST, frame, form)
    turn, step, shown = unpack_frame(message)
    assert (turn, step) == (3, MOST)
    assert HEADER.unpack_from(message)[:2] == (1, FORMATS[form])
    apart = np.abs(shown.astype(int) - frame)
    assert apart.max() == 0 if form == "png" else apart.mean() < 3
