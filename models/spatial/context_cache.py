"""The multi-level KV cache of a running dream: keys and values of context frames, overwritten in
place. Its levels are in levels.py.

Keys carry their frame's pose, so nothing goes stale; nothing is allocated while a dream runs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.memory.sizes import EMPTY
from models.nn.relative_pose import PADDED
from models.spatial.config import MemoryConfig, NetworkConfig
from models.spatial.levels import LevelSpan, level_sizes
from models.spatial.network import KV


@dataclass
class ContextCache:
    """Keys `k` and values `v` `[L,B,H,slots,d]`, and the frame `ids` `[B,frames]` of every place
    (EMPTY: none).
    """

    k: Tensor
    v: Tensor
    ids: Tensor

    @classmethod
    def empty(
        cls, network: NetworkConfig, memory: MemoryConfig, batch: int, device: torch.device
    ) -> "ContextCache":
        """A cache of nothing."""
        levels = level_sizes(network, memory).values()
        slots = sum(frames * tokens for frames, tokens in levels)
        heads = network.wide // network.head_size
        shape = (network.layers, batch, heads, slots, network.head_size + PADDED)
        frames = sum(count for count, _ in levels)
        ids = torch.full((batch, frames), EMPTY, dtype=torch.long, device=device)
        k, v = (torch.zeros(shape, device=device) for _ in range(2))
        return cls(k, v, ids)

    def map(self, function) -> "ContextCache":
        """A new cache of `function(tensor, batch dimension)` of every tensor."""
        return ContextCache(function(self.k, 1), function(self.v, 1), function(self.ids, 0))

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {"k": self.k, "v": self.v, "ids": self.ids}

    def write(
        self, span: LevelSpan, rows: Tensor, places: Tensor, context: KV, ids: Tensor
    ) -> None:
        """Store one frame's keys and values for dreams `rows` `[R]` at `places` `[R]`."""
        start = span.slots.start + places * span.tokens
        columns = start.unsqueeze(1) + torch.arange(span.tokens, device=places.device)
        for layer, (k, v) in enumerate(zip(context.k, context.v, strict=True)):
            self.k[layer, rows.unsqueeze(1), :, columns] = k.transpose(1, 2)
            self.v[layer, rows.unsqueeze(1), :, columns] = v.transpose(1, 2)
        self.ids[rows, span.frames.start + places] = ids

    def layers(self, rows: Tensor) -> KV:
        """Keys and values of some dreams."""
        return KV(*([layer[rows] for layer in part] for part in (self.k, self.v)))

    def visible(self, spans: dict[str, LevelSpan], rows: Tensor) -> Tensor:
        """Which slots hold something, bool `[R,slots]`."""
        known = self.ids[rows] != EMPTY
        parts = (known[:, span.frames].repeat_interleave(span.tokens, 1) for span in spans.values())
        return torch.cat(tuple(parts), dim=1)
