import numpy as np
import pytest

from models.onnx_runtime.noise import draw_frame_noise, draw_uniform
from worldsim.world import model


@pytest.mark.parametrize("seed", [0, 7, 2**31 - 1, -1 - 2**31])
def test_noise_is_that_of_torch(seed):
    """Another generator, or pairs taken otherwise, would make another dream."""
    for count in (0, 1, 1000):
        ours, theirs = (
            f(seed, count, (8, 4, 4)) for f in (draw_frame_noise, model.draw_frame_noise)
        )
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-6)


def test_uniform_numbers_are_in_range_and_the_seed_is_of_32_bits():
    drawn = draw_uniform(5, 4096)
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() < drawn.max() < 1
    assert np.array_equal(drawn, draw_uniform(5 + 2**32, 4096))


def test_a_shape_that_is_filled_otherwise_is_refused():
    with pytest.raises(ValueError, match="multiple of 16"):
        draw_frame_noise(0, 0, (5, 1, 1))
