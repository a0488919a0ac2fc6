"""FAR-Long as a dynamics that dreams frame by frame: initial / observe / imagine over an explicit
carry. Training's loss is in models/far_loss.py.

The carry knows where the dreamer stands: every observed frame predicts how far each action would
carry it, actions say how far they turn, and dead
reckoning adds it up. The pose rotates keys and queries and picks the landmarks, old frames seen
from near the place that is about to be seen again.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.cache import MultiLevelCache
from models.far import (
    CLEAN,
    COARSE,
    JUMPS,
    LANDMARK,
    NO_FRAME,
    NO_JUMP,
    NOISY,
    FARConfig,
    FARNetwork,
    Frames,
    coarse_sees_coarse,
)
from models.flow import jump, mix, times
from models.layers import modulate
from models.places import choose_landmarks, displace, distance
from models.whereabouts import attend_from, carried

BANK = 256
NOVEL = 0.1
LATENT_LIMIT = 12.0


@dataclass
class FARCarry:
    """Memory of B dreams.

    frame `[B]`: number of the next frame; poses `[B,3]` of the newest frame; motions `[B,A,2]` that
    each action would make now;
    bank_latents `[B,M,C,h,w]` float16, bank_poses `[B,M,3]`, bank_ids `[B,M]`: frames kept for
    their places.
    """

    cache: MultiLevelCache
    frame: Tensor
    poses: Tensor
    motions: Tensor
    bank_latents: Tensor
    bank_poses: Tensor
    bank_ids: Tensor

    PLAIN = ("frame", "poses", "motions", "bank_latents", "bank_poses", "bank_ids")

    def map(self, function) -> "FARCarry":
        """A new carry of `function(tensor, batch dimension)` of every tensor."""
        plain = {name: function(getattr(self, name), 0) for name in self.PLAIN}
        return FARCarry(cache=self.cache.map(function), **plain)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by a name that tells where it belongs."""
        plain = {name: getattr(self, name) for name in self.PLAIN}
        return plain | {f"cache.{name}": tensor for name, tensor in self.cache.tensors().items()}

    def forget_coarse(self) -> None:
        """Lose all long-term memory (to measure what it is worth)."""
        self.cache.forget_coarse()
        self.bank_ids.fill_(NO_FRAME)


class FARDynamics(nn.Module):
    """The network run one frame at a time. `turns` are radians per action."""

    def __init__(self, cfg: FARConfig, turns: tuple[float, ...]):
        super().__init__()
        self.cfg = cfg
        self.network = FARNetwork(cfg)
        self.register_buffer("turns", torch.tensor(turns, dtype=torch.float32), persistent=False)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.cfg.latent_channels, self.cfg.latent_size, self.cfg.latent_size

    def initial(self, batch: int) -> FARCarry:
        """A dream that has seen nothing."""
        weight = self.network.out.weight
        at = {"device": weight.device}
        return FARCarry(
            cache=MultiLevelCache.empty(self.cfg, batch, weight.device, weight.dtype),
            frame=torch.zeros(batch, dtype=torch.long, **at),
            poses=torch.zeros(batch, 3, **at),
            motions=torch.zeros(batch, self.cfg.actions, 2, **at),
            bank_latents=torch.zeros(batch, BANK, *self.latent_shape, dtype=torch.float16, **at),
            bank_poses=torch.zeros(batch, BANK, 3, **at),
            bank_ids=torch.full((batch, BANK), NO_FRAME, **at),
        )

    def carry_from(self, tensors: dict[str, Tensor]) -> FARCarry:
        """Inverse of `FARCarry.tensors`."""
        cache = MultiLevelCache(*(tensors[f"cache.{name}"] for name in ("k", "v", "ids")), self.cfg)
        return FARCarry(cache=cache, **{name: tensors[name] for name in FARCarry.PLAIN})

    @torch.no_grad()
    def observe(self, carry: FARCarry, latents: Tensor, actions: Tensor) -> FARCarry:
        """Take in true frames `[B,C,h,w]`; `actions` `[B]` led to them (-1: none). Changes `carry`
        and gives it back.
        """
        motions, poses = self._moved(carry, actions)
        return self._append(carry, latents, actions, motions, poses)

    @torch.no_grad()
    def imagine(
        self, carry: FARCarry, actions: Tensor, noise: Tensor, steps: int
    ) -> tuple[FARCarry, Tensor]:
        """Make and take in the next frames: latents `[B,C,h,w]` from noise of that shape in `steps`
        jumps. Changes `carry` and gives it back.
        """
        motions, poses = self._moved(carry, actions)
        self._recall(carry, poses)
        visible = carry.cache.visible(carry.frame, with_landmarks=True)
        mask = torch.zeros_like(visible, dtype=noise.dtype).masked_fill_(~visible, float("-inf"))[
            :, None, None
        ]
        latents = noise
        for t, d in times(steps):
            frames = self._one(latents, carry.frame, poses, t, self._told(d), actions, motions)
            latents = jump(latents, self._predict(carry.cache, frames, mask), t, d)
            latents = latents.clamp(-LATENT_LIMIT, LATENT_LIMIT)
        return self._append(carry, latents, actions, motions, poses, noise), latents

    def _told(self, d: float) -> int:
        """The jump index the network is told for a jump of length d."""
        return JUMPS.index(d) if self.cfg.shortcuts else len(JUMPS) - 1

    def _moved(self, carry: FARCarry, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Motions `[B,2]` and new poses `[B,3]` by dead reckoning; nothing moves without an
        action.
        """
        known = actions.clamp(min=0)
        acted = (actions >= 0).to(carry.motions.dtype).unsqueeze(1)
        motions = carry.motions[torch.arange(len(known), device=known.device), known] * acted
        return motions, displace(carry.poses, motions, self.turns[known] * acted.squeeze(1))

    def _one(self, latents, ids, poses, noise: float, jump_index: int, actions, motions) -> Frames:
        """One frame a row as Frames with F = 1."""
        one = torch.ones_like(ids)
        parts = (latents, ids, poses, one * float(noise), one * jump_index, actions, motions)
        return Frames(*(part.unsqueeze(1) for part in parts))

    def _predict(self, cache: MultiLevelCache, frames: Frames, mask: Tensor) -> Tensor:
        """Clean latents `[B,C,h,w]` of noisy frames against the cached past; their own keys go into
        the `own` slots.
        """
        net, own = self.network, cache.slots("own")
        x, condition, rotations, where = net.enter(frames, NOISY)
        for layer, block in enumerate(net.blocks):
            mods = block.adaln(condition)
            qkv = block.fine(modulate(x, mods[0]).flatten(1, 2), rotations)
            q, cache.k[layer][:, :, own], cache.v[layer][:, :, own] = carried(qkv, where)
            found = attend_from(where, q, cache.k[layer], cache.v[layer], mask)
            x = block.finish(x, found, block.fine.out, mods)
        return net.predict(x, condition)[:, 0]

    def _append(
        self,
        carry: FARCarry,
        latents: Tensor,
        actions: Tensor,
        motions: Tensor,
        poses: Tensor,
        noise: Tensor | None = None,
    ) -> FARCarry:
        """Encode frames once fine and once coarse, and remember them; with `noise`, which they were
        made of, as dreamt ones.
        """
        ids, cache = carry.frame, carry.cache
        frames = self._one(latents, ids, poses, 0.0, NO_JUMP, actions, motions)
        seen = frames if noise is None else self._doubted(frames, noise)
        fine, next_motions = self._encode_clean(cache, seen)
        coarse = self._encode_coarse(cache, frames)
        rows = torch.arange(len(ids), device=ids.device)
        cache.write("fine", rows, cache.place("fine", ids), fine, ids)
        cache.write("ring", rows, cache.place("ring", ids), coarse, ids)
        kept = rows[ids % self.cfg.dilation == 0]
        cache.write(
            "dilated",
            kept,
            cache.place("dilated", ids[kept]),
            [(k[kept], v[kept]) for k, v in coarse],
            ids[kept],
        )
        self._keep_place(carry, latents, ids, poses)
        return replace(carry, frame=ids + 1, poses=poses, motions=next_motions)

    def _doubted(self, frames: Frames, noise: Tensor) -> Frames:
        """Dreamt frames as the short-term window keeps them. Their noise is the one that they were
        made of, channels reversed: another, and still a function of the dream's seed.
        """
        level = torch.full_like(frames.noise, self.cfg.context_noise)
        latents = mix(frames.latents, noise.flip(1).unsqueeze(1), level[..., None, None, None])
        return frames._replace(latents=latents, noise=level)

    def _encode_clean(self, cache: MultiLevelCache, frames: Frames) -> tuple[list, Tensor]:
        """Keys and values a layer of clean frames, and the motions `[B,A,2]` they promise."""
        net, own, kv = self.network, cache.slots("own"), []
        visible = cache.visible(frames.ids[:, 0], with_landmarks=False)
        mask = torch.zeros_like(visible, dtype=torch.float32).masked_fill_(~visible, float("-inf"))[
            :, None, None
        ]
        x, condition, rotations, where = net.enter(frames, CLEAN)
        for layer, block in enumerate(net.blocks):
            mods = block.adaln(condition)
            qkv = block.fine(modulate(x, mods[0]).flatten(1, 2), rotations)
            q, k, v = carried(qkv, where)
            kv.append((k, v))
            if layer == self.cfg.layers - 1:
                break
            cache.k[layer][:, :, own], cache.v[layer][:, :, own] = k, v
            found = attend_from(where, q, cache.k[layer], cache.v[layer], mask)
            x = block.finish(x, found, block.fine.out, mods)
        return kv, net.predict_motions(x)[:, 0]

    def _encode_coarse(self, cache: MultiLevelCache, frames: Frames) -> list:
        """Keys and values a layer of coarse frames, which see the dilated level and themselves."""
        net, past, kv = self.network, cache.slots("dilated"), []
        tokens = self.cfg.coarse_tokens
        seen = coarse_sees_coarse(frames.ids, cache.level_ids("dilated"), self.cfg)
        visible = torch.cat(
            (seen, torch.ones_like(frames.ids, dtype=torch.bool)), 1
        ).repeat_interleave(tokens, dim=1)
        mask = torch.zeros_like(visible, dtype=torch.float32).masked_fill_(~visible, float("-inf"))[
            :, None, None
        ]
        x, condition, rotations, where = net.enter(frames, COARSE)
        for layer, block in enumerate(net.blocks):
            mods = block.adaln(condition)
            qkv = block.coarse(modulate(x, mods[0]).flatten(1, 2), rotations)
            q, k, v = carried(qkv, where)
            kv.append((k, v))
            if layer == self.cfg.layers - 1:
                break
            found = attend_from(
                where,
                q,
                torch.cat((cache.k[layer][:, :, past], k), 2),
                torch.cat((cache.v[layer][:, :, past], v), 2),
                mask,
            )
            x = block.finish(x, found, block.coarse.out, mods)
        return kv

    def _keep_place(self, carry: FARCarry, latents: Tensor, ids: Tensor, poses: Tensor) -> None:
        """Keep frames whose place is new; when the bank is full, the nearest kept one makes room.
        Old pictures of a place stay: they are nearer the truth.
        """
        empty = carry.bank_ids == NO_FRAME
        far = distance(poses.unsqueeze(1), carry.bank_poses).masked_fill(empty, torch.inf)
        nearest, index = far.min(dim=1)
        place = torch.where(empty.any(dim=1), empty.int().argmax(dim=1), index)
        rows = torch.nonzero(nearest > NOVEL).flatten()
        at = place[rows]
        carry.bank_latents[rows, at] = latents[rows].to(carry.bank_latents.dtype)
        carry.bank_poses[rows, at] = poses[rows]
        carry.bank_ids[rows, at] = ids[rows]

    def _recall(self, carry: FARCarry, poses: Tensor) -> None:
        """Fill the landmark slots with the remembered frames nearest to `poses`, encoding only
        those that are not there yet.
        """
        cfg, cache = self.cfg, carry.cache
        usable = (carry.bank_ids >= 0) & (carry.bank_ids <= (carry.frame - cfg.window).unsqueeze(1))
        index = choose_landmarks(poses.unsqueeze(1), carry.bank_poses, usable, cfg.landmarks)
        wanted = torch.where(index >= 0, carry.bank_ids.gather(1, index.clamp(min=0)), NO_FRAME)
        held = cache.level_ids("landmarks")
        stale = ~(held.unsqueeze(2) == wanted.unsqueeze(1)).any(dim=2)
        held[stale] = NO_FRAME
        missing = (wanted >= 0) & ~(wanted.unsqueeze(2) == held.unsqueeze(1)).any(dim=2)
        rows, which = torch.nonzero(missing, as_tuple=True)
        if not len(rows):
            return
        free = torch.argsort((held != NO_FRAME).int(), dim=1, stable=True)
        nth = (missing.cumsum(dim=1) - 1)[rows, which]
        bank = index[rows, which]
        frames = self._landmark_frames(carry, rows, bank)
        cache.write(
            "landmarks",
            rows,
            free[rows, nth],
            self._encode_landmarks(frames),
            carry.bank_ids[rows, bank],
        )

    def _landmark_frames(self, carry: FARCarry, rows: Tensor, bank: Tensor) -> Frames:
        latents = carry.bank_latents[rows, bank].to(carry.cache.k.dtype)
        ids = carry.bank_ids[rows, bank]
        return self._one(
            latents,
            ids,
            carry.bank_poses[rows, bank],
            0.0,
            NO_JUMP,
            torch.full_like(ids, -1),
            torch.zeros_like(carry.poses[rows, :2]),
        )

    def _encode_landmarks(self, frames: Frames) -> list:
        """Keys and values a layer of landmark frames, which see themselves alone."""
        net, kv = self.network, []
        x, condition, rotations, where = net.enter(frames, LANDMARK)
        for layer, block in enumerate(net.blocks):
            mods = block.adaln(condition)
            qkv = block.fine(modulate(x, mods[0]).flatten(1, 2), rotations)
            q, k, v = carried(qkv, where)
            kv.append((k, v))
            if layer < self.cfg.layers - 1:
                found = attend_from(where, q, k, v, None)
                x = block.finish(x, found, block.fine.out, mods)
        return kv
