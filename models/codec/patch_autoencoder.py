"""A compact autoencoder: a linear patch encoder found in closed form, and a small convolutional
decoder that is trained.

The encoder is the principal components of the data's patches (f8 for 64 px: 8x8x3 numbers -> C).
Finding it takes seconds, encoding a frame costs a megaflop,
and a squared error in latent space is one in pixels. The patches' statistics are made symmetric
under mirroring first, so every component is even or odd
and mirroring a latent is flipping its columns and some signs: mirrored training data costs nothing.
The decoder starts as the transposed encoder and
learns what seams and fine texture need, on noisy latents, since a dream's latents are never exact.
"""

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.world.batch_invariant import multiply_rows


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """Sizes in pixels (`frame_size`, `patch`) and channels; `whiten` is the power of a component's
    spread that is divided out (0: pixels, 1: white).
    """

    frame_size: int = 64
    patch: int = 8
    channels: int = 32
    width: int = 128
    blocks: int = 2
    whiten: float = 0.5

    def __post_init__(self):
        if self.frame_size % self.patch:
            raise ValueError(f"patch must divide frame_size {self.frame_size}, got {self.patch}")
        if self.channels > 3 * self.patch**2:
            raise ValueError(
                f"channels must be <= {3 * self.patch**2}, what a patch holds, got {self.channels}"
            )


class ConvBlock(nn.Module):
    """Two 3x3 convolutions around a SiLU, added to their input."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Of `[B,width,h,w]`."""
        return x + self.second(F.silu(self.first(x)))


class PatchAutoencoder(nn.Module):
    """A Codec: frames uint8 `[...,H,W,3]` <-> latents float32 `[...,C,h,w]`."""

    is_batch_invariant = False  # whether a frame must not depend on the others of its batch

    def __init__(self, cfg: AutoencoderConfig):
        super().__init__()
        self.cfg = cfg
        size = 3 * cfg.patch**2
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("basis", torch.zeros(size, cfg.channels))
        self.register_buffer("spread", torch.ones(cfg.channels))
        self.register_buffer("mirror_sign", torch.ones(cfg.channels))
        half = cfg.width // 2
        self.inlet = nn.Conv2d(cfg.channels, cfg.width, 3, padding=1)
        self.low = nn.Sequential(*(ConvBlock(cfg.width) for _ in range(cfg.blocks)))
        self.rise = nn.Sequential(nn.Conv2d(cfg.width, 4 * half, 1), nn.PixelShuffle(2))
        self.high = nn.Sequential(*(ConvBlock(half) for _ in range(cfg.blocks)))
        self.outlet = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(half, 3 * (cfg.patch // 2) ** 2, 3, padding=1),
            nn.PixelShuffle(cfg.patch // 2),
        )
        nn.init.zeros_(self.outlet[1].weight)
        nn.init.zeros_(self.outlet[1].bias)

    @property
    def frame_size(self) -> int:
        """Height and width of a frame in pixels."""
        return self.cfg.frame_size

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """C, h, w."""
        side = self.cfg.frame_size // self.cfg.patch
        return self.cfg.channels, side, side

    @torch.no_grad()
    def fit_encoder(self, frames: Tensor) -> None:
        """Find the encoder from frames uint8 `[N,H,W,3]`."""
        patches = self._patches(_to_float(frames)).flatten(0, -2).double()
        flipped = _mirror_patches(patches, self.cfg.patch)
        self.mean.copy_((patches.mean(0) + flipped.mean(0)) / 2)
        centred = torch.cat((patches - self.mean, flipped - self.mean))
        covariance = centred.T @ centred / len(centred)
        eye = torch.eye(len(covariance), dtype=torch.float64)
        swap = _mirror_patches(eye, self.cfg.patch)
        found = []
        for sign in (1, -1):
            projector = (eye + sign * swap) / 2
            values, vectors = torch.linalg.eigh(projector @ covariance @ projector)
            found += [
                (float(value), sign, vector)
                for value, vector in zip(values, vectors.T, strict=True)
            ]
        found = sorted(found, key=lambda item: -item[0])[: self.cfg.channels]
        spread = torch.tensor([max(value, 1e-8) ** 0.5 for value, _, _ in found]) ** self.cfg.whiten
        total = sum(value / s**2 for (value, _, _), s in zip(found, spread.tolist(), strict=True))
        self.spread.copy_(spread * (total / self.cfg.channels) ** 0.5)
        self.basis.copy_(torch.stack([vector for _, _, vector in found], dim=1))
        self.mirror_sign.copy_(torch.tensor([float(sign) for _, sign, _ in found]))

    def encoder_hash(self) -> str:
        """Names what the latents mean: changes with the encoder, not with the decoder."""
        parts = (self.mean, self.basis, self.spread)
        return hashlib.sha256(b"".join(part.cpu().numpy().tobytes() for part in parts)).hexdigest()

    def _patches(self, images: Tensor) -> Tensor:
        """Float `[...,H,W,3]` -> `[...,h,w,3*p*p]`."""
        p = self.cfg.patch
        x = images.unflatten(-2, (-1, p)).unflatten(-4, (-1, p))
        return x.transpose(-4, -3).flatten(-3)

    def encode(self, frames: Tensor) -> Tensor:
        """Latents float32 `[...,C,h,w]` of frames uint8 `[...,H,W,3]`."""
        return self._project(self._patches(_to_float(frames))).movedim(-1, -3)

    def encode_pictures(self, pictures: Tensor) -> Tensor:
        """Latents `[B,C,h,w]` of pictures float `[B,3,H,W]` in -1..1."""
        return self._project(self._patches(pictures.movedim(1, -1))).movedim(-1, 1)

    def _project(self, patches: Tensor) -> Tensor:
        centred = patches - self.mean
        if self.is_batch_invariant:
            return multiply_rows(centred, self.basis.T, None) / self.spread
        return centred @ self.basis / self.spread

    def linear_decode(self, latents: Tensor) -> Tensor:
        """The transposed encoder: pictures float `[B,3,H,W]` in -1..1 of latents `[B,C,h,w]`."""
        scaled = latents.movedim(1, -1) * self.spread
        if self.is_batch_invariant:
            patches = multiply_rows(scaled, self.basis, self.mean)
        else:
            patches = scaled @ self.basis.T + self.mean
        x = patches.unflatten(-1, (self.cfg.patch, self.cfg.patch, 3))
        return x.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)

    def paint(self, latents: Tensor) -> Tensor:
        """Pictures float `[B,3,H,W]` about -1..1 of latents `[B,C,h,w]`."""
        x = self.high(self.rise(self.low(self.inlet(latents))))
        return self.linear_decode(latents) + self.outlet(x)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames uint8 `[B,H,W,3]` of latents `[B,C,h,w]`."""
        return to_frames(self.paint(latents.float()))

    def mirror(self, latents: Tensor) -> Tensor:
        """The latents `[...,C,h,w]` of the mirrored frames."""
        return latents.flip(-1) * self.mirror_sign.to(latents.dtype)[:, None, None]


def to_frames(pictures: Tensor) -> Tensor:
    """Frames uint8 `[...,H,W,3]` of pictures `[...,3,H,W]`, limited to -1..1."""
    values = (pictures.clamp(-1, 1) + 1) * 127.5
    return values.round().to(torch.uint8).movedim(-3, -1).contiguous()


def _to_float(frames: Tensor) -> Tensor:
    return frames.float() / 127.5 - 1


def _mirror_patches(patches: Tensor, p: int) -> Tensor:
    return patches.unflatten(-1, (p, p, 3)).flip(-2).flatten(-3)


def decoder_loss(
    codec: PatchAutoencoder, frames: Tensor, generator: torch.Generator, noise: float = 0.15
) -> Tensor:
    """L1 + L2 + L1 of gradients on latents with a random amount of noise. frames uint8
    `[B,H,W,3]`.
    """
    latents = codec.encode(frames)
    amount = noise * torch.rand(len(latents), 1, 1, 1, generator=generator)
    amount = amount * torch.randn(latents.shape, generator=generator)
    return paint_loss(codec, latents + amount.to(latents.device), frames)


def paint_loss(codec: PatchAutoencoder, latents: Tensor, frames: Tensor) -> Tensor:
    """L1 + L2 + L1 of gradients of what latents `[B,C,h,w]` are painted as; the truth is frames
    uint8 `[B,H,W,3]`.
    """
    truth = _to_float(frames).permute(0, 3, 1, 2)
    error = codec.paint(latents) - truth
    gradient = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * gradient
