"""Optimisers and learning rates of a sliding-layout dynamics."""

import torch
from torch import nn

from models.training.config import DynamicsTraining
from models.training.muon import Muon


def optimisers(network: nn.Module, cfg: DynamicsTraining) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices of the blocks, AdamW for everything else."""
    hidden = [
        p
        for name, p in network.named_parameters()
        if name.startswith("blocks.") and p.ndim == 2 and "adaln" not in name
    ]
    chosen = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if id(p) not in chosen]
    return [
        Muon(hidden, lr=cfg.muon_lr, weight_decay=cfg.weight_decay),
        torch.optim.AdamW(rest, lr=cfg.lr, betas=(0.9, 0.98), weight_decay=cfg.weight_decay),
    ]


def set_rate(opts: list[torch.optim.Optimizer], cfg: DynamicsTraining, step: int) -> None:
    """Apply the schedule."""
    for opt, base in zip(opts, (cfg.muon_lr, cfg.lr), strict=True):
        for group in opt.param_groups:
            group["lr"] = base * cfg.rate(step)
