"""What a world lacks for some of the keys, in words for the help: told before a key is tried.

Looks for packages and programs without loading them: OpenGL beside a window costs memory.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import lru_cache

from worldsim.actions import ActionSet
from worldsim.memory_levels import RECOLLECTIONS
from worldsim.runtime.core.intents import CLICK
from worldsim.runtime.core.moves import NO_NOISE
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels.return_walk import check_turns
from worldsim.runtime.panels.space_memory import NEEDS
from worldsim.told import Told, tell

DISTANCES = tell("needs a world that knows how far things are")
LINUX = tell("it runs on Linux only")

# Intents that need the same.
SPACE = ("tint", "map", "points", "resample")
TRUTH, BACK = ("ground_truth", "ground"), ("rewind", "action_preview")
STEPS = ("fewer_steps", "more_steps", "auto_steps")
NOISE, MEMORY = ("less_noise", "more_noise"), ("memory", "attention")


def find_lacking(place: PlayableEnv) -> dict[str, str]:
    """By the name of an intent, or CLICK, that cannot be had in a place, what it needs."""
    lacking: dict[str, str] = {}
    for names, need, has in _list_needs(place):
        if not has:
            lacking |= dict.fromkeys(names, need)
    if place.dreams and (remedy := find_remedy(getattr(place.base.world.card, "engine", ""))):
        lacking["ground_truth"] = tell("needs the engine: {remedy}", remedy=remedy)
    return lacking


def _list_needs(place: PlayableEnv) -> Iterator[tuple[tuple[str, ...], Told, bool]]:
    """Names of intents, what they need, and whether the place has it."""
    dreams, actions = place.dreams, place.actions
    on_torch = place.identity.kwargs.get("runtime", "torch") == "torch"
    yield SPACE, NEEDS, dreams and place.remembers_space
    yield (CLICK,), DISTANCES, dreams and place.knows_distances
    yield TRUTH, tell("needs a dream"), dreams
    yield BACK, tell("needs a world that can go back in time"), place.rewinds
    yield ("gallery",), tell("needs a world with starts"), len(place.spawns) > 0
    yield STEPS, tell("needs a world with a sampler"), place.samples
    yield NOISE, tell("needs a world that remembers with noise"), place.noise != NO_NOISE
    yield ("run_on",), tell("needs a world that can stand still"), actions.idle is not None
    yield ("walk_back",), tell("needs a world that turns round"), _turns_round(actions)
    yield MEMORY, tell("needs a world that tells what it remembers"), dreams and _tells(place)
    yield ("attention",), tell("needs torch"), on_torch


def _tells(place: PlayableEnv) -> bool:
    return getattr(place.base.world.card, "builder", "") in RECOLLECTIONS


def _turns_round(actions: ActionSet) -> bool:
    try:
        check_turns(actions)
    except ValueError:
        return False
    return True


@lru_cache
def find_remedy(engine: str) -> str:
    """What to install for an engine; empty where it is there, or is none of ours."""
    return {"Maze-v0": _remedy_maze, "Voxel-v0": _remedy_voxel}.get(engine, str)()


def _remedy_maze() -> str:
    found = importlib.util.find_spec("mujoco") is not None
    return "" if found else "pip install 'worldsim[maze]'"


def _remedy_voxel() -> str:
    if sys.platform != "linux":
        return LINUX
    programs = importlib.import_module("envs.voxel.programs")
    found = all(programs.locate_programs())
    return "" if found else f"apt-get install --no-install-recommends {programs.PACKAGES}"
