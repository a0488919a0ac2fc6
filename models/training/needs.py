"""What a training needs, looked at before a folder is made or an older run is moved aside: what is
missing is said in the first second and not in the last. Knows no network.
"""

from pathlib import Path

from models.training.codec import advise_making, check_origin, open_store
from models.training.smoke import smoke_plans
from worldsim.data.collect import check_plan
from worldsim.data.store import EpisodeStore


def check_needs(cfg, out: Path, args, options: str = "") -> None:
    """Refuse a training that could not come to its end.

    Args:
        cfg: any config whose `data` has train and heldout.
        out: the run's folder.
        args: as train_world.py parses them.
        options: of `worldsim collect`, for the episodes.

    Raises:
        ValueError, ImportError: no episodes or other ones, no engine, no such world, no checkpoint.
    """
    if args.export and (args.fresh or not (out / "checkpoint.pt").exists()):
        why = "--fresh leaves" if args.fresh else f"{out} holds"
        raise ValueError(f"{why} no checkpoint to export: train first")
    if args.origin:
        check_origin(args.origin)
    if args.smoke:
        for plan in smoke_plans(cfg, options):
            check_plan(plan)
        return
    open_store(cfg, f"--episodes 1200 {options}".strip())
    if not len(EpisodeStore(cfg.data.heldout)):
        how = advise_making(cfg, cfg.data.heldout, f"--split heldout --episodes 40 {options}")
        raise ValueError(f"{cfg.data.heldout} holds no episodes to look at: {how}")
