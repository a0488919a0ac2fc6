"""What B VideoAR dreams with a memory in space remember."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.memory.frame_bank import EMPTY, FrameBank
from models.nn.grouped_carry import GroupedCarry
from models.videoar.carry import VideoARCarry


@dataclass
class VideoARSpatialCarry(GroupedCarry):
    """Memory of B dreams.

    tokens: keys and values of the newest frames; bank: frames with depth; pose `[B,4]` of the
    newest one (x, y, heading, height), climb `[B]` the height that the motion to it gained, stood
    `[B,PLACES,3]` where the body has been; newest uint8 `[B,H,W,3]`, seen bool `[B,H,W]` which of
    it memory showed, inverse_depth `[B,n,n]` of it.
    """

    tokens: VideoARCarry
    bank: FrameBank
    pose: Tensor
    climb: Tensor
    stood: Tensor
    newest: Tensor
    seen: Tensor
    inverse_depth: Tensor

    PLAIN = ("pose", "climb", "stood", "newest", "seen", "inverse_depth")
    GROUPS = ("tokens", "bank")

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "VideoARSpatialCarry":
        """Inverse of tensors."""
        groups, plain = cls.split_tensors(tensors)
        return cls(VideoARCarry(**groups["tokens"]), FrameBank(**groups["bank"]), **plain)

    @property
    def frame(self) -> Tensor:
        """Number of the next frame, int64 `[B]`."""
        return self.tokens.frame

    @property
    def poses(self) -> Tensor:
        """x, y and heading `[B,3]` of the newest frames."""
        return self.pose[:, :3]

    @property
    def rows(self) -> Tensor:
        """Numbers of the dreams `[B]`."""
        return torch.arange(len(self.frame), device=self.frame.device)

    def forget_coarse(self) -> None:
        """Lose all memory but the newest frame (to measure what it is worth)."""
        newest = (self.frame - 1).unsqueeze(1)
        for ids in (self.bank.ids, self.tokens.ids):
            ids.masked_fill_(ids != newest, EMPTY)
