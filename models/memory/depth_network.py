"""A small network that reads inverse depth off a picture, taught by an engine's own depth.

A transformer over eight by eight patches of the picture says how far things are, as logarithmic
inverse depth at half the picture's resolution; convolutions at that resolution then find where
surfaces end. Depth that memory knows already is an input, so that a generated frame goes on from
what it borders on. It will read generated frames, so it learns on pictures that the codec has
blurred and broken too (models/training/depth_loss.py).
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


class EdgeNetwork(nn.Module):
    """What patches get wrong where surfaces end, and where they meet known depth.

    Args:
        fine, coarse: channels at the maps' resolution and at half of it.
    """

    def __init__(self, fine: int, coarse: int):
        super().__init__()
        self.pictures = nn.Conv2d(3, fine, 4, stride=2, padding=1)
        self.maps = nn.Conv2d(3, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, coarse, 4, stride=2, padding=1)
        self.middle = nn.Conv2d(coarse, coarse, 3, padding=1)
        self.up = nn.Conv2d(coarse, 4 * fine, 1)
        self.last = nn.Conv2d(fine, fine, 3, padding=1)
        self.out = nn.Conv2d(fine, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """Corrections `[B,1,n,n]` of pictures `[B,3,2n,2n]` and maps `[B,3,n,n]`."""
        x = F.silu(self.pictures(pictures) + self.maps(maps))
        low = F.silu(self.down(x))
        low = low + F.silu(self.middle(low))
        x = x + F.silu(F.pixel_shuffle(self.up(low), 2))
        x = x + F.silu(self.last(x))
        return self.out(x)


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
        self.edges = EdgeNetwork(*cfg.channels)

    def forward(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Logarithm of inverse depth `[B,H/2,H/2]`, not limited.

        Args:
            pictures: `[B,3,H,H]`.
            known: inverse depth `[B,H/2,H/2]` where it is known, 0 elsewhere; None: nowhere.
        """
        known = pictures.new_zeros(len(pictures), *(self.cfg.size,) * 2) if known is None else known
        there = (known > 0).to(known.dtype)
        logarithm = known.clamp(1 / self.cfg.far, 1 / self.cfg.near).log() * there
        planes = torch.stack((logarithm, there), dim=1)
        rough = self._look_around(pictures, planes)
        return (rough + self.edges(pictures, torch.cat((planes, rough), dim=1))).squeeze(1)

    def _look_around(self, pictures: Tensor, planes: Tensor) -> Tensor:
        """Logarithm of inverse depth `[B,1,n,n]`, patch by patch."""
        side = self.patch // 2
        x = self.embed(patchify(pictures.unsqueeze(1), self.patch, self.patch).squeeze(1))
        x = x + self.position + self.embed_known(patchify(planes.unsqueeze(1), side, side)[:, 0])
        for block in self.blocks:
            x = block(x)
        return unpatchify(self.out(self.norm(x)).unsqueeze(1), side, GRID)[:, 0] - 1

    def inverse_depth(self, pictures: Tensor, known: Tensor | None = None) -> Tensor:
        """Inverse depth `[B,H/2,H/2]`, between 1 / far and 1 / near; see forward."""
        return self(pictures, known).exp().clamp(1 / self.cfg.far, 1 / self.cfg.near)
