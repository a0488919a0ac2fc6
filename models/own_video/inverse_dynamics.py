"""Actions of unlabelled episodes, by an inverse-dynamics model learnt from a few labelled ones.

The model is the probe that also judges dreams (worldsim/evaluate/inverse_dynamics.py): two frames
in, an action out. Some labelled films are held out, and say how often it is right. What looks like
another action, such as a step against a wall, is called that other action.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from worldsim.actions import ActionSet
from worldsim.evaluate.inverse_dynamics import Pairs, Probe, augment_pairs, guess, train_probe
from worldsim.types import Episode

QUALITY = 40  # of JPEG, where a picture is shown as a video would
HELD_OUT = 0.2  # share of labelled films
NOTES = "inferred"  # what `extra` of an episode says of its actions


@dataclass(frozen=True, kw_only=True)
class LabelPlan:
    """How the model learns: `pairs` of successive frames at most, seen `epochs` times."""

    pairs: int = 6000
    epochs: int = 12
    seed: int = 0


class LabelReport(NamedTuple):
    """What was held out: its steps by true action (rows) and by the model's `[A,A]`; how many films
    and steps were learnt from, and how many films were held out.
    """

    confusion: np.ndarray
    films: int
    steps: int
    held_out: int

    @property
    def accuracy(self) -> float:
        """Share of held-out steps whose action is right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def commonest(self) -> float:
        """Share that is right if the commonest action is always said."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())


def split_films(episodes: Sequence[Episode], seed: int) -> tuple[list[Episode], list[Episode]]:
    """Labelled episodes to learn from, and those held out: whole films, at least one.

    Raises:
        ValueError: they are of one film alone.
    """
    films = [str(e.meta.extra.get("video", number)) for number, e in enumerate(episodes)]
    names = sorted(set(films))
    if len(names) < 2:
        raise ValueError(
            f"labelled videos must be at least 2, one to learn from and one to check with, got "
            f"{len(names)}: record what is pressed in more of them, or give --labelled."
        )
    count = max(round(HELD_OUT * len(names)), 1)
    out = set(np.random.default_rng(seed).choice(names, count, replace=False).tolist())
    pairs = list(zip(films, episodes, strict=True))
    return [e for film, e in pairs if film not in out], [e for film, e in pairs if film in out]


def gather_pairs(episodes: Sequence[Episode], most: int, seed: int) -> Pairs:
    """Successive frames of episodes and the actions between them, at most so many."""
    before = np.concatenate([e.frames[:-1] for e in episodes])
    after = np.concatenate([e.frames[1:] for e in episodes])
    actions = np.concatenate([e.actions for e in episodes])
    chosen = np.random.default_rng(seed).permutation(len(actions))[:most]
    return Pairs(before[chosen], after[chosen], actions[chosen])


def compress_pictures(frames: np.ndarray) -> np.ndarray:
    """Frames uint8 `[N,H,W,3]` as a video of few bits shows them."""
    options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    packed = [cv2.imencode(".jpg", frame, options)[1] for frame in frames]
    return np.stack([cv2.imdecode(data, cv2.IMREAD_COLOR) for data in packed])


def learn_actions(
    episodes: Sequence[Episode], table: ActionSet, plan: LabelPlan
) -> tuple[Probe, LabelReport]:
    """The model that labelled episodes teach, and how often it is right on those held out.

    Raises:
        ValueError: fewer than two films.
    """
    learnt, held = split_films(episodes, plan.seed)
    pairs = gather_pairs(learnt, plan.pairs, plan.seed)
    seen = augment_pairs(pairs, table, compress_pictures)
    probe = train_probe(seen, len(table), plan.epochs, plan.seed)
    test = gather_pairs(held, plan.pairs, plan.seed)
    told = guess(probe, test.before, test.after)
    confusion = np.zeros((len(table), len(table)), np.int64)
    np.add.at(confusion, (test.actions, told), 1)
    films = {str(e.meta.extra.get("video", number)) for number, e in enumerate(held)}
    return probe, LabelReport(confusion, len(learnt), len(pairs.actions), len(films))


def infer_actions(probe: Probe, frames: np.ndarray) -> np.ndarray:
    """The actions int64 `[T]` between frames `[T+1,H,W,3]` of an episode."""
    return guess(probe, frames[:-1], frames[1:]).astype(np.int64)


def describe_report(report: LabelReport, table: ActionSet) -> list[str]:
    """The report in lines: the share that is right, and of each action what it was taken for."""
    total = int(report.confusion.sum())
    lines = [
        f"learnt from {report.steps} steps of {report.films} labelled episodes; on {total} steps "
        f"of {report.held_out} held-out videos {report.accuracy:.1%} right "
        f"(always the commonest action: {report.commonest:.1%})"
    ]
    for name, row in zip(table.names, report.confusion, strict=True):
        if row.sum():
            taken = ", ".join(
                f"{other} {share:.1%}"
                for other, share in zip(table.names, row / row.sum(), strict=True)
                if share
            )
            lines.append(f"  {name}: {int(row.sum())} steps, taken for {taken}")
    return lines
