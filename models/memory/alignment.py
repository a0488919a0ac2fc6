"""Where a true frame was seen from: of the motions that odometry thinks possible the one from which
memory shows what the frame shows.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.coverage import select_keyframes
from models.memory.frame_bank import FrameBank
from models.memory.odometry import compose_poses
from models.memory.renderer import MemoryView, render
from models.memory.sizes import (
    CANDIDATES,
    CERTAIN,
    MOST_UNLIKE,
    PRIOR,
    SOURCES,
    UNSEEN,
)


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
    if chance[likely[0]] > CERTAIN:
        return motions[likely[0]]
    offered = motions[likely]
    error = photometric_errors(bank, pose, turn, offered, picture, view)
    return offered[(error - PRIOR * chance[likely].log()).argmin()]


def photometric_errors(
    bank: FrameBank,
    pose: Tensor,
    turn: Tensor,
    motions: Tensor,
    picture: Tensor,
    view: tuple[float, float],
) -> Tensor:
    """How unlike the frame `[M]` is what memory shows after motions `[M,3]`."""
    count = len(motions)
    poses = compose_poses(pose.expand(count, -1), motions, turn.expand(count))
    slots = select_keyframes(bank, poses[:1], SOURCES, view[0])
    rows = torch.zeros(count, dtype=torch.long, device=poses.device)
    shown = render(bank.rows(rows, slots.expand(count, -1)), poses, *view)
    return compare_views(shown, picture.expand(count, -1, -1, -1))


def compare_views(view: MemoryView, pictures: Tensor) -> Tensor:
    """How unlike pictures views are `[M]`: the mean absolute error of a pixel, at most MOST_UNLIKE.

    A pixel that memory does not show is taken to be as bad as those that it shows, and no better
    than UNSEEN: little that fits by chance decides little, and nothing is gained where a motion
    leads behind a wall. Slightly blurred, so that fine texture does not hide the way.
    """
    mask = view.mask.unsqueeze(1).float()
    difference = F.avg_pool2d((view.rgb - pictures) * mask, 2).abs().mean(dim=1)
    seen = F.avg_pool2d(mask, 2).mean(dim=(1, 2, 3))
    known = difference.clamp(max=MOST_UNLIKE).mean(dim=(1, 2))
    return known + (1 - seen) * (known / seen.clamp(min=1e-6)).clamp(min=UNSEEN)
