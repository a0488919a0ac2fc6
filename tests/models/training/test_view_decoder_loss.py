"""What a decoder that sees the view is held to, region by region."""

import pytest
import torch

from models.codec.view_critic import ViewCritic
from models.training.view_decoder_loss import (
    BLOCK,
    PATCH,
    ViewBatch,
    critic_loss,
    detail_loss,
    faithful_loss,
    feature_loss,
    mean_over,
    measure_detail,
)

SIZE = 32


@pytest.fixture
def batch() -> ViewBatch:
    """Two rows, the second with true latents; memory shows the left quarter and doubts the next."""
    generator = torch.Generator().manual_seed(0)
    truth, linear = (torch.rand(2, 3, SIZE, SIZE, generator=generator) for _ in range(2))
    seen, hint = torch.zeros(2, 1, SIZE, SIZE), torch.zeros(2, 1, SIZE, SIZE)
    seen[..., : SIZE // 4] = 1
    hint[..., SIZE // 4 : SIZE // 2] = 1
    return ViewBatch(truth, linear, seen, hint, torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))


def best(batch: ViewBatch) -> torch.Tensor:
    """The truth where it is told, the linear decoding elsewhere."""
    return torch.lerp(batch.linear, batch.truth, batch.told)


def test_the_truth_is_told_by_memory_or_by_true_latents(batch):
    assert batch.told[0, ..., : SIZE // 2].all()
    assert not batch.told[0, ..., SIZE // 2 :].any()
    assert batch.told[1].all()


def test_a_picture_that_is_right_where_it_is_told_costs_nothing(batch):
    assert faithful_loss(best(batch), batch) < 1e-6


@pytest.mark.parametrize(("row", "column"), [(0, 2), (0, 12), (1, 2), (1, 28)])
def test_errors_there_cost(batch, row, column):
    made = best(batch)
    made[row, ..., column] += 0.3
    assert faithful_loss(made, batch) > 1e-3


def test_invented_pixels_are_free_as_long_as_their_blocks_keep_their_colours(batch):
    made = best(batch)
    place = made[0, ..., SIZE // 2 : SIZE // 2 + BLOCK]
    place += 0.2 * torch.where(torch.arange(BLOCK) % 2 == 0, 1.0, -1.0)
    assert faithful_loss(made, batch) < 1e-6
    place += 0.2
    assert faithful_loss(made, batch) > 1e-2


def test_other_detail_of_the_same_amount_costs_nothing_where_it_is_invented(batch):
    mirrored = batch._replace(truth=batch.truth.clone())
    patch = mirrored.truth[0, ..., :PATCH, -PATCH:]
    patch[..., -1] = patch[..., 0] = patch[..., -1, :] = 0.5
    made = mirrored.truth.clone()
    # its rim is grey, so a mirror keeps the differences of neighbours
    made[0, ..., :PATCH, -PATCH:] = patch.flip(-1)
    assert not torch.equal(made, mirrored.truth)
    assert detail_loss(made, mirrored) < 1e-6


@pytest.mark.parametrize("contrast", [0.5, 2.0])
def test_more_or_less_detail_costs_there(batch, contrast):
    made = batch.truth * contrast
    assert detail_loss(made, batch) > 0.1
    everywhere = batch._replace(seen=torch.ones_like(batch.seen), hint=torch.zeros_like(batch.hint))
    assert detail_loss(made, everywhere) == 0


def test_detail_is_the_difference_of_neighbours():
    pictures = torch.zeros(1, 3, 2 * PATCH, 2 * PATCH)
    pictures[..., PATCH + 3] = 1.0
    detail = measure_detail(pictures)
    assert detail.shape == (1, 3, 2, 2)
    assert (detail[..., 0] == 0).all()
    assert torch.allclose(detail[..., 1], torch.tensor(2 / PATCH))


def test_features_are_compared_where_the_truth_is_told(batch):
    critic = ViewCritic(8)
    ours, theirs = (critic(part, batch.seen) for part in (best(batch), batch.truth))
    assert feature_loss(theirs, theirs, batch.told) == 0
    assert feature_loss(ours, theirs, torch.zeros_like(batch.told)) == 0
    assert feature_loss(ours, theirs, torch.ones_like(batch.told)) > 0


def test_the_critic_learns_to_tell_pictures_from_true_ones(batch):
    torch.manual_seed(0)
    critic, made = ViewCritic(8), (best(batch) * 0.5).requires_grad_(True)
    opt = torch.optim.Adam(critic.parameters(), 1e-3)
    losses = []
    for step in range(60):
        loss = critic_loss(critic, made, batch, penalty=0.01 * (step % 2))
        opt.zero_grad()
        loss.backward()
        opt.step()
        losses.append(float(loss.detach()))
    assert losses[-2] < 0.3 < losses[0]
    assert made.grad is None


def test_a_mean_over_nothing_is_nothing():
    assert mean_over(torch.ones(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)) == 0
