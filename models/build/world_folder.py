"""From a training to a world: the folder that is shipped, its spawns, and previews on the way
there.
"""

import copy
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from models.build.starts import SPAWN_FRAMES, rank_starts
from models.codec.patch_autoencoder import PatchAutoencoder
from models.far.dynamics import FARDynamics
from models.far.network import FARNetwork
from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore
from worldsim.evaluate.contact_sheet import contact_sheet, write_picture
from worldsim.evaluate.metrics import psnr
from worldsim.types import Episode
from worldsim.world.card import WorldCard
from worldsim.world.checkpoint import check_world, save_world
from worldsim.world.model import WorldModel
from worldsim.world.protocols import Parts

SPAWNS = 8
MOST_CANDIDATES = 64  # walks that are looked at for starts


def in_memory(card: WorldCard, codec: PatchAutoencoder, network: FARNetwork) -> WorldModel:
    """The world as it stands, without a folder."""
    dynamics = FARDynamics(network.cfg, load_actions(card.action_set).turns)
    dynamics.network = copy.deepcopy(network)  # a world changes what it plays with
    device = str(network.out.weight.device)
    return WorldModel(card, Parts(codec, dynamics.to(device)), "unsaved", device=device)


def export_world(
    card: WorldCard, weights: dict[str, Tensor], heldout: EpisodeStore, folder: Path
) -> str:
    """Write the world folder and give its hash.

    Args:
        card: what the world says of itself.
        weights: of the codec, the dynamics and what goes with them.
        heldout: episodes that its starts are taken from.
        folder: where to.
    """
    write_spawns(heldout, folder / "spawns")
    save_world(folder, json.loads(json.dumps(vars(card))), weights)
    return check_world(folder)


def write_spawns(store: EpisodeStore, folder: Path) -> None:
    """The first frames of held-out episodes, those with the best views (starts.py) of walkers that
    go somewhere.
    """
    write_heads(_choose_walks(store), folder)


def write_heads(episodes: Iterable[Episode], folder: Path) -> None:
    """The first frames of episodes, without depth, which only the choice of starts needs; those
    that are there already are left.
    """
    spawns = EpisodeStore(folder)
    for number, episode in enumerate(episodes):
        name = f"spawn{number}"
        if name not in spawns:
            head = dataclasses.replace(head_of(episode, SPAWN_FRAMES), depths=None)
            spawns.append(head, name, small=True)


def _choose_walks(store: EpisodeStore) -> list[Episode]:
    chosen = [i for i in range(len(store)) if store.meta(i).extra.get("walker") != "random"]
    walks = [head_of(store[i], SPAWN_FRAMES) for i in chosen[:MOST_CANDIDATES]]
    return [walks[i] for i in rank_starts(walks)[:SPAWNS]]


def head_of(episode: Episode, frames: int) -> Episode:
    """The first frames of an episode."""
    by_frame, by_action = (
        ("frames", "poses", "depths", "heights"),
        ("actions", "rewards", "controls"),
    )
    lengths = dict.fromkeys(by_frame, frames) | dict.fromkeys(by_action, frames - 1)
    parts = {name: getattr(episode, name) for name in lengths}
    kept = {name: part[: lengths[name]] for name, part in parts.items() if part is not None}
    return Episode(**kept, meta=episode.meta)


def preview(
    world: WorldModel,
    store: EpisodeStore | Sequence[Episode],
    path: Path,
    rows: int = 4,
    context: int = 72,
    length: int = 48,
) -> dict[str, float]:
    """Dream on from held-out episodes, write truth over dream as a contact sheet, and give
    PSNRs.
    """
    episodes = [
        e
        for e in (store[i] for i in range(min(3 * rows, len(store))))
        if len(e.frames) >= context + length
    ]
    if not episodes:
        return {}
    episodes = episodes[:rows]
    frames = np.stack([np.asarray(e.frames)[: context + length] for e in episodes])
    actions = np.stack([np.asarray(e.actions)[: context + length - 1] for e in episodes])
    state = world.reset(frames[:, :context], actions[:, : context - 1], list(range(len(episodes))))
    dreamt = []
    for t in range(context, context + length):
        state, frame = world.step(state, actions[:, t - 1])
        dreamt.append(frame)
    dream = np.stack(dreamt, axis=1)
    score = psnr(dream, frames[:, context:])
    repeat = psnr(frames[:, context - 1 : context].repeat(length, axis=1), frames[:, context:])
    shown = [t for t in (0, 1, 2, 3, 5, 7, 11, 15, 23, 31, 39, 47) if t < length]
    sheet = [
        row
        for truth, made in zip(frames[:, context:], dream, strict=True)
        for row in (truth[shown], made[shown])
    ]
    write_picture(path, contact_sheet(sheet, group=2, zoom=2))
    return {
        "psnr_first": float(score[:, 0].mean()),
        "psnr_mean": float(score.mean()),
        "repeat_first": float(repeat[:, 0].mean()),
        "repeat_mean": float(repeat.mean()),
    }


def world_size(folder: Path) -> float:
    """Megabytes of a world folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
