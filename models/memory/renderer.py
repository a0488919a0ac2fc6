"""What remembered frames show of the view from another pose: colours, visibility mask, depth.

The depth of the view is splatted from the first-hand points of the sources (z-buffer), except from
those that other sources see through. Then every pixel of the view looks itself up in the sources:
the nearest pixel (no averaging, so nothing blurs), where the depths agree and the source is
first-hand. The source that stood about as far away and whose depth would move the look-up least
wins: a nearer look aliases, a farther one is coarse, and a camera in the same place shows the same
pixel whatever the depth.

Where surfaces end, a source's depth is uncertain by the step between them, and the pixels around
are off by as much as that step moves under the way from the source to the view. Such a look-up, or
one that the source's depth would move as far, is doubtful: it is not seen, and its colour is kept
as a hint. Batched, without host synchronisation, so that a GPU graph is possible.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.frame_bank import EMPTY, FrameBank
from models.memory.pinhole import NEAR_PLANE, half_width, reproject

AGREEMENT = 0.2  # relative difference of depth below which two looks show the same thing
HIDDEN = 1e6
ALIKE = 0.3  # relative difference of depth below which points of one place are of one surface
DENIAL = 0.1  # relative difference of depth beyond which a look goes through a point
WEIGHTS, PARTS = 1 << 10, 1 << 16  # units of weights, and of inverse depth times weight
SPLAT_ROUNDS, PIXEL_ROUNDS = 2, 2  # rounds in which small holes are closed from their neighbours
NEARER = 1.6  # a pixel seen so many times as near as its source saw it is new
MOST_SHIFT = 2.0  # pixels by which a look-up that counts as seen may be off
SHIFTED = 0.2  # cost of a pixel that a look-up may be off, beside one of the distance's logarithm
DOUBTFUL = 10.0  # cost that puts doubtful look-ups behind all others


class MemoryView(NamedTuple):
    """A view of memory: rgb float `[B,3,H,W]` in -1..1 (0 where nothing is known); mask bool
    `[B,H,W]`, the pixels that are seen; inverse_depth `[B,n,n]`, 0 where nothing is known;
    first_hand bool `[B,H,W]`, the pixels that a frame made here would be the first, or the much
    nearer, to show; doubtful bool `[B,H,W]`, pixels that are not seen and have a colour that may be
    theirs.
    """

    rgb: Tensor
    mask: Tensor
    inverse_depth: Tensor
    first_hand: Tensor
    doubtful: Tensor

    @property
    def seen_share(self) -> Tensor:
        """Share of the view that memory shows, `[B]`."""
        return self.mask.float().mean(dim=(1, 2))

    @property
    def known(self) -> Tensor:
        """The pixels of which memory has a colour, doubtful or not, bool `[B,H,W]`."""
        return self.mask | self.doubtful

    @property
    def known_share(self) -> Tensor:
        """Share of the view of which memory has a colour, `[B]`."""
        return self.known.float().mean(dim=(1, 2))

    @property
    def known_depth(self) -> Tensor:
        """Where all pixels under a place of the depth map are seen, bool `[B,n,n]`."""
        side = self.mask.shape[-1] // self.inverse_depth.shape[-1]
        seen = F.avg_pool2d(self.mask.float().unsqueeze(1), side).squeeze(1)
        return (seen > 0.999) & (self.inverse_depth > 0)


def render(
    sources: FrameBank,
    target: Tensor,
    field_of_view: float,
    far: float,
    sharp: bool = False,
) -> MemoryView:
    """The view from `target` `[B,4]` as the frames of a small bank show it.

    Args:
        sources: as `FrameBank.rows` gives them; empty slots show nothing.
        target: poses.
        field_of_view: degrees.
        far: what is farther than half of this is taken for equally far.
        sharp: whether only sharp pixels count as seen: one that is seen NEARER times as near as its
            source saw it is a hint, like a doubtful one, since its detail is to be invented.
    """
    nearness = 1 / far
    depth = 1 / sources.inverse_depth.float().clamp(min=nearness)
    zbuffer = splat_depth(sources, depth, target, field_of_view)
    known = zbuffer < HIDDEN
    inverse = torch.where(known, 1 / zbuffer.clamp(min=0.02), 0.0)
    size = sources.rgba.shape[2]
    dense, inside = upsample(inverse, known, size, nearness)
    surfaces = Surfaces(target, 1 / dense, inside)
    found = sample_image(sources, depth, surfaces, (field_of_view, far))
    rgb, mask, doubtful, at_source = close_pixel_holes(*gather_pixels(sources, found))
    inverse = inverse * ~find_contradicted(found, size, inverse.shape[-1])
    magnified = at_source > NEARER / dense
    first_hand = ~(mask | doubtful) | magnified
    if sharp:
        mask, doubtful = mask & ~magnified, doubtful | (mask & magnified)
    return MemoryView(rgb, mask, inverse, first_hand, doubtful)


def measure_shifts(
    sources: FrameBank, depth: Tensor, target: Tensor, field_of_view: float
) -> Tensor:
    """By how many pixels of the view the uncertain depth of each place may move it, `[B,S,n,n]`.

    Inverse depth is linear on a plane, so its second difference is 0 there and the step between two
    surfaces where one ends; a step moves by its size times the way between the cameras.
    """
    inverse = 1 / depth
    wide = F.pad(inverse, (1, 1, 1, 1), mode="replicate")
    middle = wide[..., 1:-1, 1:-1] * 2
    across = (wide[..., 1:-1, :-2] + wide[..., 1:-1, 2:] - middle).abs()
    down = (wide[..., :-2, 1:-1] + wide[..., 2:, 1:-1] - middle).abs()
    distance = measure_ways(sources, target)[..., None, None]
    focal = focal_length(sources.rgba.shape[2], field_of_view)
    return torch.maximum(across, down) * distance * focal


def measure_ways(sources: FrameBank, target: Tensor) -> Tensor:
    """How far the cameras of sources are from that of the view, `[B,S]`."""
    way = sources.poses - target.unsqueeze(1)
    x, y, height = way[..., 0], way[..., 1], way[..., 3]
    return (x * x + y * y + height * height).sqrt()


def focal_length(size: int, field_of_view: float) -> float:
    """Of a camera whose picture is `size` pixels wide, in pixels."""
    return size / 2 / half_width(field_of_view)


def splat_depth(sources: FrameBank, depth: Tensor, target: Tensor, field_of_view: float) -> Tensor:
    """Depth `[B,n,n]` of the view, HIDDEN where no source reaches.

    Each first-hand point covers the 2 x 2 places around it. A place is as far as the mean of the
    points that are hardly farther than its nearest one, each weighed by how near it lies: the
    nearest one alone would be too near wherever a surface is seen aslant. Sums are of whole
    numbers, which are the same in any order.
    """
    batch, n = len(depth), depth.shape[-1]
    seen = reproject(depth, sources.poses, target.unsqueeze(1), field_of_view)
    own = find_points(sources, n)
    usable = (seen.depth > NEAR_PLANE) & own
    usable = usable & ~find_refuted(sources.poses, depth, own, field_of_view)
    # points far beside the picture must not overflow an index
    across = (seen.u.clamp(-2, 2) + 1) * (n / 2) - 0.5
    down = (seen.v.clamp(-2, 2) + 1) * (n / 2) - 0.5
    column, row = across.floor(), down.floor()
    right, below = across - column, down - row
    places, weights = [], []
    for y, by in ((row, 1 - below), (row + 1, below)):
        for x, bx in ((column, 1 - right), (column + 1, right)):
            inside = usable & (x >= 0) & (x < n) & (y >= 0) & (y < n)
            places.append(torch.where(inside, y * n + x, n * n).flatten(1))
            weights.append((by * bx).flatten(1))
    place, weight = torch.cat(places, 1).long(), torch.cat(weights, 1)
    far = seen.depth.flatten(1).repeat(1, 4)
    nearest = depth.new_full((batch, n * n + 1), HIDDEN).scatter_reduce(1, place, far, "amin")
    alike = far <= nearest.gather(1, place) * (1 + ALIKE)
    weight = ((weight * WEIGHTS).long() + 1) * alike
    inverse = (weight * (PARTS / far.clamp(min=NEAR_PLANE))).long()
    nothing = torch.zeros(batch, n * n + 1, dtype=torch.long, device=depth.device)
    weights_of, inverse_of = (nothing.scatter_add(1, place, part) for part in (weight, inverse))
    mean = PARTS * weights_of.float() / inverse_of.clamp(min=1).float()
    return close_depth_holes(torch.where(weights_of > 0, mean, HIDDEN)[:, :-1].view(batch, n, n))


def close_depth_holes(zbuffer: Tensor) -> Tensor:
    """Fill places `[B,n,n]` of which at least three neighbours are known, by their mean."""
    for _ in range(SPLAT_ROUNDS):
        known = (zbuffer < HIDDEN).float()
        both = torch.stack((known, torch.where(known > 0, zbuffer, 0.0)), 1)
        number, total = box_sums(both).unbind(1)
        fill = (known == 0) & (number > 2.5)
        zbuffer = torch.where(fill, total / number.clamp(min=1), zbuffer)
    return zbuffer


def find_points(sources: FrameBank, n: int) -> Tensor:
    """Which places of the depth maps of sources are points of their own, bool `[B,S,n,n]`: some of
    their pixels are first-hand. The depth of the others was rendered from memory itself.
    """
    size = sources.rgba.shape[2]
    alpha = F.max_pool2d((sources.rgba[..., 3] > 127).float(), size // n)
    return (alpha > 0) & (sources.ids != EMPTY)[:, :, None, None]


def find_refuted(poses: Tensor, depth: Tensor, own: Tensor, field_of_view: float) -> Tensor:
    """Which points of sources other sources deny, bool `[B,S,n,n]`: more of them see through a
    point, to what lies behind it, than agree with it.

    Args:
        poses: of the sources, `[B,S,4]`.
        depth: of their frames, `[B,S,n,n]`.
        own: which places of it are points of their own, bool `[B,S,n,n]`.
        field_of_view: degrees.
    """
    n = depth.shape[-1]
    seen = reproject(depth.unsqueeze(2), poses.unsqueeze(2), poses.unsqueeze(1), field_of_view)
    row, column = seen.pixels(n)
    place = (row * n + column).flatten(3)
    depth = depth * own  # what has no point says nothing

    def told(maps: Tensor) -> Tensor:
        maps = maps.flatten(2).unsqueeze(1).expand(-1, place.shape[1], -1, -1)
        return maps.gather(3, place).view_as(seen.depth)

    wide = F.pad(depth, (1, 1, 1, 1), mode="replicate")
    around = -F.max_pool2d(-wide, 3, 1)  # the nearest of the places around: edges deny nothing
    others = ~torch.eye(depth.shape[1], dtype=torch.bool, device=depth.device)
    looks = seen.visible() & others[:, :, None, None]
    through = looks & (told(around) > seen.depth * (1 + DENIAL))
    agree = looks & ((told(depth) - seen.depth).abs() < DENIAL * seen.depth)
    return through.sum(dim=2) > agree.sum(dim=2)


def upsample(inverse: Tensor, known: Tensor, size: int, nearness: float) -> tuple[Tensor, Tensor]:
    """Inverse depth `[B,size,size]` between the known places of a coarser map, and which pixels lie
    in known places.
    """
    mean = inverse.sum(dim=(1, 2), keepdim=True) / known.sum(dim=(1, 2), keepdim=True).clamp(min=1)
    filled = torch.where(known, inverse, mean).unsqueeze(1)
    dense = F.interpolate(filled, size=size, mode="bilinear", align_corners=False).squeeze(1)
    side = size // inverse.shape[-1]
    inside = known.repeat_interleave(side, 1).repeat_interleave(side, 2)
    return dense.clamp(min=nearness), inside


class Surfaces(NamedTuple):
    """What the pixels of a view see: the poses of the view `[B,4]`, depth `[B,H,W]`, and which are
    known, bool `[B,H,W]`.
    """

    poses: Tensor
    depth: Tensor
    known: Tensor


class Found(NamedTuple):
    """Where the pixels of a view were looked up: source and pixel flattened, int64 `[B,H*W]`; depth
    in that source `[B,H*W]`, HIDDEN where none shows it; whether that is doubtful, and whether the
    source's depth is another than the view's, bool `[B,H*W]`.
    """

    winner: Tensor
    depth: Tensor
    doubtful: Tensor
    disagrees: Tensor


class Looks(NamedTuple):
    """Where the pixels of a view are in each of S sources: pixel flattened and place of the depth
    map, int64; how far they are from the source, what its depth says, and by which share the two
    differ (0 where both are far); which are inside of it and first-hand, bool; `[B,S,H,W]` each.
    """

    pixel: Tensor
    place: Tensor
    distance: Tensor
    told: Tensor
    mismatch: Tensor
    inside: Tensor


def find_looks(
    sources: FrameBank, depth: Tensor, surfaces: Surfaces, field_of_view: float, far: float
) -> Looks:
    """Where sources show what the pixels of a view see.

    Args:
        sources: a small bank.
        depth: of the sources, `[B,S,n,n]`.
        surfaces: what the pixels see.
        field_of_view: degrees.
        far: what is farther than half of this is taken for equally far.
    """
    n = depth.shape[-1]
    size = sources.rgba.shape[2]
    ahead, target = surfaces.depth.unsqueeze(1), surfaces.poses.unsqueeze(1)
    seen = reproject(ahead, target, sources.poses, field_of_view)
    row, column = seen.pixels(size)
    pixel = row * size + column
    side = size // n
    place = torch.div(row, side, rounding_mode="floor") * n
    place = place + torch.div(column, side, rounding_mode="floor")
    told = gather_places(depth, place)
    mismatch = (seen.depth - told).abs() / told
    mismatch = torch.where((seen.depth > far / 2) & (told > far / 2), 0.0, mismatch)
    alpha = gather_places(sources.rgba[..., 3], pixel)
    inside = seen.visible() & (alpha > 127)
    inside &= (sources.ids != EMPTY)[:, :, None, None] & surfaces.known.unsqueeze(1)
    return Looks(pixel, place, seen.depth.clamp(min=NEAR_PLANE), told, mismatch, inside)


def gather_places(maps: Tensor, places: Tensor) -> Tensor:
    """What maps `[B,S,n,n]` say of flattened places `[B,S,H,W]`."""
    return maps.flatten(2).gather(2, places.flatten(2)).view_as(places)


def measure_resolution(looks: Looks, surfaces: Surfaces) -> Tensor:
    """By how much nearer or farther than the view a source saw each pixel: size of the logarithm
    `[B,S,H,W]`.
    """
    return (looks.distance / surfaces.depth.unsqueeze(1)).log().abs()


def choose_source(looks: Looks, shown: Tensor, doubtful: Tensor, cost: Tensor) -> Found:
    """Each pixel's best look-up of those that show it; all `[B,S,H,W]`."""
    least, source = torch.where(shown, cost, HIDDEN).flatten(2).min(dim=1)

    def of_source(parts: Tensor) -> Tensor:
        return parts.flatten(2).gather(1, source.unsqueeze(1)).squeeze(1)

    there = torch.where(least < HIDDEN, of_source(looks.distance), HIDDEN)
    winner = source * looks.pixel[0, 0].numel() + of_source(looks.pixel)
    disagrees = (least < HIDDEN) & of_source(looks.mismatch >= AGREEMENT)
    return Found(winner, there, of_source(doubtful), disagrees)


def sample_image(
    sources: FrameBank, depth: Tensor, surfaces: Surfaces, optics: tuple[float, float]
) -> Found:
    """Look up what the pixels of a view see, where the depth of both is uncertain.

    Args:
        sources: a small bank.
        depth: of the sources, `[B,S,n,n]`.
        surfaces: what the pixels see.
        optics: field of view and far, as `find_looks` takes them.
    """
    looks, target = find_looks(sources, depth, surfaces, *optics), surfaces.poses
    # by how many pixels the look-up is off if the source is right about the depth
    apart = (1 / looks.distance - 1 / looks.told).abs() * (looks.mismatch > 0)
    focal = focal_length(sources.rgba.shape[2], optics[0])
    shift = apart * measure_ways(sources, target)[..., None, None] * focal
    steps = gather_places(measure_shifts(sources, depth, target, optics[0]), looks.place)
    shown = looks.inside & ((looks.mismatch < AGREEMENT) | (shift < MOST_SHIFT))
    doubtful = torch.maximum(shift, steps) > MOST_SHIFT
    cost = measure_resolution(looks, surfaces) + SHIFTED * shift + DOUBTFUL * doubtful
    return choose_source(looks, shown, doubtful, cost)


def find_contradicted(found: Found, size: int, n: int) -> Tensor:
    """Places of the view `[B,n,n]` with pixels whose source says another depth, as between two
    surfaces, where the splatted depth is of neither: it is not known.
    """
    disagrees = found.disagrees.view(-1, 1, size, size).float()
    return F.max_pool2d(disagrees, size // n)[:, 0] > 0


def gather_pixels(sources: FrameBank, found: Found) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Colours `[B,3,H,W]` of the winning pixels, which are seen and which are doubtful `[B,H,W]`,
    and their depth.
    """
    batch, size = len(found.winner), sources.rgba.shape[2]
    winner = found.winner.unsqueeze(-1).expand(-1, -1, 3)
    rgb = sources.rgba[..., :3].flatten(1, 3).gather(1, winner).float() / 127.5 - 1
    shown = (found.depth < HIDDEN).view(batch, size, size)
    doubtful = shown & found.doubtful.view(batch, size, size)
    rgb = rgb.view(batch, size, size, 3).permute(0, 3, 1, 2) * shown.unsqueeze(1)
    return rgb, shown & ~doubtful, doubtful, found.depth.view(batch, size, size)


def close_pixel_holes(
    rgb: Tensor, mask: Tensor, doubtful: Tensor, ahead: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fill pixels of which at least five neighbours are seen, by their mean or by the colour that
    they may have.
    """
    for _ in range(PIXEL_ROUNDS):
        seen = mask.unsqueeze(1)
        parts = torch.cat((seen.float(), torch.where(mask, ahead, 0.0).unsqueeze(1), rgb * seen), 1)
        number, total, colours = box_sums(parts).split((1, 1, 3), dim=1)
        fill = ~mask & (number.squeeze(1) > 4.5)
        number = number.clamp(min=1)
        rgb = torch.where((fill & ~doubtful).unsqueeze(1), colours / number, rgb)
        ahead = torch.where(fill & ~doubtful, (total / number).squeeze(1), ahead)
        mask, doubtful = mask | fill, doubtful & ~fill
    return rgb, mask, doubtful, ahead


def box_sums(maps: Tensor) -> Tensor:
    """Sums over 3 x 3 neighbourhoods of maps `[B,C,H,W]`, nothing counts outside."""
    wide = F.pad(maps, (1, 1, 1, 1))
    rows = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
