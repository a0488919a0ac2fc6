"""VideoAR's transformer: frames as levels of tokens, each level predicted at once from the levels
and frames before it.

Shapes: B rows, F frames, S tokens of a frame, N = F*S, D width, H heads, d head size, M tokens of
context.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.codec.multiscale_quantizer import QuantizerConfig
from models.nn.blocks import Modulation, modulate
from models.nn.rope import rotate, rotation
from models.videoar.config import NetworkConfig
from models.videoar.levels import level_patches, level_sizes
from models.videoar.rope import cell_positions, frequencies, token_positions
from worldsim.world.batch_invariant import attention

NULL = -1  # no condition
START_SCALE, MOST_SCALE = 4.0, 100.0


class KV(NamedTuple):
    """Keys and values `[B,H,M,d]` of a layer."""

    k: Tensor
    v: Tensor


class LevelTokens(NamedTuple):
    """What a pass is given.

    Attributes:
        inputs: of consecutive levels, features `[B,F,channels,h_k,w_k]`; where the level is told
            what a memory shows, that lies behind them as more channels.
        first: number of the first of these levels.
        frames: int64 `[B,F]` frame numbers from 0.
        conditions: int64 `[B,F]`, NULL for none.
    """

    inputs: Sequence[Tensor]
    first: int
    frames: Tensor
    conditions: Tensor


class Output(NamedTuple):
    """What a pass gives: hidden states `[B,F,S,D]`, the frames' conditions `[B,F,D]`, and the keys
    and values of its tokens, layer by layer.
    """

    hidden: Tensor
    condition: Tensor
    kv: list[KV]


class Begun(NamedTuple):
    """What the first block is given: tokens `[B,F,S,D]`, conditions `[B,F,D]`, what these add to
    every block's numbers `[B,F,6,1,D]`, and the tokens' rotations.
    """

    x: Tensor
    condition: Tensor
    shared: Tensor
    rotations: Tensor


class SelfAttention(nn.Module):
    """Attention with queries and keys of length one and a learnt scale a head (Infinity's)."""

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        self.head_size = cfg.head_size
        self.qkv = nn.Linear(cfg.width, 3 * cfg.width, bias=False)
        self.bias_q, self.bias_v = (nn.Parameter(torch.zeros(cfg.width)) for _ in range(2))
        self.log_scale = nn.Parameter(torch.full((cfg.heads,), START_SCALE).log())
        self.out = nn.Linear(cfg.width, cfg.width)

    def project(self, x: Tensor, rotations: Tensor) -> tuple[Tensor, KV]:
        """Queries `[B,H,N,d]`, keys and values of x `[B,N,D]`."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (
            part.unflatten(-1, (-1, self.head_size))
            for part in (q + self.bias_q, k, v + self.bias_v)
        )
        scale = self.log_scale.clamp(max=math.log(MOST_SCALE)).exp().unsqueeze(-1)
        q, k = to_unit(q) * scale, to_unit(k)
        q, k = rotate(q, rotations), rotate(k, rotations)
        return q.transpose(1, 2), KV(k.transpose(1, 2), v.transpose(1, 2))

    def forward(
        self, x: Tensor, rotations: Tensor, context: KV | None, mask: Tensor | None
    ) -> tuple[Tensor, KV]:
        """Of x `[B,N,D]` over a context and itself."""
        q, own = self.project(x, rotations)
        seen = own if context is None else join(context, own)
        found = attention(q, seen.k, seen.v, attn_mask=mask, scale=1.0)
        return self.out(found.transpose(1, 2).flatten(2)), own


class CrossAttention(nn.Module):
    """Attention of a frame's tokens to its condition."""

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        self.head_size = cfg.head_size
        self.q = nn.Linear(cfg.width, cfg.width)
        self.kv = nn.Linear(cfg.width, 2 * cfg.width)
        self.out = nn.Linear(cfg.width, cfg.width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Of x `[B,F,S,D]` over conditions `[B,F,1,D]`."""
        parts = (self.q(x), *self.kv(condition).chunk(2, dim=-1))
        q, k, v = (
            part.flatten(0, 1).unflatten(-1, (-1, self.head_size)).transpose(1, 2) for part in parts
        )
        found = attention(q, k, v).transpose(1, 2).flatten(2)
        return self.out(found.unflatten(0, x.shape[:2]))


class SwiGLU(nn.Module):
    """A gated MLP (arXiv 2002.05202)."""

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        hidden = int(cfg.width * cfg.mlp_ratio)
        self.up = nn.Linear(cfg.width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, cfg.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[...,D]`."""
        gate, value = self.up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


class GELU(nn.Module):
    """A two-layer MLP."""

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        hidden = int(cfg.width * cfg.mlp_ratio)
        self.up, self.down = nn.Linear(cfg.width, hidden), nn.Linear(hidden, cfg.width)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[...,D]`."""
        return self.down(F.gelu(self.up(x), approximate="tanh"))


class Block(nn.Module):
    """Self-attention, cross-attention where the configuration has it, and an MLP.

    Shift, scale and gate of both halves are learnt per block, and moved by the condition through
    one table for all blocks (shared AdaLN).
    """

    def __init__(self, cfg: NetworkConfig):
        super().__init__()
        gate = 0.0 if cfg.adaln else 1.0
        start = torch.tensor([0.0, 1.0, gate] * 2)[:, None, None]
        self.numbers = nn.Parameter(start.expand(6, 1, cfg.width).clone())
        self.attention = SelfAttention(cfg)
        crossed = cfg.block == "cross-gelu"
        self.cross = CrossAttention(cfg) if crossed else None
        self.mlp = GELU(cfg) if crossed else SwiGLU(cfg)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        shared: Tensor,
        rotations: Tensor,
        context: KV | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, KV]:
        """x `[B,F,S,D]`, conditions `[B,F,1,D]`, `shared` `[B,F,6,1,D]`."""
        six = (self.numbers + shared).unbind(2)
        first, second = Modulation(*six[:3]), Modulation(*six[3:])
        found, kv = self.attention(modulate(x, first).flatten(1, 2), rotations, context, mask)
        x = torch.addcmul(x, first.gate, found.view_as(x))
        x = x if self.cross is None else x + self.cross(x, condition)
        return torch.addcmul(x, second.gate, self.mlp(modulate(x, second))), kv

    def encode(self, x: Tensor, shared: Tensor, rotations: Tensor) -> KV:
        """The keys and values that `forward` gives, alone."""
        first = Modulation(*(self.numbers + shared).unbind(2)[:3])
        return self.attention.project(modulate(x, first).flatten(1, 2), rotations)[1]


class VideoARNetwork(nn.Module):
    """Levels of tokens -> hidden states -> logits of labels.

    With `checkpointing`, blocks are computed again in the backward pass: less memory for a third
    more arithmetic.

    Args:
        cfg: shape.
        quantizer: of the labels.
        view_channels: numbers that the first `cfg.view_scales` scales are told of every cell.
    """

    checkpointing = False

    def __init__(self, cfg: NetworkConfig, quantizer: QuantizerConfig, view_channels: int = 0):
        super().__init__()
        self.cfg, self.quantizer = cfg, quantizer
        self.sizes, self.patches = level_sizes(cfg, quantizer), level_patches(cfg, quantizer)
        area, predicted = cfg.patch**2, quantizer.labels * quantizer.choices
        self.embed = nn.Linear(quantizer.channels, cfg.width)
        self.embed_view = zero_linear(view_channels, cfg.width) if cfg.view_scales else None
        if area > 1:
            self.embed_patch = nn.Linear(area * quantizer.channels, cfg.width)
            self.out_patch = nn.Linear(cfg.width, area * predicted)
            if cfg.view_scales:
                self.embed_view_patch = zero_linear(area * view_channels, cfg.width)
        self.start = nn.Parameter(torch.randn(cfg.width) * 0.02)
        self.levels = nn.Parameter(torch.randn(len(self.sizes), cfg.width) * 0.02)
        self.table = nn.Parameter(torch.randn(cfg.conditions + 1, cfg.width) * 0.02)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.layers))
        self.adaln = zero_linear(cfg.width, 6 * cfg.width) if cfg.adaln else None
        self.out_adaln = zero_linear(cfg.width, 2 * cfg.width) if cfg.adaln else None
        self.out = nn.Linear(cfg.width, predicted)
        table = frequencies(cfg.head_size, cfg.ladder, cfg.theta)
        self.register_buffer("frequencies", table, persistent=False)
        self.cells = [cell_positions(size, quantizer.grid, cfg.grid) for size in self.sizes]

    def forward(
        self,
        tokens: LevelTokens,
        context: Sequence[KV] | None = None,
        mask: Tensor | None = None,
    ) -> Output:
        """Run some levels of frames.

        Args:
            tokens: what they are.
            context: keys and values that they see beside their own, layer by layer.
            mask: which of these and then of their own a token sees, bool `[1 or B,1,N,M+N]`.
        """
        begun = self._begin(tokens)
        x, kv = self._run_blocks(begun, self.blocks, context, mask)
        return Output(x, begun.condition, kv)

    def encode(
        self,
        tokens: LevelTokens,
        context: Sequence[KV] | None = None,
        mask: Tensor | None = None,
    ) -> list[KV]:
        """The keys and values that `forward` gives, without what only hidden states need: most of
        the last block.
        """
        begun, (*most, last) = self._begin(tokens), self.blocks
        x, kv = self._run_blocks(begun, most, context, mask)
        return [*kv, last.encode(x, begun.shared, begun.rotations)]

    def _begin(self, tokens: LevelTokens) -> "Begun":
        condition = self.table[tokens.conditions + 1]
        levels = slice(tokens.first, tokens.first + len(tokens.inputs))
        positions = token_positions(tokens.frames, self.cells[levels])
        return Begun(
            self._embed_levels(tokens, condition),
            condition,
            self._shared(condition),
            rotation(positions, self.frequencies),
        )

    def _run_blocks(
        self,
        begun: "Begun",
        blocks: Iterable[nn.Module],
        context: Sequence[KV] | None,
        mask: Tensor | None,
    ) -> tuple[Tensor, list[KV]]:
        x, kv = begun.x, []
        for layer, block in enumerate(blocks):
            seen = None if context is None else context[layer]
            condition = begun.condition.unsqueeze(2)
            given = (x, condition, begun.shared, begun.rotations, seen, mask)
            x, own = self._run_block(block, given)
            kv.append(own)
        return x, kv

    def _run_block(self, block: nn.Module, given: tuple) -> tuple[Tensor, KV]:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *given, use_reentrant=False)
        return block(*given)

    def _embed_levels(self, tokens: LevelTokens, condition: Tensor) -> Tensor:
        """Tokens `[B,F,S,D]`: features, what memory shows, and their level; a frame's first level
        has the condition too, and in frame 0 no features.
        """
        parts, channels = [], self.quantizer.channels
        for level, features in enumerate(tokens.inputs, tokens.first):
            patch = self.patches[level]
            embed = self.embed if patch == 1 else self.embed_patch
            x = embed(to_tokens(features[:, :, :channels], patch))
            if level == 0:
                begins = (tokens.frames == 0)[..., None, None]
                x = torch.where(begins, self.start, x) + condition.unsqueeze(2)
            if level < self.cfg.view_scales:
                embed = self.embed_view if patch == 1 else self.embed_view_patch
                x = x + embed(to_tokens(features[:, :, channels:], patch))
            parts.append(x + self.levels[level])
        return torch.cat(parts, dim=2)

    def _shared(self, condition: Tensor) -> Tensor:
        """What the condition `[B,F,D]` adds to every block's numbers, `[B,F,6,1,D]`."""
        if self.adaln is None:
            return condition.new_zeros(*condition.shape[:2], 6, 1, 1)
        return self.adaln(F.silu(condition)).unflatten(-1, (6, 1, -1))

    def predict(self, output: Output, scales: range) -> list[Tensor]:
        """Logits `[B,F,n,m,choices]` of the labels of scales, whose tokens a pass began with."""
        counts = [h * w for h, w in self.sizes[scales.start : scales.stop]]
        hidden = output.hidden[:, :, : sum(counts)]
        if self.out_adaln is None:
            normed = F.layer_norm(hidden, hidden.shape[-1:], eps=1e-6)
        else:
            both = self.out_adaln(F.silu(output.condition)).unsqueeze(2)
            shift, scale = both.chunk(2, dim=-1)
            normed = modulate(hidden, Modulation(shift, 1 + scale, scale))
        parts = zip(normed.split(counts, dim=2), scales, strict=True)
        return [self._predict_scale(part, scale) for part, scale in parts]

    def _predict_scale(self, normed: Tensor, scale: int) -> Tensor:
        labels, choices = self.quantizer.labels, self.quantizer.choices
        patch = self.patches[scale]
        if patch == 1:
            return self.out(normed).unflatten(-1, (labels, choices))
        shape = *self.sizes[scale], patch, patch, labels, choices
        cells = self.out_patch(normed).flatten(2).unflatten(2, shape)
        return cells.transpose(3, 4).flatten(2, 5)  # row by row


def to_tokens(maps: Tensor, patch: int = 1) -> Tensor:
    """Maps `[B,F,c,h,w]` -> tokens `[B,F,n,c*patch*patch]` of patches of cells."""
    maps = maps if patch == 1 else F.pixel_unshuffle(maps, patch)
    return maps.flatten(3).transpose(2, 3).contiguous()


def to_unit(x: Tensor) -> Tensor:
    """x `[...,d]` of length one along its last dimension."""
    size = x.shape[-1]
    return F.rms_norm(x, (size,), eps=1e-12) * size**-0.5


def join(one: KV, other: KV) -> KV:
    """Keys and values side by side."""
    return KV(torch.cat((one.k, other.k), dim=2), torch.cat((one.v, other.v), dim=2))


def zero_linear(inside: int, outside: int) -> nn.Linear:
    """A Linear that gives zeros at first."""
    made = nn.Linear(inside, outside)
    nn.init.zeros_(made.weight)
    nn.init.zeros_(made.bias)
    return made


@torch.no_grad()
def initialise(network: VideoARNetwork) -> None:
    """Weights to begin a training with: small normal ones, residual branches smaller with depth,
    modulation by the condition and what memory shows at zero.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear) and "adaln" not in name and "embed_view" not in name:
            shrink = (2 * network.cfg.layers) ** -0.5 if name.endswith(("out", "down")) else 1.0
            nn.init.trunc_normal_(module.weight, std=0.02 * (1 if name == "out" else shrink))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
