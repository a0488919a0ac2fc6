"""The bank of remembered frames: bounded, written once, and the least worthy frame goes first."""

import torch

from models.memory.frame_bank import EMPTY, KEPT_NEWEST, FrameBank, Insertion, average, take_medians

SIZE, DEPTH, SLOTS = 16, 8, 20
ALL = torch.tensor([0])


def entry(shade: int, share: float) -> Insertion:
    """One frame of one colour, of which the upper `share` is first-hand."""
    fresh = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    fresh[:, : round(share * SIZE)] = True
    rgb = torch.full((1, SIZE, SIZE, 3), shade, dtype=torch.uint8)
    return Insertion(rgb, torch.full((1, DEPTH, DEPTH), 0.5), torch.zeros(1, 4), fresh)


def filled(frames: int, shares=lambda number: 1.0) -> FrameBank:
    bank = FrameBank.empty(1, SLOTS, SIZE, DEPTH)
    for number in range(frames):
        bank.insert(entry(number, shares(number)), ALL, torch.tensor([number]), False, 90.0)
    return bank


def test_empty_slots_are_used_first():
    bank = filled(5)
    assert sorted(bank.ids[0].tolist()) == [EMPTY] * (SLOTS - 5) + [0, 1, 2, 3, 4]


def test_it_is_bounded_and_keeps_the_newest():
    bank = filled(100, lambda number: 0.1 if number > 50 else 1.0)
    held = set(bank.ids[0].tolist())
    assert len(held) == SLOTS
    assert set(range(100 - KEPT_NEWEST, 100)) <= held
    assert bank.rgba.shape == (1, SLOTS, SIZE, SIZE, 4)


def test_the_frame_with_the_least_coverage_goes():
    bank = filled(SLOTS, lambda number: 0.25 if number == 2 else 1.0)
    bank.insert(entry(99, 1.0), ALL, torch.tensor([SLOTS]), False, 90.0)
    held = bank.ids[0].tolist()
    assert 2 not in held
    assert {0, 1, 3, SLOTS} <= set(held)


def test_a_frame_of_the_newest_is_kept_though_it_adds_nothing():
    bank = filled(SLOTS, lambda number: 0.0 if number == SLOTS - 1 else 1.0)
    bank.insert(entry(99, 1.0), ALL, torch.tensor([SLOTS]), False, 90.0)
    assert SLOTS - 1 in bank.ids[0].tolist()


def test_alpha_says_what_is_first_hand():
    bank = filled(1, lambda number: 0.5)
    slot = bank.ids[0].tolist().index(0)
    alpha = bank.rgba[0, slot, ..., 3]
    assert (alpha[: SIZE // 2] == 255).all()
    assert (alpha[SIZE // 2 :] == 0).all()
    assert bank.fresh[0, slot].view(8, 8)[:, 0].tolist() == [1.0] * 4 + [0.0] * 4


def test_coarse_points_are_the_means_of_the_depth_map():
    inverse = torch.rand(1, DEPTH * 2, DEPTH * 2) + 0.1
    means = average(inverse)[0]
    by_hand = torch.tensor(
        [
            [inverse[0, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean() for c in range(8)]
            for r in range(8)
        ]
    )
    assert torch.allclose(means, by_hand)


def test_dreams_of_a_batch_do_not_touch_each_other():
    bank = FrameBank.empty(2, SLOTS, SIZE, DEPTH)
    bank.insert(entry(7, 1.0), torch.tensor([1]), torch.tensor([3]), True, 90.0)
    assert (bank.ids[0] == EMPTY).all()
    assert bank.ids[1].max() == 3
    assert bank.true[1].any()
    assert not bank.true[0].any()


def test_rows_gives_the_slots_and_says_which_are_empty():
    bank = filled(5)
    small = bank.rows(torch.tensor([0]), torch.tensor([[3, EMPTY]]))
    assert small.ids.tolist() == [[bank.ids[0, 3].item(), EMPTY]]
    assert torch.equal(small.rgba[0, 0], bank.rgba[0, 3])


def test_a_coarse_place_lies_on_a_surface_not_between_two():
    """By hand: cells of four places, of which the second smallest is taken."""
    maps = torch.zeros(1, 16, 16)
    maps[0, 0, :2], maps[0, 1, :2] = torch.tensor([4.0, 1.0]), torch.tensor([3.0, 2.0])
    maps[0, 15, 15] = 9.0
    found = take_medians(maps)
    assert found.shape == (1, 8, 8)
    assert found[0, 0, 0] == 2
    assert found[0, 7, 7] == 0
