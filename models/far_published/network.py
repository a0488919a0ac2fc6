"""FAR and FAR-Long in the published layout (arXiv 2503.19325): the network. Knows nothing of
sampling, guidance or worlds.

Frames are encoded in order. A token sees its own frame and every earlier one, so what older frames
leave behind is their keys and values, the Memory. FAR-Long encodes the newest `window` frames fine
and the older ones coarse, with projections of their own; FAR ("short") encodes every frame fine.
Our own worlds use the sliding layout of models/far/network.py, made of the same blocks
(models/nn/blocks.py).

Shape letters: B rows, F frames, S tokens of a frame, N = F*S, M tokens remembered, C channels, h w
latent size, D width, H heads, d head size, L layers.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.nn.blocks import (
    Block,
    Modulation,
    attend,
    modulate,
    patchify,
    timestep_embedding,
    unpatchify,
)
from models.nn.rope import reference_frequencies, rotation

NULL = -1
CLEAN_CODE, COARSE_CODE = -1.0, -2.0  # timesteps that say "a true frame", "long-term memory"
Level = Literal["fine", "coarse"]


@dataclass(frozen=True, kw_only=True)
class FARReferenceConfig:
    """A published network's shape.

    Attributes:
        width: D.
        layers: L.
        head_size: d.
        axes: how many of a head's numbers turn with frame, row and column.
        latent_channels: C.
        latent_size: h and w, in worlds; the network itself takes any.
        patch: side of a fine token in latent cells.
        coarse_patch: side of a coarse token; None in FAR, which has no coarse tokens.
        window: how many of the newest frames FAR-Long keeps fine.
        condition: what a frame is conditioned on.
        classes: how many actions or labels there are.
        slope: FlexRoPE's: attention logits fall by so much a frame of age; not in training.
        mlp_ratio: the MLP's hidden width in D.
    """

    width: int
    layers: int
    head_size: int = 64
    axes: tuple[int, int, int] = (16, 24, 24)
    latent_channels: int = 32
    latent_size: int = 8
    patch: int = 1
    coarse_patch: int | None = None
    window: int = 16
    condition: Literal["none", "action", "label"] = "none"
    classes: int = 0
    slope: float = 0.0
    mlp_ratio: float = 4.0

    def __post_init__(self):
        if self.width % self.head_size:
            raise ValueError(
                f"width must be a multiple of head_size {self.head_size}, got {self.width}"
            )
        if sum(self.axes) != self.head_size or any(size % 2 for size in self.axes):
            raise ValueError(
                f"axes must be even and add up to head_size {self.head_size}, got {self.axes}"
            )
        if self.coarse_patch is not None and self.coarse_patch % self.patch:
            raise ValueError(
                f"coarse_patch must be a multiple of patch {self.patch}, got {self.coarse_patch}"
            )
        if (self.condition == "none") != (self.classes == 0):
            raise ValueError(
                f"classes must be 0 if and only if condition is none, got {self.classes} classes "
                f"with condition {self.condition}"
            )

    @property
    def memory_level(self) -> Level:
        """How frames are encoded that are only remembered."""
        return "fine" if self.coarse_patch is None else "coarse"

    @property
    def memory_code(self) -> float:
        """The timestep of frames that are only remembered."""
        return CLEAN_CODE if self.coarse_patch is None else COARSE_CODE

    def patch_of(self, level: Level) -> int:
        """Side of a token in latent cells."""
        return self.patch if level == "fine" else self.coarse_patch


class ReferenceFrames(NamedTuple):
    """Frames in a row: latents `[B,F,C,h,w]`; frame numbers ids `[F]`; timesteps `[B,F]` on 0..1000
    or a code; conditions `[B,F]`, action or label, NULL for none.
    """

    latents: Tensor
    ids: Tensor
    timesteps: Tensor
    conditions: Tensor


class Memory(NamedTuple):
    """What encoded frames leave behind: k and v `[L,B,H,M,d]`, and the frame number of each token,
    ids `[M]`.
    """

    k: Tensor
    v: Tensor
    ids: Tensor

    def followed_by(self, newer: "Memory") -> "Memory":
        """Both, in order of time."""
        return Memory(
            torch.cat((self.k, newer.k), 3),
            torch.cat((self.v, newer.v), 3),
            torch.cat((self.ids, newer.ids)),
        )


def causal_bias(now: Tensor, then: Tensor, slope: float) -> Tensor:
    """What is added to attention logits `[N,M]` of tokens of frames `now` `[N]` looking at frames
    `then` `[M]`: FlexRoPE's slope, and minus infinity for the future.
    """
    age = now.unsqueeze(1) - then
    return (-slope * age).to(torch.float32).masked_fill_(age < 0, float("-inf"))


class NoCondition(nn.Module):
    """Stands where an unconditional network has no embedding."""

    def forward(self, conditions: Tensor) -> Tensor:
        """Adds nothing."""
        return torch.zeros((), device=conditions.device)


class ConditionEmbedding(nn.Embedding):
    """Actions or labels, and after them the null that stands for any."""

    def __init__(self, classes: int, width: int):
        super().__init__(classes + 1, width)
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, conditions: Tensor) -> Tensor:
        """`[...]` -> `[...,D]`."""
        return super().forward(conditions.masked_fill(conditions == NULL, len(self.weight) - 1))


class CachedBlock(Block):
    """A block of one level's tokens, which see a memory and each other."""

    def forward(
        self,
        level: Level,
        x: Tensor,
        condition: Tensor,
        rotations: Tensor,
        bias: Tensor,
        k_past: Tensor,
        v_past: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x `[B,F,S,D]` after the block, and its own keys and values `[B,H,N,d]`."""
        modulation, projections = self.adaln(condition), getattr(self, level)
        q, k, v = projections(modulate(x, modulation[0]).flatten(1, 2), rotations)
        if projections.out is None:  # coarse tokens end here: nobody reads further
            return x, k, v
        attended = attend(q, torch.cat((k_past, k), 2), torch.cat((v_past, v), 2), bias)
        return self.finish(x, attended, projections.out, modulation), k, v


class FARReferenceNetwork(nn.Module):
    """The weights, and how frames are encoded. With `checkpointing`, training keeps only what
    enters each block: a third more arithmetic, a fraction of the memory.
    """

    def __init__(self, cfg: FARReferenceConfig):
        super().__init__()
        self.cfg, self.checkpointing = cfg, False
        sizes = {"fine": cfg.latent_channels * cfg.patch**2}
        if cfg.coarse_patch is not None:
            sizes["coarse"] = cfg.latent_channels * cfg.coarse_patch**2
        self.embed = nn.ModuleDict({level: nn.Linear(n, cfg.width) for level, n in sizes.items()})
        self.embed_time = nn.Sequential(
            nn.Linear(256, cfg.width), nn.SiLU(), nn.Linear(cfg.width, cfg.width)
        )
        self.embed_condition = (
            ConditionEmbedding(cfg.classes, cfg.width) if cfg.classes else NoCondition()
        )
        self.blocks = nn.ModuleList(
            CachedBlock(
                cfg.width,
                cfg.head_size,
                cfg.mlp_ratio,
                coarse="coarse" in sizes,
                coarse_out=layer < cfg.layers - 1,
                activation="gelu-tanh",
            )
            for layer in range(cfg.layers)
        )
        self.out_modulation = nn.Linear(cfg.width, 2 * cfg.width)
        # Published FAR-Long has weights for a coarse output that it never asks for: kept, so that
        # its files go in and out unchanged.
        self.out = nn.ModuleDict({level: nn.Linear(cfg.width, n) for level, n in sizes.items()})
        for layer in (self.out_modulation, *self.out.values()):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("frequencies", reference_frequencies(cfg.axes), persistent=False)

    def nothing(self, batch: int) -> Memory:
        """The memory of having seen no frame."""
        weight = self.out_modulation.weight
        heads = self.cfg.width // self.cfg.head_size
        none = weight.new_empty(self.cfg.layers, batch, heads, 0, self.cfg.head_size)
        return Memory(none, none, torch.empty(0, dtype=torch.long, device=weight.device))

    def rotations(self, ids: Tensor, height: int, width: int, patch: int) -> Tensor:
        """Rotations `[1, F*S, 1, d/2]` of frames `ids` `[F]` of h x w latents."""
        # A coarse token stands where its first fine token would.
        stride = patch // self.cfg.patch
        rows = torch.arange(0, height // self.cfg.patch, stride, device=ids.device)
        columns = torch.arange(0, width // self.cfg.patch, stride, device=ids.device)
        positions = torch.cartesian_prod(ids, rows, columns)
        return rotation(positions, self.frequencies).unsqueeze(0)

    def condition(self, frames: ReferenceFrames) -> Tensor:
        """AdaLN's input `[B,F,D]`."""
        sinusoids = timestep_embedding(frames.timesteps).to(self.out_modulation.weight.dtype)
        total = self.embed_time(sinusoids) + self.embed_condition(frames.conditions)
        return nn.functional.silu(total)

    def encode(self, frames: ReferenceFrames, past: Memory, level: Level) -> tuple[Tensor, Memory]:
        """Hidden states `[B,F,S,D]` of frames that see `past` and each other, and what they leave
        behind.
        """
        patch, condition = self.cfg.patch_of(level), self.condition(frames)
        x = self.embed[level](patchify(frames.latents, patch, patch).to(condition.dtype))
        ids = frames.ids.repeat_interleave(x.shape[2])
        rotations = self.rotations(frames.ids, *frames.latents.shape[-2:], patch)
        slope = 0.0 if self.training else self.cfg.slope
        bias = causal_bias(ids, torch.cat((past.ids, ids)), slope).to(x.dtype)
        recompute = self.training and self.checkpointing
        kept = []
        for block, k_past, v_past in zip(self.blocks, past.k, past.v, strict=True):
            given = (level, x, condition, rotations, bias, k_past, v_past)
            x, k, v = checkpoint(block, *given, use_reentrant=False) if recompute else block(*given)
            kept.append((k, v))
        keys, values = (torch.stack(parts) for parts in zip(*kept, strict=True))
        return x, Memory(keys, values, ids)

    def velocity(self, frames: ReferenceFrames, past: Memory) -> Tensor:
        """Velocity x1 - x0 `[B,F,C,h,w]` of fine frames that see `past` and each other."""
        x, _ = self.encode(frames, past, "fine")
        scale, shift = self.out_modulation(self.condition(frames)).unsqueeze(2).chunk(2, dim=-1)
        tokens = self.out["fine"](modulate(x, Modulation(shift, 1 + scale, scale)))
        return unpatchify(tokens, self.cfg.patch, frames.latents.shape[-2] // self.cfg.patch)

    def forward(self, old: ReferenceFrames, new: ReferenceFrames) -> Tensor:
        """Velocity `[B,F,C,h,w]` of the frames `new`, after the frames `old` which are only
        remembered; nothing is cached.
        """
        past = self.nothing(len(new.latents))
        if len(old.ids):
            _, past = self.encode(old, past, self.cfg.memory_level)
        return self.velocity(new, past)
