"""FAR and FAR-Long in the published layout, dreaming frame by frame: initial / observe / imagine.

The multi-level cache of arXiv 2503.19325: keys and values of frames that left the window stay as
they are; the frames of the window are encoded again whenever it slides, once a frame and not once a
sampler step, since what a fine frame may see changes with the window. FAR has no coarse frames: its
keys never go stale, so only the newest frame waits to be encoded.

Shape letters as in models/far_reference.py, and G guidance branches (conditioned, null), R frames
of the window, T its newest frame.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.far_reference import (
    CLEAN_CODE,
    NULL,
    FARReferenceNetwork,
    Memory,
    ReferenceFrames,
)
from models.flow import euler, euler_times


@dataclass(frozen=True, kw_only=True)
class ReferencePlay:
    """How a published network is played.

    Attributes:
        classes: the network's class of each of the world's actions; -1 is null.
        first: the class of a frame that no action led to.
        action_delay: 1 where the weights learnt each action one frame late (published DMLab): an
            action then belongs to the frame it was taken at, and the frame it leads to is null.
        guidance: classifier-free guidance; 1 is none, and half the work.
        memory: how many frames before the window are remembered; older ones are forgotten.
    """

    classes: tuple[int, ...]
    first: int = NULL
    action_delay: int = 0
    guidance: float = 1.0
    memory: int = 284

    def __post_init__(self):
        if self.action_delay not in (0, 1):
            raise ValueError(f"action_delay is {self.action_delay}: expected 0 or 1")
        if self.memory < 1:
            raise ValueError(f"memory is {self.memory}: expected at least 1 frame")


@dataclass
class ReferenceCarry:
    """Memory of B dreams of equal length.

    frame `[B]`: number of the next frame; latents `[B,R,C,h,w]` and conditions `[B,R]` of the
    window's frames so far; k, v `[L,B,G,H,M,d]` of the frames before it.
    """

    frame: Tensor
    latents: Tensor
    conditions: Tensor
    k: Tensor
    v: Tensor

    DIMS = {"frame": 0, "latents": 0, "conditions": 0, "k": 1, "v": 1}  # noqa: RUF012

    def map(self, function) -> "ReferenceCarry":
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        return ReferenceCarry(**{n: function(getattr(self, n), d) for n, d in self.DIMS.items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {name: getattr(self, name) for name in self.DIMS}


class FARReferenceDynamics(nn.Module):
    """A published network run one frame at a time."""

    def __init__(self, network: FARReferenceNetwork, play: ReferencePlay):
        super().__init__()
        cfg = network.cfg
        bad = [c for c in (*play.classes, play.first) if not NULL <= c < cfg.classes]
        if bad:
            raise ValueError(f"class {bad[0]} is none of the network's {cfg.classes} classes")
        self.cfg, self.play, self.network = cfg, play, network
        classes = torch.tensor((*play.classes, play.first))
        self.register_buffer("classes", classes, persistent=False)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.cfg.latent_channels, self.cfg.latent_size, self.cfg.latent_size

    @property
    def recent(self) -> int:
        """R: true or made frames that are encoded again for every new one."""
        return 1 if self.cfg.coarse_patch is None else self.cfg.window - 1

    @property
    def branches(self) -> int:
        """G."""
        return 1 if self.play.guidance == 1 else 2

    def initial(self, batch: int) -> ReferenceCarry:
        """Dreams that have seen nothing."""
        nothing = self.network.nothing(batch * self.branches)
        k = nothing.k.unflatten(1, (batch, self.branches))
        at = {"device": k.device}
        return ReferenceCarry(
            frame=torch.zeros(batch, dtype=torch.long, **at),
            latents=torch.zeros(batch, 0, *self.latent_shape, **at),
            conditions=torch.zeros(batch, 0, dtype=torch.long, **at),
            k=k,
            v=k.clone(),
        )

    def carry_from(self, tensors: dict[str, Tensor]) -> ReferenceCarry:
        """Inverse of `ReferenceCarry.tensors`."""
        return ReferenceCarry(**{name: tensors[name] for name in ReferenceCarry.DIMS})

    @torch.no_grad()
    def observe(self, carry: ReferenceCarry, latents: Tensor, actions: Tensor) -> ReferenceCarry:
        """Take in true frames `[B,C,h,w]`; `actions` `[B]` led to them (-1: none)."""
        carry, conditions = self._told(carry, actions)
        return self._append(carry, latents, conditions)

    @torch.no_grad()
    def imagine(
        self, carry: ReferenceCarry, actions: Tensor, noise: Tensor, steps: int
    ) -> tuple[ReferenceCarry, Tensor]:
        """Make and take in the next frames: latents `[B,C,h,w]` from noise of that shape in `steps`
        Euler steps.
        """
        carry, conditions = self._told(carry, actions)
        past, x = self.context(carry), noise.unsqueeze(1)
        for t, to in euler_times(steps):
            frame = self._frames(carry, x, conditions.unsqueeze(1), 1000 * t, newest=True)
            x = euler(x, self._guided(self.network.velocity(frame, past)), t, to)
        return self._append(carry, x[:, 0], conditions), x[:, 0]

    def context(self, carry: ReferenceCarry) -> Memory:
        """Everything the next frame sees, for B*G rows: long-term memory, then the window."""
        past = self._memory(carry)
        if not carry.latents.shape[1]:
            return past
        window = self._frames(carry, carry.latents, carry.conditions, CLEAN_CODE)
        return past.followed_by(self.network.encode(window, past, "fine")[1])

    def _told(self, carry: ReferenceCarry, actions: Tensor) -> tuple[ReferenceCarry, Tensor]:
        """Conditions `[B]` of the frames that `actions` `[B]` lead to; where actions come late,
        the newest frame gets them and the next one null.
        """
        classes = self.classes[actions]  # -1, no action, is the last entry
        if not (self.play.action_delay and carry.conditions.shape[1]):
            return carry, torch.full_like(classes, NULL) if self.play.action_delay else classes
        late = torch.cat((carry.conditions[:, :-1], classes.unsqueeze(1)), 1)
        return replace(carry, conditions=late), torch.full_like(classes, NULL)

    def _append(self, carry: ReferenceCarry, latents: Tensor, conditions: Tensor) -> ReferenceCarry:
        """Take frames into the window; the one that falls out goes to the long-term memory."""
        kept = replace(
            carry,
            frame=carry.frame + 1,
            latents=torch.cat((carry.latents, latents.unsqueeze(1).float()), 1),
            conditions=torch.cat((carry.conditions, conditions.unsqueeze(1)), 1),
        )
        return kept if kept.latents.shape[1] <= self.recent else self._retire(kept)

    def _retire(self, carry: ReferenceCarry) -> ReferenceCarry:
        """Move the window's oldest frame into the long-term memory."""
        oldest = self._frames(
            carry, carry.latents[:, :1], carry.conditions[:, :1], self.cfg.memory_code
        )
        past = self._memory(carry)
        _, own = self.network.encode(oldest, past, self.cfg.memory_level)
        most = self.play.memory * len(own.ids)
        k, v = (
            torch.cat(parts, 3)[:, :, :, -most:].unflatten(1, (-1, self.branches))
            for parts in ((past.k, own.k), (past.v, own.v))
        )
        return replace(
            carry, latents=carry.latents[:, 1:], conditions=carry.conditions[:, 1:], k=k, v=v
        )

    def _memory(self, carry: ReferenceCarry) -> Memory:
        """What came before the window, for B*G rows."""
        side = self.cfg.latent_size // self.cfg.patch_of(self.cfg.memory_level)
        first = int(carry.frame[0]) - carry.latents.shape[1]
        count = carry.k.shape[4] // side**2
        ids = torch.arange(first - count, first, device=carry.k.device).repeat_interleave(side**2)
        return Memory(carry.k.flatten(1, 2), carry.v.flatten(1, 2), ids)

    def _frames(
        self,
        carry: ReferenceCarry,
        latents: Tensor,
        conditions: Tensor,
        timestep: float,
        newest: bool = False,
    ) -> ReferenceFrames:
        """Frames for B*G rows: the window's from its oldest on, or the `newest`, being made."""
        first = int(carry.frame[0]) - (0 if newest else carry.latents.shape[1])
        ids = torch.arange(first, first + latents.shape[1], device=latents.device)
        null = torch.full_like(conditions, NULL)
        branches = torch.stack((conditions, null)[: self.branches], dim=1).flatten(0, 1)
        rows = latents.repeat_interleave(self.branches, dim=0)
        timesteps = torch.full(branches.shape, timestep, device=latents.device)
        return ReferenceFrames(rows, ids, timesteps, branches)

    def _guided(self, velocity: Tensor) -> Tensor:
        """Classifier-free guidance over the branches: null + s (cond - null)."""
        both = velocity.unflatten(0, (-1, self.branches))
        null = both[:, -1]
        return null + self.play.guidance * (both[:, 0] - null) if self.branches > 1 else null
