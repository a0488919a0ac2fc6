"""The training of a part of a world that learns alone, in minutes; it resumes from its one file.

Knows no data and no loss. What is large (the dynamics) has a loop of its own, loop.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from worldsim.machine_speed import autocast_to
from worldsim.world.checkpoint import load_into, load_training, save_training

SAVED = 500  # steps between two savings
WARM_UP = 100


class PartPlan(Protocol):
    """The settings that the loop itself needs."""

    steps: int
    lr: float


class PartTraining:
    """A network, its optimiser and how far it is; read from `path` where that exists.

    Args:
        name: what the log calls it.
        key: the network's name in the file.
        network: learns.
        plan: how long, and how fast.
        path: the file.
    """

    def __init__(self, name: str, key: str, network: nn.Module, plan: PartPlan, path: Path):
        self.name, self.key, self.network, self.plan, self.path = name, key, network, plan, path
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=plan.lr, weight_decay=0.01)
        self.is_new, self.step = not path.exists(), 0
        if not self.is_new:
            state = load_training(path)
            load_into(network, state[key], path)
            self.step = state["step"]
            if not self.is_done and "optimiser" in state:
                self.optimiser.load_state_dict(state["optimiser"])

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to learn."""
        return self.step >= self.plan.steps

    def run(
        self,
        draw_loss: Callable[[], Tensor],
        steepness: float,
        precision: torch.dtype = torch.float32,
    ) -> None:
        """Train to the end.

        Args:
            draw_loss: the loss of the next batch.
            steepness: of the way down to rate zero, which begins when `1 / steepness` is left.
            precision: of its products.
        """
        device = next(self.network.parameters()).device
        while not self.is_done:
            self._set_rate(steepness)
            with autocast_to(precision, device):
                loss = draw_loss()
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.step += 1
            if self.step % SAVED == 0 or self.is_done:
                print(f"{self.name} {self.step}/{self.plan.steps}  loss {loss:.4f}", flush=True)
                self._save()

    def _set_rate(self, steepness: float) -> None:
        """Warm-up, constant, linear to zero."""
        left = 1 - self.step / self.plan.steps
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.lr * min(1, (self.step + 1) / WARM_UP, steepness * left)

    def _save(self) -> None:
        state = {self.key: self.network.state_dict(), "step": self.step}
        save_training(self.path, state | {"optimiser": self.optimiser.state_dict()})
