"""A small network that reads inverse depth off a picture, taught by an engine's own depth.

A U-Net, with a transformer over its coarsest places: those see the whole picture and say how far
things are, the finer ones where surfaces end. Depth that memory knows already is an input, so that
a generated frame goes on from what it borders on. It will read generated frames, so it learns on
pictures that the codec has blurred and broken too (models/training/depth_loss.py).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.blocks import FeedForward
from models.nn.residual import ResidualBlock
from worldsim.world.batch_invariant import attention

GRID = 8  # coarsest places, each way


@dataclass(frozen=True, kw_only=True)
class DepthConfig:
    """frame_size: pixels; near, far: limits of depth in the unit of poses; fine: channels of the
    finest places, those of a depth map, doubled with each halving of the resolution; width, layers,
    heads: of the transformer; completes: whether known depth stays as it is and the network fills
    in the rest, as one that has learnt so does; else it is a hint that the picture may overrule.
    """

    frame_size: int = 64
    near: float = 0.05
    far: float = 30.0
    fine: int = 24
    width: int = 96
    layers: int = 3
    heads: int = 4
    completes: bool = False

    def __post_init__(self):
        if self.frame_size != 2 * GRID * 2**self.halvings:
            raise ValueError(
                f"frame_size must be {2 * GRID} times a power of two, got {self.frame_size}"
            )
        if not 0 < self.near < self.far:
            raise ValueError(f"near must be in (0, far), got {self.near} with far {self.far}")

    @property
    def size(self) -> int:
        """Height and width of a depth map."""
        return self.frame_size // 2

    @property
    def halvings(self) -> int:
        """How often the resolution of a depth map is halved, down to the coarsest places."""
        return max(self.size // GRID, 1).bit_length() - 1


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
        widths = [cfg.fine * 2**i for i in range(cfg.halvings)] + [cfg.width]
        steps = list(pairwise(widths))
        self.pictures = nn.Conv2d(3, widths[0], 4, stride=2, padding=1)
        self.maps = nn.Conv2d(2, widths[0], 3, padding=1)
        self.before = nn.ModuleList(ResidualBlock(width) for width in widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in steps)
        self.position = nn.Parameter(torch.randn(GRID * GRID, cfg.width) * 0.02)
        self.blocks = nn.ModuleList(
            SelfAttentionBlock(cfg.width, cfg.heads) for _ in range(cfg.layers)
        )
        self.norm = nn.LayerNorm(cfg.width)
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in steps)
        self.after = nn.ModuleList(ResidualBlock(width) for width in widths[:-1])
        self.out = nn.Conv2d(widths[0], 1, 3, padding=1)

    def forward(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Logarithm of inverse depth `[B,H/2,H/2]`, not limited.

        Args:
            pictures: `[B,3,H,H]`.
            known: inverse depth `[B,H/2,H/2]` where it is known, 0 elsewhere; None: nowhere.
        """
        known = pictures.new_zeros(len(pictures), *(self.cfg.size,) * 2) if known is None else known
        there = (known > 0).to(known.dtype)
        logarithm = known.clamp(1 / self.cfg.far, 1 / self.cfg.near).log() * there
        x = self.pictures(pictures) + self.maps(torch.stack((logarithm, there), dim=1))
        finer = []
        for block, down in zip(self.before, self.down, strict=True):
            finer.append(block(x))
            x = down(F.silu(finer[-1]))
        x = self._look_around(x)
        stages = zip(self.up, self.after, finer, strict=True)
        for up, block, skipped in reversed(list(stages)):
            x = block(skipped + F.pixel_shuffle(up(F.silu(x)), 2))
        return self.out(F.silu(x)).squeeze(1) - 1

    def _look_around(self, x: Tensor) -> Tensor:
        """Coarsest places `[B,width,GRID,GRID]`, each of which has seen the others."""
        tokens = x.flatten(2).mT + self.position
        for block in self.blocks:
            tokens = block(tokens)
        return x + self.norm(tokens).mT.unflatten(2, (GRID, GRID))

    def inverse_depth(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Inverse depth `[B,H/2,H/2]`, between 1 / far and 1 / near; see forward."""
        told = self(pictures, known).exp().clamp(1 / self.cfg.far, 1 / self.cfg.near)
        if known is None or not self.cfg.completes:
            return told
        return torch.where(known > 0, known, told)
