"""Muon: matrices are made nearly orthogonal."""

import pytest
import torch

from models.training.muon import orthogonalise


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_orthogonalised_matrices_are_nearly_orthogonal(precision):
    torch.manual_seed(0)
    made = orthogonalise(torch.randn(3, 16, 40), precision=precision)
    assert made.dtype == torch.float32
    values = torch.linalg.svdvals(made)
    assert 0.5 < values.min() < values.max() < 1.3
