"""FAR-Long as a dynamics that dreams frame by frame: initial / observe / imagine over an explicit
carry. Training's loss is in models/far/loss.py.

The carry knows where the dreamer stands: every observed frame predicts how far each action would
carry it, actions say how far they turn, and dead
reckoning adds it up. The pose rotates keys and queries and picks the keyframes, old frames seen
from near the place that is about to be seen again.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.far.carry import FARCarry
from models.far.config import FARConfig
from models.far.frame_pass import (
    BlockInput,
    FrameCondition,
    attend_cache,
    attend_dilated,
    attend_self,
    condition_frame,
    run_blocks,
)
from models.far.kv_cache import KV
from models.far.network import CLEAN, COARSE, JUMPS, KEYFRAME, NO_FRAME, NO_JUMP, NOISY, FARNetwork
from models.far.sampler import sample
from models.memory.keyframes import nearest_keyframes
from models.memory.pose import compose_pose, snap_to_stride
from models.nn.noise_schedule import sigmas


class FARDynamics(nn.Module):
    """The network run one frame at a time.

    Args:
        cfg: its shape.
        turns: radians per action.
    """

    def __init__(self, cfg: FARConfig, turns: tuple[float, ...]):
        super().__init__()
        self.cfg = cfg
        self.network = FARNetwork(cfg)
        self.register_buffer("turns", torch.tensor(turns, dtype=torch.float32), persistent=False)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        shape = self.cfg.network
        return shape.latent_channels, shape.latent_size, shape.latent_size

    @property
    def context_noise(self) -> float:
        """How much noise dreamt frames are remembered with."""
        return self.cfg.sampler.context_noise

    def initial(self, batch: int) -> FARCarry:
        """A dream that has seen nothing."""
        weight = self.network.out.weight
        return FARCarry.empty(self.cfg, batch, weight.device, weight.dtype)

    def carry_from(self, tensors: dict[str, Tensor]) -> FARCarry:
        """Inverse of `FARCarry.tensors`."""
        return FARCarry.from_tensors(tensors, self.cfg)

    @torch.inference_mode()
    def observe(self, carry: FARCarry, latents: Tensor, actions: Tensor) -> FARCarry:
        """Take in true frames `[B,C,h,w]`; `actions` `[B]` led to them (-1: none). Changes `carry`
        and gives it back.
        """
        motions, poses = self._dead_reckon(carry, actions)
        frame_condition = self._condition_next(carry, actions, motions, poses)
        return self._append(carry, frame_condition, latents, latents)

    @torch.inference_mode()
    def imagine(
        self,
        carry: FARCarry,
        actions: Tensor,
        noise: Tensor,
        steps: int,
        context_noise: float | None = None,
    ) -> tuple[FARCarry, Tensor]:
        """Make and take in the next frames: latents `[B,C,h,w]` from noise of that shape in `steps`
        jumps, remembered with `context_noise`. Changes `carry` and gives it back.
        """
        blur = self.context_noise if context_noise is None else context_noise
        jumps = list(sigmas(steps))
        motions, poses = self._dead_reckon(carry, actions, self.cfg.memory.stride)
        frame_condition = self._condition_next(carry, actions, motions, poses, jumps, blur)
        self._fill_keyframes(carry, frame_condition)
        latents = sample(self.network, carry.cache, frame_condition, noise, jumps)
        # As noise to remember it with, the noise it was made of, channels reversed: another, and
        # still a function of the dream's seed.
        seen = latents * (1 - blur) + noise.flip(1) * blur
        return self._append(carry, frame_condition, latents, seen), latents

    def _jump_index(self, d: float) -> int:
        """The jump index the network is told for a jump of length d."""
        return JUMPS.index(d) if self.cfg.sampler.shortcuts else len(JUMPS) - 1

    def _dead_reckon(
        self, carry: FARCarry, actions: Tensor, stride: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Motions `[B,2]` and new poses `[B,3]` by dead reckoning, with doubtful steps decided by
        the `stride`; nothing moves without an action.
        """
        known = actions.clamp(min=0)
        acted = (actions >= 0).to(carry.motions.dtype).unsqueeze(1)
        motions = carry.motions[torch.arange(len(known), device=known.device), known] * acted
        if stride:
            motions = snap_to_stride(motions, stride)
        return motions, compose_pose(carry.poses, motions, self.turns[known] * acted.squeeze(1))

    def _condition_next(
        self,
        carry: FARCarry,
        actions: Tensor,
        motions: Tensor,
        poses: Tensor,
        jumps: Sequence[tuple[float, float]] = (),
        blur: float = 0.0,
    ) -> FrameCondition:
        """Everything about the next frame but its picture, remembered with noise `blur`; without
        jumps it is a true one.
        """
        passes = [(NOISY, t, self._jump_index(d)) for t, d in jumps]
        passes += [
            (KEYFRAME, 0.0, NO_JUMP),
            (CLEAN, blur, NO_JUMP),
            (COARSE, 0.0, NO_JUMP),
        ]
        return condition_frame(self.network, carry.frame, poses, actions, motions, passes)

    def _append(
        self, carry: FARCarry, frame_condition: FrameCondition, latents: Tensor, seen: Tensor
    ) -> FARCarry:
        """Encode frames fine, the way they are `seen`, and remember them; every so often coarse."""
        ids, cache, net = frame_condition.ids, carry.cache, self.network
        x = frame_condition.block_input(net.embed(seen.unsqueeze(1)), -2)
        x, fine = run_blocks(net, x, attend_cache(cache, ids, with_keyframes=False))
        motions = net.predict_motions(x)[:, 0]
        rows = torch.arange(len(ids), device=ids.device)
        cache.write("window", rows, cache.place("window", ids), fine, ids)
        late = ids % self.cfg.memory.dilation
        carry.late_latents[rows, late] = latents.float()
        carry.late_poses[rows, late] = frame_condition.poses
        carry.late_conditions[rows, late] = frame_condition.condition[:, -1]
        self._remember_coarse(carry, ids)
        carry.bank.insert(latents, ids, frame_condition.poses)
        return replace(carry, frame=ids + 1, poses=frame_condition.poses, motions=motions)

    def _remember_coarse(self, carry: FARCarry, ids: Tensor) -> None:
        """Encode the newest frames coarse, up to `ids` `[B]`, in dreams where as many as the
        dilation have come together. They are needed only when they leave the window, and none of
        them sees another.
        """
        cfg, net, cache = self.cfg, self.network, carry.cache
        due = torch.nonzero(ids % cfg.memory.dilation == 0).flatten()
        if not len(due):
            return
        frames = ids[due].unsqueeze(1) + torch.arange(1 - cfg.memory.dilation, 1, device=ids.device)
        at = due.unsqueeze(1), frames % cfg.memory.dilation
        poses, condition = carry.late_poses[at], carry.late_conditions[at]
        block_input = BlockInput(
            net.embed(carry.late_latents[at], coarse=True),
            [block.adaln(condition) for block in net.blocks],
            net.rotations(frames, poses, True),
            net.token_poses(poses, True),
        )
        _, coarse = run_blocks(net, block_input, attend_dilated(cache, due, frames), coarse=True)
        there = frames.flatten() >= 0
        frames, rows = frames.flatten()[there], at[0].expand_as(frames).flatten()[there]
        single = KV(*(_frame_by_frame(part, cfg.memory.dilation)[:, there] for part in coarse))
        cache.write("recent_coarse", rows, cache.place("recent_coarse", frames), single, frames)
        kept = frames % cfg.memory.dilation == 0
        some = KV(single.k[:, kept], single.v[:, kept])
        cache.write("dilated", rows[kept], cache.place("dilated", frames[kept]), some, frames[kept])

    def _fill_keyframes(self, carry: FARCarry, frame_condition: FrameCondition) -> None:
        """Fill the keyframe slots with the remembered frames nearest to where the dreamer arrives,
        encoding only those that are not there yet.
        """
        cfg, cache, poses = self.cfg, carry.cache, frame_condition.poses
        usable = (carry.bank.ids >= 0) & (
            carry.bank.ids <= (carry.frame - cfg.memory.window).unsqueeze(1)
        )
        index = nearest_keyframes(poses, carry.bank.poses, usable, cfg.memory.keyframes)
        wanted = torch.where(index >= 0, carry.bank.ids.gather(1, index.clamp(min=0)), NO_FRAME)
        held = cache.level_ids("keyframes")
        held[~(held.unsqueeze(2) == wanted.unsqueeze(1)).any(dim=2)] = NO_FRAME
        missing = (wanted >= 0) & ~(wanted.unsqueeze(2) == held.unsqueeze(1)).any(dim=2)
        rows, which = torch.nonzero(missing, as_tuple=True)
        if not len(rows):
            return
        free = torch.argsort((held != NO_FRAME).int(), dim=1, stable=True)
        nth = (missing.cumsum(dim=1) - 1)[rows, which]
        bank = index[rows, which]
        kv = self._encode_keyframes(carry, frame_condition, rows, bank)
        cache.write("keyframes", rows, free[rows, nth], kv, carry.bank.ids[rows, bank])

    def _encode_keyframes(
        self, carry: FARCarry, frame_condition: FrameCondition, rows: Tensor, bank: Tensor
    ) -> KV:
        """Keys and values of keyframes, which see themselves alone."""
        net = self.network
        ids, poses = carry.bank.ids[rows, bank], carry.bank.poses[rows, bank]
        latents = carry.bank.latents[rows, bank].unsqueeze(1).to(carry.cache.k.dtype)
        modulation = frame_condition.modulation(-3, rows)
        at = ids.unsqueeze(1), poses.unsqueeze(1)
        block_input = BlockInput(
            net.embed(latents), modulation, net.rotations(*at), net.token_poses(at[1])
        )
        return run_blocks(net, block_input, attend_self)[1]


def _frame_by_frame(tokens: Tensor, frames: int) -> Tensor:
    """`[L,R,H,frames*S,d]` -> `[L,R*frames,H,S,d]`."""
    return tokens.unflatten(3, (frames, -1)).transpose(2, 3).flatten(1, 2)
