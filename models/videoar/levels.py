"""The tokens of a frame, level by level: what the network is shown for each scale, and (context
"whole") the finished frame itself.

Level k < K is shown what the scales before k add up to (VideoAR, Eq. 6), level 0 the frame before;
level K, where there is one, the whole sum of its own frame.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig, resize
from models.videoar.config import NetworkConfig


def level_sizes(cfg: NetworkConfig, quantizer: QuantizerConfig) -> tuple[tuple[int, int], ...]:
    """Rows and columns of every level's tokens.

    Raises:
        ValueError: tokens do not cover the finest grid evenly.
    """
    if any(side % cfg.patch for side in quantizer.grid):
        raise ValueError(
            f"network.patch must divide the finest grid, {quantizer.grid}, got {cfg.patch}"
        )
    sides = zip(level_grids(cfg, quantizer), level_patches(cfg, quantizer), strict=True)
    return tuple((h // patch, w // patch) for (h, w), patch in sides)


def level_grids(cfg: NetworkConfig, quantizer: QuantizerConfig) -> tuple[tuple[int, int], ...]:
    """Rows and columns of every level's cells."""
    whole = (quantizer.grid,) if cfg.context == "whole" else ()
    return (*quantizer.scales, *whole)


def level_patches(cfg: NetworkConfig, quantizer: QuantizerConfig) -> tuple[int, ...]:
    """Cells on a side that a token of every level stands for."""
    grids = level_grids(cfg, quantizer)
    return tuple(cfg.patch if grid == quantizer.grid else 1 for grid in grids)


def remembered_levels(cfg: NetworkConfig, quantizer: QuantizerConfig) -> range:
    """Levels whose keys later frames see."""
    count = len(level_sizes(cfg, quantizer))
    return range(count - 1, count) if cfg.context == "whole" else range(count)


def level_inputs(
    quantizer: MultiscaleQuantizer, sums: Sequence[Tensor], before: Tensor, context: str
) -> list[Tensor]:
    """What every level of frames is shown, `[B,d,h_k,w_k]` each.

    Args:
        quantizer: brings sums to a level's size.
        sums: partial sums `[B,d,h,w]` of every scale.
        before: the whole sum of the frame before, `[B,d,h,w]`.
        context: of the network.
    """
    shown = [before, *sums[:-1]]
    inputs = [scale_input(quantizer, total, scale) for scale, total in enumerate(shown)]
    return [*inputs, sums[-1]] if context == "whole" else inputs


def scale_input(
    quantizer: MultiscaleQuantizer, total: Tensor, scale: int, view: Tensor | None = None
) -> Tensor:
    """What a scale is shown, in training and in play: `[B,d,h_k,w_k]`, or `[B,d+V,h_k,w_k]` with
    what memory shows.

    Args:
        quantizer: brings sums to a scale's size.
        total: what it has to go on from, `[B,d,h,w]`.
        scale: its number.
        view: `[B,V,h,w]` what memory shows of every cell; a coarser cell is told the mean.
    """
    shown = quantizer.next_input(total, scale)
    if view is None:
        return shown
    return torch.cat((shown, resize(view, quantizer.cfg.scales[scale], "area")), dim=1)


def own_mask(levels: Sequence[int], scales: int) -> Tensor:
    """Which level sees which of its own frame, bool `[levels,levels]`: a scale sees those up to
    itself, the finished frame (level K = `scales`) only itself.
    """
    numbers = torch.tensor(list(levels))
    query, key = numbers.unsqueeze(1), numbers.unsqueeze(0)
    return torch.where(query == scales, key == scales, key <= query)
