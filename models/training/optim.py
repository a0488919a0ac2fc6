"""Optimisers and learning rates of a dynamics."""

import torch
from torch import nn

from models.training.base_config import MainTraining
from models.training.muon import Muon
from worldsim.machine_speed import pick_precision

BLOCKS = ("blocks.", "before.", "after.")
CONDITIONING = ("adaln", "modulation")


def make_optimisers(network: nn.Module, plan: MainTraining) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices of all blocks, AdamW for everything else."""
    hidden = [
        part
        for name, part in network.named_parameters()
        if name.startswith(BLOCKS)
        and part.ndim == 2
        and not any(word in name for word in CONDITIONING)
    ]
    precision = pick_precision(plan.precision, next(network.parameters()).device)
    chosen = {id(part) for part in hidden}
    rest = [part for part in network.parameters() if id(part) not in chosen]
    return [
        Muon(hidden, lr=plan.muon_lr, weight_decay=plan.weight_decay, precision=precision),
        torch.optim.AdamW(rest, lr=plan.lr, betas=(0.9, 0.98), weight_decay=plan.weight_decay),
    ]


def set_rate(opts: list[torch.optim.Optimizer], plan: MainTraining, step: int) -> None:
    """Apply the schedule."""
    for opt, base in zip(opts, (plan.muon_lr, plan.lr), strict=True):
        for group in opt.param_groups:
            group["lr"] = base * plan.rate(step)
