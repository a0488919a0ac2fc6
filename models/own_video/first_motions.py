"""How far each action moves the viewer, before any depth is known.

Motions are tried, and the one whose look-ups fit best is taken: turns need no depth, and strides
are measured against a tunnel, which is what a body sees that walks on a floor: what is far from the
middle of the picture is near. The typical motion of an action is the one that fits the median of
its steps best.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.memory.pinhole import pixel_grid
from models.own_video.warp import resize_pictures, warp_picture

SIDE = 16  # pixels at which motions are tried, and at two and four times as many once more
TURNS = torch.arange(-60, 61, 2.0).deg2rad()
STRIDES = torch.tensor([-0.8, -0.4, -0.2, 0.0, 0.2, 0.4, 0.8])  # half widths of the tunnel
FINE_TURNS = torch.arange(-2.0, 2.01, 0.5).deg2rad()
FINEST_TURNS = torch.arange(-0.5, 0.51, 0.1).deg2rad()
FINE_STRIDES = torch.tensor([0.7, 0.85, 1.0, 1.2, 1.4])  # times the stride
STRAIGHT = 0.0175  # radians, a degree: an action that strides and turns by less does not turn
LONGEST = 10.0  # half widths of the tunnel that one sees ahead
LEAST_OVERLAP = 0.3  # of two pictures
STILL = 0.2  # of the median difference of two frames, below which nothing moved
PAIRS = 96  # steps of an action that are tried
STRIDING = 0.1  # half widths of the tunnel that count as a stride


def make_tunnel(side: int, field_of_view: float) -> Tensor:
    """Depth `[side,side]` of a square tunnel, in half its width."""
    grid = pixel_grid(side, field_of_view).abs()
    return 1 / torch.maximum(grid[:, None], grid).clamp(min=1 / LONGEST)


def measure_difference(before: Tensor, after: Tensor) -> Tensor:
    """Mean difference `[N]` of pictures `[N,3,n,n]`."""
    return (before - after).abs().mean(dim=(1, 2, 3))


def try_motions(before: Tensor, after: Tensor, motions: Tensor, field_of_view: float) -> Tensor:
    """How ill each motion explains pictures in a tunnel: mean difference `[M,N]` where they
    overlap, infinite where they hardly do.

    Args:
        before: pictures `[N,3,n,n]`.
        after: those after them.
        motions: to be tried, `[M,4]`.
        field_of_view: degrees.
    """
    count, side = len(before), before.shape[-1]
    depth = make_tunnel(side, field_of_view).expand(count, -1, -1)
    origin, errors = torch.zeros(count, 4), []
    for motion in motions:
        seen = warp_picture(after, depth, origin, motion.expand(count, 4), field_of_view)
        inside = seen.inside.float()
        off = (seen.pictures - before).abs().mean(dim=1) * inside
        share = inside.mean(dim=(1, 2))
        error = off.mean(dim=(1, 2)) / share.clamp(min=LEAST_OVERLAP)
        errors.append(torch.where(share < LEAST_OVERLAP, torch.inf, error))
    return torch.stack(errors)


def combine_motions(strides: Tensor, turns: Tensor) -> Tensor:
    """Every stride with every turn `[M,4]`."""
    pairs = torch.cartesian_prod(strides, turns)
    zero = torch.zeros(len(pairs))
    return torch.stack((pairs[:, 0], zero, pairs[:, 1], zero), dim=1)


def find_typical(before: Tensor, after: Tensor, field_of_view: float) -> Tensor:
    """The motion `[4]` that explains the median of some steps best, in half widths of a tunnel.

    Args:
        before: pictures uint8 `[N,3,H,H]`.
        after: those after them.
        field_of_view: degrees.
    """

    def choose(side: int, strides: Tensor, turns: Tensor) -> Tensor:
        pictures = [resize_pictures(part, side) for part in (before, after)]
        motions = combine_motions(strides, turns)
        return motions[try_motions(*pictures, motions, field_of_view).median(dim=1).values.argmin()]

    best = choose(SIDE, STRIDES, TURNS)
    strides = best[0] * FINE_STRIDES if best[0] else best[:1]
    best = choose(2 * SIDE, strides, best[2] + FINE_TURNS)
    best = choose(4 * SIDE, best[:1], best[2] + FINEST_TURNS)
    if best[0] and best[2].abs() < STRAIGHT:
        best[2] = 0.0  # what is left of a turn would bend every corridor
    return best


def find_moved(before: Tensor, after: Tensor) -> Tensor:
    """Which steps moved anything, bool `[N]`, of pictures uint8 `[N,3,H,H]`."""
    off = torch.cat(
        [
            measure_difference(*(resize_pictures(part, SIDE) for part in parts))
            for parts in zip(before.split(512), after.split(512), strict=True)
        ]
    )
    return off > STILL * off.median()


def find_typical_motions(
    before: Tensor, after: Tensor, actions: Tensor, count: int, field_of_view: float, seed: int
) -> Tensor:
    """The typical motion of each action `[count,4]`, in half widths of a tunnel; none for one that
    mostly does nothing.

    Args:
        before: pictures uint8 `[N,3,H,H]` of steps.
        after: those after them.
        actions: of the steps, int64 `[N]`.
        count: of actions.
        field_of_view: degrees.
        seed: of which steps are tried.
    """
    generator = torch.Generator().manual_seed(seed)
    moved, found = find_moved(before, after), torch.zeros(count, 4)
    for action in range(count):
        mine = actions == action
        steps = (mine & moved).nonzero().flatten()
        if len(steps) > 0.3 * mine.sum():
            chosen = steps[torch.randperm(len(steps), generator=generator)[:PAIRS]]
            found[action] = find_typical(before[chosen], after[chosen], field_of_view)
    return found


def find_stride(typical: Tensor) -> float:
    """The longest of typical motions `[A,4]`, in half widths of a tunnel.

    Raises:
        ValueError: none of them goes anywhere.
    """
    longest = float(typical[:, :2].norm(dim=1).max())
    if longest < STRIDING:
        raise ValueError(
            "the episodes must show a body that walks, since turns alone do not tell how far "
            f"anything is; got no action that moves it (strides up to {longest:.2f} of a half "
            f"width)."
        )
    return longest


def describe_motion(motion: Sequence[float]) -> str:
    """A motion `[4]` in words."""
    ahead, left, turn, up = (float(part) for part in motion)
    told = f"{ahead:+.3f} ahead, {left:+.3f} left, {torch.tensor(turn).rad2deg():+.2f} degrees"
    return told + (f", {up:+.3f} up" if up else "")
