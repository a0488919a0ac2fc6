"""The frames that a dream remembers with their depth: what is seen again is copied from here.

Write once: a pixel that was rendered from the bank is not stored again as a source, so nothing is
ever copied from a copy. Alpha says which pixels of a frame are first-hand. Bounded: a full bank
drops the frame with the fewest first-hand pixels, never one of the newest.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.pinhole import unproject
from models.memory.sizes import COARSE, EMPTY, KEPT_NEWEST


@dataclass
class FrameBank:
    """N slots of B dreams.

    rgba uint8 `[B,N,H,W,4]`, alpha 255 where first-hand; inverse_depth float16 `[B,N,n,n]`; poses
    `[B,N,4]`; points `[B,N,64,3]` the coarse points and fresh `[B,N,64]` the share of first-hand
    pixels around each; ids int64 `[B,N]` frame number or EMPTY; true bool `[B,N]` given, not
    generated.
    """

    rgba: Tensor
    inverse_depth: Tensor
    poses: Tensor
    points: Tensor
    fresh: Tensor
    ids: Tensor
    true: Tensor

    @classmethod
    def empty(
        cls, batch: int, slots: int, size: int, depth_size: int, device: torch.device | None = None
    ) -> "FrameBank":
        """A bank of nothing for frames of `size` pixels."""
        at, cells = {"device": device}, COARSE * COARSE
        return cls(
            rgba=torch.zeros(batch, slots, size, size, 4, dtype=torch.uint8, **at),
            inverse_depth=torch.zeros(
                batch, slots, depth_size, depth_size, dtype=torch.float16, **at
            ),
            poses=torch.zeros(batch, slots, 4, **at),
            points=torch.zeros(batch, slots, cells, 3, **at),
            fresh=torch.zeros(batch, slots, cells, **at),
            ids=torch.full((batch, slots), EMPTY, dtype=torch.long, **at),
            true=torch.zeros(batch, slots, dtype=torch.bool, **at),
        )

    def map(self, function) -> "FrameBank":
        """A new bank of `function(tensor, batch dimension)` of every tensor."""
        return FrameBank(**{name: function(part, 0) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def rows(self, index: Tensor, slots: Tensor) -> "FrameBank":
        """The frames in `slots` `[R,S]` (EMPTY: none) of dreams `index` `[R]`, as a small bank."""
        at = index.unsqueeze(1), slots.clamp(min=0)
        parts = {name: part[at] for name, part in self.tensors().items()}
        parts["ids"] = torch.where(slots >= 0, parts["ids"], EMPTY)
        return FrameBank(**parts)

    def insert(
        self, frames: "Insertion", rows: Tensor, ids: Tensor, true: bool, field_of_view: float
    ) -> None:
        """Store one frame of each of the dreams `rows` `[R]`, number `ids` `[R]`."""
        slots = self._free_slots(rows, ids)
        alpha = (frames.first_hand * 255).to(torch.uint8)
        self.rgba[rows, slots] = torch.cat((frames.rgb, alpha.unsqueeze(-1)), dim=-1)
        self.inverse_depth[rows, slots] = frames.inverse_depth.half()
        self.poses[rows, slots] = frames.poses
        coarse = summarize(frames.inverse_depth, frames.poses, frames.first_hand, field_of_view)
        self.points[rows, slots], self.fresh[rows, slots] = coarse
        self.ids[rows, slots] = ids
        self.true[rows, slots] = true

    def _free_slots(self, rows: Tensor, ids: Tensor) -> Tensor:
        """An empty slot where there is one, else the one whose loss costs the least coverage."""
        held = self.ids[rows]
        kept = (held > (ids - KEPT_NEWEST).unsqueeze(1)) & (held != EMPTY)
        worth = self.fresh[rows].sum(dim=2).masked_fill(kept, torch.inf)
        return worth.masked_fill(held == EMPTY, -1.0).argmin(dim=1)


class Insertion(NamedTuple):
    """What is stored of new frames: rgb uint8 `[B,H,W,3]`, inverse_depth `[B,n,n]`, poses `[B,4]`,
    first_hand bool `[B,H,W]`.
    """

    rgb: Tensor
    inverse_depth: Tensor
    poses: Tensor
    first_hand: Tensor


def summarize(
    inverse_depth: Tensor, poses: Tensor, first_hand: Tensor, field_of_view: float
) -> tuple[Tensor, Tensor]:
    """Coarse points `[B,64,3]` of frames, and the share of first-hand pixels around each `[B,64]`;
    arguments as in Insertion.
    """
    depth = 1 / average(inverse_depth).clamp(min=1e-3)
    points = unproject(depth, poses, field_of_view).flatten(1, 2)
    return points, average(first_hand.float()).flatten(1)


def average(maps: Tensor) -> Tensor:
    """Means `[..., COARSE, COARSE]` of the cells of maps `[..., n, n]`."""
    side = maps.shape[-1] // COARSE
    return F.avg_pool2d(maps.flatten(0, -3).unsqueeze(1), side).view(*maps.shape[:-2], COARSE, -1)


def take_medians(maps: Tensor) -> Tensor:
    """Medians `[..., COARSE, COARSE]` of the cells of maps `[..., n, n]`: where two surfaces meet a
    mean would lie between them, where nothing is.
    """
    side = maps.shape[-1] // COARSE
    cells = maps.unflatten(-1, (COARSE, side)).unflatten(-3, (COARSE, side)).transpose(-3, -2)
    return cells.flatten(-2).sort(dim=-1).values[..., (side * side - 1) // 2]
