"""Fine texture that latents are too few to hold, from a book of true patches.

A decoder trained by errors paints what is certain, so grass comes out as a green plain. What it
leaves out of true patches is kept, `size` of them, beside the coarse channels of their latents; a
cell of a dream gets that of the entry most like it. Texture has to look right, not to be right.
"""

import torch
from torch import Tensor, nn

CHANNELS = 12  # at most, by which entries are looked up
ROW = 1.0  # what a row of cells counts beside a channel: grass far away is finer than grass nearby
SCALE = 127.0


class TextureBook(nn.Module):
    """Of pictures in -1..1.

    Args:
        entries: K.
        channels: C, of the latents.
        numbers: of a patch.
    """

    keys: Tensor
    textures: Tensor

    def __init__(self, entries: int, channels: int, numbers: int):
        super().__init__()
        self.register_buffer("keys", torch.zeros(entries, min(CHANNELS, channels) + 1))
        self.register_buffer("textures", torch.zeros(entries, numbers, dtype=torch.int8))

    def fill(self, latents: Tensor, missing: Tensor, generator: torch.Generator) -> None:
        """Choose entries at random, of latents `[N,C,h,w]` and what pictures of them lack
        `[N,h,w,numbers]`.
        """
        keys, textures = _keys(latents), missing.flatten(0, 2)
        chosen = torch.randint(len(keys), (len(self.keys),), generator=generator).to(keys.device)
        self.keys.copy_(keys[chosen])
        self.textures.copy_((textures[chosen] * SCALE).round().clamp(-127, 127))

    def find_textures(self, latents: Tensor) -> Tensor:
        """What pictures of latents `[B,C,h,w]` lack, float `[B,h,w,numbers]`."""
        # The nearest key is the one with the largest q.k - k.k/2.
        likeness = _keys(latents) @ self.keys.T - self.keys.square().sum(dim=1) / 2
        found = self.textures[likeness.argmax(dim=1)] / SCALE
        return found.unflatten(0, (len(latents), *latents.shape[2:]))


def _keys(latents: Tensor) -> Tensor:
    """`[B,C,h,w]` -> `[B*h*w,CHANNELS+1]` (or C+1)."""
    rows = torch.arange(latents.shape[2], device=latents.device, dtype=latents.dtype)
    rows = (ROW * rows)[:, None].expand(len(latents), 1, *latents.shape[2:])
    return torch.cat((latents[:, :CHANNELS], rows), dim=1).movedim(1, -1).flatten(0, 2)
