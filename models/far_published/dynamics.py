"""FAR and FAR-Long in the published layout, dreaming frame by frame: initial / observe / imagine.

The multi-level cache of arXiv 2503.19325: keys and values of frames that left the window stay as
they are; the frames of the window are encoded again whenever it slides, once a frame and not once a
sampler step, since what a fine frame may see changes with the window. FAR has no coarse frames: its
keys never go stale, so every frame is encoded once. The arithmetic is in
models/far_published/kv_cache.py.

Shape letters as in models/far_published/network.py, and G guidance branches (conditioned, null), P
frames not yet in the memory, T a frame's number.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from models.far_published.kv_cache import (
    KVCache,
    Look,
    Modulations,
    memory_looks,
    modulations,
    of_frames,
    remember,
    velocity,
    window_looks,
)
from models.far_published.network import CLEAN_CODE, NULL, FARReferenceNetwork, ReferenceFrames
from models.nn.blocks import Modulation
from models.nn.flow_matching import velocity_step
from models.nn.noise_schedule import published_sigmas

PENDING = 16  # frames that left the window are encoded together when there are so many


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
        precision: what the network computes in.
    """

    classes: tuple[int, ...]
    first: int = NULL
    action_delay: int = 0
    guidance: float = 1.0
    memory: int = 284
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self):
        if self.action_delay not in (0, 1):
            raise ValueError(f"action_delay must be 0 or 1, got {self.action_delay}")
        if self.memory < 1:
            raise ValueError(f"memory must be >= 1 frame, got {self.memory}")


@dataclass
class ReferenceCarry:
    """Memory of B dreams of equal length. Consumed by what takes it: its cache is written in place.

    frame `[B]`: number of the next frame; latents `[B,P,C,h,w]` and conditions `[B,P]` of the
    newest frames so far; k, v `[L,B,G,H,M,d]` of the frames before them; cache: where k and v lie
    and work goes on, None until there is some.
    """

    frame: Tensor
    latents: Tensor
    conditions: Tensor
    k: Tensor
    v: Tensor
    cache: KVCache | None = None

    DIMS = {"frame": 0, "latents": 0, "conditions": 0, "k": 1, "v": 1}  # noqa: RUF012

    def map(self, function) -> "ReferenceCarry":
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        return ReferenceCarry(**{n: function(getattr(self, n), d) for n, d in self.DIMS.items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {name: getattr(self, name) for name in self.DIMS}


class Ready(NamedTuple):
    """All that a new frame sees is encoded.

    Attributes:
        carry: with nothing left to encode.
        look: what the new frame sees.
        modulation: the new frame's modulations, an entry on the frame axis for every sampler step.
        out: the same of the output.
    """

    carry: ReferenceCarry
    look: Look
    modulation: Modulations
    out: Modulation


class FARReferenceDynamics(nn.Module):
    """A published network run one frame at a time."""

    def __init__(self, network: FARReferenceNetwork, play: ReferencePlay):
        super().__init__()
        self.cfg, self.network = network.cfg, network
        for weight in network.parameters():  # not its buffers: angles are taken in float64
            weight.data = weight.data.to(getattr(torch, play.precision))
        self.register_buffer("classes", torch.empty(0, dtype=torch.long), persistent=False)
        self.play_as(play)

    def play_as(self, play: ReferencePlay) -> None:
        """Play in another way from now on; dreams that began before cannot go on where the number
        of guidance branches changes.

        Raises:
            ValueError: a class that the network has not.
        """
        bad = [c for c in (*play.classes, play.first) if not NULL <= c < self.cfg.classes]
        if bad:
            raise ValueError(f"class must be in [0, {self.cfg.classes - 1}], got {bad[0]}")
        self.play = play
        classes = torch.tensor((*play.classes, play.first))
        self.classes = classes.to(self.classes.device)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.cfg.latent_channels, self.cfg.latent_size, self.cfg.latent_size

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
        carry, conditions = self._place_conditions(carry, actions)
        carry = self._append(carry, latents, conditions)
        # The newest frame's condition may still change, where actions come late.
        old = carry.latents.shape[1] - max(self._window, 1)
        if old < PENDING:
            return carry
        return self._retire(carry, old, modulations(self.network, self._condition(carry, old)))

    @torch.no_grad()
    def imagine(
        self, carry: ReferenceCarry, actions: Tensor, noise: Tensor, steps: int
    ) -> tuple[ReferenceCarry, Tensor]:
        """Make and take in the next frames: latents `[B,C,h,w]` from noise of that shape in `steps`
        Euler steps.
        """
        carry, conditions = self._place_conditions(carry, actions)
        schedule = published_sigmas(steps)
        timesteps = noise.new_tensor([[1000 * t for t, _ in schedule]]).expand(len(noise), -1)
        ready, x = self.ready(carry, conditions, timesteps), noise
        for step, (t, to) in enumerate(schedule):
            x = velocity_step(x, self.velocity(ready, x, step), t, to)
        return self._append(ready.carry, x, conditions), x

    @torch.no_grad()
    def ready(self, carry: ReferenceCarry, conditions: Tensor, timesteps: Tensor) -> Ready:
        """Encode what a new frame sees, which has `conditions` `[B]` and timesteps `[B,K]`, one for
        each time its velocity is asked for.
        """
        count, steps = carry.latents.shape[1], timesteps.shape[1]
        old = max(count - self._window, 0)
        new = self._embed_condition(timesteps, conditions.unsqueeze(1).expand(-1, steps))
        before = self._condition(carry, old)
        modulation = modulations(self.network, torch.cat((before, new), 1))
        carry = self._retire(carry, old, of_frames(modulation, slice(0, old)))
        cache, first = carry.cache, int(carry.frame[0]) - carry.latents.shape[1]
        looks = window_looks(cache, list(range(first, int(carry.frame[0]) + 1)))
        if len(looks) > 1:
            window = of_frames(modulation, slice(old, count))
            remember(self.network, cache, "fine", self._rows(carry.latents), looks[:-1], window)
        scale, shift = self.network.out_modulation(new).unsqueeze(2).chunk(2, dim=-1)
        own = of_frames(modulation, slice(count, None))
        return Ready(carry, looks[-1], own, Modulation(shift, 1 + scale, scale))

    @torch.no_grad()
    def velocity(self, ready: Ready, x: Tensor, step: int) -> Tensor:
        """Guided velocity `[B,C,h,w]` of the new frames x, at the step-th of their timesteps."""
        at = slice(step, step + 1)
        modulation, out = (
            of_frames(ready.modulation, at),
            Modulation(*(part[:, at] for part in ready.out)),
        )
        rows = self._rows(x.unsqueeze(1))
        made = velocity(self.network, ready.carry.cache, rows, ready.look, modulation, out)
        return self._apply_guidance(made[:, 0])

    @property
    def _window(self) -> int:
        """Frames that are encoded again for every new one."""
        return 0 if self.cfg.memory_level == "fine" else self.cfg.window - 1

    def _place_conditions(
        self, carry: ReferenceCarry, actions: Tensor
    ) -> tuple[ReferenceCarry, Tensor]:
        """Conditions `[B]` of the frames that `actions` `[B]` lead to; where actions come late,
        the newest frame gets them and the next one null.
        """
        classes = self.classes[actions]  # -1, no action, is the last entry
        if not (self.play.action_delay and carry.conditions.shape[1]):
            return carry, torch.full_like(classes, NULL) if self.play.action_delay else classes
        late = torch.cat((carry.conditions[:, :-1], classes.unsqueeze(1)), 1)
        return replace(carry, conditions=late), torch.full_like(classes, NULL)

    def _append(self, carry: ReferenceCarry, latents: Tensor, conditions: Tensor) -> ReferenceCarry:
        """Take in frames, still to be encoded."""
        return replace(
            carry,
            frame=carry.frame + 1,
            latents=torch.cat((carry.latents, latents.unsqueeze(1).float()), 1),
            conditions=torch.cat((carry.conditions, conditions.unsqueeze(1)), 1),
        )

    def _retire(self, carry: ReferenceCarry, count: int, modulation: Modulations) -> ReferenceCarry:
        """Move the `count` oldest frames into the memory, modulated by `modulation`."""
        cache = self._cache(carry, count)
        first, level = int(carry.frame[0]) - carry.latents.shape[1], self.cfg.memory_level
        latents = self._rows(carry.latents[:, :count])
        # Once the memory is full each frame takes the oldest one's place, and must not be seen by
        # those before it.
        together = max(count, 1) if first + count <= cache.memory else 1
        for at in range(0, count, together):
            some = slice(at, min(at + together, count))
            looks = memory_looks(cache, list(range(first + some.start, first + some.stop)))
            remember(
                self.network, cache, level, latents[:, some], looks, of_frames(modulation, some)
            )
        k, v = (
            part[:, :, :, cache.remembered].unflatten(1, (-1, self.branches))
            for part in (cache.k, cache.v)
        )
        return replace(
            carry,
            latents=carry.latents[:, count:],
            conditions=carry.conditions[:, count:],
            k=k,
            v=v,
            cache=cache,
        )

    def _cache(self, carry: ReferenceCarry, joining: int) -> KVCache:
        """The cache of the carry, or a larger one where it has no space for `joining` more
        frames.
        """
        newest = int(carry.frame[0]) - carry.latents.shape[1] - 1
        frames = newest + 1 + joining
        if carry.cache is not None and min(frames, self.play.memory) <= carry.cache.places:
            return carry.cache
        k, v = carry.k.flatten(1, 2), carry.v.flatten(1, 2)
        return KVCache.holding(self.cfg, k, v, newest, frames, self.play.memory)

    def _condition(self, carry: ReferenceCarry, old: int) -> Tensor:
        """AdaLN's input `[B*G,P,D]` of the carry's frames, of which `old` go to the memory."""
        timesteps = torch.full(carry.conditions.shape, CLEAN_CODE, device=carry.latents.device)
        timesteps[:, :old] = self.cfg.memory_code
        return self._embed_condition(timesteps, carry.conditions)

    def _embed_condition(self, timesteps: Tensor, conditions: Tensor) -> Tensor:
        """AdaLN's input `[B*G,F,D]` of timesteps and conditions `[B,F]`."""
        null = torch.full_like(conditions, NULL)
        branches = torch.stack((conditions, null)[: self.branches], dim=1).flatten(0, 1)
        times = timesteps.repeat_interleave(self.branches, dim=0)
        ids = torch.arange(times.shape[1], device=times.device)
        return self.network.condition(ReferenceFrames(times, ids, times, branches))

    def _rows(self, latents: Tensor) -> Tensor:
        """`[B,...]` -> `[B*G,...]`."""
        return latents.repeat_interleave(self.branches, dim=0)

    def _apply_guidance(self, velocity: Tensor) -> Tensor:
        """Classifier-free guidance over the branches: null + s (cond - null)."""
        both = velocity.unflatten(0, (-1, self.branches))
        null = both[:, -1]
        return null + self.play.guidance * (both[:, 0] - null) if self.branches > 1 else null
