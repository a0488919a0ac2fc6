"""A video autoencoder out of an image autoencoder of the same widths (MAGVIT-v2's inflation, arXiv
2310.05737): the image's kernel goes into the newest slice of time.

With `rest="zeros"` the start gives each frame what the image autoencoder gives it. The paper leaves
the other slices random (`rest="random"`), which does not.
"""

from typing import Literal

import torch
from torch import Tensor, nn


@torch.no_grad()
def inflate(
    video: nn.Module, image: dict[str, Tensor], rest: Literal["zeros", "random"] = "zeros"
) -> list[str]:
    """Take the weights of an image autoencoder.

    Args:
        video: changed.
        image: weights of one with `time_kernel` 1.
        rest: what is in the older slices.

    Returns:
        Names of weights that stay random, since their number of channels differs (the image
        autoencoder's latent may have another width).

    Raises:
        ValueError: the two have other layers.
    """
    mine = dict(video.named_parameters())
    if set(mine) != set(image):
        odd = sorted(set(mine) ^ set(image))[0]
        raise ValueError(f"both autoencoders must have the same layers, got {odd} in one of them")
    return [name for name, weight in mine.items() if not _take(weight, image[name], rest)]


def _take(weight: Tensor, image: Tensor, rest: str) -> bool:
    if weight.ndim < 5:
        fits = weight.shape == image.shape
        return bool(weight.copy_(image).ndim) if fits else False
    if weight.shape[:2] != image.shape[:2]:
        return False
    if rest == "zeros":
        weight.zero_()
    weight[:, :, -1] = image[:, :, -1]
    return True
