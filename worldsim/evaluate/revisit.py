"""Memory: is a place the same when one comes back to it?

Two ways to come back to a pose exactly: a full turn on the spot, and a way out and back that the
engine has walked first. Each is dreamt with the whole memory and, where the dynamics can forget
(`carry.forget_coarse`), with the short window alone.
"""

from typing import Any

import numpy as np

from worldsim.evaluate.metrics import psnr
from worldsim.evaluate.open_loop import Start, dream
from worldsim.evaluate.protocol import Protocol
from worldsim.evaluate.scripted_actions import measure_full_step, plan_full_turn, plan_out_and_back
from worldsim.world.model import WorldModel
from worldsim.world.state import WorldState


def measure(
    world: WorldModel, env: Any, made: list[Start], protocol: Protocol
) -> tuple[dict[str, Any], list[list[np.ndarray]]]:
    """Dream the turn and the way, with and without the long-term memory.

    Returns:
        The figures, and groups of rows of frames for a contact sheet.
    """
    figures: dict[str, Any] = {}
    groups: list[list[np.ndarray]] = []
    turn = plan_full_turn(world.actions)
    full = measure_full_step([episode for start in made for episode in start.episodes])
    ways = {
        "turn": [np.tile(np.repeat([turn], len(start.episodes), axis=0), 2) for start in made],
        "away": [_plan_ways(env, start, full, protocol.away) for start in made],
    }
    for name, plans in ways.items():
        if any(plan is None for plan in plans):
            figures[name] = {"skipped": "the engine cannot go back to a state, or tells no poses"}
            continue
        runs = [_run_both(world, s, plan, protocol) for s, plan in zip(made, plans, strict=True)]
        home = len(turn) if name == "turn" else protocol.away
        figures[name] = {"frames": home} | _make_figures(runs, home)
        groups.append(_make_sheet_rows(runs[0], home))
    return figures, groups


def _plan_ways(env: Any, start: Start, full: float, length: int) -> np.ndarray | None:
    ways = [plan_out_and_back(env, truth.start, full, length) for truth in start.truths]
    return None if any(way is None for way in ways) else np.stack(ways)


def _run_both(
    world: WorldModel, start: Start, actions: np.ndarray, protocol: Protocol
) -> dict[str, np.ndarray]:
    """Frames `[B,T+1,H,W,3]` of the engine, of the dream, and of the dream that forgets."""
    last = start.last_frames()
    runs = {"engine": start.runs(range(len(start.episodes)), actions)[0]}
    hooks = {"dream": lambda state: None}
    if hasattr(start.memory.carry, "forget_coarse"):
        hooks["dream without long memory"] = _forget
    for name, hook in hooks.items():
        frames = dream(world, start.state(), actions, protocol.steps, before=hook)
        runs[name] = np.stack([last, *frames], axis=1)
    return runs


def _forget(state: WorldState) -> None:
    state.carry.forget_coarse()


def _make_figures(runs: list[dict[str, np.ndarray]], home: int) -> dict[str, Any]:
    """PSNR in dB, means over the starts."""
    figures = {}
    for name in runs[0]:
        frames = np.concatenate([run[name] for run in runs])
        true = np.concatenate([run["engine"] for run in runs])
        first, again = frames[:, 1 : home + 1], frames[:, home + 1 : 2 * home + 1]
        alike = psnr(first, np.broadcast_to(frames[:, :1], first.shape))
        figures[name] = {
            "back vs before": alike[:, -1].mean(),
            "elsewhere vs before": alike[:, :-1].mean(),
            "way vs engine": psnr(first, true[:, 1 : home + 1]).mean(),
        }
        if again.shape == first.shape:
            figures[name]["second round vs first"] = psnr(again, first).mean()
    return figures


def _make_sheet_rows(run: dict[str, np.ndarray], home: int, columns: int = 9) -> list[np.ndarray]:
    chosen = np.linspace(0, home, columns).round().astype(int)
    return [run[name][0][chosen] for name in run]
