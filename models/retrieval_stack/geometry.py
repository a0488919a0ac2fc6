"""Memory in space: remembered frames are seen again from where the dreamer arrives, and true frames
say where he stands.

Distances make points of remembered pictures (models/memory/depth.py), a pose makes a view of the
points (models/memory/camera.py), and views are weighed against what the network predicts
(models/retrieval_stack/fusion.py). So a step moves the picture exactly as far as dead reckoning
says, and what is remembered stays crisp. GEN3C (arXiv 2503.03751) keeps such a memory beside a
video model; there a depth network of another project makes the points, here it is learnt from the
same episodes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.codec.patch_autoencoder import PatchAutoencoder
from models.memory.camera import in_frustum, project, sample_image, unproject
from models.memory.depth import DepthNet
from models.memory.pose import compose_pose, distance
from models.memory.warp import warp
from models.retrieval_stack.fusion import Fusion, Views

SEEN = 0.9  # share of a cell that must be seen for the cell to be taken over
AWAY = 5.0  # beyond that, keyframes are equally far
LOOKS = 32  # pixels a side by which places are compared
SIDE = 2  # places that are tried each way, ahead and to the left
STRAYS = 0.3  # what a place one unit (squared) from the expected one must gain to be as good
UNSEEN = 0.15  # what a pixel counts that the other picture does not show, and
WRONG = 0.5  # at most where they differ


@dataclass(frozen=True, kw_only=True)
class GeometryConfig:
    """Lengths are in the unit of poses: cells of the maze, blocks of the forest.

    near, far: bounds of distances. sources: how many keyframes a view is made of, none further than
    reach (models/memory/pose.py has the measure). steps: how finely places are compared, coarse
    first. surprise: how much more alike another place must look than the one that dead reckoning
    tells. lends: whether cells of views may be shown as they are
    (models/retrieval_stack/retrieval.py); views have 64 pixels a side, so those of larger frames
    are too soft for that. width, fusion: numbers inside the networks.
    """

    near: float
    far: float
    sources: int = 4
    reach: float = 3.0
    steps: tuple[float, ...] = (0.1, 0.04)
    surprise: float = 0.04
    lends: bool = True
    width: int = 96
    fusion: int = 48

    def __post_init__(self):
        if not 0 < self.near < self.far:
            raise ValueError(f"near must be in (0, far), got {self.near} with far {self.far}")


class Geometry(nn.Module):
    """Args: cfg; the codec whose latents are looked at; the field of view in degrees."""

    def __init__(self, cfg: GeometryConfig, codec: PatchAutoencoder, field_of_view: float):
        super().__init__()
        self.cfg, self.fov = cfg, field_of_view
        self.depth = DepthNet(codec.cfg.channels, cfg.width, cfg.near, cfg.far)
        self.fusion = Fusion(codec.cfg.channels, cfg.fusion)
        self.show, self.read = codec.small, codec.read_small  # no weights of its own

    def render(
        self, newest: Tensor, here: Tensor, keyframes: Tensor, theirs: Tensor, arrives: Tensor
    ) -> Views:
        """What one dream remembers, from where it arrives.

        Args:
            newest: latents `[1,C,h,w]` of the newest frame, or of none `[0,C,h,w]`.
            here: its pose `[1,3]`, or of none.
            keyframes: latents `[M,C,h,w]` of old frames, the nearest first.
            theirs: their poses `[M,3]`.
            arrives: pose `[1,3]`.
        """
        apart = distance(arrives, theirs)
        used = apart[: self.cfg.sources] < self.cfg.reach
        old, theirs = keyframes[: len(used)][used], theirs[: len(used)][used]
        latents, poses = torch.cat((newest, old.to(newest.dtype))), torch.cat((here, theirs))
        nearest = apart[:1] if len(apart) else arrives.new_full((1,), AWAY)
        if not len(latents):
            nothing = arrives.new_zeros(1, *keyframes.shape[1:])
            return Views(nothing, nothing[:, :1], nothing, nothing[:, :1], nearest)
        shown, distances = self.show(latents), self.depth(latents)
        pictures, seen = shown.new_zeros(2, *shown.shape[1:]), shown.new_zeros(2, *shown.shape[2:])
        for place, of in enumerate((slice(0, len(newest)), slice(len(newest), None))):
            if len(latents[of]):
                found = warp(shown[of], distances[of], poses[of], arrives[0], self.fov)
                pictures[place], seen[place] = found
        read = self.read(pictures)
        share = F.adaptive_avg_pool2d(seen.unsqueeze(1), read.shape[-1])
        return Views(read[:1], share[:1], read[1:], share[1:], nearest.clamp(max=AWAY))

    def refine_pose(
        self, latents: Tensor, expected: Tensor, others: Tensor, theirs: Tensor
    ) -> Tensor:
        """Where a true frame was seen from, `[3]`: places around the expected one are tried, and
        one that looks more alike by `surprise` is believed. Headings are known.

        Args:
            latents: `[1,C,h,w]` of the frame.
            expected: pose `[3]` by dead reckoning.
            others: latents `[S,C,h,w]` of other frames.
            theirs: poses `[S,3]` of those.
        """
        picture, shown = (
            F.adaptive_avg_pool2d(self.show(part), LOOKS) for part in (latents, others)
        )
        distances = F.interpolate(self.depth(latents), size=LOOKS, mode="area")
        offset, before = expected.new_zeros(2), None
        for step in self.cfg.steps:
            steps = torch.arange(-SIDE, SIDE + 1, device=expected.device) * step
            tried = torch.cartesian_prod(steps, steps) + offset
            poses = compose_pose(expected, tried, torch.zeros_like(tried[:, 0]))
            error = self._error(picture, distances, poses, shown, theirs)
            error = error + STRAYS * tried.square().sum(dim=1)
            if before is None:
                before = error[len(error) // 2]
            offset, best = tried[error.argmin()], error.min()
        if before - best <= self.cfg.surprise:
            return expected
        return compose_pose(expected, offset, torch.zeros_like(offset[0]))

    def _error(
        self, picture: Tensor, distances: Tensor, poses: Tensor, shown: Tensor, theirs: Tensor
    ) -> Tensor:
        """How unlike a picture `[1,3,n,n]` seen from each of the poses `[P,3]` is to others
        `[S,3,n,n]`, `[P]`.
        """
        tried, others = len(poses), len(shown)
        there = unproject(distances.expand(tried, -1, -1, -1), poses, self.fov).repeat(
            others, 1, 1, 1
        )
        places, ahead = project(there, theirs.repeat_interleave(tried, dim=0), self.fov)
        found = sample_image(shown.repeat_interleave(tried, dim=0), places)
        unlike = (found - picture).abs().mean(dim=1).clamp(max=WRONG)
        unlike = torch.where(in_frustum(places, ahead), unlike, UNSEEN)
        return unlike.mean(dim=(1, 2)).view(others, tried).mean(dim=0)


def candidates(views: Views) -> Tensor:
    """Cells `[N,C]` of one dream's views that may be taken over as they are."""
    parts = ((views.newest, views.newest_seen), (views.keyframes, views.keyframes_seen))
    return torch.cat([view[0].flatten(1).T[seen[0].flatten() >= SEEN] for view, seen in parts])
