"""VideoAR with a memory in space as a dynamics: initial / observe / imagine over an explicit carry.

A step: odometry moves the pose, the bank renders what is remembered of the view from there, the
network samples the frame's labels coarse to fine and is told the view at its first scales; pixels
that memory shows stay as they are, the others are painted; the depth network reads the new frame,
and what no remembered frame had shown is written to the bank. Then the finished frame is remembered
as tokens, without the action that led to it: the view says where it was seen from.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.codec.multiscale_tokenizer import MultiscaleTokenizer, to_pictures
from models.codec.patch_autoencoder import to_frames
from models.memory.depth_network import DepthNetwork
from models.memory.motion_draw import draw_chances
from models.memory.odometry import Odometry
from models.memory.renderer import MemoryView
from models.memory.stood import no_places
from models.spatial.config import SpaceConfig
from models.spatial.space import SpaceMemory, pick_rows
from models.videoar.config import PlayConfig
from models.videoar.dynamics import FrameBits, VideoARDynamics
from models.videoar.network import NULL, VideoARNetwork
from models.videoar_spatial.carry import VideoARSpatialCarry
from models.videoar_spatial.condition import describe_view
from worldsim.world.batch_invariant import apply_row_by_row
from worldsim.world.protocols import Controls


class VideoARSpatialModels(NamedTuple):
    """The networks that a dream runs on."""

    codec: MultiscaleTokenizer
    network: VideoARNetwork
    depth: DepthNetwork
    odometry: Odometry


class VideoARSpatialDynamics(nn.Module):
    """The networks run one frame at a time.

    Args:
        models: trained.
        memory: what is remembered of space.
        play: how labels are drawn.
    """

    takes_frames = True  # `observe` wants the frames beside their latents
    takes_poses = takes_controls = True

    def __init__(self, models: VideoARSpatialModels, memory: SpaceConfig, play: PlayConfig):
        super().__init__()
        self.codec = models.codec
        self.scales = VideoARDynamics(models.network, models.codec.quantizer, play)
        self.space = SpaceMemory(memory, models.depth, models.odometry)

    @property
    def memory(self) -> SpaceConfig:
        """What is remembered of space."""
        return self.space.cfg

    @property
    def depth(self) -> DepthNetwork:
        """Reads depth off frames."""
        return self.space.depth

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.codec.latent_shape

    @property
    def turns(self) -> Tensor:
        """Radians per action."""
        return self.space.odometry.turns

    @property
    def field_of_view(self) -> float:
        """Degrees, of the width and of the height of a picture."""
        return self.memory.field_of_view

    @property
    def far(self) -> float:
        """Depth, in the unit of poses, from which on everything is equally far."""
        return self.depth.cfg.far

    def initial(self, batch: int) -> VideoARSpatialCarry:
        """Dreams that have seen nothing."""
        tokens, size, n = self.scales.initial(batch), self.codec.frame_size, self.depth.cfg.size
        at = {"device": tokens.k.device}
        return VideoARSpatialCarry(
            tokens=tokens,
            bank=self.space.empty_bank(batch, tokens.k.device),
            pose=torch.zeros(batch, 4, **at),
            climb=torch.zeros(batch, **at),
            stood=no_places(batch, tokens.k.device),
            newest=torch.zeros(batch, size, size, 3, dtype=torch.uint8, **at),
            seen=torch.zeros(batch, size, size, dtype=torch.bool, **at),
            inverse_depth=torch.full((batch, n, n), 1 / self.far, **at),
        )

    def carry_from(self, tensors: dict[str, Tensor]) -> VideoARSpatialCarry:
        """Inverse of `VideoARSpatialCarry.tensors`."""
        return VideoARSpatialCarry.from_tensors(tensors)

    def newest_frames(self, carry: VideoARSpatialCarry) -> Tensor:
        """The newest frames uint8 `[B,H,W,3]`: what memory shows of them is more than latents
        hold.
        """
        return carry.newest

    @torch.inference_mode()
    def observe(
        self,
        carry: VideoARSpatialCarry,
        latents: Tensor,
        actions: Tensor,
        frames: Tensor,
        controls: Controls | None = None,
    ) -> VideoARSpatialCarry:
        """Take in true frames.

        Args:
            carry: changed, and given back.
            latents: `[B,C,h,w]` of the frames, with their labels.
            actions: `[B]` that led to them (-1: none).
            frames: uint8 `[B,H,W,3]`.
            controls: what led to them in numbers, where these are not NaN.
        """
        pictures = to_pictures(frames)
        self.space.locate(carry, actions, pictures, controls)
        carry.inverse_depth = self.space.read_depth(pictures, torch.zeros_like(carry.inverse_depth))
        carry.newest, carry.seen = frames.clone(), torch.ones_like(carry.seen)
        self.space.insert(carry, torch.ones_like(carry.seen), carry.rows, true=True)
        return self._finish(carry, latents.float())

    @torch.inference_mode()
    def imagine(
        self,
        carry: VideoARSpatialCarry,
        actions: Tensor,
        noise: Tensor,
        steps: int,
        poses: Tensor | None = None,
        controls: Controls | None = None,
    ) -> tuple[VideoARSpatialCarry, Tensor]:
        """Generate and take in the next frames.

        Args:
            carry: changed, and given back.
            actions: `[B]`.
            noise: `[B,C,h,w]`; each label is drawn with the numbers that lie where it is stored.
            steps: scales that are predicted, at most.
            poses: `[B,4]` where the bodies go; None: where odometry leads them.
            controls: what they do, in numbers; `actions` are the nearest then.
        """
        self.space.move(carry, actions, draw_chances(noise), poses, controls)
        view = self.space.render(carry, self.space.select(carry))
        told = describe_view(self.codec.autoencoder, view)
        latents = self.scales.sample(carry.tokens, actions, noise, steps, told)
        pictures = self.paint(latents, view)
        known = view.inverse_depth * view.known_depth
        carry.inverse_depth = self.space.read_depth(pictures, known)
        carry.newest, carry.seen = to_frames(pictures), view.mask
        new = pick_rows(carry.rows, self.space.find_new(view.first_hand).tolist())
        self.space.insert(carry, view.first_hand, new, true=False)
        return self._finish(carry, latents), latents

    @torch.inference_mode()
    def measure_bits(
        self, carry: VideoARSpatialCarry, latents: Tensor, actions: Tensor
    ) -> FrameBits:
        """What the frames that follow cost, seen from where odometry thinks that actions lead.

        Args:
            carry: not changed.
            latents: `[B,C,h,w]` of the true frames, with their labels.
            actions: `[B]` that led to them.
        """
        moved = carry.map(lambda tensor, _: tensor.clone())
        middle = torch.full_like(carry.climb, 0.5, dtype=torch.float64)
        self.space.move(moved, actions, middle)
        view = self.space.render(moved, self.space.select(moved))
        told = describe_view(self.codec.autoencoder, view)
        return self.scales.measure_bits(moved.tokens, latents.float(), actions, told)

    def paint(self, latents: Tensor, view: MemoryView) -> Tensor:
        """Pictures `[B,3,H,W]` in -1..1: the pixels that memory shows, elsewhere what latents
        `[B,C,h,w]` are painted as.
        """
        total = latents[:, : self.codec.cfg.channels]
        painted = apply_row_by_row(self.codec.autoencoder.paint, total.contiguous())
        return torch.where(view.mask.unsqueeze(1), view.rgb, painted).clamp(-1, 1)

    def _finish(self, carry: VideoARSpatialCarry, latents: Tensor) -> VideoARSpatialCarry:
        """Remember the newest frames as tokens."""
        nothing = torch.full_like(carry.frame, NULL)
        carry.tokens = self.scales.observe(carry.tokens, latents, nothing)
        return carry
