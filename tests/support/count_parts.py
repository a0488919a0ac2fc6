"""How many numbers of a sharded training each process holds, after a step.

torchrun --nproc-per-node 2 tests/support/count_parts.py FILE
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn

from models.training import distributed
from models.training.ema import make_ema
from models.training.weights import ShardedWeights, place


class Tower(nn.Module):
    """Blocks between two layers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        """Of `[...,6]`."""
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


def count(parts) -> tuple[int, int]:
    """Numbers in all, and those of this process."""
    parts = list(parts)
    return sum(p.numel() for p in parts), sum(p.to_local().numel() for p in parts)


def train_a_step() -> dict[str, tuple[int, int]]:
    """Train a step, and count what this process holds of it."""
    device = torch.device("cpu")
    network = place(Tower(), True, device)
    opt = torch.optim.AdamW(network.parameters())
    average = make_ema(network)
    weights = ShardedWeights(network, average, [opt], device)
    network(torch.ones(1, 6)).sum().backward()
    weights.sum_gradients()
    weights.clip_gradients(1.0)
    opt.step()
    return {
        "network": count(network.parameters()),
        "average": count(average.parameters()),
        "gradients": count(part.grad for part in network.parameters()),
        "moments": count(told["exp_avg"] for told in opt.state.values()),
        "variances": count(told["exp_avg_sq"] for told in opt.state.values()),
    }


def main(path: Path) -> None:
    """Write what every process counted."""
    distributed.start()
    told = distributed.gather_objects(train_a_step())
    if distributed.rank() == 0:
        path.write_text(json.dumps(told))
    distributed.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
