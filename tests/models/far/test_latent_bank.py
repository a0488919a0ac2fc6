"""Which frames a dream keeps by where they were seen."""

import torch

from models.far.latent_bank import NOVEL, SLOTS, LatentBank
from tests.support.far_networks import small


def filled(places):
    """A bank of one dream that has seen a frame at each x of `places`, and its frames' numbers."""
    bank = LatentBank.empty(small().network, 1, torch.device("cpu"))
    for number, x in enumerate(places):
        latents = torch.full((1, 3, 4, 4), float(number))
        bank.insert(latents, torch.tensor([number]), torch.tensor([[x, 0.0, 0.0]]))
    return bank, bank.ids[0][bank.ids[0] >= 0].tolist()


def test_a_place_that_was_seen_keeps_its_old_picture():
    bank, ids = filled([0.0, NOVEL / 2, 1.0, 1.0])
    assert ids == [0, 2]
    assert bank.latents[0, :2, 0, 0, 0].tolist() == [0.0, 2.0]


def test_in_a_full_bank_the_nearest_frame_makes_room():
    bank, ids = filled([*range(SLOTS), 2.4])
    assert sorted(ids) == [*(n for n in range(SLOTS) if n != 2), SLOTS]
    assert bank.poses[0, 2, 0] == torch.tensor(2.4)


def test_rows_keep_what_is_new_to_them():
    bank = LatentBank.empty(small().network, 2, torch.device("cpu"))
    zero = torch.zeros(2, 3, 4, 4)
    bank.insert(zero, torch.tensor([0, 0]), torch.zeros(2, 3))
    bank.insert(zero, torch.tensor([1, 1]), torch.tensor([[0.0, 0, 0], [5.0, 0, 0]]))
    assert [(row >= 0).sum().item() for row in bank.ids] == [1, 2]
