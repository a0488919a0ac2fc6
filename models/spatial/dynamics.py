"""FAR with a memory in space as a dynamics: initial / observe / imagine over an explicit carry.

A step: odometry moves the pose, the bank renders what is remembered of the view from there, the
network fills what is not (and mends what is), the depth network reads the new frame, and what no
remembered frame had shown is written to the bank.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.codec.patch_autoencoder import PatchAutoencoder, to_frames
from models.codec.view_decoder import ViewDecoder, paint_view
from models.memory.depth_network import DepthNetwork
from models.memory.frame_bank import EMPTY
from models.memory.motion_draw import draw_chances
from models.memory.odometry import Odometry
from models.memory.renderer import MemoryView
from models.memory.stood import no_places
from models.nn.flow_matching import sampler_step
from models.nn.noise_schedule import sigmas
from models.spatial.carry import SpatialCarry
from models.spatial.condition import encode_view, shown_of
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from models.spatial.context_cache import ContextCache
from models.spatial.levels import level_spans
from models.spatial.network import (
    COARSE_KIND,
    FINE,
    JUMPS,
    SHORTEST,
    FrameCondition,
    SpatialNetwork,
)
from models.spatial.space import SpaceMemory, pick_rows
from worldsim.types import NULL_ACTION
from worldsim.world.protocols import Controls

LATENT_LIMIT = 12.0


class SpatialModels(NamedTuple):
    """The networks that a dream runs on."""

    codec: PatchAutoencoder
    network: SpatialNetwork
    depth: DepthNetwork
    odometry: Odometry
    decoder: ViewDecoder


class SpatialDynamics(nn.Module):
    """The networks run one frame at a time.

    Args:
        models: trained.
        memory: what is remembered.
        sampler: sampler steps by the share of the view that is invented.
    """

    takes_frames = True  # `observe` wants the frames beside their latents
    takes_poses = takes_controls = True

    def __init__(self, models: SpatialModels, memory: MemoryConfig, sampler: SamplerConfig):
        super().__init__()
        self.codec, self.network, depth, odometry, self.decoder = models
        self.space = SpaceMemory(memory, depth, odometry)
        self.memory, self.sampler = memory, sampler
        self.spans = level_spans(self.cfg, memory)

    @property
    def cfg(self) -> NetworkConfig:
        """Shape of the network."""
        return self.network.cfg

    @property
    def depth(self) -> DepthNetwork:
        """Reads depth off frames."""
        return self.space.depth

    @property
    def odometry(self) -> Odometry:
        """How far actions carry."""
        return self.space.odometry

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.codec.latent_shape

    @property
    def turns(self) -> Tensor:
        """Radians per action."""
        return self.odometry.turns

    @property
    def field_of_view(self) -> float:
        """Degrees, of the width and of the height of a picture."""
        return self.memory.field_of_view

    @property
    def far(self) -> float:
        """Depth, in the unit of poses, from which on everything is equally far."""
        return self.depth.cfg.far

    def initial(self, batch: int) -> SpatialCarry:
        """Dreams that have seen nothing."""
        size, device = self.codec.frame_size, self.network.out.weight.device
        at, depth_size = {"device": device}, self.depth.cfg.size
        return SpatialCarry(
            bank=self.space.empty_bank(batch, device),
            cache=ContextCache.empty(self.cfg, self.memory, batch, device),
            frame=torch.zeros(batch, dtype=torch.long, **at),
            pose=torch.zeros(batch, 4, **at),
            climb=torch.zeros(batch, **at),
            stood=no_places(batch, device),
            newest=torch.zeros(batch, size, size, 3, dtype=torch.uint8, **at),
            seen=torch.zeros(batch, size, size, dtype=torch.bool, **at),
            latents=torch.zeros(batch, *self.latent_shape, **at),
            inverse_depth=torch.full((batch, depth_size, depth_size), 1 / self.depth.cfg.far, **at),
        )

    def carry_from(self, tensors: dict[str, Tensor]) -> SpatialCarry:
        """Inverse of `SpatialCarry.tensors`."""
        return SpatialCarry.from_tensors(tensors)

    def newest_frames(self, carry: SpatialCarry) -> Tensor:
        """The newest frames uint8 `[B,H,W,3]`: more than the codec's latents hold."""
        return carry.newest

    # ---- true frames ----

    @torch.inference_mode()
    def observe(
        self,
        carry: SpatialCarry,
        latents: Tensor,
        actions: Tensor,
        frames: Tensor,
        controls: Controls | None = None,
    ) -> SpatialCarry:
        """Take in true frames.

        Args:
            carry: changed, and given back.
            latents: `[B,C,h,w]` of the frames.
            actions: `[B]` that led to them (-1: none).
            frames: uint8 `[B,H,W,3]`.
            controls: what led to them in numbers, where these are not NaN.
        """
        pictures = frames.permute(0, 3, 1, 2).float() / 127.5 - 1
        self.space.locate(carry, actions, pictures, controls)
        nothing = torch.zeros_like(carry.inverse_depth)
        carry.inverse_depth = self.space.read_depth(pictures, nothing)
        carry.newest, carry.latents = frames.clone(), latents.float()
        carry.seen = torch.ones_like(carry.seen)
        everything = torch.ones_like(carry.seen)
        kept = self._is_kept(carry).tolist()
        return self._remember(carry, everything, carry.rows, kept, true=True)

    # ---- generated frames ----

    @torch.inference_mode()
    def imagine(
        self,
        carry: SpatialCarry,
        actions: Tensor,
        noise: Tensor,
        steps: int,
        poses: Tensor | None = None,
        controls: Controls | None = None,
    ) -> tuple[SpatialCarry, Tensor]:
        """Generate and take in the next frames.

        Args:
            carry: changed, and given back.
            actions: `[B]`.
            noise: `[B,C,h,w]`.
            steps: sampler steps at most; frames that memory shows take fewer.
            poses: `[B,4]` where the bodies go; None: where odometry leads them.
            controls: what they do, in numbers; `actions` are the nearest then.
        """
        motions = self.space.move(carry, actions, draw_chances(noise), poses, controls)
        slots = self.space.select(carry)
        view = self.space.render(carry, slots)
        features = encode_view(self.codec, view)
        keyframes = self._choose_keyframes(carry, slots)
        plan = self._plan(carry, view, keyframes.missing, steps)
        self._cache_keyframes(carry, keyframes, plan)
        # a motion that is no action's: no id was measured to do better than the nearest one's
        told = actions if controls is None else torch.where(controls.named, actions, NULL_ACTION)
        condition = FrameCondition(*features, told, motions, carry.pose)
        latents = self._sample(carry, condition, noise, plan)
        pictures = self.paint(latents, view, noise)
        known = view.inverse_depth * view.known_depth
        carry.inverse_depth = self.space.read_depth(pictures, known)
        carry.newest, carry.seen = to_frames(pictures), view.mask
        # what comes next builds on the frame as it is, not on what it was decoded from
        carry.latents = self.codec.encode(carry.newest)
        new = pick_rows(carry.rows, plan.new)
        return self._remember(carry, view.first_hand, new, plan.kept, true=False), latents

    def _choose_keyframes(self, carry: SpatialCarry, slots: Tensor) -> "Keyframes":
        """The frames that show most of the view, those in the window left out."""
        span, bank = self.spans["keyframes"], carry.bank
        rows = carry.rows.unsqueeze(1)
        ids = torch.where(slots >= 0, bank.ids[rows, slots.clamp(min=0)], EMPTY)
        oldest = (carry.frame - self.memory.window).unsqueeze(1)
        slots = torch.where((ids >= oldest) | (ids == EMPTY), EMPTY, slots)
        order = torch.argsort((slots == EMPTY).int(), dim=1, stable=True)
        slots, ids = (part.gather(1, order)[:, : span.count] for part in (slots, ids))
        ids = torch.where(slots == EMPTY, EMPTY, ids)
        held = carry.cache.ids[:, span.frames]
        held.masked_fill_(held != ids, EMPTY)
        return Keyframes(slots, ids, ids != held)

    def _plan(
        self, carry: SpatialCarry, view: MemoryView, missing: Tensor, steps: int
    ) -> "StepPlan":
        """What the host must know of a step; read at once, since a GPU waits for each reading."""
        new = self.space.find_new(view.first_hand)
        told = torch.stack((view.known_share, new, self._is_kept(carry)), dim=1)
        shares, *flags = torch.cat((told, missing), dim=1).T.tolist()
        steps_of = [min(steps, self.sampler.steps(1 - share)) for share in shares]
        new, kept, *missing = ([flag > 0 for flag in of_rows] for of_rows in flags)
        return StepPlan(steps_of, missing, new, kept)

    def _is_kept(self, carry: SpatialCarry) -> Tensor:
        """Which dreams keep the newest frame for the long past, `[B]`."""
        return carry.frame % self.memory.dilation == 0

    def _cache_keyframes(
        self, carry: SpatialCarry, keyframes: "Keyframes", plan: "StepPlan"
    ) -> None:
        """Encode those that the cache lacks."""
        span, bank, ids = self.spans["keyframes"], carry.bank, keyframes.ids
        for place, flags in enumerate(plan.missing):
            missing = pick_rows(carry.rows, flags)
            if len(missing):
                at = missing, keyframes.slots[missing, place]
                pictures = bank.rgba[at][..., :3]
                latents = self.codec.encode(pictures).unsqueeze(1)
                context = self.network.encode_context(latents, bank.poses[at].unsqueeze(1), FINE)
                where = torch.full_like(missing, place)
                carry.cache.write(span, missing, where, context, ids[missing, place])

    def _sample(
        self, carry: SpatialCarry, condition: FrameCondition, noise: Tensor, plan: "StepPlan"
    ) -> Tensor:
        """Latents `[B,C,h,w]`; each dream takes the sampler steps that its own view asks for."""
        latents = torch.empty_like(noise)
        for count in sorted(set(plan.steps)):
            rows = pick_rows(carry.rows, [k == count for k in plan.steps])
            part = FrameCondition(*(tensor[rows] for tensor in condition))
            latents[rows] = self._integrate(carry, part, noise[rows], rows, count)
        return latents

    def _integrate(
        self, carry: SpatialCarry, condition: FrameCondition, x: Tensor, rows: Tensor, steps: int
    ) -> Tensor:
        context = carry.cache.layers(rows)
        visible = carry.cache.visible(self.spans, rows)
        own = visible.new_ones(len(rows), self.cfg.fine_tokens)
        mask = torch.where(torch.cat((own, visible), dim=1), 0.0, -torch.inf)[:, None, None]
        before = None
        for t, d in sigmas(steps):
            level = x.new_full((len(rows),), t)
            told = torch.full_like(rows, self.told_jump(d))
            clean = self.network(x, level, told, condition, context, mask)
            x, before = sampler_step(self.sampler.order, x, clean, before, t, d)
            x = x.clamp(-LATENT_LIMIT, LATENT_LIMIT)
        return x

    def told_jump(self, d: float) -> int:
        """The jump that the network is told for a sampler step of length d."""
        return JUMPS.index(d) if self.sampler.shortcuts else SHORTEST

    def paint(self, latents: Tensor, view: MemoryView, noise: Tensor) -> Tensor:
        """Pictures `[B,3,H,W]` in -1..1 of latents `[B,C,h,w]`, of what memory shows and of the
        noise `[B,C,h,w]` that the latents were sampled from.
        """
        return paint_view(self.codec, self.decoder, latents, shown_of(view), noise)

    # ---- memory ----

    def _remember(
        self, carry: SpatialCarry, first_hand: Tensor, rows: Tensor, kept: list[bool], true: bool
    ) -> SpatialCarry:
        """Write the newest frames to the bank (those of dreams `rows`) and to the cache (`kept`:
        whose to the long past).
        """
        self.space.insert(carry, first_hand, rows, true)
        self._cache_newest(carry, pick_rows(carry.rows, kept))
        carry.frame = carry.frame + 1
        return carry

    def _cache_newest(self, carry: SpatialCarry, kept: Tensor) -> None:
        """Encode the newest frames, fine for the window and those of dreams `kept` coarse for the
        long past.
        """
        latents, poses = carry.latents.unsqueeze(1), carry.pose.unsqueeze(1)
        ids, rows, cache = carry.frame, carry.rows, carry.cache
        fine = self.network.encode_context(latents, poses, FINE)
        cache.write(self.spans["window"], rows, ids % self.memory.window, fine, ids)
        if len(kept):
            coarse = self.network.encode_context(latents[kept], poses[kept], COARSE_KIND)
            places = ids[kept] // self.memory.dilation % self.memory.coarse
            cache.write(self.spans["coarse"], kept, places, coarse, ids[kept])


class Keyframes(NamedTuple):
    """Slots of the bank and ids of the frames that a step attends to, `[B,K]` (EMPTY: none), and
    which of them the cache lacks, bool `[B,K]`.
    """

    slots: Tensor
    ids: Tensor
    missing: Tensor


class StepPlan(NamedTuple):
    """What the host knows of a step, each a list of B: sampler steps; of every keyframe, which
    dreams must encode it; which frames the bank takes, and which are kept for the long past.
    """

    steps: list[int]
    missing: list[list[bool]]
    new: list[bool]
    kept: list[bool]
