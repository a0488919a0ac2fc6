"""EMA: an exponential moving average of a network's weights, which is what plays."""

import copy

import torch
from torch import nn


def make_ema(network: nn.Module) -> nn.Module:
    """A copy that gathers the exponential average of the weights."""
    return copy.deepcopy(network).requires_grad_(False).eval()


def warm_up_ema(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the network; faster at the start, so that it does not remember the
    initial weights.
    """
    update_ema(average, network, min(decay, (1 + step) / (10 + step)))


@torch.no_grad()
def update_ema(average: nn.Module, network: nn.Module, keep: float) -> None:
    """average = keep * average + (1 - keep) * network."""
    torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
