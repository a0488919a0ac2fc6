"""The causal autoencoder: nothing of the future, chunks as in one go, sizes as published."""

import pytest
import torch

from models.codec.causal_autoencoder import CausalAutoencoder, CausalAutoencoderConfig
from models.codec.causal_conv import ConvPast


def make_autoencoder(kernel: int = 3, stride: int = 1, **changes) -> CausalAutoencoder:
    torch.manual_seed(0)
    shape = {"frame_size": 8, "channels": 4, "base": 4, "multipliers": (1, 2, 2), "blocks": 1}
    shape |= {"time_kernel": kernel, "time_stride": stride}
    cfg = CausalAutoencoderConfig(**shape | changes)
    return CausalAutoencoder(cfg).requires_grad_(False).eval()


def clip(frames: int, rows: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rows, frames, 3, 8, 8, generator=generator) * 2 - 1


@pytest.fixture(params=[1, 2, 4])
def autoencoder(request):
    return make_autoencoder(stride=request.param)


def in_chunks(run, x: torch.Tensor, sizes: list[int]) -> torch.Tensor:
    past, parts = ConvPast(), []
    for part in x.split(sizes, dim=1):
        past, made = run(past, part)
        parts.append(made)
    return torch.cat(parts, dim=1)


def test_frames_and_latents_are_as_many_as_they_should_be(autoencoder):
    stride = autoencoder.cfg.time_stride
    _, latents = autoencoder.encode_clip(ConvPast(), clip(17))
    assert latents.shape == (2, 1 + 16 // stride, 4, 2, 2)
    assert autoencoder.decode_clip(ConvPast(), latents)[1].shape == (2, 17, 3, 8, 8)


@pytest.mark.parametrize("frames", [17, 33, 65])
def test_chunks_are_encoded_as_the_whole(autoencoder, frames):
    x, stride = clip(frames, rows=1), autoencoder.cfg.time_stride
    _, whole = autoencoder.encode_clip(ConvPast(), x)
    for sizes in ([1] + [4] * ((frames - 1) // 4), [1 + 8, *([stride] * ((frames - 9) // stride))]):
        parts = in_chunks(autoencoder.encode_clip, x, sizes)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


def test_chunks_are_decoded_as_the_whole(autoencoder):
    z = torch.randn(2, 9, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    _, whole = autoencoder.decode_clip(ConvPast(), z)
    for sizes in ([1] * 9, [3, 4, 2]):
        parts = in_chunks(autoencoder.decode_clip, z, sizes)
        torch.testing.assert_close(parts, whole, rtol=0, atol=1e-5)


def test_a_latent_does_not_see_the_future(autoencoder):
    """Bit for bit, whatever comes after; normalisation over time would fail."""
    stride, one, other = autoencoder.cfg.time_stride, clip(17), clip(17, seed=1)
    other[:, :9] = one[:, :9]
    latents = [autoencoder.encode_clip(ConvPast(), x)[1] for x in (one, other)]
    seen = 1 + 8 // stride
    assert torch.equal(latents[0][:, :seen], latents[1][:, :seen])
    assert not torch.equal(latents[0][:, seen], latents[1][:, seen])


def test_a_picture_does_not_see_later_latents(autoencoder):
    one = torch.randn(1, 5, 4, 2, 2)
    other = torch.cat((one[:, :3], torch.randn(1, 2, 4, 2, 2)), dim=1)
    made = [autoencoder.decode_clip(ConvPast(), z)[1] for z in (one, other)]
    seen = 1 + 2 * autoencoder.cfg.time_stride
    assert torch.equal(made[0][:, :seen], made[1][:, :seen])
    assert not torch.equal(made[0][:, seen], made[1][:, seen])


def test_an_image_is_the_first_frame_of_a_video(autoencoder):
    x = clip(17)
    alone = autoencoder.encode_pictures(x[:, 0])
    torch.testing.assert_close(
        alone, autoencoder.encode_clip(ConvPast(), x)[1][:, 0], rtol=0, atol=1e-5
    )


def test_zeros_in_time_reach_only_the_first_frames():
    """`time_pad` is in effect: with zeros the first frame differs, replicated it is a still."""
    still = clip(1).expand(-1, 9, -1, -1, -1)
    for pad, alike in (("replicate", True), ("zeros", False)):
        z = make_autoencoder(time_pad=pad).encode_clip(ConvPast(), still)[1]
        assert torch.allclose(z[:, 0], z[:, -1], atol=1e-5) == alike


def test_a_fork_of_the_past_goes_on_alike(autoencoder):
    past, _ = autoencoder.encode_clip(ConvPast(), clip(5))
    copy = past.map(lambda tensor, _: tensor.clone())
    later = clip(4, seed=3)
    _, mine = autoencoder.encode_clip(past, later)
    assert torch.equal(mine, autoencoder.encode_clip(copy, later)[1])
    row = past.map(lambda tensor, dim: tensor.narrow(dim, 1, 1))
    _, alone = autoencoder.encode_clip(ConvPast(row.tensors()), later[1:])
    torch.testing.assert_close(alone, mine[1:], rtol=0, atol=1e-5)


def test_the_past_does_not_grow(autoencoder):
    past, _ = autoencoder.encode_clip(ConvPast(), clip(5))
    shapes = {name: part.shape for name, part in past.tensors().items()}
    for seed in range(3):
        past, _ = autoencoder.encode_clip(past, clip(8, seed=seed))
    assert {name: part.shape for name, part in past.tensors().items()} == shapes


def test_frames_alone_have_no_past():
    autoencoder = make_autoencoder(kernel=1)
    past, z = autoencoder.encode_clip(ConvPast(), clip(6))
    assert not past.frames
    torch.testing.assert_close(z[:, 4], autoencoder.encode_pictures(clip(6)[:, 4]))


@pytest.mark.parametrize(
    ("kernel", "stride", "encoder", "decoder"), [(1, 1, 45.1, 65.2), (3, 4, 134.9, 195.1)]
)
def test_published_sizes(kernel, stride, encoder, decoder):
    with torch.device("meta"):
        cfg = CausalAutoencoderConfig(time_kernel=kernel, time_stride=stride)
        made = CausalAutoencoder(cfg)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (made.encoder, made.decoder)]
    assert [round(size / 1e6, 1) for size in sizes] == [encoder, decoder]


def test_bad_settings_and_clips_are_refused():
    with pytest.raises(ValueError, match="time_kernel must be 3"):
        make_autoencoder(kernel=1, stride=4)
    with pytest.raises(ValueError, match="multiple of 4"):
        make_autoencoder(frame_size=10)
    with pytest.raises(ValueError, match="time_stride must be <= 2"):
        make_autoencoder(stride=4, multipliers=(1, 2))
    with pytest.raises(ValueError, match=r"frames must be 1 \+ a multiple of time_stride 4, got 4"):
        make_autoencoder(stride=4).encode_clip(ConvPast(), clip(4))
