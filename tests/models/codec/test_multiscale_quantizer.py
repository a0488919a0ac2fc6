"""Multi-scale residual quantisation: codes, sums, flips and what corrects them."""

import pytest
import torch

from models.codec.multiscale_quantizer import (
    ABSENT,
    MultiscaleQuantizer,
    QuantizerConfig,
    bit_entropy,
    resize,
)

SCALES = ((1, 1), (2, 2), (3, 3), (4, 4))
KINDS = ("bits", "codebook")


def make_quantizer(kind: str, **changes) -> MultiscaleQuantizer:
    torch.manual_seed(0)
    shape = {"kind": kind, "channels": 8, "scales": SCALES, "codebook": 16} | changes
    return MultiscaleQuantizer(QuantizerConfig(**shape)).requires_grad_(False)


def features(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 8, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=KINDS)
def quantizer(request):
    return make_quantizer(request.param)


def test_a_code_gives_its_labels_back(quantizer):
    for scale, (h, w) in enumerate(SCALES):
        shape = 5, h * w, quantizer.cfg.labels
        labels = torch.randint(0, quantizer.cfg.choices, shape)
        code = quantizer.embed_labels(labels, scale)
        assert code.shape == (5, 8, h, w)
        assert torch.equal(quantizer.choose_labels(code, scale), labels)


def test_codes_of_bits_have_length_one():
    code = make_quantizer("bits").embed_labels(torch.randint(0, 2, (3, 9, 8)), 2)
    torch.testing.assert_close(code.norm(dim=1), torch.ones(3, 3, 3))


def test_the_sum_of_all_scales_is_what_the_labels_decode_to(quantizer):
    pyramid = quantizer.build_pyramid(features())
    for count in range(1, 5):
        total = quantizer.decode_labels(pyramid.targets[:count])
        torch.testing.assert_close(total, pyramid.sums[count - 1], rtol=0, atol=1e-6)


def test_training_and_play_quantise_alike(quantizer):
    """The straight-through pass has the same values as the labels."""
    quantised, pyramid = quantizer(features()), quantizer.build_pyramid(features())
    for one, other in zip(quantised.sums, pyramid.sums, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_gradients_go_straight_through(quantizer):
    given = features().requires_grad_()
    quantizer(given).sums[-1].sum().backward()
    assert given.grad.abs().sum() > 0


def test_an_absent_scale_adds_nothing(quantizer):
    pyramid = quantizer.build_pyramid(features())
    cut = [*pyramid.targets[:2], *(torch.full_like(p, ABSENT) for p in pyramid.targets[2:])]
    torch.testing.assert_close(quantizer.decode_labels(cut), pyramid.sums[1])


def test_quantising_a_sum_again_gives_other_labels(quantizer):
    """Why latents carry their labels."""
    pyramid = quantizer.build_pyramid(features(64))
    again = quantizer.build_pyramid(pyramid.sums[-1])
    assert any(
        (a != b).float().mean() > 0.02 for a, b in zip(pyramid.targets, again.targets, strict=True)
    )


def flip_everything(quantizer, rate: float, count: int = 32):
    generator = torch.Generator().manual_seed(2)
    shapes = [(count, n, quantizer.cfg.labels) for n in quantizer.cfg.tokens]
    draws = [torch.rand(shape, generator=generator) for shape in shapes]
    rates = torch.full((count, len(SCALES)), rate)
    return quantizer.build_pyramid(features(count), rates, draws)


def test_targets_are_what_the_flipped_scales_leave(quantizer):
    pyramid, total = flip_everything(quantizer, 0.2), torch.zeros(32, 8, 4, 4)
    for scale, size in enumerate(SCALES):
        left = resize(features(32) - total, size, "area")
        assert torch.equal(pyramid.targets[scale], quantizer.choose_labels(left, scale))
        total = total + quantizer.expand(pyramid.committed[scale], scale)
        torch.testing.assert_close(pyramid.sums[scale], total)


def test_no_rate_flips_nothing(quantizer):
    clean, flipped = quantizer.build_pyramid(features(32)), flip_everything(quantizer, 0.0)
    for one, other in zip(clean.targets, flipped.committed, strict=True):
        assert torch.equal(one, other)


def test_a_share_of_the_labels_is_flipped(quantizer):
    labels = torch.randint(0, quantizer.cfg.choices, (100_000, 1, 1))
    draws = torch.rand(labels.shape, generator=torch.Generator().manual_seed(3))
    wrong = quantizer.flip(labels, torch.full((100_000,), 0.25), draws) != labels
    sigma = (0.25 * 0.75 / 100_000) ** 0.5
    assert abs(float(wrong.float().mean()) - 0.25) < 3 * sigma


def test_flipped_labels_of_a_codebook_are_any_other():
    quantizer = make_quantizer("codebook")
    draws = torch.rand(100_000, 1, 1, generator=torch.Generator().manual_seed(3))
    flipped = quantizer.flip(torch.full_like(draws, 5).long(), torch.full((100_000,), 0.5), draws)
    counts = torch.bincount(flipped.flatten(), minlength=16).float()
    assert counts[5] > 45_000
    others = counts[torch.arange(16) != 5] / 100_000
    assert (others - 0.5 / 15).abs().max() < 4 * (0.033 / 100_000) ** 0.5


def errors_of(quantizer, given: torch.Tensor) -> list[float]:
    sums = quantizer.build_pyramid(given).sums
    return [float((given - total).square().mean()) for total in sums]


def test_a_fitted_codebook_is_nearer_with_every_scale():
    quantizer, given = make_quantizer("codebook", scales=((1, 1), (4, 4), (4, 4))), features(64)
    before = errors_of(quantizer, given)[-1]
    quantizer.fit_codebooks(given, torch.Generator().manual_seed(0))
    errors = errors_of(quantizer, given)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.65 * before


def structured(count: int) -> torch.Tensor:
    """Features whose cells and channels hang together, as those of pictures do."""
    generator = torch.Generator().manual_seed(1)
    causes = resize(torch.randn(count, 2, 2, 2, generator=generator), (4, 4), "bilinear")
    return torch.einsum("brhw,rc->bchw", causes, torch.randn(2, 8, generator=generator))


def test_corrected_errors_cost_less_than_others():
    """Re-quantised targets repair what flips before them spoilt."""
    scales = ((1, 1), (2, 2), (4, 4), (4, 4), (4, 4))
    quantizer, given = make_quantizer("codebook", scales=scales), structured(128)
    quantizer.fit_codebooks(given, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(4)
    draws = [torch.rand(128, n, 1, generator=generator) for n in quantizer.cfg.tokens]
    rates = torch.full((128, 5), 0.1)
    rates[:, -1] = 0
    corrected = quantizer.build_pyramid(given, rates, draws).sums[-1]
    clean = quantizer.build_pyramid(given).targets
    flips = [quantizer.flip(part, rates[:, k], draws[k]) for k, part in enumerate(clean)]
    uncorrected = quantizer.decode_labels(flips)
    errors = [(given - total).square().mean() for total in (uncorrected, corrected)]
    assert 10 * torch.log10(errors[0] / errors[1]) > 2  # dB


def test_entropy_prefers_sure_and_balanced_bits():
    balanced = torch.nn.functional.normalize(torch.randn(512, 8, 2, 2), dim=1)
    one_sided = torch.full_like(balanced, 8**-0.5)
    unsure = balanced * 1e-4
    assert bit_entropy(balanced) < bit_entropy(one_sided)
    assert bit_entropy(balanced) < bit_entropy(unsure)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": ((4, 4), (2, 2))}, "must not be larger"),
        ({"codebook": 12}, "power of two"),
    ],
)
def test_bad_settings_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        make_quantizer("codebook", **changes)


def test_only_codebooks_are_fitted():
    with pytest.raises(ValueError, match="must be 'codebook'"):
        make_quantizer("bits").fit_codebooks(features(), torch.Generator())
