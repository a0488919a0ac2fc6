"""Where a true frame was seen from: of the motions that odometry thinks possible, and small
corrections of them, the one from which memory shows what the frame shows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.coverage import select_keyframes
from models.memory.frame_bank import FrameBank
from models.memory.odometry import compose_poses
from models.memory.renderer import MemoryView, render
from models.memory.sizes import CANDIDATES, CERTAIN, LEAST_SEEN, PRIOR, SHIFT, SOURCES, WORTH


def align_motion(
    bank: FrameBank,
    pose: Tensor,
    turn: Tensor,
    logits: Tensor,
    motions: Tensor,
    picture: Tensor,
    view: tuple[float, float],
) -> Tensor:
    """The motion `[3]` of one dream that explains a frame best.

    Args:
        bank: of this dream, `[1,N]`.
        pose: `[4]` before the motion.
        turn: radians.
        logits: `[P]` of the motions `[P,3]` that odometry offers.
        motions: see logits.
        picture: the frame `[3,H,H]` in -1..1.
        view: field of view (degrees) and far depth.
    """
    chance = logits.softmax(dim=0)
    likely = chance.topk(min(CANDIDATES, len(chance))).indices
    best = motions[likely[0]]
    if chance[likely[0]] > CERTAIN:
        return best
    offered = motions[likely]
    error, seen = photometric_errors(bank, pose, turn, offered, picture, view)
    if seen < LEAST_SEEN:
        return best
    cost = error - PRIOR * chance[likely].log()
    best = offered[cost.argmin()]
    step = SHIFT * motions.norm(dim=1).max()
    near = best + step * _around(best)
    error, _ = photometric_errors(bank, pose, turn, near, picture, view)
    return near[error.argmin()] if error.min() < (1 - WORTH) * error[0] else best


def _around(like: Tensor) -> Tensor:
    """No correction, and one in each of eight directions, `[9,3]`."""
    places = torch.cartesian_prod(*(like.new_tensor([0.0, -1.0, 1.0]) for _ in range(2)))
    return F.pad(places, (0, 1))


def photometric_errors(
    bank: FrameBank,
    pose: Tensor,
    turn: Tensor,
    motions: Tensor,
    picture: Tensor,
    view: tuple[float, float],
) -> tuple[Tensor, float]:
    """Mean absolute error `[M]` of what memory shows after motions `[M,3]`, and the least share of
    the view that it shows.
    """
    count = len(motions)
    poses = compose_poses(pose.expand(count, -1), motions, turn.expand(count))
    slots = select_keyframes(bank, poses[:1], SOURCES, view[0])
    rows = torch.zeros(count, dtype=torch.long, device=poses.device)
    shown = render(bank.rows(rows, slots.expand(count, -1)), poses, *view)
    error = compare_views(shown, picture.expand(count, -1, -1, -1))
    return error, float(shown.seen_share.min())


def compare_views(view: MemoryView, pictures: Tensor) -> Tensor:
    """Mean absolute error `[M]` over the pixels that memory shows; slightly blurred, so that fine
    texture does not hide the way to the right place.
    """
    mask = view.mask.unsqueeze(1).float()
    difference = F.avg_pool2d((view.rgb - pictures) * mask, 2).abs().mean(dim=1)
    return difference.sum(dim=(1, 2)) / (F.avg_pool2d(mask, 2).sum(dim=(1, 2, 3)) + 1e-6)
