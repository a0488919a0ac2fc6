"""The frames that a dream remembers by where they were seen, as latents."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.far.config import NetworkConfig
from models.far.network import NO_FRAME

SLOTS = 256


@dataclass
class LatentBank:
    """M slots of B dreams.

    latents `[B,M,C,h,w]` float16; poses `[B,M,3]`; ids int64 `[B,M]` frame number or NO_FRAME; true
    bool `[B,M]` given, not generated.
    """

    latents: Tensor
    poses: Tensor
    ids: Tensor
    true: Tensor

    @classmethod
    def empty(cls, cfg: NetworkConfig, batch: int, device: torch.device) -> "LatentBank":
        """A bank of nothing."""
        at, latent = {"device": device}, (cfg.latent_channels, cfg.latent_size, cfg.latent_size)
        return cls(
            latents=torch.zeros(batch, SLOTS, *latent, dtype=torch.float16, **at),
            poses=torch.zeros(batch, SLOTS, 3, **at),
            ids=torch.full((batch, SLOTS), NO_FRAME, **at),
            true=torch.zeros(batch, SLOTS, dtype=torch.bool, **at),
        )

    def map(self, function) -> "LatentBank":
        """A new bank of `function(tensor, batch dimension)` of every tensor."""
        return LatentBank(**{name: function(part, 0) for name, part in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def true_frames(self, row: int) -> Tensor:
        """Which slots of one dream hold true frames, bool `[M]`."""
        return self.true[row] & (self.ids[row] != NO_FRAME)

    def generated_frames(self, row: int) -> Tensor:
        """Which slots of one dream hold frames that it has generated, bool `[M]`."""
        return ~self.true[row] & (self.ids[row] != NO_FRAME)

    def clear(self) -> None:
        """Lose every frame."""
        self.ids.fill_(NO_FRAME)
