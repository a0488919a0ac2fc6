"""A batch whose rows come out as each would alone, bit for bit, on a CPU.

A matrix product of many rows may add up in another order than that of few, so a dream among
sixteen would part from the same dream alone by a last bit, and after some frames visibly. Which
shapes are concerned depends on the processor, the library and the threads, not on the numbers; so
every shape is tried once: where the batched product gives each row what it gets alone it is used,
else rows are multiplied one by one. Convolutions likewise.

Attention may do the same where several threads share one row: rows attend one by one. What works
number by number gives rows the same bits in any batch
(tests/worldsim/world/test_batch_invariant.py), if the order in memory is the same whatever the
other rows are: a mean over strided numbers adds up otherwise than over contiguous ones. And where a
row has no round number of elements, the last ones of a batch are computed by other code than those
before them: such are computed in float64 and rounded. Knows nothing of dreams.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.world.products import convolve, multiply, multiply_packed

if TYPE_CHECKING:
    from worldsim.world.protocols import Codec

_trials: dict[tuple, bool] = {}


class RowLinear(nn.Linear):
    """A Linear that gives each row `x[i]` of three or more dimensions what it would get alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Of `[B, ..., in]`."""
        if len(x) == 1:
            return multiply_packed(self, x)
        return multiply_rows(x, self.weight, self.bias)


class RowConv2d(nn.Conv2d):
    """A Conv2d that gives each picture of a batch what it would get alone."""

    def forward(self, x: Tensor) -> Tensor:
        """Of `[B, in, h, w]`."""
        how = self.stride, self.padding, self.dilation, self.groups
        return _run_rows(convolve, x, self.weight, self.bias, *how)


def make_batch_invariant(module: object) -> None:
    """Make every Linear of a network a RowLinear and every Conv2d a RowConv2d, and a codec's own
    products (`is_batch_invariant`) alike; anything else is left as it is.
    """
    if not isinstance(module, nn.Module):
        return
    for part in module.modules():
        if type(part) is nn.Linear:
            part.__class__ = RowLinear
        elif type(part) is nn.Conv2d and part.padding_mode == "zeros":
            part.__class__ = RowConv2d
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
        elif hasattr(part, "is_batch_invariant"):
            part.is_batch_invariant = True


def multiply_rows(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x @ weight.T + bias` of `[B, ..., in]`, three or more dimensions; on a CPU each row is what
    it is alone, but where gradients are asked for.
    """
    return _run_rows(multiply, x, weight, bias)


def _run_rows(
    product: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, *how: object
) -> Tensor:
    """The product of a batch, at once where that changes no row, or where nobody asks for it."""
    is_free = x.device.type != "cpu" or x.dim() < 3 or torch.is_grad_enabled()
    if is_free or len(x) < 2 or _agrees(product, x, weight, bias, *how):
        return product(x, weight, bias, *how)
    return _run_one_by_one(product, x, weight, bias, *how)


def _run_one_by_one(product: Callable[..., Tensor], x: Tensor, *others: object) -> Tensor:
    # Copies, since the library may treat rows that don't begin on a cache line otherwise.
    return torch.cat([product(row.clone(), *others) for row in x.split(1)])


def _agrees(
    product: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None, *how: object
) -> bool:
    """Whether a batch of this shape and layout gives each row what it gets alone; tried once."""
    shapes = x.shape, x.stride(), weight.shape, x.dtype, bias is None
    key = (*shapes, how, torch.get_num_threads())
    if key not in _trials:
        generator = torch.Generator().manual_seed(len(_trials))
        tried = torch.empty_like(x).copy_(torch.randn(x.shape, generator=generator))
        others = weight, bias, *how
        alone = _run_one_by_one(product, tried, *others)
        _trials[key] = torch.equal(product(tried, *others), alone)
    return _trials[key]


def attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Attention of rows `[B,H,N,d]`, the mask `[1 or B,...]`; on a CPU each row as it is alone,
    but where gradients are asked for.
    """
    on_cpu = q.device.type == "cpu"
    if on_cpu and torch.is_autocast_enabled("cpu"):
        return multiply_out_attention(q, k, v, attn_mask, scale)
    if len(q) == 1 or not on_cpu or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, scale=scale)
    one_for_all = attn_mask is None or len(attn_mask) == 1
    masks = (attn_mask,) * len(q) if one_for_all else attn_mask.split(1)
    rows = zip(q.split(1), k.split(1), v.split(1), masks, strict=True)
    return torch.cat(
        [F.scaled_dot_product_attention(*row[:3], attn_mask=row[3], scale=scale) for row in rows]
    )


def multiply_out_attention(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, scale: float | None
) -> Tensor:
    """The same, product by product: where a CPU trains in bfloat16, torch's kernel for the whole
    is five times slower on sequences as short as a frame's (docs/LOG.md).
    """
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.mT
    if attn_mask is not None:
        scores = scores + as_summand(attn_mask, scores.dtype)  # half the time of masked_fill
    return scores.softmax(dim=-1) @ v


def as_summand(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """What is added to scores: 0 and minus infinity where the mask holds true and false, else the
    mask itself.
    """
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(~mask, -torch.inf)


def apply_row_by_row(function: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """`function` of batches `[B,...]`; on a CPU each row goes through it as it would alone."""
    if len(parts[0]) < 2 or parts[0].device.type != "cpu":
        return function(*parts)
    rows = zip(*(part.split(1) for part in parts), strict=True)
    return torch.cat([function(*row) for row in rows])


def decode_rows(codec: "Codec", latents: Tensor) -> np.ndarray:
    """Frames uint8 `[B,H,W,3]` of latents `[B,C,h,w]`, fresh; on a CPU each as it is alone."""
    return apply_row_by_row(codec.decode, latents.contiguous()).cpu().numpy().copy()
