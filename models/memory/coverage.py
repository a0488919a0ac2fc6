"""Selection of keyframes by coverage: which few frames of a bank show most of a view.

Every banked frame keeps 8 x 8 coarse points. All of them are projected into the view, a coarse
z-buffer removes what is hidden, and frames are chosen greedily by how much they add, a near look
counting more than a far one.
"""

import torch
from torch import Tensor

from models.memory.frame_bank import COARSE, EMPTY, FrameBank
from models.memory.pinhole import project

CELLS = COARSE * COARSE
LEAST_GAIN = 0.3  # cells; a frame that adds less is not worth a lookup
MAX_QUALITY = 1.5  # a look from nearer than the view's own distance counts at most so much


def select_keyframes(bank: FrameBank, target: Tensor, count: int, field_of_view: float) -> Tensor:
    """Slots `[B,count]` (EMPTY: none) that cover the view from `target` `[B,4]`, best first."""
    quality = cell_quality(bank, target, field_of_view)
    covered = torch.zeros_like(quality[:, 0])
    rows = torch.arange(len(quality), device=quality.device)
    chosen = []
    for _ in range(count):
        gain = (quality - covered.unsqueeze(1)).clamp(min=0).sum(dim=2)
        best = gain.argmax(dim=1)
        found = gain[rows, best] >= LEAST_GAIN
        covered = torch.where(
            found.unsqueeze(1), torch.maximum(covered, quality[rows, best]), covered
        )
        chosen.append(torch.where(found, best, EMPTY))
    return torch.stack(chosen, dim=1)


def cell_quality(bank: FrameBank, target: Tensor, field_of_view: float) -> Tensor:
    """How well each frame shows each cell of the view, `[B,N,CELLS]`; 0 where it does not."""
    batch, slots = bank.ids.shape
    seen = project(bank.points, target[:, None, None], field_of_view)
    row, column = seen.pixels(COARSE)
    shown = seen.visible() & (bank.ids != EMPTY).unsqueeze(2)
    cell = torch.where(shown, row * COARSE + column, CELLS)
    flat = cell.flatten(1)
    depth = torch.where(shown, seen.depth, torch.inf).flatten(1)
    nearest = depth.new_full((batch, CELLS + 1), torch.inf)
    nearest = nearest.scatter_reduce(1, flat, depth, "amin").gather(1, flat).view_as(cell)
    shown = shown & (seen.depth < nearest * 1.35 + 0.15)
    offset = bank.points[..., :2] - bank.poses[:, :, None, :2]
    east, north = offset.unbind(-1)
    distance = (east * east + north * north).sqrt() + 0.1
    quality = ((seen.depth / distance).clamp(max=MAX_QUALITY) + 0.05) * bank.fresh
    quality = torch.where(shown, quality, 0.0)
    place = cell + torch.arange(slots, device=cell.device)[:, None] * (CELLS + 1)
    best = quality.new_zeros(batch, slots * (CELLS + 1))
    best = best.scatter_reduce(1, place.flatten(1), quality.flatten(1), "amax")
    return best.view(batch, slots, CELLS + 1)[..., :CELLS]
