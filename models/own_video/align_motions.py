"""Motions between successive frames whose depth is known: those by which each shows the other.

Gauss-Newton on the differences of colours, from the best of some starts, at small pictures first.
Derivatives are differences of look-ups, to either side, since those to one side lean to it: there
are three or four numbers to find.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.own_video.warp import resize_maps, resize_pictures, warp_picture

SIDES = (32, 64)  # pixels
ROUNDS = (3, 2)  # of Gauss-Newton at each of them
SCALE = 0.04  # a difference of colours below which it counts by its square
LEAST_OVERLAP = 0.15  # of two pictures
STEPS = (0.02, 0.02, 0.005, 0.02)  # for derivatives: units of poses, and radians
STRIDES, TURN, CLIMB = (0, 1), 2, 3  # which numbers of a motion are which
BATCH = 128


class Pairs:
    """Frames before and after N steps, with their depth, at one size.

    Args:
        pictures: before and after, uint8 `[2,N,3,H,H]`.
        inverse: their inverse depth `[2,N,n,n]`.
        side: pixels.
        field_of_view: degrees.
    """

    def __init__(self, pictures: Tensor, inverse: Tensor, side: int, field_of_view: float):
        self.before, self.after = (resize_pictures(part, side) for part in pictures)
        self.depth_before, self.depth_after = (1 / resize_maps(part, side) for part in inverse)
        self.origin, self.field_of_view = torch.zeros(len(self.before), 4), field_of_view

    def compare(self, motions: Tensor) -> tuple[Tensor, Tensor]:
        """Differences `[N,2,3,n,n]` of each picture and the other one's look-up, and which places
        lie in both, `[N,2,1,n,n]`.
        """
        ways = (
            (self.after, self.before, self.depth_before, self.origin, motions),
            (self.before, self.after, self.depth_after, motions, self.origin),
        )
        off, inside = [], []
        for source, target, depth, pose, of_source in ways:
            seen = warp_picture(source, depth, pose, of_source, self.field_of_view)
            off.append(seen.pictures - target)
            inside.append(seen.inside.unsqueeze(1))
        return torch.stack(off, dim=1), torch.stack(inside, dim=1)

    def measure(self, motions: Tensor) -> Tensor:
        """How ill motions `[N,4]` explain the pictures `[N]`."""
        return measure_error(*self.compare(motions))


def measure_error(off: Tensor, inside: Tensor) -> Tensor:
    """Mean robust size `[N]` of differences where pictures overlap, infinite if they hardly do."""
    size = off.abs()
    robust = torch.where(size < SCALE, size * size / (2 * SCALE), size - SCALE / 2)
    share = inside.float().mean(dim=(1, 2, 3, 4))
    error = (robust * inside).mean(dim=(1, 2, 3, 4)) / share.clamp(min=LEAST_OVERLAP)
    return torch.where(share < LEAST_OVERLAP, torch.inf, error)


def choose_start(pairs: Pairs, starts: Tensor, doubts: Tensor) -> Tensor:
    """The best `[N,4]` of starts `[S,N,4]`, whose errors count `doubts` `[S]` times."""
    errors = torch.stack([pairs.measure(start) for start in starts]) * doubts.unsqueeze(1)
    return starts[errors.argmin(dim=0), torch.arange(starts.shape[1])]


def refine(pairs: Pairs, motions: Tensor, free: Sequence[int], rounds: int) -> Tensor:
    """Motions `[N,4]` that explain pairs better, by damped Gauss-Newton steps."""
    damping = torch.full((len(motions),), 0.01)
    off, inside = pairs.compare(motions)
    error = measure_error(off, inside)
    for _ in range(rounds):
        step = find_step(pairs, motions, off, inside, free, damping)
        moved = motions.clone()
        moved[:, list(free)] -= step
        new_off, new_inside = pairs.compare(moved)
        new_error = measure_error(new_off, new_inside)
        better = new_error < error
        rows = better.view(-1, 1, 1, 1, 1)
        motions = torch.where(better.unsqueeze(1), moved, motions)
        off, inside = torch.where(rows, new_off, off), torch.where(rows, new_inside, inside)
        error = torch.where(better, new_error, error)
        damping = torch.where(better, damping / 4, damping * 8).clamp(1e-4, 1e4)
    return motions


def find_step(
    pairs: Pairs,
    motions: Tensor,
    off: Tensor,
    inside: Tensor,
    free: Sequence[int],
    damping: Tensor,
) -> Tensor:
    """What to take away from the free numbers of motions, `[N,F]`."""
    slopes, common = [], inside
    for number in free:
        nudge = torch.zeros(4)
        nudge[number] = STEPS[number]
        more, there = pairs.compare(motions + nudge)
        less, here = pairs.compare(motions - nudge)
        slopes.append((more - less) / (2 * STEPS[number]))
        common = common & there & here
    weight = common / off.abs().clamp(min=SCALE)
    slope = torch.stack(slopes, dim=1).flatten(2)  # [N,F,places]
    weighed = slope * weight.flatten(1).unsqueeze(1)
    square = weighed @ slope.mT
    slant = (weighed @ off.flatten(1).unsqueeze(2)).squeeze(2)
    diagonal = square.diagonal(dim1=1, dim2=2)
    damped = damping.unsqueeze(1) * diagonal + 1e-3 * diagonal.amax(1, keepdim=True) + 1e-6
    return torch.linalg.solve(square + torch.diag_embed(damped), slant)


@torch.no_grad()
def align_motions(
    pictures: Tensor,
    inverse: Tensor,
    starts: Tensor,
    doubts: Tensor,
    free: Sequence[int],
    field_of_view: float,
) -> Tensor:
    """The motions `[N,4]` of steps.

    Args:
        pictures: before and after, uint8 `[2,N,3,H,H]`.
        inverse: their inverse depth `[2,N,n,n]`.
        starts: to begin from the best of, `[S,N,4]`.
        doubts: how many times the error of each start counts, `[S]`.
        free: the numbers of a motion that are to be found.
        field_of_view: degrees.
    """
    found = []
    for rows in torch.arange(pictures.shape[1]).split(BATCH):
        motions = starts[:, rows]
        for side, rounds in zip(SIDES, ROUNDS, strict=True):
            pairs = Pairs(pictures[:, rows], inverse[:, rows], side, field_of_view)
            if motions.dim() == 3:
                motions = choose_start(pairs, motions, doubts)
            motions = refine(pairs, motions, free, rounds)
        found.append(motions)
    return torch.cat(found)


@torch.no_grad()
def measure_motions(
    pictures: Tensor, inverse: Tensor, motions: Tensor, field_of_view: float
) -> Tensor:
    """How ill motions `[N,4]` explain steps `[N]`; the arguments are those of `align_motions`."""
    found = []
    for rows in torch.arange(len(motions)).split(BATCH):
        pairs = Pairs(pictures[:, rows], inverse[:, rows], SIDES[-1], field_of_view)
        found.append(pairs.measure(motions[rows]))
    return torch.cat(found)
