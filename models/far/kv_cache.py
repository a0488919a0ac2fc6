"""The multi-level memory of a running dream: keys and values of a fixed number of frames,
overwritten in place.

One buffer a layer, `[B, H, slots, d + PADDED]`, holds the levels side by side:

    recent_coarse  coarse tokens of the newest frames
    dilated        coarse tokens of every `dilation`-th frame, further back
    window         the short-term window
    keyframes      old frames near the present place
    own            the frame being made

`ids` says which frame a place holds (NO_FRAME: none); what may be seen is decided from ids alone,
by the rules of models/far/attention_mask.py.
Nothing is allocated while it runs, so frame 10,000 costs what frame 100 did.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor

from models.far.attention_mask import fine_attends_coarse, fine_attends_fine
from models.far.config import FARConfig
from models.far.network import NO_FRAME
from models.nn.relative_pose import PADDED


def levels(cfg: FARConfig) -> dict[str, tuple[int, int]]:
    """Level -> (frames it holds, tokens of each), in the order of the buffer."""
    memory, fine, coarse = cfg.memory, cfg.network.fine_tokens, cfg.network.coarse_tokens
    behind = memory.recent_coarse + memory.window
    return {
        "recent_coarse": (behind, coarse),
        "dilated": (memory.dilated + -(-behind // memory.dilation) + 1, coarse),
        "window": (memory.window - 1, fine),
        "keyframes": (memory.keyframes, fine),
        "own": (1, fine),
    }


class KV(NamedTuple):
    """Keys and values of one frame a row, `[L, R, H, tokens, d + PADDED]`."""

    k: Tensor
    v: Tensor


@dataclass
class MultiLevelKVCache:
    """Keys `k` and values `v` `[L, B, H, slots, d + PADDED]`, carrying their places, and the frame
    `ids` `[B, frames]` of every level.
    """

    k: Tensor
    v: Tensor
    ids: Tensor
    cfg: FARConfig

    @classmethod
    def empty(
        cls, cfg: FARConfig, batch: int, device: torch.device, dtype: torch.dtype
    ) -> "MultiLevelKVCache":
        """A memory of nothing."""
        slots = sum(frames * tokens for frames, tokens in levels(cfg).values())
        net = cfg.network
        heads, head_size = net.width // net.head_size, net.head_size + PADDED
        shape = (net.layers, batch, heads, slots, head_size)
        frames = sum(count for count, _ in levels(cfg).values())
        ids = torch.full((batch, frames), NO_FRAME, dtype=torch.long, device=device)
        return cls(
            torch.zeros(shape, device=device, dtype=dtype),
            torch.zeros(shape, device=device, dtype=dtype),
            ids,
            cfg,
        )

    def slots(self, level: str) -> slice:
        """The token slots of a level."""
        return _span(self.cfg, level, tokens=True)

    def level_ids(self, level: str) -> Tensor:
        """The frame ids of a level, a view `[B, frames]`."""
        return self.ids[:, _span(self.cfg, level, tokens=False)]

    def place(self, level: str, frame_ids: Tensor) -> Tensor:
        """Where frames `[B]` go in a level: the oldest is overwritten."""
        count, _ = levels(self.cfg)[level]
        order = frame_ids // self.cfg.memory.dilation if level == "dilated" else frame_ids
        return order % count

    def write(
        self,
        level: str,
        rows: Tensor,
        places: Tensor,
        kv: KV,
        frame_ids: Tensor,
    ) -> None:
        """Store one frame's keys and values for `rows` `[R]` at `places` `[R]`."""
        if not len(rows):
            return
        _, tokens = levels(self.cfg)[level]
        start = self.slots(level).start
        columns = start + places.unsqueeze(1) * tokens + torch.arange(tokens, device=places.device)
        at = rows.unsqueeze(1)
        self.k[:, at, :, columns] = kv.k.permute(1, 3, 0, 2, 4)
        self.v[:, at, :, columns] = kv.v.permute(1, 3, 0, 2, 4)
        self.level_ids(level)[rows, places] = frame_ids

    def visible(self, now: Tensor, with_keyframes: bool) -> Tensor:
        """Which slots fine frames `now` `[B]` see, themselves included: bool `[B, slots]`."""
        cfg, at = self.cfg, now.unsqueeze(1)
        recent_coarse, dilated = self.level_ids("recent_coarse"), self.level_ids("dilated")
        near = fine_attends_coarse(at, recent_coarse, cfg.memory) & (
            at - cfg.memory.window - recent_coarse < cfg.memory.recent_coarse
        )
        far = fine_attends_coarse(at, dilated, cfg.memory) & (
            at - cfg.memory.window - dilated >= cfg.memory.recent_coarse
        )
        keyframes = self.level_ids("keyframes")
        seen = (
            near,
            far,
            fine_attends_fine(at, self.level_ids("window"), cfg.memory),
            (keyframes >= 0) & (keyframes <= at - cfg.memory.window) & with_keyframes,
            torch.ones_like(at, dtype=torch.bool),
        )
        parts = zip(seen, levels(cfg).values(), strict=True)
        return torch.cat(
            [part.repeat_interleave(tokens, dim=1) for part, (_, tokens) in parts], dim=1
        )

    def forget_coarse(self) -> None:
        """Empty the long-term levels (to measure what they are worth)."""
        for level in ("recent_coarse", "dilated", "keyframes"):
            self.level_ids(level).fill_(NO_FRAME)

    def map(self, function) -> "MultiLevelKVCache":
        """A new cache of `function(tensor, batch dimension)` of every tensor."""
        return MultiLevelKVCache(
            function(self.k, 1), function(self.v, 1), function(self.ids, 0), self.cfg
        )

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name."""
        return {
            field.name: getattr(self, field.name) for field in fields(self) if field.name != "cfg"
        }


def _span(cfg: FARConfig, level: str, tokens: bool) -> slice:
    start = 0
    for name, (count, size) in levels(cfg).items():
        width = count * size if tokens else count
        if name == level:
            return slice(start, start + width)
        start += width
    raise KeyError(level)
