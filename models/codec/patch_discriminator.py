"""A patch discriminator (pix2pix, arXiv 1611.07004) and the losses around it (VQGAN, arXiv
2012.09841): whether patches of a picture look real. Knows no autoencoder.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def patch_discriminator(width: int = 64, layers: int = 3) -> nn.Sequential:
    """A network: pictures `[B,3,H,W]` in -1..1 -> logits `[B,1,h,w]`, each of one patch.

    Args:
        width: channels of the first layer; doubled by each, eightfold at most.
        layers: how often the resolution is halved; 3 look at patches of 70 pixels.
    """
    widths = [width * min(2**i, 8) for i in range(layers + 1)]
    net: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for i, (a, b) in enumerate(pairwise(widths), 1):
        stride = 1 if i == layers else 2
        net += [nn.Conv2d(a, b, 4, stride, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
    model = nn.Sequential(*net, nn.Conv2d(widths[-1], 1, 4, 1, 1))
    for module in model:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return model


def hinge_loss(real: Tensor, made: Tensor) -> Tensor:
    """The discriminator's, of its logits."""
    return (F.relu(1 - real).mean() + F.relu(1 + made).mean()) / 2


def balance(faithful: Tensor, adversarial: Tensor, weight: Tensor) -> Tensor:
    """What the adversarial loss is multiplied with, so that both losses pull equally at the last
    layer's `weight`.
    """
    pulls = (
        torch.autograd.grad(loss, weight, retain_graph=True)[0].norm()
        for loss in (faithful, adversarial)
    )
    ours, theirs = pulls
    return (ours / (theirs + 1e-4)).clamp(0, 1e4).detach()
