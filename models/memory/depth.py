"""How far away things are in a frame, learnt from how pictures change when one walks.

Nobody says how far anything is. But the poses of an episode say how the camera moved, so distances
that are right make one frame out of another (Garg et al., arXiv 1603.04992; Godard et al.,
arXiv 1806.01260): that is the whole loss.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.memory.camera import in_frustum, project, sample_image, unproject

FINER = 4  # distances a latent cell has, each way
FLAT = 0.003  # how much smooth distances count beside pictures that agree


class DepthNet(nn.Module):
    """Distances of what latents show, between `near` and `far` in the unit of poses.

    Args:
        channels: C of the latents.
        width: channels inside.
        near: as near as anything gets.
        far: beyond that everything is equally far.
    """

    def __init__(self, channels: int, width: int, near: float, far: float):
        super().__init__()
        self.near, self.far = near, far
        self.inlet = nn.Conv2d(channels + 2, width, 3, padding=1)
        self.middle = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.outlet = nn.Conv2d(width, FINER**2, 1)

    def forward(self, latents: Tensor) -> Tensor:
        """Distances along the view `[N,1,FINER*h,FINER*w]` of latents `[N,C,h,w]`."""
        number, _, tall, wide = latents.shape
        at = {"device": latents.device, "dtype": latents.dtype}
        row = torch.linspace(-1, 1, tall, **at)[:, None].expand(number, 1, tall, wide)
        column = torch.linspace(-1, 1, wide, **at).expand(number, 1, tall, wide)
        x = F.silu(self.inlet(torch.cat((latents / 2, row, column), dim=1)))
        for layer in self.middle:
            x = x + F.silu(layer(x))
        nearness = torch.sigmoid(F.pixel_shuffle(self.outlet(x) - 2, FINER))
        return 1 / (1 / self.far + (1 / self.near - 1 / self.far) * nearness)


def photometric_loss(
    distances: Tensor, pictures: Tensor, poses: Tensor, others: Tensor, theirs: Tensor, fov: float
) -> Tensor:
    """How unlike pictures are to what others show of the same things.

    Args:
        distances: `[B,1,n,n]` of what the pictures show.
        pictures: `[B,3,H,H]` in -1..1.
        poses: `[B,3]` they were seen from.
        others: `[B,S,3,H,H]`; each place counts in the one that shows it best, since things hide
            each other.
        theirs: poses `[B,S,3]` of the others.
        fov: degrees.
    """
    count, size = others.shape[1], pictures.shape[-1]
    fine = F.interpolate(distances, size=size, mode="bilinear", align_corners=False)
    there = unproject(fine, poses, fov).repeat_interleave(count, dim=0)
    places, ahead = project(there, theirs.flatten(0, 1), fov)
    shown = sample_image(others.flatten(0, 1), places)
    error = _unlike(shown, pictures.repeat_interleave(count, dim=0))
    error = error.masked_fill(~in_frustum(places, ahead), torch.inf).unflatten(0, (-1, count))
    best = error.amin(dim=1)
    return best[best.isfinite()].mean() + FLAT * _rough(1 / distances, pictures)


def _unlike(a: Tensor, b: Tensor) -> Tensor:
    """Structural dissimilarity and absolute error, place by place: `[N,3,H,H]` -> `[N,H,H]`."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)

    at_a, at_b = mean(a), mean(b)
    spread = mean(a * a) - at_a**2 + mean(b * b) - at_b**2
    common = mean(a * b) - at_a * at_b
    alike = (2 * at_a * at_b + 0.01) * (2 * common + 0.03)
    alike = alike / ((at_a**2 + at_b**2 + 0.01) * (spread + 0.03))
    return (0.4 * (1 - alike).clamp(0, 2) + 0.4 * (a - b).abs()).mean(dim=1)


def _rough(nearness: Tensor, pictures: Tensor) -> Tensor:
    """How much nearness `[B,1,n,n]` changes where pictures `[B,3,H,H]` do not."""
    relative = nearness / nearness.mean(dim=(2, 3), keepdim=True)
    shown = F.adaptive_avg_pool2d(pictures, nearness.shape[-1])
    edges = (shown.diff(dim=axis).abs().mean(dim=1, keepdim=True) for axis in (2, 3))
    changes = (relative.diff(dim=axis).abs() for axis in (2, 3))
    return sum((c * torch.exp(-3 * e)).mean() for c, e in zip(changes, edges, strict=True))
