"""What remembered frames show of the view from another pose: colours, visibility mask, depth.

The depth of the view is splatted from that of the sources (z-buffer), then every pixel of the view
looks itself up in the sources: the nearest pixel (no averaging, so nothing blurs), where the depths
agree and the source is first-hand; the nearest source wins. Batched, without host
synchronisation, so that a GPU graph is possible.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.memory.frame_bank import EMPTY, FrameBank
from models.memory.pinhole import NEAR_PLANE, project, unproject

AGREEMENT = 0.2  # relative difference of depth below which two looks show the same thing
HIDDEN = 1e6
SPLAT_ROUNDS, PIXEL_ROUNDS = 2, 2  # rounds in which small holes are closed from their neighbours
NEARER = 1.6  # a pixel seen so many times as near as its source saw it is new


class MemoryView(NamedTuple):
    """A view of memory: rgb float `[B,3,H,W]` in -1..1 (0 where not seen); mask bool `[B,H,W]`;
    inverse_depth `[B,n,n]`, 0 where nothing is known; first_hand bool `[B,H,W]`, the pixels that a
    frame made here would be the first, or the much nearer, to show.
    """

    rgb: Tensor
    mask: Tensor
    inverse_depth: Tensor
    first_hand: Tensor

    @property
    def seen_share(self) -> Tensor:
        """Share of the view that memory shows, `[B]`."""
        return self.mask.float().mean(dim=(1, 2))

    @property
    def known_depth(self) -> Tensor:
        """Where all pixels under a place of the depth map are seen, bool `[B,n,n]`."""
        side = self.mask.shape[-1] // self.inverse_depth.shape[-1]
        seen = F.avg_pool2d(self.mask.float().unsqueeze(1), side).squeeze(1)
        return (seen > 0.999) & (self.inverse_depth > 0)


def render(sources: FrameBank, target: Tensor, field_of_view: float, far: float) -> MemoryView:
    """The view from `target` `[B,4]` as the frames of a small bank show it.

    Args:
        sources: as `FrameBank.rows` gives them; empty slots show nothing.
        target: poses.
        field_of_view: degrees.
        far: what is farther than half of this is taken for equally far.
    """
    nearness = 1 / far
    depth = 1 / sources.inverse_depth.float().clamp(min=nearness)
    zbuffer = splat_depth(sources, depth, target, field_of_view)
    known = zbuffer < HIDDEN
    inverse = torch.where(known, 1 / zbuffer.clamp(min=0.02), 0.0)
    size = sources.rgba.shape[2]
    dense, inside = upsample(inverse, known, size, nearness)
    points = unproject(1 / dense, target, field_of_view)
    winner, ahead = look_up(sources, depth, points, inside, field_of_view, far)
    rgb, mask, at_source = close_pixel_holes(*gather_pixels(sources, winner, ahead))
    first_hand = ~mask | (at_source > NEARER / dense)
    return MemoryView(rgb, mask, inverse, first_hand)


def splat_depth(sources: FrameBank, depth: Tensor, target: Tensor, field_of_view: float) -> Tensor:
    """Depth `[B,n,n]` of the view, HIDDEN where no source reaches; each point covers 2 x 2."""
    batch, n = len(depth), depth.shape[-1]
    there = unproject(depth, sources.poses, field_of_view)
    seen = project(there, target[:, None, None, None], field_of_view)
    # points far beside the picture must not overflow an index
    column = ((seen.u.clamp(-2, 2) + 1) * (n / 2) - 0.5).floor().long()
    row = ((seen.v.clamp(-2, 2) + 1) * (n / 2) - 0.5).floor().long()
    usable = (seen.depth > NEAR_PLANE) & (sources.ids != EMPTY)[:, :, None, None]
    places, depths = [], []
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        y, x = row + down, column + right
        inside = usable & (x >= 0) & (x < n) & (y >= 0) & (y < n)
        places.append(torch.where(inside, y * n + x, n * n).flatten(1))
        depths.append(seen.depth.flatten(1))
    nearest = depth.new_full((batch, n * n + 1), HIDDEN)
    nearest = nearest.scatter_reduce(1, torch.cat(places, 1), torch.cat(depths, 1), "amin")
    zbuffer = nearest[:, :-1].view(batch, n, n)
    for _ in range(SPLAT_ROUNDS):
        known = (zbuffer < HIDDEN).float()
        both = torch.stack((known, torch.where(known > 0, zbuffer, 0.0)), 1)
        number, total = box_sums(both).unbind(1)
        fill = (known == 0) & (number > 2.5)
        zbuffer = torch.where(fill, total / number.clamp(min=1), zbuffer)
    return zbuffer


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


def look_up(
    sources: FrameBank,
    depth: Tensor,
    points: Tensor,
    inside: Tensor,
    field_of_view: float,
    far: float,
) -> tuple[Tensor, Tensor]:
    """Where the points `[B,H,W,3]` of a view are shown: index `[B,H*W]` of source and pixel
    flattened, and depth in that source, HIDDEN where none shows it.
    """
    n = depth.shape[-1]
    size = sources.rgba.shape[2]
    seen = project(points.unsqueeze(1), sources.poses[:, :, None, None], field_of_view)
    row, column = seen.pixels(size)
    pixel = row * size + column
    side = size // n
    place = torch.div(row, side, rounding_mode="floor") * n
    place = place + torch.div(column, side, rounding_mode="floor")
    told = depth.flatten(2).gather(2, place.flatten(2)).view_as(seen.depth)
    agrees = (seen.depth - told).abs() < AGREEMENT * told
    agrees |= (seen.depth > far / 2) & (told > far / 2)
    alpha = sources.rgba[..., 3].flatten(2).gather(2, pixel.flatten(2)).view_as(pixel)
    shown = seen.visible() & agrees & (alpha > 127) & inside.unsqueeze(1)
    shown &= (sources.ids != EMPTY)[:, :, None, None]
    ahead, source = torch.where(shown, seen.depth, HIDDEN).flatten(2).min(dim=1)
    chosen = pixel.flatten(2).gather(1, source.unsqueeze(1)).squeeze(1)
    return source * (size * size) + chosen, ahead


def gather_pixels(
    sources: FrameBank, winner: Tensor, ahead: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Colours `[B,3,H,W]` of the winning pixels, which there are `[B,H,W]`, and their depth."""
    batch, size = len(winner), sources.rgba.shape[2]
    packed = sources.rgba.view(torch.int32).flatten(1).gather(1, winner)
    rgb = packed.unsqueeze(-1).view(torch.uint8)[..., :3].float() / 127.5 - 1
    mask = (ahead < HIDDEN).view(batch, size, size)
    rgb = rgb.view(batch, size, size, 3).permute(0, 3, 1, 2)
    return rgb * mask.unsqueeze(1), mask, ahead.view(batch, size, size)


def close_pixel_holes(rgb: Tensor, mask: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fill pixels of which at least five neighbours are seen by their mean."""
    for _ in range(PIXEL_ROUNDS):
        seen = mask.float().unsqueeze(1)
        parts = torch.cat((seen, torch.where(mask, ahead, 0.0).unsqueeze(1), rgb), dim=1)
        number, total, colours = box_sums(parts).split((1, 1, 3), dim=1)
        fill = ~mask & (number.squeeze(1) > 4.5)
        number = number.clamp(min=1)
        rgb = torch.where(fill.unsqueeze(1), colours / number, rgb)
        ahead = torch.where(fill, (total / number).squeeze(1), ahead)
        mask = mask | fill
    return rgb, mask, ahead


def box_sums(maps: Tensor) -> Tensor:
    """Sums over 3 x 3 neighbourhoods of maps `[B,C,H,W]`, nothing counts outside."""
    wide = F.pad(maps, (1, 1, 1, 1))
    rows = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
