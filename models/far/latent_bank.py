"""The frames that a dream remembers by where they were seen, as latents."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.far.config import NetworkConfig
from models.far.network import NO_FRAME
from models.memory.pose import distance

SLOTS = 256
NOVEL = 0.1  # how far from all kept frames a place is a new one (models/memory/pose.py)


@dataclass
class LatentBank:
    """M slots of B dreams.

    latents `[B,M,C,h,w]` float16; poses `[B,M,3]`; ids int64 `[B,M]` frame number or NO_FRAME.
    """

    latents: Tensor
    poses: Tensor
    ids: Tensor

    @classmethod
    def empty(cls, cfg: NetworkConfig, batch: int, device: torch.device) -> "LatentBank":
        """A bank of nothing."""
        at, latent = {"device": device}, (cfg.latent_channels, cfg.latent_size, cfg.latent_size)
        return cls(
            latents=torch.zeros(batch, SLOTS, *latent, dtype=torch.float16, **at),
            poses=torch.zeros(batch, SLOTS, 3, **at),
            ids=torch.full((batch, SLOTS), NO_FRAME, **at),
        )

    def map(self, function) -> "LatentBank":
        """A new bank of `function(tensor, batch dimension)` of every tensor."""
        return LatentBank(**{name: function(part, 0) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def insert(self, latents: Tensor, ids: Tensor, poses: Tensor) -> None:
        """Keep frames `[B,C,h,w]` of numbers `[B]`, seen from poses `[B,3]`, whose place is new;
        when the bank is full, the nearest kept one makes room. Old pictures of a place stay: they
        are nearer the truth.
        """
        empty = self.ids == NO_FRAME
        far = distance(poses.unsqueeze(1), self.poses).masked_fill(empty, torch.inf)
        nearest, index = far.min(dim=1)
        place = torch.where(empty.any(dim=1), empty.int().argmax(dim=1), index)
        rows = torch.nonzero(nearest > NOVEL).flatten()
        at = place[rows]
        self.latents[rows, at] = latents[rows].to(self.latents.dtype)
        self.poses[rows, at] = poses[rows]
        self.ids[rows, at] = ids[rows]

    def clear(self) -> None:
        """Lose every frame."""
        self.ids.fill_(NO_FRAME)
