"""Visibility: what the context shows is to be kept, what it does not is to be invented well.

One judge for every world (rollouts.JUDGE) tells the two apart by the engine's depth and poses, so
worlds with and without a memory in space are measured alike. What it shows is in docs/evaluate.md.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from worldsim.evaluate import realism, returns
from worldsim.evaluate.efficientnet_lite import NO_FEATURES, features, has_features
from worldsim.evaluate.feature_distance import NETWORK, blind_spots, distances
from worldsim.evaluate.fidelity import find_best_of_context, reconstruct_frames
from worldsim.evaluate.lpips import load_lpips, lpips_maps
from worldsim.evaluate.masked import masked_mean, masked_psnr, masked_sharpness, masked_spread
from worldsim.evaluate.metrics import psnr
from worldsim.evaluate.open_loop import Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.rollouts import (
    Rollout,
    look_near,
    make_judge,
    roll_again,
    roll_late,
    roll_near,
)
from worldsim.evaluate.scripted_actions import plan_long_keys
from worldsim.ground_truth import plays, telling_depth
from worldsim.world.model import WorldModel, WorldState

NO_DEPTH = "the engine tells no depth or no poses, so it is not known what the context shows"
EARLY = 20  # frames
INVENTED = 0.3  # share of a frame that must be unseen to speak of invention
GREY = 127
LED = "dream, led by the engine"
LOOKS = (1, 2, 4, 8, 16, 32, 64, 100, 150, 200, 250)  # ages that are shown

Rows = list[np.ndarray]


class Dreams(NamedTuple):
    """All that was dreamt from one batch of starts."""

    start: Start
    near: Rollout
    led: Rollout | None
    late: Rollout | None
    again: np.ndarray | None
    returned: list[dict[str, dict[str, float]]]


def can_judge(env: Any, start: Start) -> bool:
    """Whether the engine tells all that the judge needs."""
    one = start.episodes[0]
    return hasattr(env, "field_of_view") and one.depths is not None and one.poses is not None


def measure(
    world: WorldModel, env: Any, made: list[Start], protocol: Protocol
) -> tuple[dict[str, Any], Rows]:
    """Dream, look, compare.

    Args:
        world: who dreams.
        env: the engine; tells depth.
        made: starts; their episodes have depths.
        protocol: how much of it.

    Returns:
        The figures, and rows of frames for a contact sheet.
    """
    if not can_judge(env, made[0]):
        return {"skipped": NO_DEPTH}, []
    dreams = []
    for number, start in enumerate(made):
        begun = number * protocol.batch
        dreams.append(_dream(world, env, start, protocol, begun))
    near, others = [one.near for one in dreams], _collect_others(env, made, protocol)
    figures = {
        "seen": _score_contestants(world, dreams, protocol, seen=True),
        "unseen": _score_contestants(world, dreams, protocol, seen=False),
        "share": _measure_shares(near, protocol),
        "invented": _measure_invented(dreams, others, protocol),
        "led": _measure_led(dreams, protocol),
        "features": _measure_blind_spots(near, others),
        "real or dreamt": _classify_dreams(world, dreams, others, protocol),
        "two seeds": _compare_seeds(dreams),
        "return": _average_returns([one for part in dreams for one in part.returned]),
        "speed": {"ms a frame": float(np.mean([one.milliseconds for one in near]))},
    }
    return figures, sheet_rows(dreams, protocol)


def _dream(world: WorldModel, env: Any, start: Start, protocol: Protocol, begun: int) -> Dreams:
    """Everything that is dreamt from a batch of starts; `begun` starts were dreamt from before."""
    judge, count = make_judge(env, start), len(start.episodes)
    aged = min(max(protocol.aged - begun, 0), count) * (protocol.long > protocol.predicted)
    seconds = min(max(protocol.seconds - begun, 0), count)
    places = min(max(protocol.places - begun, 0), count)
    kept: dict[Any, WorldState] = {}
    wanted: dict[int, int] = {}

    def keep(number: int, state: WorldState) -> None:
        for row in [row for row, at in wanted.items() if at == number]:
            kept[row] = state.select([row])
        if number == protocol.predicted and aged:
            kept["aged"] = state.select(range(aged))

    views = look_near(judge, start, protocol)
    shares = 1 - views[1][:places].mean(axis=(2, 3))
    wanted |= {row: returns.find_least_seen(share) for row, share in enumerate(shares)}
    near = roll_near(world, start, views, protocol, keep)
    led = roll_near(world, start, views, protocol, led=True) if world.takes_poses else None
    late = roll_late(world, start, judge, kept["aged"], protocol) if aged else None
    again = roll_again(world, start, protocol, range(seconds)) if seconds else None
    home = [(row, start.memory.select([row]), 0) for row in range(places)]
    away = [(row, kept[row], wanted[row]) for row in range(places)]
    found = [returns.find_place(env, start, *one) for one in home + away]
    returned = returns.measure(world, env, judge, start, found, protocol)
    return Dreams(start, near, led, late, again, returned)


# ---- what is seen, what is not ----


def _score_contestants(
    world: WorldModel, dreams: list[Dreams], protocol: Protocol, seen: bool
) -> dict[str, Any]:
    """PSNR in dB, and LPIPS where its weights are given, over the pixels that the context shows, or
    over the others.
    """
    scores: dict[str, dict[str, list[np.ndarray]]] = {}
    for one in dreams:
        near = one.near
        mask = near.seen if seen else ~near.seen
        for name, frames in _make_contestants(world, one, seen):
            found = scores.setdefault(name, {})
            found.setdefault("psnr", []).append(masked_psnr(frames, near.truth, mask))
            if protocol.lpips:
                maps = lpips_maps(load_lpips(protocol.lpips), frames, near.truth)
                found.setdefault("lpips", []).append(masked_mean(maps, mask))
    return {
        name: {
            metric: _average_horizons(np.concatenate(rows), protocol) for metric, rows in f.items()
        }
        for name, f in scores.items()
    }


def _make_contestants(world: WorldModel, one: Dreams, seen: bool):
    start, near = one.start, one.near
    yield "dream", near.dream
    if one.led is not None:
        yield LED, one.led.dream
    if seen:
        yield "bare warp", near.warped
    yield "codec", reconstruct_frames(world, near.truth)
    yield "repeat last frame", np.repeat(start.last_frames()[:, None], near.truth.shape[1], axis=1)
    yield "best of context", find_best_of_context(start, near.truth)


def _average_horizons(values: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """Means of `[B,T]` at the horizons and over all; nan counts for nothing."""
    chosen = {str(h): values[:, h - 1] for h in protocol.horizons if h <= values.shape[1]}
    return {name: mean(part) for name, part in (chosen | {"mean": values}).items()}


def mean(values: np.ndarray) -> float:
    """Mean of the values that are numbers; nan where none is."""
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _measure_shares(near: list[Rollout], protocol: Protocol) -> dict[str, Any]:
    shares = {"context shows": np.concatenate([1 - one.unseen_share for one in near])}
    if near[0].told is not None:
        shares["the world's own memory shows"] = np.concatenate([one.told for one in near])
    return {name: {"share": _average_horizons(values, protocol)} for name, values in shares.items()}


def _measure_led(dreams: list[Dreams], protocol: Protocol) -> dict[str, Any]:
    """PSNR of whole frames of dreams whose bodies go where the engine says."""
    pairs = [(one.led.dream, one.near.truth) for one in dreams if one.led is not None]
    if not pairs:
        return {}
    return {"psnr": _average_horizons(np.concatenate([psnr(*pair) for pair in pairs]), protocol)}


# ---- how well it is invented ----


def _measure_invented(
    dreams: list[Dreams], others: np.ndarray, protocol: Protocol
) -> dict[str, Any]:
    """Frames that are mostly invented: their invented pixels relative to the truth's there, and
    their distance to true frames elsewhere.
    """
    near, late = [one.near for one in dreams], [one.late for one in dreams if one.late]
    groups = {
        f"first {EARLY}": [collect_invented_frames(one, EARLY) for one in near],
        f"first {protocol.predicted}": [collect_invented_frames(one) for one in near],
        str(protocol.long): [collect_invented_frames(one) for one in late],
    }
    told = {}
    for name, parts in groups.items():
        if parts:
            dreamt, true, mask = map(np.concatenate, zip(*parts, strict=True))
            told[name] = _compare_invented(dreamt, true, mask)
            if has_features():
                elsewhere = others.reshape(-1, *others.shape[2:])
                told[name] |= distances(dreamt, true, elsewhere, features)
    return told


def _measure_blind_spots(near: list[Rollout], others: np.ndarray) -> dict[str, Any]:
    """What the distances are made of, and what each fault multiplies them by."""
    if not has_features():
        return {"skipped": NO_FEATURES}
    clips = np.concatenate([one.truth for one in near])
    return {"network": NETWORK, "faults": blind_spots(clips, others, features)}


def collect_invented_frames(
    roll: Rollout, first: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dreamt and true frames `[N,H,W,3]` of which much is unseen, and which pixels `[N,H,W]`."""
    much = roll.unseen_share[:, :first] > INVENTED
    parts = (roll.dream, roll.truth, ~roll.seen)
    return tuple(part[:, :first][much] for part in parts)


def _compare_invented(dreamt: np.ndarray, true: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    told: dict[str, Any] = {"frames": len(dreamt)}
    for name, figure in (("sharpness", masked_sharpness), ("colour spread", masked_spread)):
        theirs = mean(figure(true, mask)) if len(true) else float("nan")
        told[name] = mean(figure(dreamt, mask)) / theirs if len(true) else float("nan")
    return told


def _compare_seeds(dreams: list[Dreams]) -> dict[str, Any]:
    """PSNR in dB between two dreams that differ in their seed only."""
    pairs = [(one.near, one.again) for one in dreams if one.again is not None]
    if not pairs:
        return {}
    found: dict[str, list[np.ndarray]] = {"seen": [], "invented": []}
    for near, again in pairs:
        ours, seen = near.dream[: len(again)], near.seen[: len(again)]
        for name, mask in (("seen", seen), ("invented", ~seen)):
            found[name].append(masked_psnr(again, ours, mask))
    return {name: mean(np.concatenate(rows)) for name, rows in found.items()}


def _average_returns(found: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Means over the places, by way."""
    told = {}
    for way, figures in (found[0] if found else {}).items():
        those = [one[way] for one in found if way in one]
        told[way] = {name: mean(np.array([one[name] for one in those])) for name in figures}
    return told


# ---- real or dreamt ----


def _classify_dreams(
    world: WorldModel, dreams: list[Dreams], others: np.ndarray, protocol: Protocol
) -> dict[str, Any]:
    """Scores by age; beside the dream the codec alone, and true frames of other walkers."""
    near = _collect_frames([one.near for one in dreams])
    if near is None or len(near[0]) < 2:
        return {"skipped": "one dream cannot be halved"}
    dreamt, true = near
    late = _collect_frames([one.late for one in dreams if one.late is not None])
    ages = [age for age in protocol.horizons if age <= dreamt.shape[1]]
    ours = {protocol.long: late} if late else {}
    pairs = {
        "dream": (dreamt, ours),
        "codec": (reconstruct_frames(world, true), {}),
        "true against true": (others, {}),
    }
    told = {
        name: realism.score_by_age(frames, true, ages, protocol.rounds, later)
        for name, (frames, later) in pairs.items()
    }
    return {name: _group_by_figure(scores) for name, scores in told.items()}


def _collect_others(env: Any, made: list[Start], protocol: Protocol) -> np.ndarray:
    """As many true frames `[B,T,H,W,3]` of other walkers of the same kind."""
    count, length = sum(len(one.episodes) for one in made), protocol.context + protocol.predicted
    kind = made[0].episodes[0].meta.extra.get("walker") if protocol.walker is None else None
    with telling_depth(env, False):
        played = plays(
            env, count, length - 1, protocol.split, protocol.walker or kind, None, skipped=count
        )
        return np.stack([one.episode.frames[protocol.context :] for one in played])


def _collect_frames(rolls: Iterable[Rollout]) -> tuple[np.ndarray, np.ndarray] | None:
    """Dreamt and true frames `[B,T,H,W,3]` of all rollouts; None where there are none."""
    parts = [(one.dream, one.truth) for one in rolls]
    return tuple(map(np.concatenate, zip(*parts, strict=True))) if parts else None


def _group_by_figure(scores: dict[int, realism.Score]) -> dict[str, dict[str, Any]]:
    return {
        figure: {str(age): getattr(score, figure) for age, score in scores.items()}
        for figure in realism.Score._fields
    }


# ---- to look at ----


def look_at(world: WorldModel, made: list[Start], length: int, steps: int | None) -> Rows:
    """A row of frames for every start: the last true one, and its dream under mixed keys at LOOKS
    and at the end.
    """
    looks = [age for age in LOOKS if age < length] + [length]
    rows = []
    for start in made:
        seeds = [episode.meta.seed or 0 for episode in start.episodes]
        keys = np.stack([plan_long_keys(world.actions, "random", seed, length) for seed in seeds])
        frames = enumerate(dream(world, start.state(), keys, steps), 1)
        shown = [start.last_frames(), *(frame for age, frame in frames if age in looks)]
        rows += list(np.stack(shown, axis=1))
    return rows


def sheet_rows(dreams: list[Dreams], protocol: Protocol) -> Rows:
    """For every dream three rows: the truth, the dream, and what the context shows of it."""
    chosen = [number - 1 for number in protocol.sheet if 0 < number <= protocol.predicted]
    rows = []
    for one in dreams:
        shown = np.where(one.near.seen[..., None], one.near.warped, GREY).astype(np.uint8)
        for triple in zip(one.near.truth, one.near.dream, shown, strict=True):
            rows += [frames[chosen] for frames in triple]
    return rows
