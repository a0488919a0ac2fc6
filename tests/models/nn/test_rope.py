"""Rotary positions: products depend on differences alone."""

import math

import torch

from models.nn.rope import far_long_frequencies, rotate, rotation


def test_attention_depends_on_differences_of_position():
    """Shifting time, place and bearing of both tokens changes no product; a full circle is no
    difference at all.
    """
    torch.manual_seed(0)
    frequencies = far_long_frequencies(64)
    q, k = torch.randn(2, 1, 64)
    one, two = torch.randn(2, 6, dtype=torch.float64)
    shift = torch.tensor([7, 1, 2, 0.3, 4, 5], dtype=torch.float64)
    circle = torch.tensor([0, 0, 0, 2 * math.pi, 0, 0], dtype=torch.float64)

    def product(a, b):
        return (rotate(q, rotation(a, frequencies)) * rotate(k, rotation(b, frequencies))).sum()

    assert torch.allclose(product(one, two), product(one + shift, two + shift), atol=1e-3)
    assert torch.allclose(product(one, two), product(one, two + circle), atol=1e-3)
    assert not torch.allclose(product(one, two), product(one, two + shift), atol=1e-2)
