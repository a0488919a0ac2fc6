"""Rewards and ends that a world has learnt: a small head over latents, beside any dynamics.

It looks at the frame before, the action and the frame it led to, as a task's function does
(worldsim/tasks.py), and says what the step was worth and how likely it ended the episode. The
dynamics knows nothing of it: a world without a head is what it was, bit for bit.

    dynamics = JudgedDynamics(dynamics, head)
    carry, latents = dynamics.imagine(carry, actions, noise, steps)
    carry.outcomes                                          # [B,2]: reward, chance of an end
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.nn.blocks import patchify
from worldsim.world.protocols import Carry, Dynamics


@dataclass(frozen=True, kw_only=True)
class OutcomeConfig:
    """Shape of the head, for latents `[channels, size, size]`; `patch` in latent cells."""

    actions: int
    channels: int
    size: int
    patch: int = 2
    width: int = 64

    def __post_init__(self):
        if self.size % self.patch:
            raise ValueError(f"patch must divide size {self.size}, got {self.patch}")


class OutcomeHead(nn.Module):
    """Two numbers a step: the reward in units of `scale`, and the logit of an end."""

    def __init__(self, cfg: OutcomeConfig):
        super().__init__()
        self.cfg = cfg
        tokens, width = (cfg.size // cfg.patch) ** 2, cfg.width
        self.embed = nn.Linear(2 * cfg.channels * cfg.patch**2, width)
        self.action = nn.Embedding(cfg.actions, width)
        self.mix = nn.Linear(tokens * width, width)
        self.out = nn.Linear(width, 2)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, before: Tensor, actions: Tensor, after: Tensor) -> Tensor:
        """`[B,F,2]` of latents `[B,F,C,h,w]` and actions `[B,F]`."""
        pair = torch.cat((before, after), dim=2).float()
        tokens = self.embed(patchify(pair, self.cfg.patch, self.cfg.patch))
        tokens = torch.relu(tokens + self.action(actions).unsqueeze(2))
        return self.out(torch.relu(self.mix(tokens.flatten(2))))

    @torch.no_grad()
    def judge(self, before: Tensor, actions: Tensor, after: Tensor) -> Tensor:
        """Reward and chance of an end, float32 `[B,2]`, of one step: latents `[B,C,h,w]`, actions
        `[B]`.
        """
        said = self(before.unsqueeze(1), actions.unsqueeze(1), after.unsqueeze(1))[:, 0]
        ends = said[:, 1].double().sigmoid().to(said.dtype)  # see batch_invariant.py
        return torch.stack((said[:, 0] * self.scale, ends), dim=1)


@dataclass
class JudgedCarry:
    """A dynamics' memory, the newest latents `[B,C,h,w]` and what the newest step was judged to be,
    outcomes `[B,2]`; zeros for a true frame.
    """

    carry: Carry
    latents: Tensor
    outcomes: Tensor

    OURS = ("latents", "outcomes")

    def map(self, function) -> "JudgedCarry":
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        ours = (function(getattr(self, name), 0) for name in self.OURS)
        return JudgedCarry(self.carry.map(function), *ours)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        ours = {f"judged.{name}": getattr(self, name) for name in self.OURS}
        return self.carry.tensors() | ours

    @property
    def poses(self) -> Tensor | None:
        """The memory's own, where it keeps any."""
        return getattr(self.carry, "poses", None)

    @property
    def seen(self) -> Tensor | None:
        """The memory's own, where it has one in space."""
        return getattr(self.carry, "seen", None)

    @property
    def cache(self) -> Any:
        """The memory's own."""
        return self.carry.cache

    def forget_coarse(self) -> None:
        """Lose the memory's long-term part."""
        self.carry.forget_coarse()


class JudgedDynamics(nn.Module):
    """A Dynamics that tells what its steps are worth."""

    def __init__(self, dynamics: Dynamics, head: OutcomeHead):
        super().__init__()
        self.dynamics, self.head = dynamics, head

    @property
    def network(self) -> nn.Module:
        """The one that dreams."""
        return self.dynamics.network

    @property
    def context_noise(self) -> float | None:
        """The dreaming dynamics' own."""
        return getattr(self.dynamics, "context_noise", None)

    def initial(self, batch: int) -> JudgedCarry:
        """Dreams that have seen nothing."""
        cfg, at = self.head.cfg, self.head.scale.device
        latents = torch.zeros(batch, cfg.channels, cfg.size, cfg.size, device=at)
        return JudgedCarry(self.dynamics.initial(batch), latents, torch.zeros(batch, 2, device=at))

    @property
    def takes_frames(self) -> bool:
        """Whether the dreaming dynamics remembers pixels."""
        return getattr(self.dynamics, "takes_frames", False)

    def newest_frames(self, carry: JudgedCarry) -> Tensor:
        """The newest frames of a dynamics that remembers pixels."""
        return self.dynamics.newest_frames(carry.carry)

    def observe(
        self, carry: JudgedCarry, latents: Tensor, actions: Tensor, *frames: Tensor
    ) -> JudgedCarry:
        """Take in true frames, which nobody judges."""
        inner = self.dynamics.observe(carry.carry, latents, actions, *frames)
        return JudgedCarry(inner, latents.float(), torch.zeros_like(carry.outcomes))

    def imagine(
        self, carry: JudgedCarry, actions: Tensor, noise: Tensor, steps: int, **how: float
    ) -> tuple[JudgedCarry, Tensor]:
        """Make and take in the next frames, and judge them."""
        inner, latents = self.dynamics.imagine(carry.carry, actions, noise, steps, **how)
        judged = self.head.judge(carry.latents, actions, latents)
        return JudgedCarry(inner, latents, judged), latents

    def carry_from(self, tensors: dict[str, Tensor]) -> JudgedCarry:
        """Inverse of `JudgedCarry.tensors`."""
        inner = {name: t for name, t in tensors.items() if not name.startswith("judged.")}
        ours = (tensors[f"judged.{name}"] for name in JudgedCarry.OURS)
        return JudgedCarry(self.dynamics.carry_from(inner), *ours)
