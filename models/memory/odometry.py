"""How far an action carries: learnt from what stands around the body, as memory knows it.

The points of the bank, and those of the newest frame, around the body's own pose form a polar
occupancy grid (a range scan of all directions, not only of what is in view), in bands of height
where a step can be climbed and a wall cannot. A small classifier reads it, the action, and how fast
the body rises or falls, and chooses one of some prototype motions, so that a step that is either
free or blocked is never taken for half a step. A motion is (ahead, left, up) in the unit of poses,
before the turn of the same action.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.memory.frame_bank import EMPTY, FrameBank
from models.memory.pinhole import unproject
from models.memory.sizes import LEAST_LOSS, LEAST_SHARE
from models.memory.stood import nearest_places
from worldsim.world.protocols import Controls

CLIMBS = 17  # knots that a climb is told by
STEEPEST = 0.6  # climb, in the unit of poses, of the outermost knots


@dataclass(frozen=True, kw_only=True)
class OdometryConfig:
    """The scan and the classifier.

    Attributes:
        actions: size of the action set.
        sectors, rings: of the grid, around the body and outwards.
        reach: radius of the grid, in the unit of poses.
        low, high: heights above the camera between which a point counts.
        bands: of equal height between them, each with a grid of its own.
        inertia: whether the last motion's height matters, as to a body that jumps and falls.
        width: of the hidden layers.
        prototypes: motions to choose from.
        radius: of the body, in the unit of poses: where it has stood, nothing else is. 0: what
            memory says is believed there too.
        feet, head: heights of its ends above the camera, with a margin for steps.
        least: share of the likeliest motion's probability below which no motion of a dream is drawn
            (motion_draw.py); 1: the likeliest is always made, as among walls, where a body is
            either free or stopped.
    """

    actions: int
    sectors: int = 48
    rings: int = 12
    reach: float = 0.9
    low: float = -0.4
    high: float = 0.45
    bands: int = 1
    inertia: bool = False
    width: int = 192
    prototypes: int = 48
    radius: float = 0.0
    feet: float = -0.4
    head: float = 0.45
    least: float = LEAST_SHARE

    def __post_init__(self):
        if not 0 <= self.radius < self.reach:
            raise ValueError(f"radius must be in [0, reach {self.reach}), got {self.radius}")
        if not self.feet < self.head:
            raise ValueError(f"feet must be < head {self.head}, got {self.feet}")
        if not 0 <= self.least <= 1:
            raise ValueError(f"least must be in [0, 1], got {self.least}")


class Odometry(nn.Module):
    """Motions of actions in front of what a bank remembers."""

    def __init__(self, cfg: OdometryConfig, turns: tuple[float, ...], field_of_view: float):
        super().__init__()
        self.cfg, self.field_of_view = cfg, field_of_view
        self.register_buffer("turns", torch.tensor(turns, dtype=torch.float32), persistent=False)
        self.register_buffer("motions", torch.zeros(cfg.prototypes, 3))
        inputs = cfg.sectors * cfg.bands * (cfg.rings + 1) + cfg.actions
        inputs += CLIMBS * cfg.inertia
        self.first = nn.Linear(inputs, cfg.width)
        self.second = nn.Linear(cfg.width, cfg.width)
        self.choice = nn.Linear(cfg.width, cfg.prototypes)
        self.offset = nn.Linear(cfg.width, 3 * cfg.prototypes)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, scan: Tensor, climb: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B,P]` and motions `[B,P,3]` of all prototypes, for scans `[B,...]`, heights
        `[B]` that the last motions gained and actions `[B]`.
        """
        told = [scan.flatten(1), F.one_hot(actions, self.cfg.actions).to(scan.dtype)]
        if self.cfg.inertia:
            told.append(encode_climb(climb))
        x = torch.cat(told, dim=1).unsqueeze(1)  # rows of a batch stay apart
        x = F.silu(self.first(x))
        x = x + F.silu(self.second(x))
        offsets = self.offset(x).squeeze(1).unflatten(1, (-1, 3))
        return self.choice(x).squeeze(1), self.motions + offsets

    def predict_motion(self, scan: Tensor, climb: Tensor, actions: Tensor) -> Tensor:
        """The most likely motions `[B,3]`; none without an action (-1)."""
        chosen = choose_motion(*self(scan, climb, actions.clamp(min=0)))
        return chosen * (actions >= 0).unsqueeze(1)

    def offer_strides(
        self, scan: Tensor, climb: Tensor, controls: Controls
    ) -> tuple[Tensor, Tensor]:
        """Logits `[B,P]` and motions `[B,P,3]` of strides, to choose from: parts of the full step,
        which stop where it is stopped.
        """
        logits, motions = self(scan, climb, controls.walks)
        strides = controls.strides.unsqueeze(1)
        return logits, shorten_motion(motions, strides, self.full_step)

    @property
    def full_step(self) -> Tensor:
        """How far a step goes that nothing stops, in the unit of poses: the longest prototype."""
        return self.motions[:, 0].max()

    def scan(
        self, bank: FrameBank, poses: Tensor, newest: Tensor | None, stood: Tensor | None = None
    ) -> Tensor:
        """The polar grid `[B,sectors,bands * (rings + 1)]` around poses `[B,4]`.

        Args:
            bank: what is remembered, of which cells count that are mostly first-hand.
            poses: of the newest frames.
            newest: their inverse depth `[B,n,n]`, or None.
            stood: places `[B,PLACES,3]` where the bodies have stood, or None.
        """
        points = bank.points.flatten(1, 2)
        # points that are mostly copies of others are as wrong as these and their copying
        known = ((bank.ids != EMPTY).unsqueeze(2) & (bank.fresh > 0.5)).flatten(1, 2)
        if newest is not None:
            near = unproject(1 / newest.clamp(min=1e-3), poses, self.field_of_view).flatten(1, 2)
            points = torch.cat((points, near), dim=1)
            known = torch.cat((known, known.new_ones(near.shape[:2])), dim=1)
        if self.cfg.radius and stood is not None:
            known = known & ~find_stood(points, nearest_places(stood, poses), self.cfg)
        return polar_grid(points, known, poses, self.cfg)


def find_stood(points: Tensor, places: Tensor, cfg: OdometryConfig) -> Tensor:
    """Which points `[B,N,3]` lie where the body has stood, at places `[B,P,3]`, bool `[B,N]`: depth
    that was generated may say so, but nothing can be there.
    """
    east, north, height = (part.contiguous() for part in points.unbind(-1))
    found = torch.zeros_like(east, dtype=torch.bool)
    for place in places.unbind(1):  # all at once need memory for points times places, and its time
        x, y, z = place.unsqueeze(2).unbind(1)
        beside = (east - x).square() + (north - y).square()
        above = height - z
        found = found | ((beside < cfg.radius**2) & (above > cfg.feet) & (above < cfg.head))
    return found


def encode_climb(climb: Tensor) -> Tensor:
    """How near heights `[B]` are to each knot, `[B,CLIMBS]` in 0..1: one or two are not 0."""
    knots = torch.linspace(-STEEPEST, STEEPEST, CLIMBS, device=climb.device)
    apart = (climb.clamp(-STEEPEST, STEEPEST).unsqueeze(1) - knots).abs()
    return (1 - apart * ((CLIMBS - 1) / (2 * STEEPEST))).clamp(min=0)


def polar_grid(points: Tensor, known: Tensor, poses: Tensor, cfg: OdometryConfig) -> Tensor:
    """Occupancy `[B,sectors,bands * (rings + 1)]` of points `[B,N,3]` around poses `[B,4]`: of
    each band logarithms of counts, and how near the nearest point of the sector is, 0 where there
    is none.
    """
    east, north = points[..., 0] - poses[:, None, 0], points[..., 1] - poses[:, None, 1]
    above = points[..., 2] - poses[:, None, 3]
    distance = (east * east + north * north).sqrt()
    inside = known & (distance < cfg.reach) & (above > cfg.low) & (above < cfg.high)
    way = torch.remainder(torch.atan2(north, east) - poses[:, None, 2], 2 * torch.pi)
    sector = (way * (cfg.sectors / (2 * torch.pi))).long().clamp(0, cfg.sectors - 1)
    ring = (distance * (cfg.rings / cfg.reach)).long().clamp(0, cfg.rings - 1)
    band = ((above - cfg.low) * (cfg.bands / (cfg.high - cfg.low))).long().clamp(0, cfg.bands - 1)
    batch, spokes = len(points), cfg.sectors * cfg.bands
    spoke = torch.where(inside, sector * cfg.bands + band, spokes)
    place = spoke * cfg.rings + torch.where(inside, ring, 0)
    counts = points.new_zeros(batch, spokes * cfg.rings + 1)
    counts = counts.scatter_add(1, place, torch.ones_like(distance))
    counts = counts[:, :-1].view(batch, spokes, cfg.rings)
    nearest = points.new_full((batch, spokes + 1), cfg.reach)
    nearest = nearest.scatter_reduce(1, spoke, distance.clamp(max=cfg.reach), "amin")
    closeness = (1 - nearest[:, :-1] / cfg.reach).unsqueeze(2)
    grid = torch.cat((torch.log1p(counts) / 3, closeness), dim=2)
    return grid.view(batch, cfg.sectors, -1)


def motion_between(before: Tensor, after: Tensor) -> Tensor:
    """Motions `[...,3]` from poses `[...,4]` to others, the inverse of `compose_poses`."""
    x, y, heading, height = before.unbind(-1)
    east, north = after[..., 0] - x, after[..., 1] - y
    cos, sin = heading.cos(), heading.sin()
    moved = (east * cos + north * sin, north * cos - east * sin, after[..., 3] - height)
    return torch.stack(moved, dim=-1)


def choose_motion(logits: Tensor, motions: Tensor) -> Tensor:
    """The most likely `[B,3]` of motions `[B,P,3]`."""
    return motions[torch.arange(len(motions), device=motions.device), logits.argmax(dim=1)]


def shorten_motion(whole: Tensor, strides: Tensor, full: Tensor) -> Tensor:
    """Motions `[...,3]` of strides `[...]` in 0..1, from those of the full step, `whole`
    `[...,3]`, which goes `full` where it is free.

    What the full step lacks, something took that stands square to it: as far as the full step came
    that way the stride may come too, and along it it goes its share. Who jumps or falls does so.
    """
    ahead, left, up = whole.unbind(-1)
    free = torch.maximum(ahead, full)
    lost, aside = free - ahead, -left
    loss = (lost * lost + aside * aside).sqrt()
    taken = loss > LEAST_LOSS * free
    size = torch.where(taken, loss, torch.ones_like(loss))
    out, across = lost / size * taken, aside / size * taken  # where what took it stands
    reach = (ahead * out + left * across).clamp(min=0)
    gone = strides * free
    over = (gone * out - reach).clamp(min=0)
    part = torch.where(taken, gone - over * out, strides * ahead)
    slid = torch.where(taken, -over * across, strides * left)
    shorter = torch.stack((part, slid, up), dim=-1)
    return torch.where(strides.unsqueeze(-1) < 1, shorter, whole)


def climbs_of(motions: Tensor) -> Tensor:
    """The heights `[B]` that motions `[B,3]` gain, of strides as a state is stored."""
    return motions[:, 2].clone(memory_format=torch.contiguous_format)


def compose_poses(poses: Tensor, motions: Tensor, turns: Tensor) -> Tensor:
    """Poses `[B,4]` after motions `[B,3]` and turns `[B]`."""
    x, y, heading, height = poses.unbind(-1)
    ahead, left, up = motions.unbind(-1)
    cos, sin = heading.cos(), heading.sin()
    moved = (x + ahead * cos - left * sin, y + ahead * sin + left * cos, heading + turns)
    return torch.stack((*moved, height + up), dim=-1)
