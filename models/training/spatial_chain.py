"""Memories that hold the network's own frames: what it invents has to bear being built on.

The targets of a group of samples are frames of one walk, in order, some frames apart. One after
another is generated as play would generate it, from what those before it have left, written to
memory by the rule of play (first-hand pixels with the depth that is read off them), and the views
of all later ones are completed by what it shows. The first of them is also the newest context frame
of the later ones. So the network learns to go on from its own inventions, several frames deep,
towards true frames, before their errors grow from frame to frame.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from models.codec.patch_autoencoder import PatchAutoencoder, to_frames
from models.codec.view_decoder import ViewDecoder, paint_view
from models.memory.depth_network import DepthNetwork
from models.memory.frame_bank import FrameBank, Insertion
from models.memory.renderer import MemoryView, render
from models.nn.flow_matching import sampler_step
from models.nn.noise_schedule import sigmas
from models.spatial.condition import shown_of
from models.spatial.config import MemoryConfig
from models.spatial.network import SHORTEST
from models.training.spatial_samples import Samples

STEPS = (2, 4, 8)  # sampler steps of own frames, one of them at random

# clean latents of (noisy latents `[B,C,h,w]`, levels `[B]`, jumps `[B]`)
Predict = Callable[[Tensor, Tensor, Tensor], Tensor]


class OwnFrames:
    """Completes the views of samples by what the network generates.

    Args:
        codec, decoder, depth, memory: of the world.
        share: of the groups.
        generator: of everything drawn.
        order: of the sampler's steps, as in play.
    """

    def __init__(
        self,
        codec: PatchAutoencoder,
        decoder: ViewDecoder,
        depth: DepthNetwork,
        memory: MemoryConfig,
        share: float,
        generator: torch.Generator,
        order: int = 1,
    ):
        self.order = order
        self.codec, self.decoder, self.depth, self.memory = codec, decoder, depth, memory
        self.share, self.generator = share, generator

    @torch.no_grad()
    def extend(self, samples: Samples, predict_of: Callable[[Samples], Predict]) -> Samples:
        """The same targets; in some groups those before a target are in its memory as they are
        generated, and the first of them is its newest context frame.

        Args:
            samples: groups of at least two, the first of their fine context frames the newest.
            predict_of: makes the network ready to generate the frames of samples.
        """
        group, groups = len(samples.frames) // len(samples.fine), len(samples.fine)
        drawn = torch.rand(groups, generator=self.generator) < self.share
        chosen = torch.nonzero(drawn).flatten().to(samples.frames.device)
        if group < 2 or not len(chosen):
            return samples
        for place in range(group - 1):
            part = samples.pick(chosen * group + place, chosen)
            own = self._generate(part, predict_of(part))
            if place == 0:
                samples = _show_as_newest(samples, own, chosen)
            later = torch.arange(place + 1, group, device=chosen.device)
            rows = (chosen.unsqueeze(1) * group + later).flatten()
            samples = self._complete(samples, own, rows)
        return samples

    def _complete(self, samples: Samples, own: FrameBank, rows: Tensor) -> Samples:
        """Targets `rows` `[N * later]` with what a bank `[N,1,...]` shows in their views."""
        own = own.map(lambda part, dim: part.repeat_interleave(len(rows) // len(part), dim=dim))
        old = MemoryView(*(part[rows] for part in samples.view))
        settings = self.memory.field_of_view, self.depth.cfg.far, self.memory.sharp
        new = complete_views(old, own, samples.poses[rows], *settings)
        view = (
            whole.index_copy(0, rows, part) for whole, part in zip(samples.view, new, strict=True)
        )
        return samples._replace(view=MemoryView(*view))

    def _generate(self, samples: Samples, predict: Predict) -> FrameBank:
        view, shape = samples.view, self.codec.latent_shape
        noise = torch.randn(len(samples.frames), *shape, generator=self.generator)
        noise = noise.to(samples.frames.device)
        steps = STEPS[int(torch.randint(len(STEPS), (), generator=self.generator))]
        latents = integrate_flow(predict, noise, steps, self.order)
        pictures = paint_view(self.codec, self.decoder, latents, shown_of(view), noise).float()
        angle = self.memory.field_of_view
        return remember_pictures(self.depth, pictures, view, samples.poses, angle)


def _show_as_newest(samples: Samples, own: FrameBank, groups: Tensor) -> Samples:
    """The generated first frames, a bank `[N,1,...]`, as the newest context frames of the later
    targets of `groups` `[N]`; the first ones do without.
    """
    fine, poses, known = (
        part.clone() for part in (samples.fine, samples.fine_poses, samples.fine_known)
    )
    fine[groups, 0] = own.rgba[:, 0, ..., :3]
    poses[groups, 0] = own.poses[:, 0]
    by_group = known.view(len(fine), -1, known.shape[1])
    by_group[groups, 0, 0], by_group[groups, 1:, 0] = False, True
    return samples._replace(fine=fine, fine_poses=poses, fine_known=known)


def integrate_flow(predict: Predict, noise: Tensor, steps: int, order: int = 1) -> Tensor:
    """Latents `[B,C,h,w]` after `steps` sampler steps of an order from noise."""
    x, before = noise, None
    for t, d in sigmas(steps):
        level = x.new_full((len(x),), t)
        clean = predict(x, level, torch.full((len(x),), SHORTEST, device=x.device))
        x, before = sampler_step(order, x, clean, before, t, d)
    return x


def remember_pictures(
    depth: DepthNetwork,
    pictures: Tensor,
    view: MemoryView,
    poses: Tensor,
    field_of_view: float,
) -> FrameBank:
    """A bank `[B,1,...]` of what generated pictures `[B,3,H,W]` are the first to show."""
    known = view.inverse_depth * view.known_depth
    inverse = depth.inverse_depth(pictures, known)
    size, (batch, n) = pictures.shape[-1], inverse.shape[:2]
    bank = FrameBank.empty(batch, 1, size, n, pictures.device)
    rows = torch.arange(batch, device=pictures.device)
    entry = Insertion(to_frames(pictures), inverse, poses, view.first_hand)
    bank.insert(entry, rows, torch.zeros_like(rows), False, field_of_view)
    return bank


def complete_views(
    view: MemoryView,
    own: FrameBank,
    poses: Tensor,
    field_of_view: float,
    far: float,
    sharp: bool = False,
) -> MemoryView:
    """Views of B poses `[B,4]`, with what a bank of own frames shows where they show nothing."""
    settings = field_of_view, far, sharp
    rows = [
        render(own.map(lambda part, _, i=i: part[i : i + 1]), pose[None], *settings)
        for i, pose in enumerate(poses)
    ]
    added = MemoryView(*(torch.cat(parts) for parts in zip(*rows, strict=True)))
    missing = ~view.known
    return MemoryView(
        rgb=torch.where(missing.unsqueeze(1), added.rgb, view.rgb),
        mask=view.mask | (missing & added.mask),
        inverse_depth=torch.where(view.inverse_depth > 0, view.inverse_depth, added.inverse_depth),
        first_hand=view.first_hand & (~missing | added.first_hand),
        doubtful=view.doubtful | (missing & added.doubtful),
    )
