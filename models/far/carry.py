"""What a dream remembers: the cache of keys and values, its pose, the newest frames, and a bank of
old ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.far.config import FARConfig
from models.far.kv_cache import MultiLevelKVCache
from models.far.latent_bank import LatentBank
from models.nn.grouped_carry import GroupedCarry


@dataclass
class FARCarry(GroupedCarry):
    """Memory of B dreams.

    cache: keys and values of context frames; bank: frames by where they were seen; frame `[B]`:
    number of the next frame; poses `[B,3]` of the newest frame; motions `[B,A,2]` that each action
    would make now; late_latents `[B,N,C,h,w]`, late_poses `[B,N,3]`, late_conditions `[B,N,D]`: the
    newest frames, number i at i modulo N, which enter long-term memory N at a time (N is the
    dilation).
    """

    cache: MultiLevelKVCache
    bank: LatentBank
    frame: Tensor
    poses: Tensor
    motions: Tensor
    late_latents: Tensor
    late_poses: Tensor
    late_conditions: Tensor

    PLAIN = ("frame", "poses", "motions", "late_latents", "late_poses", "late_conditions")
    GROUPS = ("cache", "bank")

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], cfg: FARConfig) -> "FARCarry":
        """Inverse of tensors."""
        groups, plain = cls.split_tensors(tensors)
        cache = MultiLevelKVCache(**groups["cache"], cfg=cfg)
        return cls(cache, LatentBank(**groups["bank"]), **plain)

    @classmethod
    def empty(
        cls, cfg: FARConfig, batch: int, device: torch.device, dtype: torch.dtype
    ) -> "FARCarry":
        """The memory of dreams that have seen nothing; keys, values and conditions of `dtype`."""
        at, late, shape = {"device": device}, cfg.memory.dilation, cfg.network
        latent = (shape.latent_channels, shape.latent_size, shape.latent_size)
        return cls(
            cache=MultiLevelKVCache.empty(cfg, batch, device, dtype),
            bank=LatentBank.empty(shape, batch, device),
            frame=torch.zeros(batch, dtype=torch.long, **at),
            poses=torch.zeros(batch, 3, **at),
            motions=torch.zeros(batch, shape.actions, 2, **at),
            late_latents=torch.zeros(batch, late, *latent, **at),
            late_poses=torch.zeros(batch, late, 3, **at),
            late_conditions=torch.zeros(batch, late, shape.width, dtype=dtype, **at),
        )

    def forget_coarse(self) -> None:
        """Lose all long-term memory (to measure what it is worth)."""
        self.cache.forget_coarse()
        self.bank.clear()
