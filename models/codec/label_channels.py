"""Labels of a frame as extra channels of its latent. Residual quantisation cannot be repeated: the
sum of the codes, quantised again, gives other labels (4 to 31 % of a scale's bits). So a latent
carries its labels, as numbers -1 and 1 beside the d channels of the sum; 0 where a scale is absent.

Bits lie scale after scale, row by row, a token's bits side by side; a codebook's label is written
in binary, its highest bit first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.codec.multiscale_quantizer import ABSENT, QuantizerConfig


def label_channels(cfg: QuantizerConfig) -> int:
    """How many channels the labels need."""
    h, w = cfg.grid
    return -(-cfg.frame_bits // (h * w))


def latent_shape(cfg: QuantizerConfig) -> tuple[int, int, int]:
    """C, h, w of a latent with its labels."""
    return cfg.channels + label_channels(cfg), *cfg.grid


def pack_labels(labels: Sequence[Tensor], cfg: QuantizerConfig) -> Tensor:
    """Channels `[B,C-d,h,w]` of the labels `[B,n,m]` of the first scales; the others are absent."""
    parts = [_to_signs(part, cfg).flatten(1) for part in labels]
    shape = label_channels(cfg), *cfg.grid
    flat = torch.zeros(len(labels[0]), shape[0] * shape[1] * shape[2], device=labels[0].device)
    signs = torch.cat(parts, dim=1)
    flat[:, : signs.shape[1]] = signs
    return flat.unflatten(1, shape)


def split_slots(channels: Tensor, cfg: QuantizerConfig) -> list[Tensor]:
    """Of each scale, the numbers `[B,n,bits]` of channels `[B,C-d,h,w]` that lie where its bits
    are.
    """
    sizes = [count * cfg.bits for count in cfg.tokens]
    parts = channels.flatten(1)[:, : cfg.frame_bits].split(sizes, dim=1)
    return [part.unflatten(1, (-1, cfg.bits)) for part in parts]


def unpack_labels(channels: Tensor, cfg: QuantizerConfig) -> list[Tensor]:
    """Labels `[B,n,m]` of each scale from their channels `[B,C-d,h,w]`."""
    return [_from_signs(part, cfg) for part in split_slots(channels, cfg)]


def _powers(cfg: QuantizerConfig, device: torch.device) -> Tensor:
    return 2 ** torch.arange(cfg.bits - 1, -1, -1, device=device)


def _to_signs(labels: Tensor, cfg: QuantizerConfig) -> Tensor:
    """`[B,n,m]` -> `[B,n,bits]`."""
    bits = labels if cfg.kind == "bits" else labels // _powers(cfg, labels.device) % 2
    return torch.where(labels == ABSENT, 0.0, 2.0 * bits - 1)


def _from_signs(signs: Tensor, cfg: QuantizerConfig) -> Tensor:
    """Inverse of _to_signs."""
    bits = (signs > 0).long()
    if cfg.kind == "bits":
        return torch.where(signs == 0, ABSENT, bits)
    label = (bits * _powers(cfg, signs.device)).sum(dim=-1, keepdim=True)
    return torch.where((signs == 0).any(dim=-1, keepdim=True), ABSENT, label)
