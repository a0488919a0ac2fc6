"""A small network that reads inverse depth off a picture, taught by an engine's own depth.

Convolutions find edges at half the picture's resolution, a transformer over eight by eight cells
between them knows where things are, and logarithmic inverse depth at half the resolution comes out.
Depth that memory knows already is an input, so that a generated frame goes on from what it borders
on. It will read generated frames, so it learns on pictures that the codec has blurred and broken
too (models/training/spatial_depth.py).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.blocks import FeedForward, patchify, unpatchify
from worldsim.world.batch_invariant import attention

GRID = 8  # cells, each way
MEAN_LOG = -1.0  # of inverse depth, where learning begins


@dataclass(frozen=True, kw_only=True)
class DepthConfig:
    """frame_size: pixels; near, far: limits of depth in the unit of poses; width, layers, heads: of
    the transformer; channels: of the convolutions at half and at a quarter of the resolution.
    """

    frame_size: int = 64
    near: float = 0.05
    far: float = 30.0
    width: int = 96
    layers: int = 3
    heads: int = 4
    channels: tuple[int, int] = (16, 48)

    def __post_init__(self):
        if self.frame_size % (4 * GRID):
            raise ValueError(f"frame_size must be a multiple of {4 * GRID}, got {self.frame_size}")
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
        fine, coarse = cfg.channels
        self.cell = cfg.size // 2 // GRID
        self.down = nn.Conv2d(3, fine, 4, stride=2, padding=1)
        self.down_known = nn.Conv2d(2, fine, 3, padding=1)
        self.downer = nn.Conv2d(fine, coarse, 4, stride=2, padding=1)
        self.embed = nn.Linear(coarse * self.cell**2, cfg.width)
        self.position = nn.Parameter(torch.randn(GRID * GRID, cfg.width) * 0.02)
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(cfg.width, cfg.heads) for _ in range(cfg.layers)
        )
        self.norm = nn.LayerNorm(cfg.width)
        self.spread = nn.Linear(cfg.width, coarse * self.cell**2)
        self.upper = nn.Conv2d(coarse, 4 * fine, 3, padding=1)
        self.up = nn.Conv2d(fine, fine, 3, padding=1)
        self.out = nn.Conv2d(fine, 1, 3, padding=1)

    def forward(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Logarithm of inverse depth `[B,H/2,H/2]`, not limited.

        Args:
            pictures: `[B,3,H,H]`.
            known: inverse depth `[B,H/2,H/2]` where it is known, 0 elsewhere; None: nowhere.
        """
        known = pictures.new_zeros(len(pictures), *(self.cfg.size,) * 2) if known is None else known
        fine = F.silu(self.down(pictures) + self.down_known(self._known_planes(known)))
        coarse = F.silu(self.downer(fine))
        coarse = F.silu(coarse + self._look_around(coarse))
        fine = fine + F.silu(F.pixel_shuffle(self.upper(coarse), 2))
        fine = fine + F.silu(self.up(fine))
        return self.out(fine).squeeze(1) + MEAN_LOG

    def _known_planes(self, known: Tensor) -> Tensor:
        """Logarithms, and where they are known: `[B,2,n,n]`."""
        there = (known > 0).to(known.dtype)
        logarithm = known.clamp(1 / self.cfg.far, 1 / self.cfg.near).log() * there
        return torch.stack((logarithm, there), dim=1)

    def _look_around(self, coarse: Tensor) -> Tensor:
        """What each place `[B,C,n/2,n/2]` learns from all others."""
        x = self.embed(patchify(coarse.unsqueeze(1), self.cell, self.cell).squeeze(1))
        x = x + self.position
        for block in self.blocks:
            x = block(x)
        return unpatchify(self.spread(self.norm(x)).unsqueeze(1), self.cell, GRID).squeeze(1)

    def inverse_depth(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Inverse depth `[B,H/2,H/2]`, between 1 / far and 1 / near; see forward."""
        return self(pictures, known).exp().clamp(1 / self.cfg.far, 1 / self.cfg.near)
