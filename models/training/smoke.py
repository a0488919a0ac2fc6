"""What a smoke run learns from: a handful of short episodes, collected inside its own folder."""

from dataclasses import replace
from pathlib import Path

from worldsim.registration import check_environment


def with_data_in(cfg, out: Path, cache: str):
    """The same training (any config whose `data` has train, heldout and cache) on data of its own
    inside `out`; `cache` is the name of the folder of what is computed from it.
    """
    folder = out / "data"
    where = {name: str(folder / name) for name in ("train", "heldout")}
    return replace(cfg, data=replace(cfg.data, cache=str(out / cache), **where))


def collect_some(cfg, *options: str) -> None:
    """A handful of short episodes from the engine; `options` are more of `worldsim collect`.

    Raises:
        ValueError: the engine could not be played.
    """
    from worldsim.data.collect import main as collect

    engine = check_environment(cfg.engine, "the setting engine")
    for split, folder, episodes in (("train", cfg.data.train, 6), ("heldout", cfg.data.heldout, 2)):
        where = ["--out", str(Path(folder).parent), "--split", split]
        length = ["--episodes", str(episodes), "--steps", "125"]
        if collect(["--env", engine, *length, *where, *options]):
            raise ValueError(f"collecting from {cfg.engine} failed: see the message above")
