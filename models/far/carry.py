"""What a dream remembers: the cache of keys and values, where the dreamer stands, the newest
frames, and a bank of old ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.far.config import FARConfig
from models.far.kv_cache import MultiLevelKVCache
from models.far.network import NO_FRAME

BANK = 256


@dataclass
class FARCarry:
    """Memory of B dreams.

    frame `[B]`: number of the next frame; poses `[B,3]` of the newest frame; motions `[B,A,2]` that
    each action would make now;
    late_latents `[B,N,C,h,w]`, late_poses `[B,N,3]`, late_conditions `[B,N,D]`: the newest frames,
    number i at i modulo N, which enter long-term memory N at a time (N is the dilation);
    bank_latents `[B,M,C,h,w]` float16, bank_poses `[B,M,3]`, bank_ids `[B,M]`, bank_true bool
    `[B,M]`: frames kept for their places, and which of them were truly seen.
    """

    cache: MultiLevelKVCache
    frame: Tensor
    poses: Tensor
    motions: Tensor
    late_latents: Tensor
    late_poses: Tensor
    late_conditions: Tensor
    bank_latents: Tensor
    bank_poses: Tensor
    bank_ids: Tensor
    bank_true: Tensor

    PLAIN = (
        *("frame", "poses", "motions", "late_latents", "late_poses", "late_conditions"),
        *("bank_latents", "bank_poses", "bank_ids", "bank_true"),
    )

    def map(self, function) -> "FARCarry":
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        plain = {name: function(getattr(self, name), 0) for name in self.PLAIN}
        return FARCarry(cache=self.cache.map(function), **plain)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a name that tells where it belongs."""
        plain = {name: getattr(self, name) for name in self.PLAIN}
        return plain | {f"cache.{name}": tensor for name, tensor in self.cache.tensors().items()}

    @classmethod
    def empty(
        cls, cfg: FARConfig, batch: int, device: torch.device, dtype: torch.dtype
    ) -> "FARCarry":
        """The memory of dreams that have seen nothing; keys, values and conditions of `dtype`."""
        at, late = {"device": device}, cfg.dilation
        latent = (cfg.latent_channels, cfg.latent_size, cfg.latent_size)
        return cls(
            cache=MultiLevelKVCache.empty(cfg, batch, device, dtype),
            frame=torch.zeros(batch, dtype=torch.long, **at),
            poses=torch.zeros(batch, 3, **at),
            motions=torch.zeros(batch, cfg.actions, 2, **at),
            late_latents=torch.zeros(batch, late, *latent, **at),
            late_poses=torch.zeros(batch, late, 3, **at),
            late_conditions=torch.zeros(batch, late, cfg.width, dtype=dtype, **at),
            bank_latents=torch.zeros(batch, BANK, *latent, dtype=torch.float16, **at),
            bank_poses=torch.zeros(batch, BANK, 3, **at),
            bank_ids=torch.full((batch, BANK), NO_FRAME, **at),
            bank_true=torch.zeros(batch, BANK, dtype=torch.bool, **at),
        )

    @property
    def newest(self) -> Tensor:
        """What the newest frame shows, `[B,C,h,w]`."""
        rows = torch.arange(len(self.frame), device=self.frame.device)
        return self.late_latents[rows, (self.frame - 1) % self.late_latents.shape[1]]

    def true_frames(self, row: int) -> Tensor:
        """Which places of the bank of one dream hold truly seen frames, bool `[M]`."""
        return self.bank_true[row] & (self.bank_ids[row] != NO_FRAME)

    def generated_frames(self, row: int) -> Tensor:
        """Which of them hold frames that the dream has made, bool `[M]`."""
        return ~self.bank_true[row] & (self.bank_ids[row] != NO_FRAME)

    def forget_coarse(self) -> None:
        """Lose all long-term memory (to measure what it is worth)."""
        self.cache.forget_coarse()
        self.bank_ids.fill_(NO_FRAME)
