"""What a world lacks for some of the keys, in words for the help: told before a key is tried."""

from functools import lru_cache

from worldsim.doctor import look_at_engine, look_at_gl, look_at_voxel_engine
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.panels.space_memory import NEEDS

SPACE = ("tint", "map", "points", "resample")  # what needs a memory in space
ENGINES = {"Maze-v0": (look_at_gl, look_at_engine), "Voxel-v0": (look_at_voxel_engine,)}


def find_lacking(place: PlayableEnv) -> dict[str, str]:
    """By the name of an intent that cannot be had in a place, what it needs."""
    lacking = {} if place.dreams and place.remembers_space else dict.fromkeys(SPACE, NEEDS)
    if place.dreams and (remedy := engine_remedy(getattr(place.base.world.card, "engine", ""))):
        lacking["ground_truth"] = f"needs the engine: {remedy}"
    return lacking


@lru_cache
def engine_remedy(engine: str) -> str:
    """What to install for an engine; empty where it is there, or is none of ours."""
    findings = (look() for look in ENGINES.get(engine, ()))
    remedies = (found.remedy for found in findings if found.remedy)
    return next((remedy.partition(" (only")[0] for remedy in remedies), "")
