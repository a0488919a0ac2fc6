"""The loss of the depth network: pictures as play shows them, beside depth that an engine rendered.

In play it reads true frames, and generated ones: sharp where memory showed what is true, and as
blurred and broken as a decoder's pictures elsewhere. So it learns on both. What memory knows of the
depth is an input, a hint that a dream has made up itself and that may be wrong by any factor over
large places: the picture decides, or an error would be read, remembered and read again for ever. A
network that completes (`DepthConfig.completes`) may trust it, and learns that what stands out in a
small hole of memory is an error, as far as what is around it: right where surfaces are few and
large.
Nothing generated is needed for that: true frames through the codec, their latents wrong, look like
generated ones, and their depth is known.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.codec.patch_autoencoder import PatchAutoencoder
from models.memory.depth_network import DepthNetwork

LIKE_TRUE = 0.35  # share of pictures that are left as they are
NOTHING_KNOWN = 0.35  # share of pictures of which no depth is known
REMEMBERED_SHARP = 0.5  # share of pictures whose remembered places are true, so sharp
STRANGE = 0.5  # where the network completes: share of pictures with something else in small holes
MISLED = 0.6  # else: share of pictures whose remembered depth is wrong over large places
MOST_WRONG = 1.5  # of logarithms of depth there, at most, one standard deviation
ANOTHER = 0.2  # of such a picture, about, is remembered to be another one
PATCHES = (2, 3, 4, 6, 8)  # places across a picture that are wrong alike
GRAINS = (1, 3, 5)  # places that small holes measure, about
MOST_NOISE = 0.6  # of latents, whose mean square is 1
PIXEL_NOISE = 0.1
BETA = 0.03  # of logarithms: below it errors count by their squares
EDGES = 0.5  # weight of errors of differences between neighbours


def depth_loss(
    network: DepthNetwork,
    codec: PatchAutoencoder,
    pictures: Tensor,
    depths: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Robust error of logarithmic inverse depth.

    Args:
        network: learns.
        codec: breaks pictures as it breaks generated ones.
        pictures: `[B,3,H,H]` in -1..1.
        depths: `[B,H/2,H/2]` in the unit of poses.
        generator: of everything drawn.
    """
    cfg = network.cfg
    target = -depths.clamp(cfg.near, cfg.far).log()
    flip = draw_rows(0.5, pictures, generator)
    pictures = torch.where(flip[:, None, None, None], pictures.flip(3), pictures)
    target = torch.where(flip[:, None, None], target.flip(2), target)
    like_true = draw_rows(LIKE_TRUE, pictures, generator)[:, None, None]
    strip, holes = draw_strips(target, generator), draw_holes(target, generator)
    seen = ~(strip | holes)
    sharp = draw_rows(REMEMBERED_SHARP, pictures, generator)[:, None, None]
    shown = mix_broken(codec, pictures, (seen & sharp) | like_true, generator)
    odd = draw_rows(STRANGE * cfg.completes, pictures, generator)[:, None, None]
    shown = torch.where(enlarge(holes & odd & ~like_true), shown.roll(1, dims=0), shown)
    nothing = draw_rows(NOTHING_KNOWN, pictures, generator)[:, None, None]
    misled = 0.0 if cfg.completes else MISLED
    known = draw_known(target, seen & ~nothing & ~like_true, misled, generator)
    error = network(shown, known).float() - target
    return measure(error) + EDGES * (measure(error.diff(dim=1)) + measure(error.diff(dim=2)))


def measure(errors: Tensor) -> Tensor:
    """Mean robust size of errors."""
    return F.smooth_l1_loss(errors, torch.zeros_like(errors), beta=BETA)


def draw_uniform(*shape: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in 0..1, drawn on the CPU, so that they are the same on every device; given where
    `like` lies.
    """
    return torch.rand(shape, generator=generator).to(like.device)


def draw_normal(*shape: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Normal numbers; as draw_uniform."""
    return torch.randn(shape, generator=generator).to(like.device)


def draw_rows(share: float, like: Tensor, generator: torch.Generator) -> Tensor:
    """Bool `[B]` of `like` `[B,...]`, true in about this share."""
    return draw_uniform(len(like), like=like, generator=generator) < share


def draw_strips(like: Tensor, generator: torch.Generator) -> Tensor:
    """The vertical strip of maps `[B,n,n]` that memory does not show, up to all of it."""
    batch, n = like.shape[:2]
    bounds = draw_uniform(2, batch, 1, 1, like=like, generator=generator).mul(1.4).sub(0.2)
    low, high = bounds.sort(dim=0).values
    place = (torch.arange(n, device=like.device) + 0.5) / n
    return ((place > low) & (place < high)).expand(batch, n, n)


def draw_holes(like: Tensor, generator: torch.Generator) -> Tensor:
    """Small places of maps `[B,n,n]` that memory does not show, from few to nearly all."""
    batch, n = like.shape[:2]
    grain = GRAINS[int(torch.randint(len(GRAINS), (), generator=generator))]
    noise = draw_normal(batch, 1, n, n, like=like, generator=generator)
    smooth = grain * F.avg_pool2d(F.pad(noise, (grain // 2,) * 4, mode="reflect"), grain, 1)
    share = 0.95 * draw_uniform(batch, 1, 1, like=like, generator=generator)
    return smooth.squeeze(1) < torch.special.ndtri(share)


def enlarge(maps: Tensor) -> Tensor:
    """Bool maps `[B,n,n]` at the resolution of pictures `[B,1,2n,2n]`."""
    return maps.repeat_interleave(2, 1).repeat_interleave(2, 2).unsqueeze(1)


def draw_known(target: Tensor, seen: Tensor, misled: float, generator: torch.Generator) -> Tensor:
    """Inverse depth `[B,n,n]` that memory might know of logarithmic targets where they are seen; 0
    elsewhere. A little wrong in all pictures, in a share of `misled` by any factor over large
    places.
    """
    by_far = draw_rows(misled, target, generator)[:, None, None]
    another = draw_patches(target, generator) > torch.special.ndtri(torch.tensor(1 - ANOTHER))
    told = torch.where(by_far & another, target.roll(1, dims=0), target)
    amount = MOST_WRONG * draw_uniform(len(target), 1, 1, like=target, generator=generator).square()
    wrong = by_far * amount * draw_patches(target, generator)
    wrong = wrong + 0.03 * draw_normal(len(target), 1, 1, like=target, generator=generator)
    wrong = wrong + 0.02 * draw_normal(*target.shape, like=target, generator=generator)
    return (told + wrong).exp() * seen


def draw_patches(like: Tensor, generator: torch.Generator) -> Tensor:
    """Maps `[B,n,n]` of about normal numbers that are alike over large places."""
    batch, n = like.shape[:2]
    across = PATCHES[int(torch.randint(len(PATCHES), (), generator=generator))]
    coarse = draw_normal(batch, 1, across, across, like=like, generator=generator)
    return F.interpolate(coarse, (n, n), mode="bicubic", align_corners=True).squeeze(1)


@torch.no_grad()
def mix_broken(
    codec: PatchAutoencoder, pictures: Tensor, seen: Tensor, generator: torch.Generator
) -> Tensor:
    """Pictures `[B,3,H,H]` that are broken where they are not seen `[B,H/2,H/2]`."""
    shown = torch.where(enlarge(seen), pictures, break_pictures(codec, pictures, generator))
    amount = PIXEL_NOISE * draw_uniform(len(pictures), 1, 1, 1, like=shown, generator=generator)
    return shown + amount * draw_normal(*pictures.shape, like=shown, generator=generator)


def break_pictures(codec: PatchAutoencoder, pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures `[B,3,H,H]` as decoded from latents that lie, by other amounts in each, between
    themselves and the mean of their neighbours, with noise.
    """
    latents = codec.encode_pictures(pictures)
    around = F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, 1)
    amounts = draw_uniform(2, len(pictures), 1, 1, 1, like=latents, generator=generator)
    fog, noise = amounts.unbind()
    noisy = draw_normal(*latents.shape, like=latents, generator=generator)
    wrong = MOST_NOISE * noise.square() * noisy
    return codec.paint(torch.lerp(latents, around, fog.square()) + wrong).clamp(-1, 1)
