"""Slow twins of models/far_published/kv_cache.py: the same numbers from the same weights, computed
as plainly as FAR-Long is described, and as its published implementation computes them. They are
what speed is measured against (`worldsim bench --reference-layout`) and what proves it exact.

The published implementation was read, not copied. What costs it time: modulations are computed for
every token; its cache holds keys as they are before normalised ones are rotated, so that all are
rotated again for every sampler step; keys are concatenated in every layer; a mask of all tokens is
made for every step, also where nothing is hidden; the last block and the output layer are computed
for all tokens although one frame is asked for; two long-term frames are encoded anew each frame.

Letters as in models/far_published/network.py; N tokens, each modulated as if it were a frame.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from models.far_published.network import (
    CLEAN_CODE,
    FARReferenceNetwork,
    Level,
    ReferenceFrames,
    causal_bias,
)
from models.nn.blocks import Modulation, Projections, attend, modulate, patchify, unpatchify
from models.nn.rope import rotate


class Past(NamedTuple):
    """True frames before the new one: latents `[B,T,C,h,w]`, and conditions `[B,T+1]`, the last one
    the new frame's.
    """

    latents: Tensor
    conditions: Tensor


class Uncached:
    """All frames encoded for every sampler step, by the network's own forward."""

    def __init__(self, network: FARReferenceNetwork):
        self.network = network

    def velocity(self, past: Past, x: Tensor, timestep: float, first: bool) -> Tensor:
        """Of the new frames x `[B,1,C,h,w]`; `first` says whether they are new since the last
        call.
        """
        cfg, frames = self.network.cfg, _frames(past, x, timestep)
        cut = max(len(frames.ids) - cfg.window, 0)
        old = _some(frames, slice(0, cut))
        old = old._replace(timesteps=torch.full_like(old.timesteps, cfg.memory_code))
        return self.network(old, _some(frames, slice(cut, None)))[:, -1:]


class PublishedCache:
    """As the published implementation computes FAR-Long, with its cache or without."""

    def __init__(self, network: FARReferenceNetwork, cached: bool):
        self.network, self.cached = network, cached
        self._coarse = [_NOTHING] * network.cfg.layers
        self._all = [_NOTHING] * network.cfg.layers
        self._remembered = 0

    def velocity(self, past: Past, x: Tensor, timestep: float, first: bool) -> Tensor:
        """Of the new frames x `[B,1,C,h,w]`; `first` says whether they are new since the last
        call.
        """
        net, cfg = self.network, self.network.cfg
        frames = _frames(past, x, timestep)
        cut = len(frames.ids) - cfg.window
        coarse, fine = _some(frames, slice(0, cut)), _some(frames, slice(cut, None))
        coarse = coarse._replace(timesteps=2 * coarse.timesteps)
        turns = torch.cat((self._turns(coarse, "coarse"), self._turns(fine, "fine")), 1)
        mask = self._mask(coarse, fine).to(net.out["fine"].weight.dtype)
        if self.cached and first:
            coarse = _some(coarse, slice(self._remembered, None))
        elif self.cached:
            coarse, fine = _some(coarse, slice(0, 0)), _some(fine, slice(-1, None))
        tokens, split = self._tokens(coarse, fine)
        condition = torch.cat((self._each(coarse, "coarse"), self._each(fine, "fine")), 1)
        tokens = self._blocks(tokens, split, condition, turns, mask, first)
        if self.cached and first:
            self._remembered = cut - 1
        scale, shift = net.out_modulation(condition).unsqueeze(2).chunk(2, dim=-1)
        tokens = modulate(tokens, Modulation(shift, 1 + scale, scale))
        net.out["coarse"](tokens[:, :split])
        made = net.out["fine"](tokens[:, split:])[:, -self._size("fine") :].transpose(1, 2)
        return unpatchify(made.float(), cfg.patch, x.shape[-2] // cfg.patch)

    def _blocks(
        self,
        x: Tensor,
        split: int,
        condition: Tensor,
        turns: Tensor,
        mask: Tensor,
        first: bool,
    ) -> Tensor:
        """Hidden states `[B,N,1,D]` of coarse and fine tokens, `split` of them coarse."""
        for layer, block in enumerate(self.network.blocks):
            modulation = block.adaln(condition)
            normed = modulate(x, modulation[0])[:, :, 0]
            parts = (_project_unrotated(block.coarse, normed[:, :split]),)
            parts += (_project_unrotated(block.fine, normed[:, split:]),)
            q, k, v = (torch.cat(both, 1) for both in zip(*parts, strict=True))
            k, v = self._with_kept(layer, k, v, first)
            q, k = rotate(q, turns[:, -q.shape[1] :]), rotate(k, turns)
            heads = (part.transpose(1, 2) for part in (q, k, v))
            attended = attend(*heads, mask[-q.shape[1] :])
            old = attended[:, :split]
            old = old if block.coarse.out is None else block.coarse.out(old)
            attended = torch.cat((old, block.fine.out(attended[:, split:])), 1)
            x = block.finish(x, attended, torch.nn.Identity(), modulation)
        return x

    def _with_kept(self, layer: int, k: Tensor, v: Tensor, first: bool) -> tuple[Tensor, Tensor]:
        if not self.cached:
            return k, v
        kept = self._coarse[layer] if first else self._all[layer]
        k, v = (torch.cat(parts, 1) for parts in ((*kept[0], k), (*kept[1], v)))
        if first:
            fine = self._size("fine")
            newest = self._size("coarse") + fine * self.network.cfg.window
            self._coarse[layer] = ((k[:, :-newest],), (v[:, :-newest],))
            self._all[layer] = ((k[:, :-fine],), (v[:, :-fine],))
        return k, v

    def _size(self, level: Level) -> int:
        return (self.network.cfg.latent_size // self.network.cfg.patch_of(level)) ** 2

    def _turns(self, frames: ReferenceFrames, level: Level) -> Tensor:
        patch = self.network.cfg.patch_of(level)
        return self.network.rotations(frames.ids, *frames.latents.shape[-2:], patch)

    def _mask(self, coarse: ReferenceFrames, fine: ReferenceFrames) -> Tensor:
        parts = (coarse.ids.repeat_interleave(self._size("coarse")),)
        parts += (fine.ids.repeat_interleave(self._size("fine")),)
        ids = torch.cat(parts)
        return causal_bias(ids, ids, self.network.cfg.slope)

    def _each(self, frames: ReferenceFrames, level: Level) -> Tensor:
        """AdaLN's input `[B,N,D]` of every token."""
        return self.network.condition(frames).repeat_interleave(self._size(level), dim=1)

    def _tokens(self, coarse: ReferenceFrames, fine: ReferenceFrames) -> tuple[Tensor, int]:
        """Embedded tokens `[B,N,1,D]`, and how many of them are coarse."""
        parts = []
        for level, frames in (("coarse", coarse), ("fine", fine)):
            patch, embed = self.network.cfg.patch_of(level), self.network.embed[level]
            tokens = patchify(frames.latents, patch, patch).to(embed.weight.dtype)
            parts.append(embed(tokens.flatten(1, 2)))
        return torch.cat(parts, 1).unsqueeze(2), parts[0].shape[1]


_NOTHING: tuple[tuple, tuple] = ((), ())


def _frames(past: Past, x: Tensor, timestep: float) -> ReferenceFrames:
    """True frames and the new one."""
    timesteps = torch.full(past.conditions.shape, CLEAN_CODE, device=x.device)
    timesteps[:, -1] = timestep
    ids = torch.arange(timesteps.shape[1], device=x.device)
    return ReferenceFrames(torch.cat((past.latents, x), 1), ids, timesteps, past.conditions)


def _some(frames: ReferenceFrames, part: slice) -> ReferenceFrames:
    latents, ids, timesteps, conditions = frames
    return ReferenceFrames(latents[:, part], ids[part], timesteps[:, part], conditions[:, part])


def _project_unrotated(projections: Projections, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys, values `[B,N,H,d]`, normalised and not rotated."""
    q, k, v = projections.qkv(x).unflatten(-1, (3, -1, projections.head_size)).unbind(2)
    return projections.norm_q(q), projections.norm_k(k), v
