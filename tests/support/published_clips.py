"""Synthetic clips in the published layouts: files as FAR's data sets hold them, a few frames of
moving noise each.
"""

import json
from pathlib import Path

import numpy as np
import torch

from worldsim.data.npz import write_arrays
from worldsim.data.video import write_video


def pictures(frames, size, seed):
    """A smooth picture that slides: a video encoder keeps it nearly as it is."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3)).astype(np.float32)
    wide = np.kron(small, np.ones((size // 4, size // 4, 1))).astype(np.uint8)
    return np.stack([np.roll(wide, 2 * t, axis=1) for t in range(frames)])


def write_dmlab(folder: Path, clips=2, frames=14):
    for number in range(clips):
        actions = np.random.default_rng(number).integers(0, 3, frames)
        arrays = {"video": pictures(frames, 64, number), "actions": actions}
        write_arrays(folder / str(number % 2), str(number), arrays)
    return folder


def write_minecraft(folder: Path, clips=2, frames=14, actions=None):
    for number in range(clips):
        ids = np.random.default_rng(number).integers(1, 4, actions or frames).astype(np.int32)
        ids[0] = 0
        write_video(folder / "0" / f"{number:06d}.mp4", pictures(frames, 128, number), 20)
        write_arrays(folder / "0", f"{number:06d}", {"actions": ids})
    return folder


def write_videos(folder: Path, names, frames=14, tall=48, wide=64):
    for number, name in enumerate(names):
        clip = pictures(frames, max(tall, wide), number)[:, :tall, :wide]
        write_video(folder / name, clip, 25)
    return folder


def write_list(path: Path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
    return path


def write_latents(path: Path, shape, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), path)


def published_tree(root: Path, layout: str) -> dict[str, str]:
    """The files that the configs in assets/configs/published name, under `root`: relative paths of
    the training and the held-out list, as downloaded.
    """
    data = root / "datasets"
    if layout in ("dmlab", "minecraft"):
        write = {"dmlab": write_dmlab, "minecraft": write_minecraft}[layout]
        write(data / layout / "train")
        rows, latents = [], []
        ending = "npz" if layout == "dmlab" else "mp4"
        for number, path in enumerate(sorted((data / layout).rglob(f"*.{ending}"))):
            place = path.relative_to(root)
            action = str(place.with_suffix(".npz"))
            rows.append({"video_path": str(place), "action_path": action})
            coded = data / f"{layout}_latent" / f"{number}.pt"
            write_latents(coded, (14, 32, 8, 8), number)
            latents.append({"latent_path": str(coded.relative_to(root)), "action_path": action})
        train = write_list(data / f"{layout}_latent" / f"{layout}_train.json", latents)
        held = write_list(data / layout / f"{layout}_val.json", rows)
    elif layout == "ucf101":
        names = ["Archery/v_Archery_g01_c01.avi.mp4", "Biking/v_Biking_g01_c01.mp4"]
        write_videos(data / "ucf101", names)
        rows = [
            {"video_path": f"datasets/ucf101/{name}", "label": label}
            for label, name in enumerate(names)
        ]
        train = held = write_list(data / "ucf101" / "list.json", rows)
    else:
        write_videos(data / "bair", ["0.mp4", "1.mp4"], tall=64)
        rows = [
            {"video_path": f"datasets/bair/{n}.mp4", "action_path": f"datasets/bair/{n}.npz"}
            for n in range(2)
        ]
        train = held = write_list(data / "bair" / "list.json", rows)
    return {"train": str(train), "heldout": str(held)}
