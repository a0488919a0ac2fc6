"""Losses of a tokenizer: each teaches what it should."""

import torch

from models.codec.causal_autoencoder import CausalAutoencoder, CausalAutoencoderConfig
from models.codec.multiscale_quantizer import MultiscaleQuantizer, QuantizerConfig
from models.codec.patch_discriminator import patch_discriminator
from models.codec.tokenizer_loss import (
    LeCAM,
    TokenizerLossConfig,
    discriminator_loss,
    tokenizer_losses,
)

CFG = TokenizerLossConfig()


def tokenizer(kind: str):
    torch.manual_seed(0)
    shape = {"frame_size": 16, "channels": 8, "base": 8, "multipliers": (1, 2), "blocks": 1}
    autoencoder = CausalAutoencoder(CausalAutoencoderConfig(time_kernel=1, time_stride=1, **shape))
    scales = ((1, 1), (4, 4), (8, 8))
    return autoencoder, MultiscaleQuantizer(
        QuantizerConfig(kind=kind, channels=8, scales=scales, codebook=16)
    )


def run(autoencoder, quantizer, pictures):
    quantised = quantizer(autoencoder.encode_pictures(pictures.flatten(0, 1)))
    painted = autoencoder.paint(quantised.sums[-1]).unflatten(0, pictures.shape[:2])
    return quantised, painted


def some_pictures() -> torch.Tensor:
    colours = torch.rand(4, 2, 3, 1, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return colours.expand(-1, -1, -1, 16, 16)


def test_a_tokenizer_learns_to_show_its_pictures():
    for kind in ("bits", "codebook"):
        autoencoder, quantizer = tokenizer(kind)
        params = [*autoencoder.parameters(), *quantizer.parameters()]
        optimiser, pictures = torch.optim.Adam(params, lr=3e-3), some_pictures()
        first = None
        for _ in range(25):
            quantised, painted = run(autoencoder, quantizer, pictures)
            losses = tokenizer_losses(pictures, painted, quantised)
            first = first or float(losses.reconstruction.detach())
            optimiser.zero_grad()
            losses.total(CFG).backward()
            optimiser.step()
        assert float(losses.reconstruction.detach()) < 0.8 * first


def test_every_loss_reaches_the_encoder():
    autoencoder, quantizer = tokenizer("bits")
    pictures, judge = some_pictures(), patch_discriminator(width=8, layers=1)
    quantised, painted = run(autoencoder, quantizer, pictures)

    def perceptual(a, b):
        return (a - b).square()

    losses = tokenizer_losses(pictures, painted, quantised, perceptual, judge)
    first = next(autoencoder.encoder.parameters())
    for name, part in losses._asdict().items():
        (pull,) = torch.autograd.grad(part, first, retain_graph=True)
        assert pull.abs().sum() > 0, name


def test_the_discriminator_learns_apart_from_the_autoencoder():
    autoencoder, quantizer = tokenizer("bits")
    pictures, judge = some_pictures(), patch_discriminator(width=8, layers=1)
    _, painted = run(autoencoder, quantizer, pictures)
    discriminator_loss(judge, pictures, painted, LeCAM(0.9), CFG).backward()
    assert all(p.grad is None for p in autoencoder.parameters())
    assert any(p.grad.abs().sum() > 0 for p in judge.parameters())


def test_lecam_holds_back_a_discriminator_that_is_sure():
    lecam = LeCAM(decay=0.5)
    unsure = float(lecam(torch.zeros(4), torch.zeros(4)))
    sure = float(lecam(torch.full((4,), 5.0), torch.full((4,), -5.0)))
    assert unsure == 0
    # Means after one step of a half: 2.5 and -2.5, so both sides are 7.5 too far.
    assert sure == 2 * 7.5**2


def test_lecam_takes_the_logits_of_autocast():
    halved = [torch.full((4,), value, dtype=torch.bfloat16) for value in (5.0, -5.0)]
    whole = [logits.float() for logits in halved]
    assert torch.equal(LeCAM(0.5)(*halved), LeCAM(0.5)(*whole))
