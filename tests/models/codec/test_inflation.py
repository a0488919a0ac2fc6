"""A video autoencoder inflated from an image autoencoder begins as that one."""

import pytest
import torch

from models.codec.causal_autoencoder import CausalAutoencoder, CausalAutoencoderConfig
from models.codec.causal_conv import ConvPast
from models.codec.inflation import inflate

SMALL = {"frame_size": 8, "base": 4, "multipliers": (1, 2, 2), "blocks": 1}


def make(kernel: int, stride: int, channels: int = 4) -> CausalAutoencoder:
    torch.manual_seed(kernel + stride)
    cfg = CausalAutoencoderConfig(
        time_kernel=kernel, time_stride=stride, channels=channels, **SMALL
    )
    return CausalAutoencoder(cfg).requires_grad_(False).double()


def clip(frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, frames, 3, 8, 8, generator=generator, dtype=torch.float64) * 2 - 1


def test_every_frame_is_as_the_image_autoencoder_has_it():
    image, video = make(1, 1), make(3, 1)
    assert inflate(video, image.state_dict()) == []
    for frames in (clip(6), clip(6).flip(1)):
        found, expected = (a.encode_clip(ConvPast(), frames)[1] for a in (video, image))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        made, painted = (a.decode_clip(ConvPast(), expected)[1] for a in (video, image))
        torch.testing.assert_close(made, painted, rtol=0, atol=1e-12)


def test_a_still_video_is_as_its_image_with_strides_in_time():
    image, video = make(1, 1), make(3, 4)
    inflate(video, image.state_dict())
    still = clip(1).expand(-1, 9, -1, -1, -1)
    _, z = video.encode_clip(ConvPast(), still)
    expected = image.encode_pictures(still[:, 0])
    torch.testing.assert_close(z, expected.unsqueeze(1).expand_as(z), rtol=0, atol=1e-12)
    _, made = video.decode_clip(ConvPast(), z)
    painted = image.paint(expected).unsqueeze(1).expand_as(made)
    torch.testing.assert_close(made, painted, rtol=0, atol=1e-12)


def test_the_papers_random_rest_does_not_begin_as_the_image():
    image, video = make(1, 1), make(3, 1)
    inflate(video, image.state_dict(), rest="random")
    _, z = video.encode_clip(ConvPast(), clip(4))
    assert not torch.allclose(z, image.encode_clip(ConvPast(), clip(4))[1], atol=1e-2)


def test_another_width_of_the_latent_leaves_the_ends_random():
    left = inflate(make(3, 4, channels=6), make(1, 1).state_dict())
    ends = ["decoder.layers.0.weight", "encoder.layers.{last}.bias", "encoder.layers.{last}.weight"]
    last = len(make(1, 1).encoder.layers) - 1
    assert sorted(left) == [name.format(last=last) for name in ends]


def test_other_layers_are_refused():
    deeper = CausalAutoencoder(
        CausalAutoencoderConfig(time_kernel=1, time_stride=1, channels=4, **SMALL | {"blocks": 2})
    )
    with pytest.raises(ValueError, match="same layers"):
        inflate(make(3, 1), deeper.state_dict())
