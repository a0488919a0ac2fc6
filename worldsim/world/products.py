"""Matrix products and convolutions of a dream on a CPU, by oneDNN.

torch multiplies float32 matrices by MKL, which on an AMD processor reaches half of oneDNN's speed
(docs/LOG.md), and convolves one small picture by MKL, but several by oneDNN, with other rounding.
These functions ask oneDNN directly. Their slow twins are F.linear and F.conv2d, from which they
differ by rounding; those are taken where torch was built without oneDNN, where gradients are asked
for, and where a network is written down as a graph. Knows nothing of dreams.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def multiply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.linear of `[B, ..., in]`."""
    if not _is_fast(x) or x.dim() < 3:
        return F.linear(x, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


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
