"""`worldsim data poses`: episodes of videos get poses and depth, and become another data folder.

    worldsim data poses data/walks-acted data/walks-posed --field-of-view 73

What a memory in space is trained on, learnt from the frames and the actions alone.
"""

import argparse
import dataclasses
import itertools

import numpy as np
import torch

from models.own_video.splits import find_action_set, is_unknown, open_splits, rewrite_splits
from models.own_video.visual_odometry import (
    VisualOdometry,
    VisualOdometryConfig,
    VisualOdometryTraining,
    add_up,
    find_scale,
    gather_moments,
    train_visual_odometry,
)
from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode

MOST_LEARNT = 200  # episodes
MOST_SCALED = 20  # episodes that the length of a free step is looked for in
FILE = "visual_odometry.pt"
NOTE = "photometric"  # what `extra` of an episode says of its poses


def find_poses(args: argparse.Namespace) -> None:
    """Do what the command asks for; see worldsim/data/command.py for its options.

    Raises:
        ValueError: no episodes, unknown actions, or an action set without turns or walks.
    """
    stores = open_splits(args.source)
    table = load_actions(find_action_set(stores.values()))
    if not any(table.turns) or not table.walks:
        raise ValueError(
            f"poses need an action set that turns and walks, got {table.name}: a memory in space "
            f"counts on its turns."
        )
    store = stores.get("train") or next(iter(stores.values()))
    episodes = _read_some(store)
    cfg = VisualOdometryConfig(field_of_view=args.field_of_view, stride=args.stride)
    torch.manual_seed(args.seed)
    model = VisualOdometry(cfg, table, episodes[0].frames.shape[1])
    plan = VisualOdometryTraining(**({"steps": args.steps} if args.steps else {}))
    args.target.mkdir(parents=True, exist_ok=True)
    moments = gather_moments(episodes, table)
    train_visual_odometry(model, plan, moments, args.target / FILE, args.seed)
    model.scale.fill_(find_scale(model, episodes[:MOST_SCALED]))

    def change(episode: Episode) -> Episode:
        _check_known(episode, store)
        motions, depths = model.measure(episode)
        turns = model.turns[torch.from_numpy(episode.actions)]
        extra = episode.meta.extra | {"poses": NOTE}
        return dataclasses.replace(
            episode,
            poses=add_up(motions, turns),
            depths=depths.numpy().astype(np.float16),
            heights=None,
            meta=dataclasses.replace(episode.meta, extra=extra),
        )

    count = sum(1 for _ in rewrite_splits(args.source, args.target, change))
    print(f"{args.target}: {count} episodes written.")


def _read_some(store: EpisodeStore) -> list[Episode]:
    episodes = [store[i] for i in itertools.islice(range(len(store)), MOST_LEARNT)]
    for episode in episodes:
        _check_known(episode, store)
    return episodes


def _check_known(episode: Episode, store: EpisodeStore) -> None:
    if is_unknown(episode):
        raise ValueError(
            f"the actions of episodes in {store.folder.parent} must be known: let `worldsim data "
            f"actions` infer them first."
        )
