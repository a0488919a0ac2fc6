"""Cosines and sines of positions times frequencies where there is no float64, as in the graphs that
a browser's GPU computes: the numbers that models/nn/rope.py takes in float64, within 2e-6.
"""

import math

import torch
from torch import Tensor, nn

BITS = 12  # after the point of a frequency's leading part


class Float32Angles(nn.Module):
    """Angles of numbers of a frame, in turns, plus angles of each of its tokens.

    A turn's whole part is dropped before it costs bits. A number is a whole number plus a rest, a
    frequency is a leading part plus a small one: whole number times leading part is exact up to
    2,048, and what remains is of the size of a turn.

    Args:
        frequencies: float64 `[A,P]`, radians for each of A numbers.
        grid: float64 `[S,G]`, where each of S tokens is in a frame.
        grid_frequencies: float64 `[G,P]`, radians for each of G numbers of the grid.
    """

    def __init__(self, frequencies: Tensor, grid: Tensor, grid_frequencies: Tensor):
        super().__init__()
        turns = frequencies / (2 * math.pi)
        leading = (turns * 2**BITS).round() / 2**BITS
        own = grid @ grid_frequencies / (2 * math.pi)
        parts = {"turns": turns, "leading": leading, "small": turns - leading}
        parts |= {"grid": grid, "offsets": own - own.floor()}
        for name, part in parts.items():
            self.register_buffer(name, part.float(), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Cosines and sines `[...,S,P,2]` of float32 numbers `[...,A]`."""
        whole = numbers.floor()
        exact = whole @ self.leading
        turns = exact - exact.floor() + whole @ self.small + (numbers - whole) @ self.turns
        turns = turns.unsqueeze(-2) + self.offsets
        angles = (turns - turns.round()) * (2 * math.pi)
        return torch.stack((angles.cos(), angles.sin()), dim=-1)
