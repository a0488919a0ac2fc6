"""Where a dream starts: one of the world's spawns, a walk in the engine it was learnt from, or true
frames that the caller gives.

Taking in a spawn's frames takes about a second, so what the network remembers of one is kept: the
next start from it is instant, in any environment of the same world.
"""

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel
    from worldsim.world.state import WorldState

OPTIONS = ("spawn", "engine_seed", "frames", "actions", "controls")
WALK = 64  # steps of the engine's own walker, as in the spawns that worlds come with
_remembered: "WeakKeyDictionary[WorldModel, dict[int, WorldState]]" = WeakKeyDictionary()


class Context(NamedTuple):
    """The true frames a dream starts from.

    Attributes:
        frames: uint8 `[T,H,W,3]`.
        actions: int `[T-1]`; action t led to frame t+1.
        spawn: its number among the world's spawns; None for frames from elsewhere.
        controls: float32 `[T-1,2]` of the continuous ones of these actions, NaN of the others;
            None where there are none.
    """

    frames: np.ndarray
    actions: np.ndarray
    spawn: int | None = None
    controls: np.ndarray | None = None


def choose_context(world: "WorldModel", options: dict[str, Any], drawn: float) -> Context:
    """The context that the options of a reset ask for.

    Args:
        world: the world that is reset.
        options: `{"spawn": i}`, `{"engine_seed": n}`, `{"frames": ..., "actions": ...}`, or
            nothing.
        drawn: in [0, 1), chooses the spawn when the options are silent.

    Raises:
        ValueError: an option is unknown, or does not fit the world.
        ImportError: what the engine needs is not installed.
    """
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"reset options must be among {', '.join(OPTIONS)}, got {name!r}.")
    chosen = [name for name in ("spawn", "engine_seed") if name in options]
    if chosen and len(options) > 1:
        raise ValueError(
            "reset options must be a spawn, an engine_seed, or frames and actions, got "
            f"{', '.join(options)}."
        )
    if chosen:
        start = _choose_spawn if chosen == ["spawn"] else _walk_engine
        return start(world, options[chosen[0]])
    if options:
        return _check_own(world, options)
    return _choose_spawn(world, int(drawn * len(world.spawns)))


def begin(world: "WorldModel", context: Context, seed: int) -> "WorldState":
    """The network's memory after a context, for a dream with the noise of a seed."""
    if context.spawn is None:
        told = {} if context.controls is None else {"controls": context.controls[None]}
        return world.reset(context.frames[None], context.actions[None], [seed], **told)
    known = _remembered.setdefault(world, {})
    if context.spawn not in known:
        known[context.spawn] = world.reset(context.frames[None], context.actions[None], [seed])
    return known[context.spawn].fork([seed])


def _choose_spawn(world: "WorldModel", number: Any) -> Context:
    count = len(world.spawns)
    if not count:
        raise ValueError(
            "this world has no spawns: give frames to begin with, as the options frames and "
            "actions of reset, or in the window as --start FILE."
        )
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or not 0 <= number < count:
        raise ValueError(f"spawn must be an integer in [0, {count - 1}], got {number!r}.")
    spawn = world.spawns[number]
    return Context(spawn.frames, spawn.actions, int(number))


def _walk_engine(world: "WorldModel", seed: Any) -> Context:
    """What the engine's own walker sees in the place of a seed."""
    from worldsim.ground_truth import open_engine, play

    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"engine_seed must be an integer >= 0, got {seed!r}.")
    engine = open_engine(world.card)
    try:
        episode = play(engine, int(seed), WALK, split="").episode
    finally:
        engine.close()
    return Context(episode.frames, episode.actions)


def _check_own(world: "WorldModel", options: dict[str, Any]) -> Context:
    if set(options) - {"controls"} != {"frames", "actions"}:
        raise ValueError("a start of one's own needs both options, frames and actions.")
    frames, actions = np.asarray(options["frames"]), np.asarray(options["actions"])
    size = world.card.frame_size
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (size, size, 3):
        raise ValueError(
            f"frames must be uint8 [T, {size}, {size}, 3], got {frames.dtype} {list(frames.shape)}."
        )
    if len(frames) == 0 or actions.shape != (len(frames) - 1,):
        raise ValueError(
            "actions must be T - 1 for T >= 1 frames (action t leads to frame t + 1), got "
            f"{len(frames)} frames and actions of shape {list(actions.shape)}."
        )
    valid = [world.actions.valid(action) for action in actions]
    controls = options.get("controls")
    if controls is not None:
        controls = np.array(controls, np.float32)
        if controls.shape != (len(valid), 2):
            raise ValueError(
                f"controls must be [{len(valid)}, 2], one row an action, got "
                f"{list(controls.shape)}."
            )
    return Context(frames.copy(), np.array(valid, np.int64), controls=controls)
