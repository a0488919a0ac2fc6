"""Drift: does a dream of a thousand frames still look like its world?

Under random, held and scripted keys, beside the engine in the same mazes under the same keys: a
maze has its own colours, and a held key shows one wall for ever, so no other data would be a fair
measure. Judged is the second half of a dream against the engine's whole run.
"""

import itertools
from typing import Any

import numpy as np
import torch

from worldsim.evaluate.metrics import sharpness
from worldsim.evaluate.open_loop import DreamError, Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.scripted_actions import KEYS, plan_long_keys
from worldsim.world.model import WorldModel

BOUNDS = {
    "pixel mean": (0.9, 1.1),
    "pixel std": (0.9, 1.1),
    "latent mean": (-0.1, 0.1),
    "latent std": (0.9, 1.1),
    "sharpness": (0.8, 1.25),
}
"""Ratios to the engine; the latents' mean is a difference, in standard deviations."""
SHOWN = 11  # columns of the contact sheet


def measure(
    world: WorldModel, made: list[Start], protocol: Protocol
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Dream long, all kinds of keys in one batch.

    Returns:
        The figures, and rows of frames for a contact sheet; a dream that ran away is measured up
        to there, and `failed` says so.
    """
    start = made[0]
    rows = [i % len(start.episodes) for i in range(protocol.long_rows)] * len(KEYS)
    actions = np.stack(
        [
            plan_long_keys(world.actions, kind, row, protocol.long)
            for kind in KEYS
            for row in range(protocol.long_rows)
        ]
    )
    shown = np.unique(np.linspace(0, protocol.long - 1, SHOWN).round().astype(int))
    ours = _Watch(world, shown)
    figures: dict[str, Any] = {}
    try:
        for frames in dream(world, start.memory.select(rows), actions, protocol.steps):
            ours.see(frames)
    except DreamError as error:
        figures["failed"] = str(error)
    theirs = _run_engine(world, start, rows, actions, shown)
    figures |= _make_figures(ours.features(), theirs.features(), protocol) if ours.seen else {}
    return figures, _make_sheet_rows(ours, theirs, protocol.long_rows)


class _Watch:
    """Keeps a few numbers of every frame `[B,H,W,3]`, and the frames that are to be shown."""

    def __init__(self, world: WorldModel, shown: np.ndarray) -> None:
        self._world, self._shown = world, set(shown.tolist())
        self.seen: list[dict[str, np.ndarray]] = []
        self.kept: list[np.ndarray] = []

    @torch.no_grad()
    def see(self, frames: np.ndarray) -> None:
        if len(self.seen) in self._shown:
            self.kept.append(frames)
        latents = self._world.codec.encode(torch.from_numpy(frames).to(self._world.device))
        values = {"pixel": frames / np.float32(255), "latent": latents.cpu().numpy()}
        numbers = {"colour": frames.mean(axis=(1, 2)), "sharpness": sharpness(frames)}
        for name, value in values.items():
            flat = value.reshape(len(frames), -1)
            numbers |= {f"{name} 1": flat.mean(axis=1), f"{name} 2": np.square(flat).mean(axis=1)}
        self.seen.append(numbers)

    def features(self) -> dict[str, np.ndarray]:
        """Every number over time, `[T,B]` or `[T,B,3]`."""
        return {name: np.stack([one[name] for one in self.seen]) for name in self.seen[0]}


def _run_engine(world, start: Start, rows: list[int], actions: np.ndarray, shown) -> _Watch:
    """The engine's runs under the same keys, watched like the dream's."""
    alone = []
    for row, chosen in zip(rows, actions, strict=True):
        watch = _Watch(world, shown)
        for frame, _ in itertools.islice(start.truths[row].walk(chosen), 1, None):
            watch.see(frame[None])
        alone.append(watch)
    both = _Watch(world, shown)
    both.kept = [np.concatenate(frames) for frames in zip(*(w.kept for w in alone), strict=True)]
    both.seen = [
        {name: np.concatenate([one[name] for one in ones]) for name in ones[0]}
        for ones in zip(*(watch.seen for watch in alone), strict=True)
    ]
    return both


def _make_figures(ours: dict, theirs: dict, protocol: Protocol) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    made = len(ours["sharpness"])
    for number, kind in enumerate(KEYS):
        those = slice(number * protocol.long_rows, (number + 1) * protocol.long_rows)
        true = _measure_moments(theirs, slice(None), those)
        blocks = [slice(at, at + protocol.block) for at in range(0, made, protocol.block)]
        late = _compare_figures(_measure_moments(ours, slice(made // 2, None), those), true)
        figures[kind] = late | {
            "good": all(low <= late[name] <= high for name, (low, high) in BOUNDS.items()),
            "series": [
                {"frame": block.start}
                | _compare_figures(_measure_moments(ours, block, those), true)
                for block in blocks
            ],
        }
    return figures


def _measure_moments(features: dict, when: slice, those: slice) -> dict[str, Any]:
    """Means and standard deviations over frames and runs."""
    mean = {name: value[when, those].mean(axis=(0, 1)) for name, value in features.items()}
    moments = {"sharpness": mean["sharpness"], "colour": mean["colour"]}
    for name in ("pixel", "latent"):
        moments[f"{name} mean"] = mean[f"{name} 1"]
        moments[f"{name} std"] = max(mean[f"{name} 2"] - mean[f"{name} 1"] ** 2, 1e-12) ** 0.5
    return moments


def _compare_figures(ours: dict, theirs: dict) -> dict[str, Any]:
    ratios = [name for name in BOUNDS if name != "latent mean"]
    compared = {name: float(ours[name] / max(theirs[name], 1e-6)) for name in ratios}
    shift = (ours["latent mean"] - theirs["latent mean"]) / theirs["latent std"]
    return compared | {"latent mean": float(shift), "colour": ours["colour"] - theirs["colour"]}


def _make_sheet_rows(
    ours: _Watch, theirs: _Watch, long_rows: int, each: int = 2
) -> list[np.ndarray]:
    """Truth and dream of the first runs of each kind; what was not dreamt is black."""
    true = np.stack(theirs.kept, axis=1)
    dreamt = np.zeros_like(true)
    for number, frames in enumerate(ours.kept):
        dreamt[:, number] = frames
    first = [row for row in range(len(true)) if row % long_rows < each]
    return [frames[row] for row in first for frames in (true, dreamt)]
