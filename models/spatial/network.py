"""FAR with a memory in space: the network. It sees what memory shows of the frame it makes.

Every cell gets its noisy latents beside the latents of the memory view, the visibility mask and
the inverse depth. Narrow blocks work on cells; groups of 2 x 2 cells are wide tokens, which attend
to each other and to the cached keys and values of context frames (FAR-Long, arXiv 2503.19325):
fine tokens of the newest and of the best-covering frames, coarse tokens of the long past. Keys
carry the pose that their frame was seen from, so what is cached stays valid wherever one goes.
Context frames attend to themselves alone: each is encoded once.

Shapes: B rows, S tokens of a frame, D width, C channels, h = w latent size, R context frames.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.nn.blocks import (
    Block,
    FeedForward,
    Modulation,
    modulate,
    patchify,
    timestep_embedding,
    unpatchify,
)
from models.nn.float32_angles import Float32Angles
from models.nn.geometric_attention import attach_poses, geometric_attention
from models.nn.relative_pose import HARMONICS, NUMBERS, TokenPose, carry_poses, token_poses
from models.nn.rope import AXES, far_long_frequencies, kernel_bias, rotation
from models.spatial.config import NetworkConfig
from worldsim.world.batch_invariant import attention

MASK_CELL, DEPTH_CELL = 8, 4  # mask bits and inverse depths of a cell, each way
FINE, COARSE_KIND = 0, 1
JUMPS = (1.0, 0.5, 0.25, 0.125)  # lengths of a sampler step that the network may be told
SHORTEST = len(JUMPS) - 1


class FrameCondition(NamedTuple):
    """What is known about the frame that is made, before it is.

    view `[B,C,h,w]` latents of what memory shows, mask `[B,64,h,w]` and inverse_depth `[B,16,h,w]`
    of every cell; actions `[B]` (-1: none), motions `[B,3]` and poses `[B,4]`.
    """

    view: Tensor
    mask: Tensor
    inverse_depth: Tensor
    actions: Tensor
    motions: Tensor
    poses: Tensor

    @property
    def seen(self) -> Tensor:
        """Share of each cell that memory shows, `[B,1,h,w]`."""
        return self.mask.mean(dim=1, keepdim=True)


class KV(NamedTuple):
    """Keys and values of context tokens: of each layer, `[B,H,N,d]`."""

    k: list[Tensor]
    v: list[Tensor]


class NarrowBlock(nn.Module):
    """A block over the cells of one frame: attention and MLP, modulated."""

    def __init__(self, width: int, heads: int, ratio: float, condition: int):
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(condition, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_q, self.norm_k = nn.RMSNorm(width // heads), nn.RMSNorm(width // heads)
        self.mlp = FeedForward(width, ratio)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x `[B,N,D]`, condition `[B,1,E]`."""
        first, second = modulations(self.modulation(condition))
        qkv = self.qkv(modulate(x, first)).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        found = attention(self.norm_q(q), self.norm_k(k), v).transpose(1, 2).flatten(2)
        x = torch.addcmul(x, first.gate, self.out(found))
        return torch.addcmul(x, second.gate, self.mlp(modulate(x, second)))


def modulations(numbers: Tensor) -> tuple[Modulation, Modulation]:
    """Shift, scale and gate of both halves of a block from `[B,1,6D]`; all but shifts start at
    one.
    """
    shift, scale, gate, shift2, scale2, gate2 = numbers.chunk(6, dim=-1)
    return Modulation(shift, 1 + scale, 1 + gate), Modulation(shift2, 1 + scale2, 1 + gate2)


class WideBlock(Block):
    """A block of FAR whose fine tokens attend to themselves and to cached context."""

    def __init__(self, width: int, head_size: int, ratio: float, condition: int, last: bool):
        super().__init__(width, head_size, ratio, numbers=NUMBERS, coarse_out=not last)
        self.adaln = nn.Linear(condition, 6 * width)
        nn.init.zeros_(self.adaln.weight)
        nn.init.zeros_(self.adaln.bias)

    def modulation(self, condition: Tensor) -> tuple[Modulation, Modulation]:
        """Of both halves."""
        return modulations(self.adaln(condition))


class SpatialNetwork(nn.Module):
    """The weights, and the passes over context frames and over the frame that is made."""

    def __init__(self, cfg: NetworkConfig, field_of_view: float = 73.0):
        super().__init__()
        self.cfg = cfg
        channels, narrow, wide = cfg.latent_channels, cfg.narrow, cfg.wide
        cells = cfg.latent_size**2
        self.embed_cell = nn.Linear(2 * channels + MASK_CELL**2 + DEPTH_CELL**2 + 1, narrow)
        self.cell_position = nn.Parameter(torch.randn(cells, narrow) * 0.02)
        self.before = nn.ModuleList(
            NarrowBlock(narrow, 4, cfg.mlp_ratio, cfg.condition) for _ in range(cfg.outer)
        )
        self.narrow_to_wide = nn.Linear(4 * narrow, wide)
        self.embed_fine = nn.Linear(4 * channels, wide)
        self.embed_coarse = nn.Linear(channels * cfg.coarse_patch[0] * cfg.coarse_patch[1], wide)
        self.context_kind = nn.Parameter(torch.randn(2, cfg.condition) * 0.02)
        last = cfg.layers - 1
        self.blocks = nn.ModuleList(
            WideBlock(wide, cfg.head_size, cfg.mlp_ratio, cfg.condition, i == last)
            for i in range(cfg.layers)
        )
        self.wide_to_narrow = nn.Linear(wide, 4 * narrow)
        self.after = nn.ModuleList(
            NarrowBlock(narrow, 4, cfg.mlp_ratio, cfg.condition) for _ in range(cfg.outer)
        )
        self.out = nn.Linear(narrow, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.embed_time = nn.Sequential(
            nn.Linear(64, cfg.condition), nn.SiLU(), nn.Linear(cfg.condition, cfg.condition)
        )
        self.embed_action = nn.Embedding(cfg.actions + 1, cfg.condition)
        nn.init.normal_(self.embed_action.weight, std=0.02)
        self.embed_motion = nn.Linear(3, cfg.condition, bias=False)
        self.embed_jump = nn.Embedding(len(JUMPS), cfg.condition)
        nn.init.zeros_(self.embed_jump.weight)
        frequencies = far_long_frequencies(cfg.head_size)
        self._start_as_kernels(frequencies)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.register_buffer("fine_grid", token_grid(cfg, 2, 2, field_of_view), persistent=False)
        coarse = token_grid(cfg, *cfg.coarse_patch, field_of_view)
        self.register_buffer("coarse_grid", coarse, persistent=False)
        self.fine_angles = exported_angles(frequencies, self.fine_grid)
        self.coarse_angles = exported_angles(frequencies, self.coarse_grid)

    @torch.no_grad()
    def _start_as_kernels(self, frequencies: Tensor) -> None:
        bias = kernel_bias(frequencies, self.cfg.wide // self.cfg.head_size).flatten()
        for block in self.blocks:
            for projections in (block.fine, block.coarse):
                for part in projections.qkv.bias.chunk(3)[:2]:
                    part.copy_(bias)

    # ---- poses ----

    def place_tokens(self, poses: Tensor, kind: int) -> tuple[Tensor, TokenPose]:
        """Rotations of keys and queries, and poses carried by values, of the tokens of frames at
        poses `[B,R,4]`.
        """
        grid = self.fine_grid if kind == FINE else self.coarse_grid
        scaled = torch.cat((poses[..., :2] / self.cfg.unit, poses[..., 2:3]), dim=-1)
        if torch.compiler.is_exporting():  # WebGPU has no float64
            angles = self.fine_angles if kind == FINE else self.coarse_angles
            turned, bearings = angles(scaled).tensor_split((-len(HARMONICS),), dim=-2)
            where = carry_poses(scaled, angles.grid, bearings)
            return turned.unsqueeze(-3).flatten(1, 2), where
        wide = scaled.double().unsqueeze(2)
        shape = (*poses.shape[:2], len(grid))
        positions = torch.cat(
            (
                torch.zeros(*shape, 1, dtype=torch.float64, device=poses.device),
                grid[:, :2].expand(*shape, 2),
                wide[..., 2:] + grid[:, 2:],
                wide[..., :2].expand(*shape, 2),
            ),
            dim=-1,
        )
        return rotation(positions, self.frequencies).flatten(1, 2), token_poses(scaled, grid)

    # ---- context frames ----

    def encode_context(self, latents: Tensor, poses: Tensor, kind: int) -> KV:
        """Keys and values of context frames: latents `[B,R,C,h,w]` seen from poses `[B,R,4]`.

        Returns:
            `[B,H,R*S,d]` a layer, of FINE or COARSE_KIND tokens.
        """
        tall, wide = (2, 2) if kind == FINE else self.cfg.coarse_patch
        embed = self.embed_fine if kind == FINE else self.embed_coarse
        batch, frames = latents.shape[:2]
        tokens = patchify(latents, tall, wide).to(embed.weight.dtype)
        x = embed(tokens).flatten(0, 1)  # every frame by itself: [B*R, S, D]
        alone = poses.flatten(0, 1).unsqueeze(1)
        rotations, where = self.place_tokens(alone, kind)
        condition = F.silu(self.context_kind[kind]).expand(1, 1, -1)
        keys, values = [], []
        for block in self.blocks:
            modulation = block.modulation(condition)
            projections = block.fine if kind == FINE else block.coarse
            qkv = attach_poses(projections(modulate(x, modulation[0]), rotations), where)
            keys.append(qkv.k)
            values.append(qkv.v)
            if block is not self.blocks[-1]:
                found = geometric_attention(where, qkv.q, qkv.k, qkv.v, None, attention)
                x = finish_block(block, x, found, projections.out, modulation)
        return KV(*([by_rows(x, batch, frames) for x in part] for part in (keys, values)))

    # ---- the frame that is made ----

    def condition_vector(self, frame: FrameCondition, noise: Tensor, jumps: Tensor) -> Tensor:
        """AdaLN's input `[B,1,E]` at noise levels `[B]` for jumps `[B]`, indices into JUMPS."""
        actions = torch.where(frame.actions < 0, self.cfg.actions, frame.actions)
        total = self.embed_time(timestep_embedding(noise * 1000, 64).unsqueeze(1))
        total = total + (self.embed_action(actions) + self.embed_jump(jumps)).unsqueeze(1)
        motions = (frame.motions / self.cfg.unit).unsqueeze(1)  # rows of a batch stay apart
        return F.silu(total + self.embed_motion(motions))

    def forward(
        self,
        noisy: Tensor,
        noise: Tensor,
        jumps: Tensor,
        frame: FrameCondition,
        context: KV,
        mask: Tensor,
    ) -> Tensor:
        """The clean latents `[B,C,h,w]`.

        Args:
            noisy: `[B,C,h,w]`.
            noise: level `[B]` in 0..1.
            jumps: index into JUMPS of the sampler step that follows, `[B]`.
            frame: what is known about it.
            context: cached keys and values.
            mask: additive, `[B,1,1,S + N]`: own tokens first, then the context's.
        """
        condition = self.condition_vector(frame, noise, jumps)
        seen = frame.seen
        features = (noisy, frame.view, frame.mask - 0.5, frame.inverse_depth, seen - 0.5)
        cells = torch.cat(features, dim=1).flatten(2).transpose(1, 2)
        z = self.embed_cell(cells) + self.cell_position
        for block in self.before:
            z = block(z, condition)
        z = z + self._attend_wide(z, condition, frame.poses, context, mask)
        for block in self.after:
            z = block(z, condition)
        out = self.out(F.layer_norm(z, z.shape[-1:], eps=1e-6))
        return out.transpose(1, 2).unflatten(2, noisy.shape[2:]) + frame.view * seen

    def _attend_wide(
        self, z: Tensor, condition: Tensor, poses: Tensor, context: KV, mask: Tensor
    ) -> Tensor:
        """What the wide blocks add to the cells `[B,h*w,narrow]`."""
        size = self.cfg.latent_size
        frame = z.transpose(1, 2).unflatten(2, (size, size)).unsqueeze(1)
        x = self.narrow_to_wide(patchify(frame, 2, 2).squeeze(1))
        rotations, where = self.place_tokens(poses.unsqueeze(1), FINE)
        for layer, block in enumerate(self.blocks):
            modulation = block.modulation(condition)
            qkv = attach_poses(block.fine(modulate(x, modulation[0]), rotations), where)
            k = torch.cat((qkv.k, context.k[layer]), dim=2)
            v = torch.cat((qkv.v, context.v[layer]), dim=2)
            found = geometric_attention(where, qkv.q, k, v, mask, attention)
            x = finish_block(block, x, found, block.fine.out, modulation)
        cells = unpatchify(self.wide_to_narrow(x).unsqueeze(1), 2, size // 2)
        return cells.squeeze(1).flatten(2).transpose(1, 2)


def finish_block(
    block: Block,
    x: Tensor,
    found: Tensor,
    out: nn.Linear,
    modulation: tuple[Modulation, Modulation],
) -> Tensor:
    """Add the gated attention and the gated MLP to x `[B,N,D]`."""
    x = torch.addcmul(x, modulation[0].gate, out(found))
    return torch.addcmul(x, modulation[1].gate, block.mlp(modulate(x, modulation[1])))


def by_rows(tokens: Tensor, batch: int, frames: int) -> Tensor:
    """`[B*R,H,S,d]` -> `[B,H,R*S,d]`."""
    return tokens.unflatten(0, (batch, frames)).transpose(1, 2).flatten(2, 3)


def exported_angles(frequencies: Tensor, grid: Tensor) -> Float32Angles:
    """What x, y and bearing of a pose, and a token's place in the grid `[S,3]`, add to its angles:
    those of `frequencies` `[6,P]`, then the harmonics of its bearing.
    """
    row, column, bearing, x, y = (frequencies[AXES.index(axis)] for axis in AXES[1:])
    harmonics = torch.tensor(HARMONICS, dtype=torch.float64)
    none = torch.zeros_like(harmonics)
    of_pose = torch.stack((x, y, bearing)), torch.stack((none, none, harmonics))
    of_grid = torch.stack((row, column, bearing)), torch.stack((none, none, harmonics))
    return Float32Angles(torch.cat(of_pose, dim=1), grid, torch.cat(of_grid, dim=1))


def token_grid(cfg: NetworkConfig, tall: int, wide: int, field_of_view: float) -> Tensor:
    """Row, column and bearing (radians left of the heading) of each token of a frame, `[S,3]`."""
    size = cfg.latent_size
    rows = torch.arange(0, size, tall, dtype=torch.float64) + (tall - 1) / 2
    columns = torch.arange(0, size, wide, dtype=torch.float64) + (wide - 1) / 2
    edge = torch.tan(torch.deg2rad(torch.tensor(field_of_view / 2, dtype=torch.float64)))
    bearings = -torch.atan(((columns + 0.5) / size * 2 - 1) * edge)
    row, column = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((row, column, bearings.expand_as(column)), dim=-1).flatten(0, 1)
