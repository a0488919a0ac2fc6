"""Dreams of published clips: given true frames (or none), under their actions or labels."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from worldsim.evaluate.open_loop import dream
from worldsim.evaluate.published.clips import Clip
from worldsim.evaluate.published.protocols import Setting
from worldsim.world.model import WorldModel
from worldsim.world.state import WorldState

_SEEDS = 2**20  # clips of a seed, and trajectories of a clip, have numbers below


def dream_seed(seed: int, clip: int, trajectory: int) -> int:
    """A dream's seed: another one for each."""
    return (seed * _SEEDS + clip) * _SEEDS + trajectory


def takes_labels(world: WorldModel) -> bool:
    """Whether a network was trained on labels."""
    return world.card.settings.get("network", {}).get("condition") == "label"


def prepare(world: WorldModel, setting: Setting, label: int | None = None) -> list[str]:
    """Play a network as the protocol says: guidance, no actions, a label.

    Returns:
        What could not be done, as sentences.
    """
    dynamics: Any = world.dynamics
    play = getattr(dynamics, "play", None)
    if play is None:
        asked = setting.null or setting.guidance != 1
        return [f"{world.card.name} has no guidance: it is given the actions"] if asked else []
    classes = tuple(-1 for _ in play.classes) if setting.null else play.classes
    first, guidance = (-1 if setting.null else play.first), setting.guidance
    if takes_labels(world) and label is not None:
        classes, first = tuple(label for _ in classes), label
    if world.card.settings["network"]["condition"] == "none":
        guidance = 1.0
    dynamics.play_as(dataclasses.replace(play, classes=classes, first=first, guidance=guidance))
    return []


def dream_clips(
    world: WorldModel, setting: Setting, clips: Sequence[Clip], seeds: Sequence[int], steps: int
) -> np.ndarray:
    """Dreamt frames uint8 `[B,P,H,W,3]`.

    Args:
        world: prepared for the clips' label.
        setting: how many frames are given and dreamt.
        clips: one a dream, or a single one for all.
        seeds: one a dream.
        steps: sampler steps a frame.

    Raises:
        DreamError: a dream ran away.
    """
    rows = [0] * len(seeds) if len(clips) == 1 else list(range(len(clips)))
    ahead = np.stack([clip.actions[max(setting.given - 1, 0) :] for clip in clips])[rows]
    if not setting.given:
        ahead = np.pad(ahead, ((0, 0), (1, 0)))  # the first frame is dreamt too
    state = _begin(world, setting, clips, rows, seeds)
    return np.stack(list(dream(world, state, ahead, steps)), axis=1)


def _begin(world, setting, clips, rows, seeds) -> WorldState:
    if not setting.given:
        carry = world.dynamics.initial(len(seeds))
        return WorldState(carry, list(seeds), [0] * len(seeds), world.hash)
    frames = np.stack([clip.frames[: setting.given] for clip in clips])
    actions = np.stack([clip.actions[: setting.given - 1] for clip in clips])
    state = world.reset(frames, actions, seeds[: len(clips)])
    return state.select(rows).fork(seeds)
