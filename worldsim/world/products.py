"""Matrix products and convolutions of a dream on a CPU, by oneDNN.

torch multiplies float32 matrices by MKL, which on an AMD processor reaches half of oneDNN's speed
(docs/LOG.md), and convolves one small picture by MKL, but several by oneDNN, with other rounding.
These functions ask oneDNN directly. Their slow twins are F.linear and F.conv2d, from which they
differ by rounding; those are taken where torch was built without oneDNN, where gradients are asked
for, and where a network is written down as a graph. Knows nothing of dreams.
"""

import weakref

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Of every layer: rows and threads -> its weight, as it was then, and in oneDNN's own order
_packed: weakref.WeakKeyDictionary[nn.Module, dict] = weakref.WeakKeyDictionary()


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.linear of `[B, ..., in]`."""
    if not _is_fast(x) or x.dim() < 3:
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def multiply_packed(layer: nn.Linear, x: Tensor) -> Tensor:
    """What `multiply` makes of one row `[1, ..., in]`, by a copy of the layer's weight in the order
    in which oneDNN reads it, where that is the same bit for bit.

    A dream alone reads all weights for each sampler step and multiplies little by them; many dreams
    share one reading, and are slower by such copies (docs/LOG.md).
    """
    weight = layer.weight
    if not _is_fast(x) or x.dim() < 3 or not CAN_PACK or weight.is_inference():
        return multiply(x, weight, layer.bias)
    rows, of = x.shape[:-1].numel(), (weight.data_ptr(), weight._version)
    key = rows, torch.get_num_threads()
    held = _packed.setdefault(layer, {})
    if key not in held or held[key][0] is not weight or held[key][1] != of:
        held[key] = weight, of, _pack(layer, rows)  # the weight lives on: its place is not reused
    packed = held[key][2]
    if packed is None:
        return multiply(x, weight, layer.bias)
    return torch.ops.mkldnn._linear_pointwise(x, packed, layer.bias, "none", [], "")


def _pack(layer: nn.Linear, rows: int) -> Tensor | None:
    """A layer's weight in oneDNN's order for so many rows; None where its products would differ
    from those of the weight as it is, which a trial tells.
    """
    weight = layer.weight.detach()
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    generator = torch.Generator().manual_seed(rows)
    tried = torch.randn(1, rows, weight.shape[1], generator=generator)
    found = torch.ops.mkldnn._linear_pointwise(tried, packed, layer.bias, "none", [], "")
    return packed if torch.equal(found, multiply(tried, weight, layer.bias)) else None


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Tensor:
    """F.conv2d of `[B, in, h, w]`."""
    if not _is_fast(x):
        return F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return torch.mkldnn_convolution(x, weight, bias, padding, stride, dilation, groups)


def _is_fast(x: Tensor) -> bool:
    """Whether oneDNN multiplies x here."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and HAS_ONEDNN
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
    )


def _find_onednn() -> bool:
    """Whether this build of torch multiplies by oneDNN. The operator is torch's own, made for
    compiled graphs; where a version of torch takes it away, F.linear is what is left.
    """
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


HAS_ONEDNN = _find_onednn()
CAN_PACK = HAS_ONEDNN and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
