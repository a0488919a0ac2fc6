"""Rotary position embedding over any number of axes, some of them angles.

A token's position is a row of numbers, one per axis; every axis owns a few of the head's frequency
pairs. Beside FAR's three axes (frame, row, column;
RoFormer, arXiv 2104.09864) a world whose actions turn and move the camera has three more: the
bearing a token looks along and the place it was seen from.
Attention then depends on differences of time, picture position, bearing and place, so "the same
wall, seen last minute" is a small angle.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

AXES = ("frame", "row", "column", "bearing", "x", "y")


def geometric(shortest: float, longest: float, count: int) -> list[float]:
    """`count` angular frequencies whose wavelengths grow geometrically from `shortest` to
    `longest`.
    """
    ratio = (longest / shortest) ** (1 / max(count - 1, 1))
    return [2 * math.pi / (shortest * ratio**i) for i in range(count)]


def far_long_frequencies(head_size: int) -> Tensor:
    """Frequencies `[6, head_size / 2]` for AXES: every column belongs to one axis.

    Bearings get whole harmonics, so that a full circle is exactly no difference.
    """
    pairs = head_size // 2
    bearing = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0]
    rest = pairs - len(bearing)
    frame = rest - 4 * (rest // 5)
    each = rest // 5
    per_axis = (
        geometric(4, 1200, frame),
        geometric(2.5, 12, each),
        geometric(2.5, 12, each),
        bearing,
        geometric(1.2, 24, each),
        geometric(1.2, 24, each),
    )
    table = torch.zeros(len(AXES), pairs, dtype=torch.float64)
    column = 0
    for axis, values in enumerate(per_axis):
        table[axis, column : column + len(values)] = torch.tensor(values, dtype=torch.float64)
        column += len(values)
    return table


def reference_frequencies(axes: Sequence[int], theta: float = 10_000.0) -> Tensor:
    """Published FAR's frequencies `[3, head_size / 2]` for frame, row and column.

    Args:
        axes: how many of a head's numbers each axis turns, two a frequency.
        theta: an axis' frequencies fall geometrically from 1 towards 1 / theta.
    """
    per_axis = [theta ** -(torch.arange(0, size, 2, dtype=torch.float64) / size) for size in axes]
    return torch.block_diag(*per_axis)


def rotation(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Unit complex numbers `[..., 1, head_size / 2]` for positions `[..., axes]` (the 1 is for the
    heads).

    The angle is taken in float64: frame 100,000 keeps its phase. ONNX has no complex numbers, and
    torch.compile makes no fast code of them, so while a network is exported or compiled, cosine and
    sine come as a last axis of two real ones.
    """
    angle = positions.double() @ frequencies
    if torch.compiler.is_exporting() or torch.compiler.is_compiling():
        return torch.stack((angle.cos(), angle.sin()), dim=-1).float().unsqueeze(-3)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64).unsqueeze(-2)


def rotate(x: Tensor, rotations: Tensor) -> Tensor:
    """Rotate interleaved pairs of x `[..., heads, head_size]` by `rotations` `[..., 1, head_size /
    2]`.
    """
    pairs = x.float().unflatten(-1, (-1, 2))  # there is no complex bfloat16
    if not rotations.is_complex():
        (a, b), (cos, sin) = pairs.unbind(-1), rotations.unbind(-1)
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1)
        return turned.flatten(-2).to(x.dtype)
    return torch.view_as_real(torch.view_as_complex(pairs) * rotations).flatten(-2).to(x.dtype)


PICTURE = ("frame", "row", "column")
PLACE = ("row", "bearing", "x", "y")


def kernel_bias(frequencies: Tensor, heads: int) -> Tensor:
    """Query and key bias `[heads, head_size]` with which attention starts as a kernel of position.

    Rotated by two positions, its product with itself is a sum of cosines of their differences:
    every fourth head begins by looking at the same spot of recent pictures, every fourth at what
    is said elsewhere (no bias), the others at the same spot of the world. Learnt biases would get
    there too, after thousands of steps (docs/LOG.md).
    """
    bias = torch.zeros(heads, frequencies.shape[1], 2)
    for head in range(heads):
        axes = (PLACE, PICTURE, PLACE, ())[head % 4]
        for axis in axes:
            bias[head, frequencies[AXES.index(axis)] > 0, 0] = 1.0
    return bias.flatten(1)
