"""VideoAR played through an autoencoder that looks back in time: what its convolutions need of the
frames before is a part of the carry, so that forks, saves and batches go on as the whole would.

A latent may stand for several frames. Then they are dreamt together, under the action that led to
the first of them, and shown one by one; true frames are gathered until they make a latent. A dream
that begins in between completes what was gathered with copies of the newest frame.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.codec.causal_conv import ConvPast
from models.codec.multiscale_tokenizer import MultiscaleTokenizer
from models.nn.grouped_carry import GroupedCarry
from models.videoar.carry import VideoARCarry
from models.videoar.dynamics import VideoARDynamics


@dataclass
class StreamingCarry(GroupedCarry):
    """Memory of B dreams, each latent of which stands for G frames. Consumed by what takes it.

    tokens: keys and values of the newest latents; encoder, decoder: the newest inputs of their
    convolutions; group uint8 `[B,G,H,W,3]`: frames that are gathered (from the first on) or still
    to be shown (the last ones); gathered, left int64 `[B]`: how many; actions int64 `[B]` that led
    to the first of those gathered; newest uint8 `[B,H,W,3]`.
    """

    tokens: VideoARCarry
    encoder: ConvPast
    decoder: ConvPast
    group: Tensor
    gathered: Tensor
    left: Tensor
    actions: Tensor
    newest: Tensor

    PLAIN = ("group", "gathered", "left", "actions", "newest")
    GROUPS = ("tokens", "encoder", "decoder")

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> "StreamingCarry":
        """Inverse of tensors."""
        groups, plain = cls.split_tensors(tensors)
        tokens = VideoARCarry(**groups["tokens"])
        return cls(tokens, ConvPast(groups["encoder"]), ConvPast(groups["decoder"]), **plain)


class StreamingDynamics(nn.Module):
    """The networks run one frame at a time.

    Args:
        codec: whose autoencoder looks back.
        scales: what makes latents.
    """

    takes_frames = True  # `observe` wants the frames: a latent depends on those before

    def __init__(self, codec: MultiscaleTokenizer, scales: VideoARDynamics):
        super().__init__()
        self.codec, self.scales = codec, scales

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        return self.scales.latent_shape

    @property
    def stride(self) -> int:
        """G: frames of a latent, after the first."""
        return self.codec.autoencoder.cfg.time_stride

    def initial(self, batch: int) -> StreamingCarry:
        """Dreams that have seen nothing."""
        tokens, size = self.scales.initial(batch), self.codec.frame_size
        at = {"device": tokens.k.device}
        pasts = [
            past.map(lambda part, _: torch.zeros(batch, *part.shape[1:], **at))
            for past in self._after_one_frame
        ]
        numbers = (torch.zeros(batch, dtype=torch.long, **at) for _ in range(3))
        frames = torch.zeros(batch, self.stride, size, size, 3, dtype=torch.uint8, **at)
        newest = torch.zeros(batch, size, size, 3, dtype=torch.uint8, **at)
        return StreamingCarry(tokens, *pasts, frames, *numbers, newest)

    @functools.cached_property
    def _after_one_frame(self) -> tuple[ConvPast, ConvPast]:
        """Pasts of encoder and decoder of the size that they keep."""
        size, device = self.codec.frame_size, self.scales.network.out.weight.device
        frame = torch.zeros(1, 1, size, size, 3, dtype=torch.uint8, device=device)
        encoder, latents = self.codec.encode_clip(ConvPast(), frame)
        return encoder, self.codec.decode_clip(ConvPast(), latents)[0]

    def carry_from(self, tensors: dict[str, Tensor]) -> StreamingCarry:
        """Inverse of `StreamingCarry.tensors`."""
        return StreamingCarry.from_tensors(tensors)

    def newest_frames(self, carry: StreamingCarry) -> Tensor:
        """The newest frames uint8 `[B,H,W,3]`."""
        return carry.newest

    @torch.inference_mode()
    def observe(
        self, carry: StreamingCarry, latents: Tensor, actions: Tensor, frames: Tensor
    ) -> StreamingCarry:
        """Take in true frames; what was dreamt and not shown is left out.

        Args:
            carry: changed, and given back.
            latents: of the frames, each alone; not read.
            actions: `[B]` that led to them (-1: none).
            frames: uint8 `[B,H,W,3]`.
        """
        rows = torch.arange(len(frames), device=frames.device)
        carry.left = torch.zeros_like(carry.left)
        carry.actions = torch.where(carry.gathered == 0, actions, carry.actions)
        carry.group[rows, carry.gathered] = frames
        carry.gathered, carry.newest = carry.gathered + 1, frames.clone()
        begun = carry.tokens.frame > 0
        for count, rows in ((1, ~begun), (self.stride, begun & (carry.gathered == self.stride))):
            self._take_in(carry, torch.nonzero(rows).flatten(), count)
        return carry

    @torch.inference_mode()
    def imagine(
        self, carry: StreamingCarry, actions: Tensor, noise: Tensor, steps: int
    ) -> tuple[StreamingCarry, Tensor]:
        """Show the next frames, and generate them where none are left to be shown.

        Args:
            carry: changed, and given back.
            actions: `[B]`; those of dreams that only show do nothing.
            noise: `[B,C,h,w]`.
            steps: scales that are predicted, at most.

        Returns:
            The carry, and latents `[B,C,h,w]` of what was generated, else 0.
        """
        latents, none_left = torch.zeros_like(noise), carry.left == 0
        self._complete(carry, torch.nonzero(none_left & (carry.gathered > 0)).flatten())
        rows = torch.nonzero(none_left).flatten()
        if len(rows):
            part = pick_rows(carry.tokens, rows)
            part, latents[rows] = self.scales.imagine(part, actions[rows], noise[rows], steps)
            write_rows(carry.tokens, rows, part)
            self._unfold(carry, rows, latents)
        every = torch.arange(len(noise), device=noise.device)
        carry.newest = carry.group[every, self.stride - carry.left]
        carry.left = carry.left - 1
        return carry, latents

    def _unfold(self, carry: StreamingCarry, rows: Tensor, latents: Tensor) -> None:
        """Make frames of what some dreams have generated, of latents `[B,C,h,w]`."""
        for row in rows.split(1):
            begins = carry.tokens.frame[row] == 1  # the first latent is one frame
            frames = self._decode(carry, row, latents[row], begins)
            self._encode(carry, row, frames, begins)  # as if they were true, for what may follow
            carry.group[row, self.stride - frames.shape[1] :] = frames
            carry.left[row] = frames.shape[1]

    def _complete(self, carry: StreamingCarry, rows: Tensor) -> None:
        """Fill up the groups of some dreams with their newest frame, and take them in."""
        for row in rows.tolist():
            carry.group[row, carry.gathered[row] :] = carry.newest[row]
        self._take_in(carry, rows, self.stride)

    def _take_in(self, carry: StreamingCarry, rows: Tensor, count: int) -> None:
        """Remember the `count` frames that were gathered for some of the dreams."""
        if not len(rows):
            return
        begins = carry.tokens.frame[rows] == 0
        latents = self._encode(carry, rows, carry.group[rows, :count], begins)
        self._decode(carry, rows, latents, begins)  # for what it needs of them later
        part = pick_rows(carry.tokens, rows)
        part = self.scales.observe(part, latents, carry.actions[rows])
        write_rows(carry.tokens, rows, part)
        carry.gathered[rows] = 0

    def _encode(
        self, carry: StreamingCarry, rows: Tensor, frames: Tensor, begins: Tensor
    ) -> Tensor:
        """Latents `[R,C,h,w]` of the next frames `[R,n,H,W,3]` of some dreams; `begins` bool `[R]`:
        whose first they are.
        """
        return stream_rows(self.codec.encode_clip, carry.encoder, rows, frames, begins).squeeze(1)

    def _decode(
        self, carry: StreamingCarry, rows: Tensor, latents: Tensor, begins: Tensor
    ) -> Tensor:
        """Frames `[R,n,H,W,3]` of the next latents `[R,C,h,w]` of some dreams."""
        clips = latents.unsqueeze(1)
        return stream_rows(self.codec.decode_clip, carry.decoder, rows, clips, begins)


def stream_rows(
    run: Callable[[ConvPast, Tensor], tuple[ConvPast, Tensor]],
    past: ConvPast,
    rows: Tensor,
    clips: Tensor,
    begins: Tensor,
) -> Tensor:
    """What encode_clip or decode_clip makes of some dreams' next clips `[R,...]`; changes `past`.

    Rows go through convolutions one by one, as each would alone; those that begin, bool `[R]`,
    without a past.
    """
    made = []
    for row, clip, first in zip(rows.tolist(), clips.split(1), begins.tolist(), strict=True):
        place = slice(row, row + 1)
        before = ConvPast() if first else past.map(lambda part, _, at=place: part[at])
        after, found = run(before, clip)
        for name, part in after.frames.items():
            past.frames[name][place] = part
        made.append(found)
    return torch.cat(made)


def pick_rows(carry: VideoARCarry, rows: Tensor) -> VideoARCarry:
    """A copy of some of the dreams."""
    return carry.map(lambda part, dim: part.index_select(dim, rows))


def write_rows(carry: VideoARCarry, rows: Tensor, part: VideoARCarry) -> None:
    """Put dreams where pick_rows took them from."""
    for name, dim in carry.DIMS.items():
        getattr(carry, name).index_copy_(dim, rows, getattr(part, name))
