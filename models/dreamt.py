"""What a dynamics dreams on its own training data: latents, and the frames that were really there.

What follows in a training from such dreams is in train_painter.py.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.far_dynamics import FARDynamics
from models.training import PaintingTraining
from worldsim.data.latents import LatentCache
from worldsim.data.store import EpisodeStore

CONTEXT = (40, 145)  # frames seen before a dream begins
LONGEST = 150  # frames dreamt
KEPT = 0.4  # share of a dream's frames; of its first `ALWAYS` all
ALWAYS = 4


class Dreams(NamedTuple):
    """latents float16 `[N,C,h,w]`, the true frames uint8 `[N,H,W,3]`, how many frames after the
    context they were dreamt, int64 `[N]`.
    """

    latents: Tensor
    frames: Tensor
    ages: Tensor


@torch.no_grad()
def dream_on(
    dynamics: FARDynamics,
    cache: LatentCache,
    store: EpisodeStore,
    plan: PaintingTraining,
    seed: int,
    steps: int,
) -> Dreams:
    """Dream on from somewhere in random episodes, under the actions that were really taken.

    Raises:
        ValueError: no episode is long enough.
    """
    rng = np.random.default_rng([seed, 2])
    long = np.flatnonzero(np.diff(cache.bounds) > CONTEXT[0] + ALWAYS)
    if not len(long):
        raise ValueError(
            f"painting needs episodes of more than {CONTEXT[0] + ALWAYS} frames, there are none: "
            f"collect longer ones, or set painting.steps=0"
        )
    parts = []
    for _ in range(plan.rollouts):
        rows = rng.choice(long, plan.rows, replace=len(long) < plan.rows)
        parts += _rollout(dynamics, cache, store, rows, rng, steps)
    return Dreams(*(torch.from_numpy(np.concatenate(part)) for part in zip(*parts, strict=True)))


def _rollout(dynamics, cache: LatentCache, store: EpisodeStore, rows, rng, steps: int) -> list:
    starts = cache.bounds[rows]
    shortest = int((cache.bounds[rows + 1] - starts).min())
    context = int(rng.integers(CONTEXT[0], min(CONTEXT[1], shortest - ALWAYS)))
    device = dynamics.turns.device
    carry = dynamics.initial(len(rows))
    frames = [np.asarray(store[int(row)].frames) for row in rows]
    kept = []
    for t in range(min(context + LONGEST, shortest)):
        actions = torch.from_numpy(cache.actions[starts + t]).long().to(device)
        if t < context:
            seen = torch.from_numpy(cache.latents[starts + t]).float().to(device)
            carry = dynamics.observe(carry, seen, actions)
            continue
        noise = rng.standard_normal((len(rows), *dynamics.latent_shape), dtype=np.float32)
        carry, latents = dynamics.imagine(carry, actions, torch.from_numpy(noise).to(device), steps)
        age = t - context
        if age < ALWAYS or rng.random() < KEPT:
            true = np.stack([one[t] for one in frames])
            kept.append((latents.cpu().half().numpy(), true, np.full(len(rows), age)))
    return kept
