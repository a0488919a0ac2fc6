"""`worldsim data poses`: episodes of videos get poses and depth, and become another data folder.

    worldsim data poses data/walks-acted data/walks-posed --field-of-view 73

The frames and actions stay as they are; what an engine would have told (`worldsim collect --depth`)
is learnt from them.
"""

import argparse
import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from models.own_video.command import CODED
from models.own_video.first_motions import describe_motion
from models.own_video.learn_poses import PoseConfig, PoseLearner, PoseTraining, Walks
from models.own_video.splits import find_action_set, is_unknown, open_splits, rewrite_splits
from models.own_video.warp import resize_maps
from worldsim.actions import ActionSet, load_actions
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode

MOST_FRAMES = 20_000  # that are learnt from
LEAST_STEPS = 100
NOTES = "learnt"  # what `extra` of an episode says of its poses
DIFFERS = 1.0  # degrees by which a turn differs from what the table of actions says


def name_poses(args: argparse.Namespace) -> None:
    """Do what the command asks for; see worldsim/data/command.py for its options.

    Raises:
        ValueError: no episodes, unknown actions, too few steps, poses that are there already, or
            nobody who walks.
    """
    plan = PoseTraining(**({"steps": args.steps} if args.steps else {}))
    if args.source.resolve() == args.target.resolve():
        raise ValueError(f"the target must be another folder than the source, got {args.target}.")
    stores = open_splits(args.source)
    table = load_actions(find_action_set(stores.values()))
    names = "field_of_view", "stride", "climb", "free_turns"
    given = {name: getattr(args, name) for name in names}
    cfg = PoseConfig(**given, mixed=has_codes(stores.values()))
    walks = gather_walks(stores.get("train") or next(iter(stores.values())), args.seed)
    args.target.mkdir(parents=True, exist_ok=True)
    learner = PoseLearner(cfg, plan, len(table), args.target / "poses.pt", args.seed)
    learner.learn(walks)
    print(*describe_typical(learner.typical, table), sep="\n", flush=True)

    def change(episode: Episode) -> Episode:
        return add_poses(check_episode(episode), learner)

    count = sum(1 for _ in rewrite_splits(args.source, args.target, change))
    print(f"{args.target}: {count} episodes written.")


def has_codes(stores: Iterable[EpisodeStore]) -> bool:
    """Whether the actions of episodes are codes that were made up."""
    metas = (store.meta(index) for store in stores for index in range(len(store)))
    return any(meta.extra.get("actions") == CODED for meta in metas)


def gather_walks(store: EpisodeStore, seed: int) -> Walks:
    """Random episodes of a store to learn from.

    Raises:
        ValueError: they have poses, unknown actions, or too few steps.
    """
    found, count = [], 0
    for index in np.random.default_rng(seed).permutation(len(store)):
        if count >= MOST_FRAMES:
            break
        found.append(check_episode(store[int(index)]))
        count += len(found[-1].frames)
    steps = sum(len(episode) for episode in found)
    if steps < LEAST_STEPS:
        raise ValueError(
            f"{store.folder} must hold at least {LEAST_STEPS} steps to learn poses from, got "
            f"{steps}: give more or longer videos."
        )
    return Walks(found)


def check_episode(episode: Episode) -> Episode:
    """An episode of which poses can be learnt.

    Raises:
        ValueError: it has poses, or its actions are unknown.
    """
    if episode.poses is not None:
        raise ValueError(
            "episodes must be without poses, got some that have them, which are better than any "
            "that can be learnt: train on these."
        )
    if is_unknown(episode):
        raise ValueError(
            "the actions of episodes must be known, got some that nobody recorded: let "
            "`worldsim data actions` infer them, or make up --codes."
        )
    return episode


def add_poses(episode: Episode, learner: PoseLearner) -> Episode:
    """An episode with poses, depth and, where cameras climb, heights."""
    cfg = learner.cfg
    poses, inverse = learner.tell(Walks([episode]))
    depths = 1 / resize_maps(inverse, episode.frames.shape[1] // 2)
    told = {"poses": NOTES, "field_of_view": cfg.field_of_view}
    return dataclasses.replace(
        episode,
        poses=poses[:, :3].numpy().copy(),
        depths=depths.numpy().astype(np.float16),
        heights=poses[:, 3].numpy().copy() if cfg.climb else None,
        meta=dataclasses.replace(episode.meta, extra=episode.meta.extra | told),
    )


def describe_typical(typical: torch.Tensor, table: ActionSet) -> Iterator[str]:
    """How far each action goes, and where the table of actions says otherwise."""
    for name, motion, turn in zip(table.names, typical, table.turns, strict=True):
        yield f"  {name}: {describe_motion(motion.tolist())}"
        apart, said = np.degrees(float(motion[2]) - turn), np.degrees(turn)
        if abs(apart) > DIFFERS:
            yield (
                f"    the action set {table.name} says {said:+.1f} degrees: give the "
                f"--field-of-view by which they agree, or change the table's turn"
            )
