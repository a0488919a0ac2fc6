"""A room of four walls as memory sees it: exact depths and a colour for every point of a wall."""

import numpy as np
import torch
from torch import Tensor

from models.memory.frame_bank import FrameBank, Insertion
from models.memory.pinhole import half_width

FOV, HALF, TALL = 73.0, 3.0, 1.0  # walls at +-HALF, floor and ceiling at -+TALL


def look(pose: Tensor, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Depth `[size,size]` and colours uint8 `[size,size,3]` of the room from a pose."""
    x, y, heading, height = (float(number) for number in pose)
    centres = ((np.arange(size) + 0.5) / size * 2 - 1) * half_width(FOV)
    right, down = np.meshgrid(centres, centres)
    cos, sin = np.cos(heading), np.sin(heading)
    way = np.stack((cos + right * sin, sin - right * cos, -down), -1)
    limits = np.where(way > 0, np.array([HALF, HALF, TALL]), -np.array([HALF, HALF, TALL]))
    with np.errstate(divide="ignore"):
        far = (limits - np.array([x, y, height])) / np.where(way == 0, 1e-9, way)
    depth = far.min(axis=-1)
    point = np.array([x, y, height]) + way * depth[..., None]
    shade = 127 + 100 * np.sin(np.array([1.1, 0.7, 0.9]) * point.sum(-1, keepdims=True))
    return depth, shade.astype(np.uint8)


def bank_of_looks(poses: Tensor, size: int, slots: int | None = None, alpha=None) -> FrameBank:
    """A bank of one dream that has seen the room from poses `[N,4]`; `alpha` bool `[N,size,size]`
    says which pixels are first-hand.
    """
    bank = FrameBank.empty(1, slots or len(poses), size, size // 2)
    for number, pose in enumerate(poses):
        depth = torch.from_numpy(look(pose, size // 2)[0]).float()
        fresh = torch.ones(size, size, dtype=torch.bool) if alpha is None else alpha[number]
        entry = Insertion(
            torch.from_numpy(look(pose, size)[1]).unsqueeze(0),
            (1 / depth).unsqueeze(0),
            pose.unsqueeze(0),
            fresh.unsqueeze(0),
        )
        bank.insert(entry, torch.tensor([0]), torch.tensor([number]), True, FOV)
    return bank


def all_of(bank: FrameBank) -> FrameBank:
    """The whole bank as the sources of a view."""
    return bank.rows(torch.tensor([0]), torch.arange(bank.ids.shape[1]).unsqueeze(0))
