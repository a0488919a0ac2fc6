"""Depth without anybody who knows it: what makes each frame explain the frames around it.

Every frame of a short clip is looked up in the others through its depth and the motions between
them (SfMLearner, Zhou et al., 2017). As in Monodepth2 (Godard et al., 2019) a place counts where
the frame that shows it best does (the others may hide it), and only where that is better than no
motion at all; as in SC-SfMLearner (Bian et al., 2019) the depths of two frames have to agree, which
says something even where the viewer turns without a stride. Surfaces are taken to be flat where the
picture has no edge.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.own_video.warp import resize_maps, resize_pictures, warp_picture

SSIM_SHARE = 0.85
C1, C2 = 0.01**2, 0.03**2
EDGE = 10.0  # how soon an edge of the picture lets depth bend
HIDDEN = 1e3  # an error that no look-up has


@dataclass(frozen=True, kw_only=True)
class PhotometricLoss:
    """agreement, flatness: weights beside the pictures' error; baseline: how far apart two cameras
    are at least, in the unit of poses, for their pictures to tell of depth.
    """

    agreement: float = 0.3
    flatness: float = 0.1
    baseline: float = 0.1

    def __call__(
        self, inverse: Tensor, pictures: Tensor, poses: Tensor, side: int, field_of_view: float
    ) -> Tensor:
        """The loss of some clips of K frames.

        Args:
            inverse: depth of each frame `[B,K,n,n]`, inverse.
            pictures: uint8 `[B,K,3,H,H]`.
            poses: `[B,K,4]`.
            side: pixels at which pictures are compared.
            field_of_view: degrees.
        """
        batch, length = inverse.shape[:2]
        small = resize_pictures(pictures.flatten(0, 1), side).unflatten(0, (batch, length))
        maps = resize_maps(inverse.flatten(0, 1), side).unflatten(0, (batch, length))
        target, source = torch.cartesian_prod(torch.arange(length), torch.arange(length)).T
        apart = target != source
        target, source = target[apart], source[apart]
        of_target = [part[:, target].flatten(0, 1) for part in (small, maps, poses)]
        of_source = [part[:, source].flatten(0, 1) for part in (small, maps, poses)]
        ways = 1 / of_target[1], of_target[2], of_source[2]
        seen = warp_picture(of_source[0], *ways, field_of_view)
        way = (of_target[2] - of_source[2])[:, [0, 1, 3]].norm(dim=1)
        usable = seen.inside & (way > self.baseline)[:, None, None]
        error = torch.where(usable, compare_pictures(seen.pictures, of_target[0]), HIDDEN)
        still = torch.where(usable, compare_pictures(of_source[0], of_target[0]), HIDDEN)
        # [B,K,K-1,side,side]: the best of the sources of each target
        best, standing = (
            part.view(batch, length, -1, side, side).amin(2) for part in (error, still)
        )
        counts = (best < standing) & (best < HIDDEN)
        shown = (best * counts).sum() / counts.sum().clamp(min=1)
        agree = measure_agreement(seen.grid, seen.depth, seen.inside, of_source[1])
        flat = measure_bending(inverse.flatten(0, 1), pictures.flatten(0, 1))
        return shown + self.agreement * agree + self.flatness * flat


def compare_pictures(shown: Tensor, true: Tensor) -> Tensor:
    """How unlike pictures `[N,3,n,n]` are at each place, `[N,n,n]`: structure and colours."""
    wide = F.pad(torch.cat((shown, true)), (1, 1, 1, 1), mode="reflect")
    a, b = wide.chunk(2)
    mean_a, mean_b = F.avg_pool2d(a, 3, 1), F.avg_pool2d(b, 3, 1)
    spread_a = F.avg_pool2d(a * a, 3, 1) - mean_a * mean_a
    spread_b = F.avg_pool2d(b * b, 3, 1) - mean_b * mean_b
    shared = F.avg_pool2d(a * b, 3, 1) - mean_a * mean_b
    alike = (2 * mean_a * mean_b + C1) * (2 * shared + C2)
    alike = alike / ((mean_a**2 + mean_b**2 + C1) * (spread_a + spread_b + C2))
    structure = ((1 - alike) / 2).clamp(0, 1).mean(dim=1)
    return SSIM_SHARE * structure + (1 - SSIM_SHARE) * (shown - true).abs().mean(dim=1)


def measure_agreement(grid: Tensor, depth: Tensor, inside: Tensor, inverse: Tensor) -> Tensor:
    """By which share depths `[N,n,n]` differ from those of the source, whose inverse depth is
    `[N,n,n]`; what is farther than the source says lies hidden, and does not count by half.
    """
    told = F.grid_sample(
        inverse.unsqueeze(1), grid, padding_mode="border", align_corners=False
    ).squeeze(1)
    product = depth.clamp(min=1e-3) * told  # 1 where they agree
    off = (product - 1).abs() / (product + 1)
    weight = inside * torch.where(product > 1.3, 0.2, 1.0)
    return (off * weight).sum() / weight.sum().clamp(min=1)


def measure_bending(inverse: Tensor, pictures: Tensor) -> Tensor:
    """How much inverse depth `[N,n,n]` bends, of its mean, where pictures uint8 `[N,3,H,H]` have no
    edge: it is linear on a plane.
    """
    small = resize_pictures(pictures, inverse.shape[-1])
    scaled = inverse / inverse.mean(dim=(1, 2), keepdim=True)
    total = inverse.new_zeros(())
    for dim in (1, 2):
        bend = scaled.diff(n=2, dim=dim).abs()
        step = small.diff(dim=dim + 1).abs().mean(dim=1)
        count = step.shape[dim] - 1
        edge = torch.maximum(step.narrow(dim, 0, count), step.narrow(dim, 1, count))
        total = total + (bend * (-EDGE * edge).exp()).mean()
    return total
