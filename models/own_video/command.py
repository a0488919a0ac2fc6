"""`worldsim data actions`: episodes of videos get actions, and become another data folder.

    worldsim data actions data/walks data/walks-acted                       # some were recorded
    worldsim data actions data/walks data/walks-acted --labelled data/maze/train
    worldsim data actions data/walks data/walks-coded --codes 4             # none were recorded

The frames stay as they are; the first two need some episodes with recorded actions.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from models.own_video.inverse_dynamics import (
    NOTES,
    LabelPlan,
    describe_report,
    infer_actions,
    learn_actions,
)
from models.own_video.latent_actions import (
    LatentActionConfig,
    LatentActionTraining,
    choose_codes,
    measure_prediction,
    shrink_frames,
    train_latent_actions,
)
from models.own_video.splits import (
    find_action_set,
    is_labelled,
    is_unknown,
    open_splits,
    rewrite_splits,
)
from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode

MOST_LABELLED = 60  # episodes that are read to learn from
MOST_FRAMES = 30_000  # that latent actions are learnt from
TESTED = 512  # pairs
CODED = "codes"  # what `extra` says of actions that are codes


def name_actions(args: argparse.Namespace) -> None:
    """Do what the command asks for; see worldsim/data/command.py for its options.

    Raises:
        ValueError: no episodes, no labelled ones, or those of another action set.
    """
    if args.codes and args.labelled:
        raise ValueError("--codes must be given without --labelled: it needs no labels.")
    _code_actions(args) if args.codes else _infer_actions(args)


def _infer_actions(args: argparse.Namespace) -> None:
    stores = open_splits(args.source)
    name = find_action_set(stores.values())
    table = load_actions(name)
    labelled = list(itertools.islice(_list_labelled(stores.values(), args, name), MOST_LABELLED))
    if not labelled:
        raise ValueError(
            f"{args.source} must hold videos whose actions were recorded (a .csv beside them), or "
            f"--labelled name a folder of episodes, or --codes say how many actions to make up."
        )
    probe, report = learn_actions(labelled, table, LabelPlan(seed=args.seed))
    print(*describe_report(report, table), sep="\n", flush=True)
    told = {"actions": NOTES, "actions_right": round(report.accuracy, 4)}

    def change(episode: Episode) -> Episode:
        if not is_unknown(episode):
            return episode
        meta = dataclasses.replace(episode.meta, extra=episode.meta.extra | told)
        actions = infer_actions(probe, episode.frames)
        return dataclasses.replace(episode, actions=actions, meta=meta)

    _rewrite(args, change)


def _list_labelled(
    stores: Sequence[EpisodeStore], args: argparse.Namespace, name: str
) -> Iterator[Episode]:
    """Labelled episodes, those of other folders after those of the source."""
    others = [EpisodeStore(folder) for folder in args.labelled]
    for store in (*stores, *others):
        for index in range(len(store)):
            meta = store.meta(index)
            if not is_labelled(meta):
                continue
            if meta.action_set != name:
                raise ValueError(
                    f"labelled episodes must have the actions {name}, got {meta.action_set} in "
                    f"{store.folder}."
                )
            episode = store[index]
            if not is_unknown(episode):
                yield episode


def _code_actions(args: argparse.Namespace) -> None:
    stores = open_splits(args.source)
    store = stores.get("train") or next(iter(stores.values()))
    pictures, starts = gather_pictures(store, args.seed)

    def draw_pairs(generator: torch.Generator, count: int) -> tuple[Tensor, Tensor]:
        chosen = starts[torch.randint(len(starts), (count,), generator=generator)]
        return pictures[chosen], pictures[chosen + 1]

    cfg, path = LatentActionConfig(codes=args.codes), args.target / "latent_actions.pt"
    args.target.mkdir(parents=True, exist_ok=True)
    plan = LatentActionTraining(**({"steps": args.steps} if args.steps else {}))
    model = train_latent_actions(cfg, plan, draw_pairs, path, args.seed)
    unseen = gather_pictures(stores["heldout"], args.seed) if "heldout" in stores else None
    pictures, starts = unseen or (pictures, starts)
    pair = draw_pairs(torch.Generator().manual_seed(args.seed), TESTED)
    error = measure_prediction(model, *pair)
    print(
        f"off by {error['code']:.1f} grey levels with the code, {error['any_code']:.1f} with "
        f"any of them, {error['repeat']:.1f} with the frame before "
        f"({'held-out videos' if unseen else 'the same videos'})",
        flush=True,
    )
    name, counts = f"codes{args.codes}", np.zeros(args.codes, np.int64)

    def change(episode: Episode) -> Episode:
        codes = choose_codes(model, torch.from_numpy(episode.frames)).numpy()
        counts[:] += np.bincount(codes, minlength=args.codes)
        extra = episode.meta.extra | {"actions": CODED}
        meta = dataclasses.replace(episode.meta, action_set=name, extra=extra)
        return dataclasses.replace(episode, actions=codes, meta=meta)

    _rewrite(args, change)
    if counts.any():
        shares = ", ".join(f"{share:.1%}" for share in counts / counts.sum())
        print(f"how often each code was chosen: {shares}")


def gather_pictures(store: EpisodeStore, seed: int) -> tuple[Tensor, Tensor]:
    """Small pictures `[N,3,S,S]` of random episodes of a store, and which of them have the next
    frame after them, int64.
    """
    pictures, starts, count = [], [], 0
    for index in np.random.default_rng(seed).permutation(len(store)):
        if count >= MOST_FRAMES:
            break
        part = shrink_frames(torch.from_numpy(store[int(index)].frames))
        pictures.append(part)
        starts.append(torch.arange(count, count + len(part) - 1))
        count += len(part)
    return torch.cat(pictures), torch.cat(starts)


def _rewrite(args: argparse.Namespace, change) -> None:
    count = sum(1 for _ in rewrite_splits(args.source, args.target, change))
    print(f"{args.target}: {count} episodes written.")
