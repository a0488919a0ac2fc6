"""What B dreams with a memory in space remember."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.memory.frame_bank import FrameBank
from models.nn.grouped_carry import GroupedCarry
from models.spatial.context_cache import ContextCache


@dataclass
class SpatialCarry(GroupedCarry):
    """Memory of B dreams.

    bank: frames with depth; cache: keys and values of context frames; frame int64 `[B]` number of
    the next frame; pose `[B,4]` of the newest one (x, y, heading, height), climb `[B]` the height
    that the motion to it gained; stood `[B,PLACES,3]` where the body has been; newest uint8
    `[B,H,W,3]`, seen bool `[B,H,W]` which of it memory showed, latents `[B,C,h,w]` and
    inverse_depth `[B,n,n]` of it.
    """

    bank: FrameBank
    cache: ContextCache
    frame: Tensor
    pose: Tensor
    climb: Tensor
    stood: Tensor
    newest: Tensor
    seen: Tensor
    latents: Tensor
    inverse_depth: Tensor

    PLAIN = ("frame", "pose", "climb", "stood", "newest", "seen", "latents", "inverse_depth")
    GROUPS = ("bank", "cache")

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "SpatialCarry":
        """Inverse of tensors."""
        groups, plain = cls.split_tensors(tensors)
        return cls(FrameBank(**groups["bank"]), ContextCache(**groups["cache"]), **plain)

    @property
    def poses(self) -> Tensor:
        """x, y and heading `[B,3]` of the newest frames."""
        return self.pose[:, :3]

    @property
    def seen_share(self) -> Tensor:
        """Share of the newest frame that memory showed, `[B]`."""
        return self.seen.float().mean(dim=(1, 2))

    def forget_coarse(self) -> None:
        """Lose all memory but the newest frame (to measure what it is worth)."""
        newest = (self.frame - 1).unsqueeze(1)
        for ids in (self.bank.ids, self.cache.ids):
            ids.masked_fill_(ids != newest, -1)

    @property
    def rows(self) -> Tensor:
        """Numbers of the dreams `[B]`."""
        return torch.arange(len(self.frame), device=self.frame.device)
