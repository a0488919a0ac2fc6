"""Depth of single frames by trial: each place is as far as the frames around it agree best.

Of some depths the one is taken at which look-ups in the other frames differ least (a plane sweep,
Collins, 1996). It finds what no gradient would, since a near surface moves by a third of a picture,
and is wrong where nothing tells: so it is a hint that a network learns from (Watson et al., 2019).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.own_video.warp import warp_picture

SIDE = 32  # pixels
AROUND = 6  # frames before and after that may be looked into
WINDOW = 7  # pixels over which differences are averaged
SOURCES = 4  # of them, those whose baseline is best
BASELINE = 2.2  # strides that are best
LEAST_BASELINE = 0.5  # strides
MOST_TURN = 0.9  # radians
AHEAD = 2.0  # what a source has against it that stands ahead: near places lie outside of it
NEAREST, FARTHEST, DEPTHS = 0.35, 32.0, 24  # strides, and how many depths are tried
PLAIN, CLEAR = 0.3, 0.6  # share by which the best depth is better than most: nothing, and all told
PLAINEST = 0.04  # difference of colours below which places are too plain to tell
LEAST_TRIED = 0.6  # share of the depths at which a place is seen by others
BATCH = 64


def choose_sources(poses: Tensor, lengths: list[int], stride: float) -> tuple[Tensor, Tensor]:
    """The frames to look into from each frame `[N,SOURCES]`, and which of them there are.

    Args:
        poses: of the frames of some episodes `[N,4]`.
        lengths: frames of each episode.
        stride: in the unit of poses.
    """
    frames = torch.arange(len(poses))
    episode = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    offsets = torch.tensor([o for o in range(-AROUND, AROUND + 1) if o])
    others = (frames.unsqueeze(1) + offsets).clamp(0, len(poses) - 1)
    there = others != frames.unsqueeze(1)
    there &= episode[others] == episode.unsqueeze(1)
    there &= frames.unsqueeze(1) + offsets == others
    apart = poses[others] - poses.unsqueeze(1)
    way = apart[..., [0, 1, 3]].norm(dim=2) / stride
    there &= (way > LEAST_BASELINE) & (apart[..., 2].abs() < MOST_TURN)
    unlike = (way / BASELINE).clamp(min=1e-3).log().abs()
    ahead = apart[..., 0] * poses[:, None, 2].cos() + apart[..., 1] * poses[:, None, 2].sin()
    unlike = unlike + AHEAD * (ahead > 0)
    best = torch.where(there, unlike, torch.inf).argsort(dim=1)[:, :SOURCES]
    return others.gather(1, best), there.gather(1, best)


@torch.no_grad()
def sweep_depth(
    pictures: Tensor, poses: Tensor, lengths: list[int], stride: float, field_of_view: float
) -> tuple[Tensor, Tensor]:
    """Logarithm of inverse depth of frames `[N,SIDE,SIDE]`, and how far it can be trusted, 0 to 1.

    Args:
        pictures: of some episodes, `[N,3,SIDE,SIDE]` in 0..1.
        poses: of their frames, `[N,4]`.
        lengths: frames of each episode.
        stride: in the unit of poses.
        field_of_view: degrees.
    """
    sources, there = choose_sources(poses, lengths, stride)
    tried = stride * torch.logspace(0, 1, DEPTHS, FARTHEST / NEAREST) * NEAREST
    found, trust = [], []
    for rows in torch.arange(len(poses)).split(BATCH):
        costs = torch.stack(
            [
                measure_cost(pictures, poses, rows, sources[rows], there[rows], d, field_of_view)
                for d in tried.tolist()
            ]
        )
        number, clear = find_best(costs)
        known = there[rows].any(dim=1)[:, None, None]
        step = (tried[1] / tried[0]).log()
        found.append(-(tried[0].log() + step * number))
        trust.append(torch.where(known, clear, 0.0))
    return torch.cat(found), torch.cat(trust)


def measure_cost(
    pictures: Tensor,
    poses: Tensor,
    rows: Tensor,
    sources: Tensor,
    there: Tensor,
    depth: float,
    field_of_view: float,
) -> Tensor:
    """How ill one depth explains frames `rows` `[B]` in their best two of sources `[B,S]`."""
    target, at = pictures[rows], poses[rows]
    plane, errors = torch.full((len(rows), SIDE, SIDE), depth), []
    for number in range(sources.shape[1]):
        other = sources[:, number]
        seen = warp_picture(pictures[other], plane, at, poses[other], field_of_view)
        off = (seen.pictures - target).abs().mean(dim=1)
        off = F.avg_pool2d(off, WINDOW, 1, padding=WINDOW // 2, count_include_pad=False)
        usable = seen.inside & there[:, number, None, None]
        errors.append(torch.where(usable, off, 1.0))
    best = torch.stack(errors).topk(2, dim=0, largest=False).values
    # a place that one source alone shows is judged by that one
    return torch.where(best[1] < 1, best.mean(dim=0), best[0])


def find_best(costs: Tensor) -> tuple[Tensor, Tensor]:
    """Of costs `[D,B,n,n]` the place of the least between them, and how clear it is, 0 to 1."""
    least, number = costs.min(dim=0)
    inner = number.clamp(1, len(costs) - 2)
    before, at, after = (costs.gather(0, (inner + o).unsqueeze(0)).squeeze(0) for o in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = ((before - after) / (2 * bend).clamp(min=1e-6)).clamp(-0.5, 0.5)
    place = torch.where(number == inner, inner + shift, number.float())
    there = costs < 1
    typical = torch.where(there, costs, torch.nan).nanmedian(dim=0).values
    better = (typical - least) / typical.clamp(min=PLAINEST)
    clear = ((better - PLAIN) / (CLEAR - PLAIN)).clamp(0, 1)
    return place, torch.where(there.float().mean(dim=0) > LEAST_TRIED, clear, 0.0)
