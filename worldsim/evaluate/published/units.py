"""The work of a protocol in units: one file for each clip under each seed, written when it is done.

So a run that was killed goes on with the next unit, and units are shared out over processes. A unit
without a seed holds what stands beside the dreams: the last frame repeated, the best of the
context by hindsight, the codec.
"""

import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from worldsim.atomic import atomic_write
from worldsim.data.published.clip_files import ClipFile
from worldsim.evaluate.fidelity import reconstruct_frames
from worldsim.evaluate.fvd import Detector
from worldsim.evaluate.lpips import Perceptual, lpips, read_lpips
from worldsim.evaluate.metrics import nearest, psnr, ssim
from worldsim.evaluate.published.clips import Clip, choose_clips, read_clip
from worldsim.evaluate.published.dreaming import dream_clips, dream_seed, prepare
from worldsim.evaluate.published.film import encode_and_decode_film
from worldsim.evaluate.published.protocols import Setting
from worldsim.world.model import WorldModel, load_world

SHOWN = 6  # clips whose frames are kept
KEPT = 10  # frames of each
FRAMES = ("psnr", "ssim", "mse", "lpips")


class Unit(NamedTuple):
    """A clip, and the seed it is dreamt with; None for what stands beside the dreams."""

    seed: int | None
    clip: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """All that a process has to know; plain data.

    Attributes:
        world: a name or a folder.
        setting: the protocol.
        source, root: where the clips are.
        folder: where units are written.
        steps: sampler steps a frame.
        batch: dreams at a time.
        device: where the network runs.
        backbone, i3d: weights of LPIPS and FVD; None to leave them out.
        as_published: in the reference's ways.
    """

    world: str
    setting: Setting
    source: Path
    folder: Path
    steps: int
    root: Path | None = None
    batch: int = 8
    device: str = "cpu"
    backbone: Path | None = None
    i3d: Path | None = None
    as_published: bool = False


class Judges(NamedTuple):
    """The networks that judge; None where no weights were given."""

    lpips: Perceptual | None
    i3d: Detector | None


def read_judges(run: Run) -> Judges:
    """Read the weights of a run's judges.

    Raises:
        ValueError: a file that is missing, or another.
    """
    wants = run.setting.metrics
    perceptual = read_lpips(run.backbone).to(run.device) if run.backbone else None
    detector = Detector(run.i3d, run.device) if run.i3d and "fvd" in wants else None
    return Judges(perceptual, detector)


def unit_path(folder: Path, unit: Unit) -> Path:
    """Where a unit's figures are."""
    name = "beside" if unit.seed is None else f"seed{unit.seed}"
    return folder / "units" / f"{name}-clip{unit.clip:05d}.npz"


def group_units(run: Run, clips: Sequence[ClipFile]) -> list[list[Unit]]:
    """All units, in groups that are dreamt together: as many clips of one label as make a batch."""
    setting, groups = run.setting, []
    size = max(run.batch // setting.trajectories, 1)
    order = sorted(range(len(clips)), key=lambda n: clips[n].label or 0)
    labels = itertools.groupby(order, key=lambda n: clips[n].label)
    alike = [list(numbers) for _, numbers in labels]
    for seed in (None, *setting.seeds):
        for numbers in alike:
            units = [Unit(seed, number) for number in numbers]
            groups += [units[at : at + size] for at in range(0, len(units), size)]
    return groups


class Tools(NamedTuple):
    """What a process opens once."""

    world: WorldModel
    judges: Judges
    files: list[ClipFile]


def open_tools(run: Run) -> Tools:
    """The world, its judges and the clips."""
    world = load_world(run.world, run.device)
    if run.as_published and hasattr(world.codec, "truncates"):
        world.codec.truncates = True
    return Tools(world, read_judges(run), choose_clips(run.setting, run.source, run.root))


def do_units(run: Run, groups: Iterable[Sequence[Unit]]) -> Generator[int]:
    """Do the units of groups that are not done yet; yields how many, group by group."""
    tools = None
    for group in groups:
        units = [unit for unit in group if not unit_path(run.folder, unit).is_file()]
        if units:
            tools = tools or open_tools(run)
            _do_group(run, tools, units)
        yield len(units)


def _do_group(run: Run, tools: Tools, units: Sequence[Unit]) -> None:
    """Do units of one label and one seed, and write them."""
    world, judges, files = tools
    size = world.card.frame_size
    clips = [read_clip(run.setting, files[u.clip], size, world.actions) for u in units]
    make = _beside if units[0].seed is None else _judge_units
    for unit, arrays in zip(units, make(world, run, judges, units, clips), strict=True):
        write_unit(unit_path(run.folder, unit), arrays)


def write_unit(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a unit's arrays, whole or not at all."""

    def write(scratch: Path) -> None:
        with open(scratch, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    atomic_write(path, write)


def read_unit(path: Path) -> dict[str, np.ndarray]:
    """What `write_unit` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


# ---- what is in a unit ----


def _judge_units(
    world: WorldModel, run: Run, judges: Judges, units: Sequence[Unit], clips: Sequence[Clip]
) -> Iterator[dict[str, np.ndarray]]:
    setting = run.setting
    prepare(world, setting, clips[0].label)
    if setting.trajectories == 1:
        seeds = [dream_seed(unit.seed or 0, unit.clip, 0) for unit in units]
        frames = dream_clips(world, setting, clips, seeds, run.steps)[:, None]
    else:
        frames = np.stack(
            [_dream_clip(world, run, one, unit) for one, unit in zip(clips, units, strict=True)]
        )
    for unit, clip, dreams in zip(units, clips, frames, strict=True):
        yield _judge_dreams(world, run, judges, clip, dreams) | _draw_clip(
            run, unit, clip, dreams[0]
        )


def _dream_clip(world: WorldModel, run: Run, clip: Clip, unit: Unit) -> np.ndarray:
    """All dreams of one clip, a batch at a time, `[N,P,H,W,3]`."""
    numbers = range(run.setting.trajectories)
    seeds = [dream_seed(unit.seed or 0, unit.clip, number) for number in numbers]
    parts = [seeds[at : at + run.batch] for at in range(0, len(seeds), run.batch)]
    return np.concatenate(
        [dream_clips(world, run.setting, [clip], part, run.steps) for part in parts]
    )


def _draw_clip(run: Run, unit: Unit, clip: Clip, dream: np.ndarray) -> dict[str, np.ndarray]:
    if unit.clip >= SHOWN or unit.seed != run.setting.seeds[0]:
        return {}
    ages = np.unique(np.geomspace(1, len(dream), KEPT).round().astype(int)) - 1
    truth = clip.frames[run.setting.given :][ages]
    return {"shown ages": ages + 1, "shown dream": dream[ages], "shown truth": truth}


def _beside(
    world: WorldModel, run: Run, judges: Judges, units: Sequence[Unit], clips: Sequence[Clip]
) -> Iterator[dict[str, np.ndarray]]:
    """Floors and ceilings of each clip, every array once for each of them."""
    for clip in clips:
        truth, context = _split_clip(run.setting, clip)
        rows = {"codec": reconstruct_frames(world, truth)}
        if run.setting.paired:
            rows["repeat last frame"] = np.broadcast_to(context[-1:], truth.shape)
            rows["best of context"] = context[nearest(truth, context)]
        found = {}
        for name, frames in rows.items():
            arrays = _judge_dreams(world, run, judges, clip, np.ascontiguousarray(frames)[None])
            found |= {f"{name}/{key}": value for key, value in arrays.items()}
        yield found


def _split_clip(setting: Setting, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """The frames that are predicted, and those that are given."""
    end = setting.given + setting.predicted
    return clip.frames[setting.given : end], clip.frames[: setting.given]


def _judge_dreams(
    world: WorldModel, run: Run, judges: Judges, clip: Clip, dreams: np.ndarray
) -> dict[str, np.ndarray]:
    """Figures of dreams `[N,P,H,W,3]` of one clip: `[N,P]` for each metric of frames, and features
    `[N,F]` of the whole clips for each span.
    """
    truth, context = _split_clip(run.setting, clip)
    before = context
    if run.as_published:
        if len(context):
            before = reconstruct_frames(world, context)
        pairs = [encode_and_decode_film(before, context, frames, truth) for frames in dreams]
        before, context, dreams, truths = map(np.stack, zip(*pairs, strict=True))
    else:
        before, context, truths = (
            np.repeat(part[None], len(dreams), axis=0) for part in (before, context, truth)
        )
    found = _measure_frames(run, judges, dreams, truths) if run.setting.paired else {}
    if judges.i3d is not None:
        for span in run.setting.spans:
            whole = np.concatenate((before, dreams[:, :span]), axis=1)
            true = np.concatenate((context, truths[:, :span]), axis=1)[:1]
            found[f"dream {span}"] = judges.i3d.features(whole)
            found[f"true {span}"] = judges.i3d.features(true)
    return found


def _measure_frames(
    run: Run, judges: Judges, dreams: np.ndarray, truths: np.ndarray
) -> dict[str, Any]:
    if not set(run.setting.metrics) & set(FRAMES):
        return {}
    error = (dreams.astype(np.float32) - truths.astype(np.float32)) / 255
    metrics: dict[str, Callable[[], np.ndarray]] = {
        "psnr": lambda: psnr(dreams, truths),
        "ssim": lambda: ssim(dreams, truths),
        "mse": lambda: np.square(error).mean(axis=(-3, -2, -1)),
    }
    if judges.lpips is not None:
        distance = judges.lpips
        metrics["lpips"] = lambda: lpips(distance, dreams, truths, run.as_published)
    return {name: np.asarray(measure(), np.float32) for name, measure in metrics.items()}


def identity(run: Run, world_hash: str, clips: Sequence[ClipFile]) -> dict[str, Any]:
    """What units must have in common to make one table; JSON values."""
    return {
        "world": world_hash,
        "setting": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(run.setting).items()
        },
        "clips": [clip.name for clip in clips],
        "steps": run.steps,
        "lpips": run.backbone.name if run.backbone else None,
        "i3d": run.i3d.name if run.i3d else None,
        "as published": run.as_published,
    }
