"""The decoder that sees the view."""

import dataclasses

import pytest
import torch

from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder, to_frames
from models.codec.view_decoder import (
    Shown,
    ViewCodec,
    ViewDecoder,
    ViewDecoderConfig,
    paint_view,
)

SIZE, SHAPE = 32, (8, 4, 4)
SMALL = ViewDecoderConfig(eighth=16, quarter=16, half=8)
NOISY = dataclasses.replace(SMALL, noise=True)


def shown(seed: int = 0) -> Shown:
    generator = torch.Generator().manual_seed(seed)
    rgb = torch.rand(2, 3, SIZE, SIZE, generator=generator) * 2 - 1
    which = torch.rand(2, SIZE, SIZE, generator=generator)
    return Shown(rgb, which < 0.4, (which >= 0.4) & (which < 0.7))


def inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, Shown, torch.Tensor]:
    """Latents, their linear decoding, what memory shows, noise."""
    generator = torch.Generator().manual_seed(seed)
    latents, noise = torch.randn(2, 2, *SHAPE, generator=generator)
    return latents, torch.rand(2, 3, SIZE, SIZE, generator=generator), shown(seed), noise


def trained(cfg: ViewDecoderConfig = NOISY) -> ViewDecoder:
    """With weights that hide no mistake: some start at zero."""
    decoder = ViewDecoder(cfg, SIZE, SHAPE).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.1, generator=generator)
    return decoder


@pytest.mark.parametrize("cfg", [SMALL, NOISY])
def test_it_starts_as_the_view_over_the_linear_decoding(cfg):
    latents, linear, view, noise = inputs()
    made = ViewDecoder(cfg, SIZE, SHAPE)(latents, linear, view, noise)
    known = (view.seen | view.hint).unsqueeze(1)
    assert torch.allclose(made, torch.where(known, view.rgb, linear), atol=1e-6)


def test_pixels_that_memory_does_not_know_are_not_looked_at():
    latents, linear, view, noise = inputs()
    unknown = ~(view.seen | view.hint).unsqueeze(1)
    other = view._replace(rgb=torch.where(unknown, 7.0, view.rgb))
    decoder = trained()
    before = decoder(latents, linear, view, noise)
    assert torch.equal(before, decoder(latents, linear, other, noise))


@pytest.mark.parametrize("changed", ["latents", "linear", "rgb", "seen", "hint", "noise"])
def test_everything_else_is(changed):
    latents, linear, view, noise = inputs()
    others, decoder = inputs(1), trained()
    before = decoder(latents, linear, view, noise)
    told = {"latents": latents, "linear": linear, "noise": noise} | view._asdict()
    theirs = {"latents": others[0], "linear": others[1], "noise": others[3]}
    told[changed] = (theirs | others[2]._asdict())[changed]
    view = Shown(told["rgb"], told["seen"], told["hint"])
    after = decoder(told["latents"], told["linear"], view, told["noise"])
    assert (before - after).abs().max() > 1e-3


def test_noise_is_read_where_memory_shows_nothing():
    """A frame that memory shows whole is the same by all noise, as is any frame of a decoder that
    is not given noise.
    """
    latents, linear, view, noise = inputs()
    whole = view._replace(seen=torch.ones_like(view.seen), hint=torch.zeros_like(view.hint))
    decoder = trained()
    by_noise = [decoder(latents, linear, whole, part) for part in (noise, 2 * noise)]
    assert torch.equal(*by_noise)
    plain = trained(SMALL)
    by_noise = [plain(latents, linear, view, part) for part in (noise, 2 * noise)]
    assert torch.equal(*by_noise)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="frame_size must be a multiple of 32"):
        ViewDecoder(SMALL, 48, SHAPE)
    with pytest.raises(ValueError, match="channels must be a multiple of 4"):
        ViewDecoder(NOISY, SIZE, (6, 4, 4))


@pytest.mark.parametrize(("size", "shape"), [(64, (48, 8, 8)), (128, (96, 8, 8))])
def test_both_sizes_of_worlds(size, shape):
    decoder = ViewDecoder(NOISY, size, shape)
    picture, latents = torch.zeros(1, 3, size, size), torch.zeros(1, *shape)
    nothing = torch.zeros(1, size, size, dtype=torch.bool)
    made = decoder(latents, picture, Shown(picture, nothing, nothing), latents)
    assert made.shape == picture.shape


def test_a_worlds_codec_is_the_decoder_without_a_view():
    codec = PatchAutoencoder(
        AutoencoderConfig(frame_size=SIZE, patch=8, channels=8, width=16, blocks=1)
    )
    torch.nn.init.normal_(codec.basis, std=0.1)
    decoder, whole = trained(), ViewCodec(codec, trained())
    assert (whole.latent_shape, whole.frame_size) == (SHAPE, SIZE)
    frames = torch.randint(0, 256, (2, SIZE, SIZE, 3), dtype=torch.uint8)
    latents = whole.encode(frames)
    assert torch.equal(latents, codec.encode(frames))
    view = shown()
    nothing = view._replace(seen=view.seen & False, hint=view.hint & False)
    expected = paint_view(codec, decoder, latents, nothing, torch.zeros_like(latents))
    assert torch.equal(whole.decode(latents), to_frames(expected))
