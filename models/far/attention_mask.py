"""Which frame sees which: the rules of the sliding layout, and the attention masks they make."""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from models.far.config import FARConfig, MemoryConfig
    from models.far.network import Frames


class Masks(NamedTuple):
    """Additive attention masks `[B,1,queries,keys]`: keys of `noisy` are [coarse | clean |
    keyframes | noisy], of `clean` [coarse | clean].
    """

    coarse: Tensor
    clean: Tensor
    noisy: Tensor


def fine_attends_coarse(now: Tensor, then: Tensor, memory: "MemoryConfig") -> Tensor:
    """Whether fine frames `now` see coarse frames `then` (broadcast ids)."""
    age = now - memory.window - then
    near = (age >= 0) & (age < memory.recent_coarse)
    return (then >= 0) & (
        near | ((age >= memory.recent_coarse) & (age < memory.span) & (then % memory.dilation == 0))
    )


def coarse_attends_coarse(now: Tensor, then: Tensor, memory: "MemoryConfig") -> Tensor:
    """Whether coarse frames `now` see older coarse frames `then`."""
    age = now - then
    return (then >= 0) & (age > 0) & (age < memory.span) & (then % memory.dilation == 0)


def fine_attends_fine(now: Tensor, then: Tensor, memory: "MemoryConfig") -> Tensor:
    """Whether fine frames `now` see older clean frames `then` of their window."""
    return (then >= 0) & (then < now) & (then > now - memory.window)


def to_additive(visible: Tensor) -> Tensor:
    """Attention mask `[..., 1, :, :]` of zeros and minus infinities."""
    zeros = torch.zeros(visible.shape, device=visible.device)
    return zeros.masked_fill_(~visible, float("-inf")).unsqueeze(-3)


def frame_to_token_mask(visible: Tensor, rows: int, columns: int) -> Tensor:
    """From frames `[B,F,G]` to tokens `[B, F*rows, G*columns]`."""
    return visible.repeat_interleave(rows, dim=-2).repeat_interleave(columns, dim=-1)


def build_masks(
    cfg: "FARConfig", coarse: "Frames", clean: "Frames", keyframes: "Frames", noisy: "Frames"
) -> Masks:
    """What the frames of a clip see of each other."""
    s, m = cfg.network.fine_tokens, cfg.network.coarse_tokens

    def pairs(now: "Frames", then: "Frames") -> tuple[Tensor, Tensor]:
        return now.ids.unsqueeze(2), then.ids.unsqueeze(1)

    def own(frames: "Frames") -> Tensor:
        return torch.eye(frames.ids.shape[1], dtype=torch.bool, device=frames.ids.device).expand(
            len(frames.ids), -1, -1
        )

    coarse_own = coarse_attends_coarse(*pairs(coarse, coarse), cfg.memory) | own(coarse)
    clean_coarse = fine_attends_coarse(*pairs(clean, coarse), cfg.memory)
    clean_own = fine_attends_fine(*pairs(clean, clean), cfg.memory) | own(clean)
    noisy_coarse = fine_attends_coarse(*pairs(noisy, coarse), cfg.memory)
    noisy_clean = fine_attends_fine(*pairs(noisy, clean), cfg.memory)
    now, then = pairs(noisy, keyframes)
    noisy_keyframes = (then >= 0) & (then <= now - cfg.memory.window)
    return Masks(
        to_additive(frame_to_token_mask(coarse_own, m, m)),
        to_additive(
            torch.cat(
                (frame_to_token_mask(clean_coarse, s, m), frame_to_token_mask(clean_own, s, s)), 2
            )
        ),
        to_additive(
            torch.cat(
                (
                    frame_to_token_mask(noisy_coarse, s, m),
                    frame_to_token_mask(
                        torch.cat((noisy_clean, noisy_keyframes, own(noisy)), 2), s, s
                    ),
                ),
                2,
            )
        ),
    )
