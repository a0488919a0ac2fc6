"""Fidelity: dreamt frames beside the engine's under the same actions, after a long context.

Beside the dream stand two that know nothing of the world: the last true frame repeated, and the
most similar of the context's frames, chosen with hindsight. Above them stands the codec, which has
seen the very frame.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from worldsim.evaluate.bootstrap import intervals
from worldsim.evaluate.lpips import load_lpips, lpips
from worldsim.evaluate.metrics import nearest, psnr, sharpness, ssim
from worldsim.evaluate.open_loop import Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.world.model import WorldModel

Rows = list[tuple[str, np.ndarray]]
PERCENTILES = (50, 90, 99)
FILMS = 4  # episodes that are shown as films


class Fidelity(NamedTuple):
    """What was measured.

    Attributes:
        figures: of each contestant; `by age` has each frame by frame with intervals, `speed`
            milliseconds a frame of one dream.
        rows: of frames, for a contact sheet.
        films: truth and dream of the first FILMS episodes, uint8 `[P,H,W,3]` each.
    """

    figures: dict[str, Any]
    rows: Rows
    films: list[tuple[np.ndarray, np.ndarray]]


def measure(world: WorldModel, made: list[Start], protocol: Protocol) -> Fidelity:
    """Score dreams of the starts' episodes."""
    figures: dict[str, list[dict[str, np.ndarray]]] = {}
    rows: Rows = []
    films: list[tuple[np.ndarray, np.ndarray]] = []
    times: list[float] = []
    for start in made:
        truth = _select_after(start, "frames", protocol.predicted)
        actions = _select_after(start, "actions", protocol.predicted, shift=1)
        poses: list[np.ndarray | None] = []
        frames = dream(
            world,
            start.state(),
            actions,
            protocol.steps,
            after=lambda state, poses=poses: poses.append(state.poses),
        )
        dreamt = np.stack(list(_time_frames(frames, times)), axis=1)
        for name, pictures in _make_contestants(world, start, truth, dreamt):
            figures.setdefault(name, []).append(_score_pictures(pictures, truth, protocol.lpips))
        if poses[0] is not None and start.episodes[0].poses is not None:
            figures["dream"][-1]["off place"] = _measure_place_error(start, np.stack(poses, axis=1))
        rows += _make_sheet_rows(start, truth, dreamt, protocol)
        films += zip(truth, dreamt, strict=True)
    told: dict[str, Any] = {name: _summarise(parts, protocol) for name, parts in figures.items()}
    told["by age"] = [
        one for name, parts in figures.items() for one in _average_by_age(name, parts)
    ]
    told["speed"] = {f"p{share}": float(np.percentile(times, share)) for share in PERCENTILES}
    return Fidelity(told, rows, films[:FILMS])


def _time_frames(frames: Iterator[np.ndarray], times: list[float]) -> Iterator[np.ndarray]:
    """The same, and to `times` the milliseconds each took, for one dream of the batch."""
    began = time.perf_counter()
    for frame in frames:
        times.append((time.perf_counter() - began) * 1e3 / len(frame))
        yield frame
        began = time.perf_counter()


def _average_by_age(name: str, parts: list[dict[str, np.ndarray]]) -> Iterator[dict[str, Any]]:
    """Each figure at every frame: mean over the episodes, and the interval that holds it."""
    for metric in parts[0]:
        mean, low, high = intervals(np.concatenate([part[metric] for part in parts]))
        yield {"name": name, "metric": metric, "mean": mean, "low": low, "high": high}


def _score_pictures(
    pictures: np.ndarray, truth: np.ndarray, backbone: str | None
) -> dict[str, np.ndarray]:
    perceptual = (
        {"lpips": lpips(load_lpips(backbone), np.array(pictures), truth)} if backbone else {}
    )
    return perceptual | {
        "psnr": psnr(pictures, truth),
        "ssim": ssim(pictures, truth),
        "sharpness": sharpness(pictures) / sharpness(truth).mean(axis=0),
    }


def _measure_place_error(start: Start, believed: np.ndarray) -> np.ndarray:
    """How far from the true place `[B,T]` a dreamer believes to be, by its poses `[B,T,3]`.

    A dreamer's own poses are told in the frame of its first context frame.
    """
    true = np.stack([episode.poses for episode in start.episodes])
    home, there = true[:, :1], true[:, start.context : start.context + believed.shape[1]]
    cos, sin = np.cos(home[..., 2]), np.sin(home[..., 2])
    x, y = (there[..., axis] - home[..., axis] for axis in (0, 1))
    return np.hypot(believed[..., 0] - (x * cos + y * sin), believed[..., 1] - (y * cos - x * sin))


def _select_after(start: Start, what: str, count: int, shift: int = 0) -> np.ndarray:
    """What follows the context: frames, or the actions that lead to them."""
    at = start.context - shift
    return np.stack([getattr(episode, what)[at : at + count] for episode in start.episodes])


def _make_contestants(world: WorldModel, start: Start, truth: np.ndarray, dreamt: np.ndarray):
    yield "dream", dreamt
    yield "repeat last frame", np.broadcast_to(start.last_frames()[:, None], truth.shape)
    yield "best of context", find_best_of_context(start, truth)
    yield "codec", reconstruct_frames(world, truth)


def find_best_of_context(start: Start, truth: np.ndarray) -> np.ndarray:
    """For frames `[B,T,H,W,3]` the most similar of the context's, chosen with hindsight."""
    seen = (episode.frames[: start.context] for episode in start.episodes)
    return np.stack([frames[nearest(row, frames)] for frames, row in zip(seen, truth, strict=True)])


@torch.no_grad()
def reconstruct_frames(world: WorldModel, frames: np.ndarray) -> np.ndarray:
    """Frames `[...,H,W,3]` through the world's codec and back."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    parts = []
    for at in range(0, len(flat), 64):
        pictures = torch.from_numpy(np.ascontiguousarray(flat[at : at + 64])).to(world.device)
        parts.append(world.codec.decode(world.codec.encode(pictures)).cpu().numpy())
    return np.concatenate(parts).reshape(frames.shape)


def _summarise(parts: list[dict[str, np.ndarray]], protocol: Protocol) -> dict[str, Any]:
    """Means over the episodes, at the horizons and over all predicted frames."""
    summary: dict[str, Any] = {}
    for metric in parts[0]:
        values = np.concatenate([part[metric] for part in parts])
        at = {str(h): values[:, h - 1].mean() for h in protocol.horizons if h <= values.shape[1]}
        summary[metric] = at | {"mean": values.mean(), "std": values.mean(axis=1).std()}
    return summary


def _make_sheet_rows(
    start: Start, truth: np.ndarray, dreamt: np.ndarray, protocol: Protocol
) -> Rows:
    last = start.last_frames()[:, None]
    chosen = [number for number in protocol.sheet if number <= truth.shape[1]]
    named = {
        name: np.concatenate((last, frames), axis=1)[:, chosen]
        for name, frames in (("truth", truth), ("dream", dreamt))
    }
    seeds = [episode.meta.seed for episode in start.episodes]
    return [(f"{seed} {name}", named[name][i]) for i, seed in enumerate(seeds) for name in named]
