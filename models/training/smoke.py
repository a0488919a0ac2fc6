"""What a smoke run learns from: a handful of short episodes, collected inside its own folder."""

import os
from dataclasses import replace
from pathlib import Path

from worldsim.data.collect import Plan, list_episode_seeds, run_plan
from worldsim.registration import check_environment


def with_data_in(cfg, out: Path, cache: str):
    """The same training (any config whose `data` has train, heldout and cache) on data of its own
    inside `out`; `cache` is the name of the folder of what is computed from it.
    """
    folder = out / "data"
    where = {name: str(folder / name) for name in ("train", "heldout")}
    return replace(cfg, data=replace(cfg.data, cache=str(out / cache), **where))


def smoke_plans(cfg, options: str = "") -> list[Plan]:
    """A handful of short episodes from the engine; "--depth" in `options` has depth stored too.

    Raises:
        ValueError: the engine is none of ours.
    """
    engine = check_environment(cfg.engine, "the setting engine")
    return [
        Plan(
            env=engine,
            options={"depth": True} if "--depth" in options else {},
            steps=125,
            folder=Path(folder),
            split=split,
            seeds=list_episode_seeds(split, 0, episodes),
        )
        for split, folder, episodes in (
            ("train", cfg.data.train, 6),
            ("heldout", cfg.data.heldout, 2),
        )
    ]


def collect_some(cfg, options: str = "") -> None:
    """Play and store the episodes of `smoke_plans`; raises as collecting does."""
    for plan in smoke_plans(cfg, options):
        run_plan(plan, os.cpu_count() or 1)
