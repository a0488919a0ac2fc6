"""A small transformer that reads inverse depth off a picture, taught by an engine's own depth.

Eight by eight patches of the picture go in, as many patches of logarithmic inverse depth at half
the picture's resolution come out. Depth that memory knows already is an input, so that a generated
frame goes on from what it borders on. It will read generated frames, so it learns on noisy, blurred
and mirrored ones too.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.blocks import FeedForward, patchify, unpatchify
from worldsim.world.batch_invariant import attention

GRID = 8  # patches, each way


@dataclass(frozen=True, kw_only=True)
class DepthConfig:
    """frame_size: pixels; near, far: limits of depth in the unit of poses; width, layers, heads: of
    the transformer.
    """

    frame_size: int = 64
    near: float = 0.05
    far: float = 30.0
    width: int = 96
    layers: int = 3
    heads: int = 4

    def __post_init__(self):
        if self.frame_size % (2 * GRID):
            raise ValueError(f"frame_size must be a multiple of {2 * GRID}, got {self.frame_size}")
        if not 0 < self.near < self.far:
            raise ValueError(f"near must be in (0, far), got {self.near} with far {self.far}")

    @property
    def size(self) -> int:
        """Height and width of a depth map."""
        return self.frame_size // 2


class SelfAttentionBlock(nn.Module):
    """A pre-norm transformer block over the tokens of one picture."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = FeedForward(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[B,N,D]`."""
        qkv = self.qkv(self.norm_attention(x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        x = x + self.out(attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))


class DepthNetwork(nn.Module):
    """Pictures `[B,3,H,H]` in -1..1 to inverse depth `[B,H/2,H/2]`."""

    def __init__(self, cfg: DepthConfig):
        super().__init__()
        self.cfg = cfg
        self.patch = cfg.frame_size // GRID
        self.embed = nn.Linear(3 * self.patch**2, cfg.width)
        self.embed_known = nn.Linear(2 * (self.patch // 2) ** 2, cfg.width)
        nn.init.zeros_(self.embed_known.weight)
        nn.init.zeros_(self.embed_known.bias)
        self.position = nn.Parameter(torch.randn(GRID * GRID, cfg.width) * 0.02)
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(cfg.width, cfg.heads) for _ in range(cfg.layers)
        )
        self.norm = nn.LayerNorm(cfg.width)
        self.out = nn.Linear(cfg.width, (self.patch // 2) ** 2)

    def forward(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Logarithm of inverse depth `[B,H/2,H/2]`, not limited.

        Args:
            pictures: `[B,3,H,H]`.
            known: inverse depth `[B,H/2,H/2]` where it is known, 0 elsewhere; None: nowhere.
        """
        tokens = patchify(pictures.unsqueeze(1), self.patch, self.patch).squeeze(1)
        x = self.embed(tokens) + self.position
        if known is not None:
            x = x + self.embed_known(self._known_tokens(known))
        for block in self.blocks:
            x = block(x)
        maps = unpatchify(self.out(self.norm(x)).unsqueeze(1), self.patch // 2, GRID)
        return maps[:, 0, 0] - 1

    def _known_tokens(self, known: Tensor) -> Tensor:
        """Logarithms, and where they are known, of each patch `[B,N,2*(p/2)^2]`."""
        there = (known > 0).to(known.dtype)
        logarithm = known.clamp(1 / self.cfg.far, 1 / self.cfg.near).log() * there
        side = self.patch // 2
        return patchify(torch.stack((logarithm, there), dim=1).unsqueeze(1), side, side).squeeze(1)

    def inverse_depth(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Inverse depth `[B,H/2,H/2]`, between 1 / far and 1 / near; see forward."""
        return self(pictures, known).exp().clamp(1 / self.cfg.far, 1 / self.cfg.near)


def depth_loss(
    network: DepthNetwork, pictures: Tensor, depths: Tensor, generator: torch.Generator
) -> Tensor:
    """Robust error of logarithmic inverse depth, half of the pairs mirrored, noise up to 0.15, and
    half of them with depth known in a part.

    Args:
        network: learns.
        pictures: `[B,3,H,H]` in -1..1.
        depths: `[B,H/2,H/2]` in the unit of poses.
        generator: of everything drawn.
    """
    cfg = network.cfg
    target = -depths.clamp(cfg.near, cfg.far).log()
    flip = torch.rand(len(pictures), generator=generator) < 0.5
    pictures = torch.where(flip[:, None, None, None], pictures.flip(3), pictures)
    target = torch.where(flip[:, None, None], target.flip(2), target)
    known = draw_known(target, generator)
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    soft = torch.rand(len(pictures), generator=generator) < 0.2
    pictures = torch.where(soft[:, None, None, None], blurred, pictures)
    amount = 0.15 * torch.rand(len(pictures), 1, 1, 1, generator=generator)
    noise = torch.randn(pictures.shape, generator=generator)
    return F.smooth_l1_loss(network(pictures + amount * noise, known), target, beta=0.1)


def draw_known(target: Tensor, generator: torch.Generator) -> Tensor:
    """Inverse depth `[B,n,n]` that memory might know of logarithmic targets: all but a strip, all
    but a few places, or nothing; a little wrong.
    """
    batch, n = target.shape[:2]
    low, high = torch.rand(2, batch, 1, 1, generator=generator).mul(1.4).sub(0.2).sort(dim=0).values
    place = (torch.arange(n) + 0.5) / n
    outside = (place < low) | (place > high)
    scattered = torch.rand(batch, 1, n, n, generator=generator)
    scattered = F.avg_pool2d(F.pad(scattered, (1, 1, 1, 1), mode="replicate"), 3, 1).squeeze(1)
    part = outside & (scattered > 0.3 + 0.2 * torch.rand(batch, 1, 1, generator=generator))
    part = part & (torch.rand(batch, 1, 1, generator=generator) < 0.5)
    wrong = 0.03 * torch.randn(batch, 1, 1, generator=generator)
    wrong = wrong + 0.02 * torch.randn(target.shape, generator=generator)
    return (target + wrong).exp() * part
