"""Published clips as FAR's training sees them: the autoencoder, and latents encoded once."""

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from models.codec.dcae import DCAECodec, empty_autoencoder
from models.zoo.import_weights import autoencoder_shapes, select_fitting
from worldsim.config import load_yaml
from worldsim.data.crop import square
from worldsim.data.published.clip_files import ClipFile, find_clips
from worldsim.data.published.formats import Layout, find_layout
from worldsim.data.published.latents import (
    PublishedLatents,
    encode_published,
    published_meta,
)
from worldsim.paths import asset
from worldsim.world.checkpoint import sha256
from worldsim.world.model import resolve_device

LATENT_SIZE = 8
BATCH = 64  # frames


class Encoder(NamedTuple):
    """An autoencoder: its published config, the codec, and what tells it from others."""

    config: Mapping[str, Any]
    codec: DCAECodec
    key: str


def open_encoder(
    config: Mapping[str, Any], weights: Path | None, device: torch.device, latent_size: int
) -> Encoder:
    """The autoencoder of a published config.

    Args:
        config: diffusers' settings, as in assets/configs/zoo.
        weights: a .pth or .safetensors file; None leaves it untrained, from a fixed seed.
        device: where it runs.
        latent_size: side of its latents.

    Raises:
        ValueError: no such file, or one of another autoencoder.
    """
    if weights is not None and not weights.is_file():
        raise ValueError(
            f"there are no autoencoder weights {weights}: "
            f"set autoencoder to its .pth or .safetensors file, as published beside the data."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = empty_autoencoder(config)
    key = "untrained " + hashlib.sha256(repr(sorted(config.items())).encode()).hexdigest()[:12]
    if weights is not None:
        model.load_state_dict(select_fitting(weights, autoencoder_shapes(config), plain=False))
        key = sha256(weights)
    model = model.requires_grad_(False).eval().to(device)
    return Encoder(config, DCAECodec(model, latent_size), key)


def shrunk(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same autoencoder, as small as it can be: for smoke runs."""
    stages = len(config["encoder_block_out_channels"])
    small: dict[str, Any] = dict(config) | {"attention_head_dim": 16}
    for part in ("encoder", "decoder"):
        small[f"{part}_block_out_channels"] = [16] * (stages - 1) + [config["latent_channels"]]
        small[f"{part}_layers_per_block"] = [0] + [1] * (stages - 1)
        small[f"{part}_block_types"] = ["ResBlock"] * stages
    return small


def encode_clip(clip: ClipFile, codec: DCAECodec, scaling: float) -> np.ndarray:
    """A clip's latents float32 `[T,C,h,w]`, scaled: its published ones, or of its frames.

    Raises:
        ValueError: the clip is damaged, or its latents are of another autoencoder.
    """
    if clip.latents is not None:
        latents = clip.read_latents()
        if tuple(latents.shape[1:]) != codec.latent_shape:
            raise ValueError(
                f"{clip.latents} holds latents {list(latents.shape[1:])}, the autoencoder makes "
                f"{list(codec.latent_shape)}: name the autoencoder they were made with."
            )
        return (latents * scaling).numpy()
    frames = torch.from_numpy(square(clip.read_frames(), codec.frame_size))
    return encode_frames(frames, codec).cpu().numpy()


def encode_frames(frames: torch.Tensor, codec: DCAECodec) -> torch.Tensor:
    """Latents `[T,C,h,w]` of frames uint8 `[T,S,S,3]`, a few at a time."""
    device = next(codec.model.parameters()).device
    return torch.cat([codec.encode(part.to(device)).float() for part in frames.split(BATCH)])


def latents_of(
    clips: Sequence[ClipFile], layout: Layout, encoder: Encoder, folder: Path
) -> PublishedLatents:
    """Memory-mapped latents of clips, made unless they are there."""
    codec = encoder.codec
    return encode_published(
        clips,
        layout,
        lambda clip: encode_clip(clip, codec, codec.scaling),
        published_meta(clips, layout, encoder.key, codec.latent_shape),
        folder,
        say=lambda line: print(line, flush=True),
    )


def extract(args: argparse.Namespace) -> None:
    """`worldsim data latents`.

    Raises:
        ValueError: wrong files, see the parts; or frames to encode and no weights.
    """
    given, zoo = Path(args.autoencoder), asset("configs", "zoo")
    path = given if given.suffix == ".yaml" else zoo / f"{given.name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in zoo.glob("dcae-*.yaml")))
        raise ValueError(f"no autoencoder {args.autoencoder!r}: there is {known}.")
    layout = find_layout(args.layout)
    clips = find_clips(args.source, layout, args.root)
    if args.weights is None and any(clip.latents is None for clip in clips):
        raise ValueError(f"{args.source} lists frames: give the autoencoder's --weights.")
    encoder = open_encoder(load_yaml(path), args.weights, resolve_device(args.device), LATENT_SIZE)
    made = latents_of(clips, layout, encoder, args.target)
    print(f"{args.target}: {len(made)} of {len(clips)} clips, {len(made.latents)} frames.")
