"""How every training starts and ends: settings, folder and data before; resuming, the loop and the
world after. What is trained is a Recipe's (loop.py).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.training import distributed
from models.training.loop import Run, start_folder
from models.training.needs import check_needs
from models.training.smoke import collect_some, with_data_in
from worldsim.config import load_config


class Start(NamedTuple):
    """The settings of a training, its folder, and where it computes."""

    cfg: Any
    out: Path
    device: torch.device


class Beginning(NamedTuple):
    """What the start of a kind of world differs in.

    Attributes:
        config: the class of its settings.
        smoke: settings of a run of a minute.
        cache: the folder, within a smoke run's, of what is computed from its data.
        options: of `worldsim collect`, for its episodes.
    """

    config: type
    smoke: Sequence[str]
    cache: str
    options: str = ""


def read_settings(args, config: type, smoke: Sequence[str] = ()) -> tuple[Any, Path]:
    """The settings that the command line asks for, and the run's folder."""
    if args.threads:
        torch.set_num_threads(args.threads)
    cfg = load_config(args.config, config, [*(smoke if args.smoke else ()), *args.set])
    return cfg, args.out or Path("runs") / (cfg.name + ("-smoke" if args.smoke else ""))


def start_training(
    args,
    kind: Beginning,
    take_parts: Callable[[Any, str, Path], None],
    prepare: Callable[[Any, Path, torch.device], Any],
    check_origin: Callable[[Any, str], None] = lambda cfg, world: None,
) -> Start:
    """Settings, folder and data of an own world's training; the first process makes what the others
    then find.

    Args:
        args: as train_world.py parses them.
        kind: of world.
        take_parts: writes parts of a world to begin with to the folder.
        prepare: trains or reads what comes before the dynamics.
        check_origin: refuses a world that this training cannot begin with, before anything is
            written.

    Raises:
        ValueError, ImportError, ConfigError: settings, data, an engine or a world that do not fit.
    """
    rank, _ = distributed.start()
    cfg, out = read_settings(args, kind.config, kind.smoke)
    cfg = with_data_in(cfg, out, kind.cache) if args.smoke else cfg
    device = distributed.own_device(args.device)
    torch.manual_seed(cfg.seed)
    if rank == 0:
        check_needs(cfg, out, args, kind.options)
        if args.origin:
            check_origin(cfg, args.origin)
        start_folder(out, args.fresh)
        if args.smoke:
            collect_some(cfg, kind.options)
        if args.origin:
            take_parts(cfg, args.origin, out)
        prepare(cfg, out, device)
    distributed.barrier()
    return Start(cfg, out, device)


def learn(run: Run, args, weights: Callable[[], Mapping[str, Tensor]]) -> None:
    """Resume, or begin with `weights` if the command line names a world; then train to the end."""
    if not run.resume(needed=args.export) and args.origin:
        run.begin_with(dict(weights()))
    if not args.export:
        run.loop()


def finish(run: Run) -> int:
    """Write the world, once; the exit status."""
    run.export()
    return 0
