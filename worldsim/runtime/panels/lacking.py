"""What a world lacks for some of the keys, in words for the help: told before a key is tried.

Looks for packages and programs without loading them: OpenGL beside a window costs memory.
"""

import importlib
import importlib.util
import sys
from functools import lru_cache

from worldsim.runtime.core.intents import CLICK
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels.space_memory import NEEDS
from worldsim.told import tell

DISTANCES = tell("needs a world that knows how far things are")
LINUX = tell("it runs on Linux only")

SPACE = ("tint", "map", "points", "resample")  # what needs a memory in space


def find_lacking(place: PlayableEnv) -> dict[str, str]:
    """By the name of an intent, or CLICK, that cannot be had in a place, what it needs."""
    lacking: dict[str, str] = (
        {} if place.dreams and place.remembers_space else dict.fromkeys(SPACE, NEEDS)
    )
    if not (place.dreams and place.knows_distances):
        lacking[CLICK] = DISTANCES
    if place.dreams and (remedy := find_remedy(getattr(place.base.world.card, "engine", ""))):
        lacking["ground_truth"] = tell("needs the engine: {remedy}", remedy=remedy)
    return lacking


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
