"""The reward and termination head's part of a training: where the episodes have rewards or ends, a
head (outcome.py) learns them from the latents that the dynamics learns from. Takes seconds.

Rewards may be rare, so half of what it sees are steps that had one; each step then counts as much
less as it was drawn more often, and the head stays right on average. Latents get noise, since a
dream's are never exact.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.heads.reward import OutcomeConfig, OutcomeHead
from worldsim.data.latents import LatentCache
from worldsim.data.store import EpisodeStore


@dataclass(frozen=True, kw_only=True)
class OutcomeTraining:
    """How the head learns. `noise`: how much of a latent at most, `apart`: share of the episodes
    that it is measured on and never learns from.
    """

    steps: int = 800
    batch: int = 128
    lr: float = 1e-3
    noise: float = 0.5
    apart: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Steps:
    """All steps of a cache: `frames` `[S]`, where in it each arrived; `rewards` `[S]`, `ends`
    `[S]`; `episode` `[S]`, the number of its episode.
    """

    frames: np.ndarray
    rewards: np.ndarray
    ends: np.ndarray
    episode: np.ndarray

    def of(self, chosen: np.ndarray) -> "Steps":
        """Some of them."""
        return Steps(**{name: part[chosen] for name, part in vars(self).items()})


def steps_of(store: EpisodeStore, cache: LatentCache) -> Steps | None:
    """Every step of the episodes; None where none had a reward or an end.

    Raises:
        ValueError: the store is not what the cache was made of.
    """
    told = [store.outcome(number) for number in range(len(store))]
    lengths = [len(rewards) + 1 for rewards, _ in told]
    if lengths != np.diff(cache.bounds).tolist():
        raise ValueError(f"{store.folder} changed since it was encoded: run the command again")
    if not any(ended or rewards.any() for rewards, ended in told):
        return None
    rewards = [np.concatenate(([0.0], gained)) for gained, _ in told]
    ends = [
        np.arange(n) == n - 1 if over else np.zeros(n, bool)
        for n, (_, over) in zip(lengths, told, strict=True)
    ]
    episode = np.repeat(np.arange(len(told)), lengths)
    every = Steps(
        frames=np.arange(sum(lengths)),
        rewards=np.concatenate(rewards).astype(np.float32),
        ends=np.concatenate(ends),
        episode=episode,
    )
    return every.of(cache.actions >= 0)


def train_outcome(
    steps: Steps | None, cache: LatentCache, actions: int, plan: OutcomeTraining, seed: int
) -> tuple[OutcomeHead | None, dict[str, float]]:
    """Teach a head what the steps of a cache were worth (steps_of).

    Returns:
        The head, None where there is nothing to learn; and what it explains of the rewards
        (1: all of their variance, 0: no more than their mean) and how well it tells ends from other
        steps (area under the curve, 0.5: not at all), on episodes it did not learn from.
    """
    if steps is None:
        return None, {}
    apart = np.arange(len(cache)) % max(round(1 / plan.apart), 2) == 1
    learnt, kept = steps.of(~apart[steps.episode]), steps.of(apart[steps.episode])
    _, channels, size, _ = cache.latents.shape
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        head = OutcomeHead(
            OutcomeConfig(
                actions=actions, channels=channels, size=size, patch=2 if size % 2 == 0 else 1
            )
        )
    size = float(np.sqrt(np.square(learnt.rewards).mean()))
    head.scale.fill_(size or 1.0)
    _learn(head, cache, learnt, plan, np.random.default_rng([seed, 5]))
    measured = _measure(head.eval(), cache, kept) if len(kept.frames) else {}
    return head, measured


def _learn(head, cache: LatentCache, steps: Steps, plan: OutcomeTraining, rng) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), lr=plan.lr, weight_decay=0.05)
    notable = np.flatnonzero((steps.rewards != 0) | steps.ends)
    count, generator = len(steps.frames), torch.Generator().manual_seed(int(rng.integers(2**31)))
    often = np.full(count, 0.5 if len(notable) else 1.0) / count
    often[notable] += 0.5 / max(len(notable), 1)
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * min(1.0, (step + 1) / 30, 3 * (1 - step / plan.steps))
        drawn = rng.integers(count, size=plan.batch)
        if len(notable):
            drawn[::2] = rng.choice(notable, size=len(drawn[::2]))
        weights = torch.from_numpy(1 / (count * often[drawn])).float()
        before, actions, after = _inputs(cache, steps.frames[drawn])
        said = head(
            _add_noise(before, plan, generator), actions, _add_noise(after, plan, generator)
        )[:, 0]
        error = (said[:, 0] - torch.from_numpy(steps.rewards[drawn]) / head.scale).square()
        ends = torch.from_numpy(steps.ends[drawn]).float()
        error = error + F.binary_cross_entropy_with_logits(said[:, 1], ends, reduction="none")
        optimiser.zero_grad()
        (weights * error).mean().backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()


def _inputs(cache: LatentCache, frames: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """What the head is given: latents `[S,1,C,h,w]` before and after, and actions `[S,1]`."""
    before, after = (torch.from_numpy(cache.latents[at]).float() for at in (frames - 1, frames))
    actions = torch.from_numpy(cache.actions[frames])
    return before.unsqueeze(1), actions.unsqueeze(1), after.unsqueeze(1)


def _add_noise(latents: Tensor, plan: OutcomeTraining, generator: torch.Generator) -> Tensor:
    much = plan.noise * torch.rand(len(latents), 1, 1, 1, 1, generator=generator)
    return latents + much * torch.randn(latents.shape, generator=generator)


@torch.no_grad()
def _measure(head: OutcomeHead, cache: LatentCache, steps: Steps) -> dict[str, float]:
    said = [
        head(*_inputs(cache, part))[:, 0]
        for part in np.array_split(steps.frames, -(-len(steps.frames) // 512))
    ]
    rewards, logits = torch.cat(said).numpy().T
    found = {}
    if steps.rewards.std() > 0:
        left = np.square(rewards * float(head.scale) - steps.rewards).mean()
        found["rewards_explained"] = float(1 - left / steps.rewards.var())
    if steps.ends.any() and not steps.ends.all():
        ended, went_on = logits[steps.ends], logits[~steps.ends]
        found["ends_told"] = float((ended[:, None] > went_on[None]).mean())
    return found
