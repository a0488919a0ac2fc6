"""Training batches: random stretches of episodes, mirrored half of the time, with a state that can
be saved.

`actions[:, t]` led to frame t and `actions[:, 0]` is null: what happened before a clip begins is
unknown to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from worldsim.actions import ActionSet
from worldsim.data.latents import LatentCache
from worldsim.types import NULL_ACTION

REST = 3.0  # steps that a rest lasts, on average


@dataclass(frozen=True, kw_only=True)
class Clip:
    """B stretches of up to T frames: latents `[B,T,C,h,w]`, actions int64 `[B,T]`, poses `[B,T,3]`,
    posed bool `[B]`, lengths int64 `[B]`.
    """

    latents: Tensor
    actions: Tensor
    poses: Tensor
    posed: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> "Clip":
        """The same clip on another device."""
        return Clip(**{name: value.to(device) for name, value in vars(self).items()})


def mirror_action_ids(actions: ActionSet) -> np.ndarray:
    """What each action is in a mirror: the one that turns as much the other way (itself where
    nothing turns).
    """
    ids = []
    for i, turn in enumerate(actions.turns):
        others = [j for j, other in enumerate(actions.turns) if turn and abs(other + turn) < 1e-6]
        ids.append(others[0] if others else i)
    return np.array(ids)


class ClipSampler:
    """Draws clips from a cache. `mirror` maps latents to those of the mirrored frames (None: never
    mirror).

    A share `short` of the clips is at most `short_length` frames, so that dreams learn to begin;
    the others reach up to `longest`. At a share `rests` of the steps the walker is made to stand,
    for a while each: the same frame again under the idle action. That is true only of worlds in
    which nothing moves by itself.

    Raises:
        ValueError: no episode is long enough, or rests in a world that knows no standing still.
    """

    def __init__(
        self,
        cache: LatentCache,
        actions: ActionSet,
        *,
        batch: int,
        shortest: int,
        longest: int,
        short_length: int = 40,
        short: float = 0.3,
        rests: float = 0.0,
        mirror: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
    ):
        if rests and actions.idle is None:
            raise ValueError(
                f"rests is {rests}, but {actions.name} has no action that stands still: set it to 0"
            )
        self.rests = rests
        self.idle = None if actions.idle is None else actions.id(actions.idle)
        self.cache, self.batch, self.mirror = cache, batch, mirror
        self.shortest, self.longest, self.short_length, self.short = (
            shortest,
            longest,
            short_length,
            short,
        )
        self.mirrored = mirror_action_ids(actions)
        self.turns = np.array(actions.turns, np.float32)
        self.rng = np.random.default_rng(seed)
        lengths = np.diff(cache.bounds)
        self.episodes = np.flatnonzero(lengths >= shortest)
        if not len(self.episodes):
            raise ValueError(
                f"no episode has {shortest} frames (the longest has {lengths.max(initial=0)}): "
                f"collect longer ones"
            )

    def state_dict(self) -> dict:
        """Where the random numbers stand, as plain JSON."""
        return self.rng.bit_generator.state

    def load_state_dict(self, state: dict) -> None:
        """Continue where another sampler stood."""
        self.rng.bit_generator.state = state

    def draw(self) -> Clip:
        """The next batch."""
        rows = [self._draw_row() for _ in range(self.batch)]
        longest = max(len(row[1]) for row in rows)
        padded = [[_pad(part, longest) for part in row[:3]] for row in rows]
        latents, actions, poses = (
            torch.from_numpy(np.stack(parts)) for parts in zip(*padded, strict=True)
        )
        clip = Clip(
            latents=latents,
            actions=actions,
            poses=poses,
            posed=torch.tensor([row[3] for row in rows]),
            lengths=torch.tensor([len(row[1]) for row in rows]),
        )
        return self._mirror(clip) if self.mirror else clip

    def _draw_row(self):
        episode = int(self.rng.choice(self.episodes))
        start, end = self.cache.bounds[episode], self.cache.bounds[episode + 1]
        most = min(self.longest, end - start)
        if self.rng.random() < self.short:
            most = min(most, self.short_length)
        length = int(self.rng.integers(self.shortest, most + 1))
        first = int(self.rng.integers(start, end - length + 1))
        here = first + self._walk(length)
        actions = self.cache.actions[here]
        if self.rests:
            actions[1:][np.diff(here) == 0] = self.idle
        actions[0] = NULL_ACTION
        posed = bool(self.cache.posed[episode])
        poses = self.cache.poses[here] if posed else self._integrate_headings(actions)
        return self.cache.latents[here], actions, poses, posed

    def _walk(self, length: int) -> np.ndarray:
        """Which frame of a stretch is seen at each of `length` steps; one that stays is a rest."""
        frames = np.arange(length)
        if not self.rests:
            return frames
        begins = self.rests / (1 - self.rests) / REST
        stays = self.rng.geometric(1 / REST, length) * (self.rng.random(length) < begins)
        return np.repeat(frames, 1 + stays)[:length]

    def _integrate_headings(self, actions: np.ndarray) -> np.ndarray:
        turns = np.where(actions >= 0, self.turns[actions], 0)
        return np.stack(
            (np.zeros_like(turns), np.zeros_like(turns), np.cumsum(turns)), axis=1
        ).astype(np.float32)

    def _mirror(self, clip: Clip) -> Clip:
        chosen = torch.from_numpy(self.rng.random(self.batch) < 0.5)
        flip = chosen[:, None]
        swapped = torch.from_numpy(self.mirrored)[clip.actions.clamp(min=0)]
        latents = clip.latents.clone()
        latents[chosen] = self.mirror(latents[chosen])
        return Clip(
            latents=latents,
            actions=torch.where(flip & (clip.actions >= 0), swapped, clip.actions),
            poses=torch.where(
                flip[..., None], clip.poses * torch.tensor([1.0, -1.0, -1.0]), clip.poses
            ),
            posed=clip.posed,
            lengths=clip.lengths,
        )


def _pad(part: np.ndarray, length: int) -> np.ndarray:
    out = np.zeros((length, *part.shape[1:]), part.dtype)
    out[: len(part)] = part
    return out
