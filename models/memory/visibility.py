"""The judge of visibility: what true frames, given with the engine's depth, show from other poses.

It tells which pixels of a later frame were to be remembered (seen) and which had to be invented,
alike for every world, whatever memory the world itself has. A pixel is seen if the very point that
it shows was visible in a remembered frame; so a wall that nobody has seen yet hides what lies
behind it. Frames are remembered up to one moment and none later. Knows no world and no engine.
"""

from typing import NamedTuple

import numpy as np
import torch

from models.memory.coverage import select_keyframes
from models.memory.frame_bank import FrameBank, Insertion
from models.memory.renderer import (
    AGREEMENT,
    Surfaces,
    choose_source,
    close_pixel_holes,
    find_looks,
    gather_pixels,
    measure_resolution,
    upsample,
)

SOURCES = 8  # frames that one view is rendered from
MISMATCH = 3.0  # cost of a relative difference of depth, beside one of the distance's logarithm


class Optics(NamedTuple):
    """The engine's eye: field of view in degrees of its square pictures; depth `far` is the sky."""

    field_of_view: float
    far: float


class SeenView(NamedTuple):
    """What the frames show: warped uint8 `[B,H,W,3]`, black where not seen; seen bool `[B,H,W]`."""

    warped: np.ndarray
    seen: np.ndarray


class VisibilityJudge:
    """A bank of T true frames of B episodes.

    Args:
        frames: uint8 `[B,T,H,W,3]`.
        depths: `[B,T,n,n]` along the viewing axis, in the unit of poses.
        poses: float `[B,T,4]` x, y, heading (radians), height.
        optics: of the engine: field of view, far.
    """

    def __init__(
        self, frames: np.ndarray, depths: np.ndarray, poses: np.ndarray, optics: tuple[float, float]
    ) -> None:
        batch, count, size = frames.shape[:3]
        self._optics = Optics(*optics)
        self._bank = FrameBank.empty(batch, count, size, depths.shape[-1])
        everything = torch.ones(batch, size, size, dtype=torch.bool)
        rows = torch.arange(batch)
        inverse = 1 / np.clip(depths.astype(np.float32), 0.02, self._optics.far)
        for number in range(count):
            parts = (frames[:, number], inverse[:, number], poses[:, number].astype(np.float32))
            frame = Insertion(*(torch.from_numpy(part.copy()) for part in parts), everything)
            ids = torch.full_like(rows, number)
            self._bank.insert(frame, rows, ids, True, self._optics.field_of_view)

    @torch.inference_mode()
    def view(self, poses: np.ndarray, depths: np.ndarray, rows: np.ndarray) -> SeenView:
        """What the frames of episodes `rows` `[R]` show of the views from poses `[R,4]`, of which
        the engine tells the depths `[R,n,n]`.
        """
        parts = [self._view(*one) for one in zip(rows, poses, depths, strict=True)]
        return SeenView(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def _view(self, row: int, pose: np.ndarray, depth: np.ndarray) -> SeenView:
        """One view at a time: the bank of an episode is not copied for it."""
        bank = self._bank.map(lambda part, _: part[row : row + 1])
        target = torch.from_numpy(pose.astype(np.float32))[None]
        field_of_view, far = self._optics
        slots = select_keyframes(bank, target, SOURCES, field_of_view)
        sources = bank.rows(torch.zeros(1, dtype=torch.long), slots)
        inverse = 1 / torch.from_numpy(depth.astype(np.float32)).clamp(0.02, far)[None]
        everywhere = torch.ones_like(inverse, dtype=torch.bool)
        dense, inside = upsample(inverse, everywhere, sources.rgba.shape[2], 1 / far)
        told = 1 / sources.inverse_depth.float().clamp(min=1 / far)
        surfaces = Surfaces(target, 1 / dense, inside)
        looks = find_looks(sources, told, surfaces, field_of_view, far)
        # the engine's depth is exact: where it disagrees, something else is seen
        shown = looks.inside & (looks.mismatch < AGREEMENT)
        cost = measure_resolution(looks, surfaces) + MISMATCH * looks.mismatch
        found = choose_source(looks, shown, torch.zeros_like(shown), cost)
        rgb, seen, _, _ = close_pixel_holes(*gather_pixels(sources, found))
        warped = ((rgb + 1) * 127.5).round().to(torch.uint8) * seen.unsqueeze(1)
        return SeenView(warped.permute(0, 2, 3, 1).numpy(), seen.numpy())
