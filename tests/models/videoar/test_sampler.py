"""Labels drawn with given numbers."""

import pytest
import torch

from models.videoar.sampler import sample_labels, to_uniform


def uniform(count: int) -> torch.Tensor:
    return to_uniform(torch.randn(count, 1, 1, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_bits_are_as_frequent_as_they_are_likely(temperature):
    count = 100_000
    logits = torch.tensor([0.3, 1.1]).expand(count, 1, 1, 2)
    share = float(sample_labels(logits, uniform(count), temperature).float().mean())
    p = float(torch.sigmoid(torch.tensor(0.8 / temperature)))
    assert abs(share - p) < 3 * (p * (1 - p) / count) ** 0.5


def test_labels_of_a_codebook_are_as_frequent_as_they_are_likely():
    count, logits = 100_000, torch.tensor([0.0, 1.0, -1.0, 0.5])
    drawn = sample_labels(logits.expand(count, 1, 1, 4), uniform(count), 1.0)
    assert drawn.shape == (count, 1, 1)
    share = torch.bincount(drawn.flatten(), minlength=4) / count
    p = logits.softmax(0)
    assert ((share - p).abs() < 3 * (p * (1 - p) / count).sqrt()).all()


@pytest.mark.parametrize("choices", [2, 4])
def test_no_temperature_takes_the_likeliest(choices):
    logits = torch.randn(3, 5, 1, choices)
    drawn = sample_labels(logits, torch.rand(3, 5, 1), 0.0)
    assert torch.equal(drawn, logits.argmax(-1))
    cold = sample_labels(logits, torch.full((3, 5, 1), 0.4).double(), 1e-4)
    assert torch.equal(cold, drawn)


def test_a_likelier_bit_is_never_lost():
    """With the same number, a higher logit never turns a 1 into a 0: branches stay together."""
    numbers, logits = torch.rand(1, 100, 4), torch.randn(1, 100, 4, 2)
    higher = logits + torch.tensor([0.0, 0.5])
    assert (sample_labels(higher, numbers, 1.0) >= sample_labels(logits, numbers, 1.0)).all()


def test_numbers_are_uniform():
    values = uniform(100_000).flatten()
    assert abs(float(values.mean()) - 0.5) < 3 * (1 / 12 / 100_000) ** 0.5
    assert (to_uniform(torch.tensor([-40.0, 40.0])) == torch.tensor([0.0, 1.0])).all()
