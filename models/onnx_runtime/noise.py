"""The noise of a dream's frame without torch: the same function of seed and frame number as
worldsim/world/model.py, up to the last bits.

MT19937 gives 24 bits for each uniform number, and Box and Muller's transform makes two normal ones
of two uniform ones that lie eight apart, sixteen at a time: that is how torch fills a tensor of at
least sixteen numbers.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

GROUP = 16


def draw_frame_noise(seed: int, count: int, shape: Sequence[int]) -> np.ndarray:
    """Normal numbers float32 `[C,h,w]`; C * h * w must be a multiple of 16."""
    digest = hashlib.blake2b(f"{seed}/{count}".encode(), digest_size=8).digest()
    number = int(np.prod(shape))
    if number % GROUP:
        raise ValueError(f"noise must be a multiple of {GROUP} numbers, got {number}")
    uniform = draw_uniform(int.from_bytes(digest, "little") >> 1, number).reshape(-1, 2, GROUP // 2)
    radius = np.sqrt(-2 * np.log(1 - uniform[:, 0]))
    angle = np.float32(2 * np.pi) * uniform[:, 1]
    pairs = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return pairs.astype(np.float32).reshape(tuple(shape))


def draw_uniform(seed: int, number: int) -> np.ndarray:
    """Numbers float32 `[number]` in [0, 1) of the generator with the lower half of a seed of 64
    bits.
    """
    source = np.random.RandomState(seed & 0xFFFFFFFF)
    drawn = source.randint(0, 2**32, number, dtype=np.uint32)
    return (drawn & 0xFFFFFF).astype(np.float32) * np.float32(2**-24)
