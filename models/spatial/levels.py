"""Where the levels of the KV cache lie. Needs no torch.

Levels, side by side in one buffer a layer: `window` (the newest frames, fine tokens), `keyframes`
(frames of the bank that show most of the view, fine) and `coarse` (every so-many-th frame of the
long past).
"""

from dataclasses import dataclass

from models.spatial.config import MemoryConfig, NetworkConfig


@dataclass(frozen=True)
class LevelSpan:
    """Where a level lies: its token slots, its places in `ids`, and the tokens of a frame."""

    slots: slice
    frames: slice
    tokens: int

    @property
    def count(self) -> int:
        """How many frames it holds."""
        return self.frames.stop - self.frames.start


def level_sizes(network: NetworkConfig, memory: MemoryConfig) -> dict[str, tuple[int, int]]:
    """Level -> (frames, tokens of each), in the order of the buffer."""
    fine, coarse = network.fine_tokens, network.coarse_tokens
    return {
        "window": (memory.window, fine),
        "keyframes": (memory.keyframes, fine),
        "coarse": (memory.coarse, coarse),
    }


def level_spans(network: NetworkConfig, memory: MemoryConfig) -> dict[str, LevelSpan]:
    """Where each level lies."""
    spans, slot, frame = {}, 0, 0
    for name, (count, tokens) in level_sizes(network, memory).items():
        slots = slice(slot, slot + count * tokens)
        spans[name] = LevelSpan(slots, slice(frame, frame + count), tokens)
        slot, frame = slots.stop, frame + count
    return spans
