"""oneDNN's products are those of F.linear and F.conv2d up to rounding, and are left where they have
no place: in a training, in a graph.
"""

import copy

import pytest
import torch
import torch.nn.functional as F

from worldsim.world import products
from worldsim.world.products import convolve, multiply, multiply_packed


@pytest.fixture
def asked(monkeypatch):
    """What oneDNN was asked for."""
    names = []
    real = torch.ops.mkldnn._linear_pointwise

    def note(*parts):
        names.append("linear")
        return real(*parts)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", note)
    return names


@pytest.mark.parametrize("shape", [(1, 1, 160), (1, 64, 160), (16, 16, 160), (2, 8, 8, 160)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_a_product_is_that_of_torch(shape, with_bias, asked):
    torch.manual_seed(0)
    x, weight = torch.randn(shape), torch.randn(480, 160)
    bias = torch.randn(480) if with_bias else None
    with torch.no_grad():
        found = multiply(x, weight, bias)
    assert asked == ["linear"]
    wanted = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=1e-5)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return torch.nn.Linear(160, 480)


@pytest.mark.parametrize("rows", [1, 16, 64])
def test_a_packed_weight_gives_the_same_bits(rows, layer):
    x = torch.randn(1, rows, 160)
    with torch.inference_mode():
        for _ in range(2):
            assert torch.equal(multiply_packed(layer, x), multiply(x, layer.weight, layer.bias))


def test_a_weight_that_changed_is_packed_again(layer):
    x = torch.randn(1, 16, 160)
    with torch.no_grad():
        before = multiply_packed(layer, x)
        layer.weight.mul_(2)
        after = multiply_packed(layer, x)
        assert torch.equal(after, multiply(x, layer.weight, layer.bias))
        assert not torch.equal(before, after)
        layer.weight = torch.nn.Parameter(layer.weight / 2)
        assert torch.equal(multiply_packed(layer, x), before)


def test_a_packed_weight_that_rounds_otherwise_is_not_used(layer, monkeypatch):
    x, real = torch.randn(1, 16, 160), torch.ops.mkldnn._reorder_linear_weight
    spoilt = lambda weight, rows: real(weight * 1.001, rows)  # noqa: E731
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", spoilt)
    with torch.no_grad():
        assert torch.equal(multiply_packed(layer, x), multiply(x, layer.weight, layer.bias))


def test_a_layer_whose_weight_was_packed_is_copied(layer):
    x = torch.randn(1, 16, 160)
    with torch.no_grad():
        wanted = multiply_packed(layer, x)
        assert torch.equal(multiply_packed(copy.deepcopy(layer), x), wanted)


def test_a_transposed_weight_is_as_good(asked):
    """A codec multiplies by its basis one way and the other."""
    x, basis = torch.randn(2, 8, 8, 192), torch.randn(192, 32)
    with torch.no_grad():
        torch.testing.assert_close(multiply(x, basis.T, None), x @ basis, atol=1e-4, rtol=1e-4)
    assert asked == ["linear"]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (4, 2, 1)])
def test_a_convolution_is_that_of_torch(kernel, stride, padding):
    torch.manual_seed(0)
    x, weight, bias = (
        torch.randn(2, 24, 16, 16),
        torch.randn(48, 24, kernel, kernel),
        torch.randn(48),
    )
    how = (stride,) * 2, (padding,) * 2, (1, 1), 1
    with torch.no_grad():
        found = convolve(x, weight, bias, *how)
    wanted = F.conv2d(x.double(), weight.double(), bias.double(), *how)
    torch.testing.assert_close(found.double(), wanted, atol=1e-4, rtol=1e-5)


def test_what_learns_has_gradients(asked):
    x, weight = torch.randn(2, 3, 8), torch.randn(4, 8, requires_grad=True)
    multiply(x, weight, None).sum().backward()
    assert weight.grad is not None
    assert asked == []


def test_without_onednn_torch_multiplies(monkeypatch, asked):
    monkeypatch.setattr(products, "HAS_ONEDNN", False)
    x, weight = torch.randn(2, 3, 8), torch.randn(4, 8)
    with torch.no_grad():
        assert torch.equal(multiply(x, weight, None), F.linear(x, weight))
    assert asked == []


def test_a_graph_holds_what_every_machine_knows(asked):
    """A graph is played where there is no oneDNN."""

    class Layer(torch.nn.Module):
        def forward(self, x):
            return multiply(x, torch.ones(4, 8), None)

    with torch.no_grad():
        program = torch.export.export(Layer(), (torch.randn(2, 3, 8),))
    assert "mkldnn" not in str(program.graph)
    assert asked == []
