"""What B VideoAR dreams remember: keys and values of the newest frames, a ring overwritten in
place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.videoar.network import KV

EMPTY = -1


@dataclass
class VideoARCarry:
    """Memory of B dreams, of a fixed size. Consumed by what takes it: the ring is written in place.

    frame int64 `[B]`: number of the next frame; ids int64 `[B,W]`: the frame in each place of the
    ring (EMPTY: none); k, v `[L,B,G,H,W*C,d]`: their keys and values, C tokens a frame, in G
    guidance branches; last `[B,d,h,w]`: the newest frame's sum of codes.
    """

    frame: Tensor
    ids: Tensor
    k: Tensor
    v: Tensor
    last: Tensor

    DIMS = {"frame": 0, "ids": 0, "k": 1, "v": 1, "last": 0}  # noqa: RUF012

    def map(self, function) -> "VideoARCarry":
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        return VideoARCarry(**{n: function(getattr(self, n), d) for n, d in self.DIMS.items()})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        return {name: getattr(self, name) for name in self.DIMS}

    def layers(self) -> list[KV]:
        """Keys and values `[B*G,H,W*C,d]` of the ring, layer by layer."""
        return [KV(k.flatten(0, 1), v.flatten(0, 1)) for k, v in zip(self.k, self.v, strict=True)]

    def visible(self) -> Tensor:
        """Which of the ring's tokens hold something, bool `[B,W*C]`."""
        tokens = self.k.shape[4] // self.ids.shape[1]
        return (self.ids != EMPTY).repeat_interleave(tokens, dim=1)

    def write(self, kv: list[KV]) -> None:
        """Store the next frame's keys and values `[B*G,H,C,d]`, over the oldest frame's."""
        places, tokens = self.frame % self.ids.shape[1], self.k.shape[4] // self.ids.shape[1]
        rows = torch.arange(len(self.frame), device=self.frame.device)
        columns = places[:, None] * tokens + torch.arange(tokens, device=rows.device)
        for layer, part in enumerate(kv):
            for ring, new in ((self.k[layer], part.k), (self.v[layer], part.v)):
                new = new.unflatten(0, (len(rows), -1)).permute(0, 3, 1, 2, 4)
                ring[rows[:, None], :, :, columns] = new.to(ring.dtype)
        self.ids[rows, places] = self.frame
