"""Muon: matrices are made nearly orthogonal."""

import torch

from models.training.muon import orthogonalise


def test_orthogonalised_matrices_are_nearly_orthogonal():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 16, 40)))
    assert 0.5 < values.min() < values.max() < 1.3
