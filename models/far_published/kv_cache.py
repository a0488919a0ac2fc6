"""Where published FAR is played: keys and values of all that the next frame sees, in one buffer a
layer, written in place. Exactly what models/far_published/network.py computes, without computing
anything twice. Knows nothing of sampling, guidance or actions.

What is saved, all of it exact: keys are kept normalised and rotated; a frame's modulation is
computed once and not for each of its tokens; a frame looks only at what it may see, so that no mask
is needed and none of the masked half is computed; of frames that are only looked at, the last block
makes keys and values and nothing else; nothing is concatenated or allocated between sampler steps.

The buffer, in slots of a token: [frame being made | window, newest first | memory], the
frame being made just before the newest of the window, so that whatever a frame sees is one slice.

Shape letters as in models/far_published/network.py, N rows (dreams times guidance branches).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from models.far_published.network import FARReferenceConfig, FARReferenceNetwork, Level
from models.nn.blocks import Modulation, Projections, attend, modulate, patchify, unpatchify
from models.nn.rope import rotate

BLOCK = 64  # frames by which the memory grows until it is full

Modulations = list[tuple[Modulation, Modulation]]  # of every block, each `[N,F,1,D]`


@dataclass
class KVCache:
    """Keys and values `[L,N,H,slots,d]`, and the frame number of every slot, ids `[slots]`.

    Attributes:
        k: rotated keys.
        v: values.
        ids: -1 where nothing was written.
        fine: tokens of a fine frame.
        each: tokens of a remembered frame.
        window: most frames in the window.
        memory: most frames remembered.
        count: frames remembered so far.
    """

    k: Tensor
    v: Tensor
    ids: Tensor
    fine: int
    each: int
    window: int
    memory: int
    count: int = 0

    @classmethod
    def holding(
        cls, cfg: FARReferenceConfig, k: Tensor, v: Tensor, newest: int, frames: int, memory: int
    ) -> "KVCache":
        """A cache that holds k and v `[L,N,H,M,d]`, frame `newest` the last of them, with place
        for `frames` remembered frames, at most `memory`.
        """
        fine = (cfg.latent_size // cfg.patch) ** 2
        each = (cfg.latent_size // cfg.patch_of(cfg.memory_level)) ** 2
        window = 0 if cfg.memory_level == "fine" else cfg.window - 1
        places = min(-(-frames // BLOCK) * BLOCK, memory)
        slots = (window + 1) * fine + places * each
        shape = (*k.shape[:3], slots, k.shape[4])
        ids = torch.full((slots,), -1, device=k.device)
        count = k.shape[3] // each
        cache = cls(k.new_zeros(shape), v.new_zeros(shape), ids, fine, each, window, memory, count)
        cache.k[:, :, :, cache.remembered], cache.v[:, :, :, cache.remembered] = k, v
        cache.ids[cache.remembered] = ring_ids(count, newest).to(ids).repeat_interleave(each)
        return cache

    @property
    def start(self) -> int:
        """First slot of the memory."""
        return (self.window + 1) * self.fine

    @property
    def places(self) -> int:
        """How many old frames it can hold."""
        return (len(self.ids) - self.start) // self.each

    @property
    def remembered(self) -> slice:
        """The slots of remembered frames."""
        return slice(self.start, self.start + self.count * self.each)

    def in_window(self, number: int) -> slice:
        """Slots of a frame of the window, 0 the oldest; behind the newest, the one being made."""
        first = (self.window - number) * self.fine
        return slice(first, first + self.fine)

    def write(self, layer: int, slots: slice, k: Tensor, v: Tensor) -> None:
        """Put keys and values `[N,H,S,d]` of one frame."""
        self.k[layer, :, :, slots], self.v[layer, :, :, slots] = k, v

    def look(self, layer: int, q: Tensor, seen: slice, now: int, slope: float) -> Tensor:
        """Attention `[N,S,D]` of one frame's queries `[N,H,S,d]` over a slice of slots."""
        k, v = self.k[layer, :, :, seen], self.v[layer, :, :, seen]
        if not slope:
            return attend(q, k, v, None)
        bias = (-slope * (now - self.ids[seen])).to(q.dtype)
        return attend(q, k, v, bias.expand(q.shape[2], -1))


def ring_ids(count: int, newest: int) -> Tensor:
    """Frame numbers `[count]` of a memory's places, each frame lying at its number modulo the
    memory's size once that is full.
    """
    place = torch.arange(count)
    return newest - (newest - place) % max(count, 1)


class Look(NamedTuple):
    """One frame that is encoded: its number, where its keys go, and the slots it sees."""

    number: int
    own: slice
    seen: slice


def window_looks(cache: KVCache, numbers: list[int]) -> list[Look]:
    """The frames of a window, oldest first: each sees the older ones and the memory."""
    end = cache.remembered.stop
    return [
        Look(number, own, slice(own.start, end))
        for number, own in ((n, cache.in_window(i)) for i, n in enumerate(numbers))
    ]


def memory_looks(cache: KVCache, numbers: list[int]) -> list[Look]:
    """Frames that join the memory, oldest first; a full memory gives up its oldest frames."""
    looks = []
    for number in numbers:
        place = number % cache.memory
        cache.count = max(cache.count, place + 1)
        first = cache.start + place * cache.each
        looks.append(Look(number, slice(first, first + cache.each), cache.remembered))
    return looks


def modulations(network: FARReferenceNetwork, condition: Tensor) -> Modulations:
    """Of every block, for frames with AdaLN inputs `[N,F,D]`: the weights are read once for all."""
    return [block.adaln(condition) for block in network.blocks]


def of_frames(modulation: Modulations, frames: slice) -> Modulations:
    """The part that belongs to some of the frames."""
    return [
        tuple(Modulation(*(part[:, frames] for part in half)) for half in block)
        for block in modulation
    ]


def remember(
    network: FARReferenceNetwork,
    cache: KVCache,
    level: Level,
    latents: Tensor,
    looks: list[Look],
    modulation: Modulations,
) -> None:
    """Write keys and values of frames, latents `[N,F,C,h,w]`, which see what `looks` says."""
    patch = network.cfg.patch_of(level)
    x = _embed(network, level, latents)
    ids = torch.tensor([look.number for look in looks], device=x.device)
    rotations = network.rotations(ids, *latents.shape[-2:], patch)
    for look in looks:
        cache.ids[look.own] = look.number
    for layer, (block, (first, second)) in enumerate(zip(network.blocks, modulation, strict=True)):
        projections, normed = getattr(block, level), modulate(x, first).flatten(1, 2)
        last = layer == len(network.blocks) - 1
        kv = _keys_values(projections, normed, rotations) if last else None
        q, k, v = (None, *kv) if last else projections(normed, rotations)
        attended = []
        for i, look in enumerate(looks):
            part = slice(i * x.shape[2], (i + 1) * x.shape[2])
            cache.write(layer, look.own, k[:, :, part], v[:, :, part])
            if not last:
                mine = q[:, :, part]
                attended.append(cache.look(layer, mine, look.seen, look.number, network.cfg.slope))
        if not last:
            x = block.finish(x, torch.cat(attended, 1), projections.out, (first, second))


def velocity(
    network: FARReferenceNetwork,
    cache: KVCache,
    latents: Tensor,
    look: Look,
    modulation: Modulations,
    out: Modulation,
) -> Tensor:
    """Velocity `[N,1,C,h,w]` of the frame being made, latents `[N,1,C,h,w]`."""
    x = _embed(network, "fine", latents)
    ids = torch.tensor([look.number], device=x.device)
    rotations = network.rotations(ids, *latents.shape[-2:], network.cfg.patch)
    cache.ids[look.own] = look.number
    for layer, (block, both) in enumerate(zip(network.blocks, modulation, strict=True)):
        q, k, v = block.fine(modulate(x, both[0]).flatten(1, 2), rotations)
        cache.write(layer, look.own, k, v)
        attended = cache.look(layer, q, look.seen, look.number, network.cfg.slope)
        x = block.finish(x, attended, block.fine.out, both)
    tokens = network.out["fine"](modulate(x, out)).float()
    return unpatchify(tokens, network.cfg.patch, latents.shape[-2] // network.cfg.patch)


def _embed(network: FARReferenceNetwork, level: Level, latents: Tensor) -> Tensor:
    patch, embed = network.cfg.patch_of(level), network.embed[level]
    return embed(patchify(latents, patch, patch).to(embed.weight.dtype))


def _keys_values(projections: Projections, x: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values `[N,H,S,d]` alone."""
    width = x.shape[-1]
    both = F.linear(x, projections.qkv.weight[width:], projections.qkv.bias[width:])
    k, v = both.unflatten(-1, (2, -1, projections.head_size)).unbind(2)
    k = rotate(projections.norm_k(k), rotations)
    return k.transpose(1, 2), v.transpose(1, 2)
