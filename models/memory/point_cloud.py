"""What a dream remembers as coloured points in space: for a map from above, and for files.

Only first-hand pixels count, so every surface is there once, as it was first seen or invented.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.memory.frame_bank import EMPTY, FrameBank
from models.memory.pinhole import unproject


class PointCloud(NamedTuple):
    """points float32 `[N,3]` (x, y, height) in the unit of poses; colours uint8 `[N,3]`; invented
    bool `[N]`, those of generated frames.
    """

    points: Tensor
    colours: Tensor
    invented: Tensor


def remembered_points(bank: FrameBank, row: int, field_of_view: float, far: float) -> PointCloud:
    """The points of one dream's bank, in the order of the frames; none farther than half of `far`
    from the camera, where the sky is.
    """
    held = torch.nonzero(bank.ids[row] != EMPTY).flatten()
    held = held[bank.ids[row, held].argsort()]
    depth = 1 / bank.inverse_depth[row, held].float().clamp(min=1 / far)
    points = unproject(depth, bank.poses[row, held], field_of_view)
    colours, alpha = _at_depth_resolution(bank, row, held, depth.shape[-1])
    kept = (alpha > 127) & (depth < far / 2)
    invented = ~bank.true[row, held][:, None, None].expand_as(kept)
    return PointCloud(points[kept], colours[kept], invented[kept])


def _at_depth_resolution(
    bank: FrameBank, row: int, held: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Colours `[M,n,n,3]` and alpha `[M,n,n]` of the upper left pixel under each depth."""
    rgba = bank.rgba[row, held]
    side = rgba.shape[1] // size
    rgba = rgba[:, ::side, ::side]
    return rgba[..., :3], rgba[..., 3]


def draw_map(cloud: PointCloud, pose: Tensor, size: int, reach: float) -> Tensor:
    """A map from above, uint8 `[size,size,3]`, ahead is up, the body in the middle.

    Args:
        cloud: what is drawn; higher points over lower ones.
        pose: `[4]` of the body.
        size: pixels a side.
        reach: from the middle to an edge, in the unit of poses.
    """
    picture = torch.full((size, size, 3), 24, dtype=torch.uint8)
    x, y, heading, _ = pose.tolist()
    turn = torch.tensor(heading)
    east, north = cloud.points[:, 0] - x, cloud.points[:, 1] - y
    ahead = east * turn.cos() + north * turn.sin()
    left = north * turn.cos() - east * turn.sin()
    scale = size / (2 * reach)
    rows, columns = (size / 2 - ahead * scale).long(), (size / 2 - left * scale).long()
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    order = cloud.points[:, 2].argsort(stable=True)
    order = order[inside[order]]
    picture[rows[order], columns[order]] = cloud.colours[order]
    return mark_body(picture)


def mark_body(picture: Tensor) -> Tensor:
    """A white arrow head in the middle, pointing up."""
    middle = picture.shape[0] // 2
    for below in range(4):
        picture[middle - 2 + below, middle - below : middle + below + 1] = 255
    return picture


def format_ply(cloud: PointCloud) -> bytes:
    """A binary PLY file (Stanford triangle format) of points, colours and an `invented` flag."""
    import numpy as np

    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    fields += [("red", "u1"), ("green", "u1"), ("blue", "u1"), ("invented", "u1")]
    table = np.empty(len(cloud.points), fields)
    for index, name in enumerate("xyz"):
        table[name] = cloud.points[:, index].cpu().numpy()
    for index, name in enumerate(("red", "green", "blue")):
        table[name] = cloud.colours[:, index].cpu().numpy()
    table["invented"] = cloud.invented.cpu().numpy()
    kinds = {"<f4": "float", "u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(table)}"]
    lines += [f"property {kinds[kind]} {name}" for name, kind in fields]
    return ("\n".join([*lines, "end_header"]) + "\n").encode() + table.tobytes()
