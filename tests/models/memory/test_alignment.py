"""Where a true frame was seen from, found by what memory shows."""

import gymnasium
import numpy as np
import pytest
import torch

import worldsim  # noqa: F401  registers the environments
from models.memory.alignment import align_motion, compare_views
from models.memory.frame_bank import FrameBank, Insertion
from models.memory.renderer import MemoryView
from models.memory.sizes import MOST_UNLIKE, UNSEEN
from worldsim.poses import relative_poses

SIZE, FOV, FAR = 64, 73.0, 30.0
TURN_LEFT, FORWARD = 0, 2


@pytest.fixture(scope="module")
def walked(engine):
    """Frames, depths and poses of a real walk, relative to its first frame."""
    env = gymnasium.make("Maze-v0", depth=True).unwrapped
    frame, info = env.reset(seed=3)
    frames, depths, poses = [frame], [info["depth"]], [info["pose"]]
    for action in [TURN_LEFT] * 16 + [FORWARD] * 4:
        frame, _, _, _, info = env.step(action)
        frames.append(frame)
        depths.append(info["depth"])
        poses.append(info["pose"])
    env.close()
    poses = np.column_stack((np.stack(poses), np.zeros(len(poses))))
    return np.stack(frames), np.stack(depths), torch.from_numpy(relative_poses(poses))


def bank_before(walked, last: int) -> FrameBank:
    frames, depths, poses = walked
    bank = FrameBank.empty(1, 32, SIZE, SIZE // 2)
    for number in range(last):
        entry = Insertion(
            torch.from_numpy(frames[number])[None],
            (1 / torch.from_numpy(depths[number]).float().clamp(0.05, FAR))[None],
            poses[number][None],
            torch.ones(1, SIZE, SIZE, dtype=torch.bool),
        )
        bank.insert(entry, torch.tensor([0]), torch.tensor([number]), True, FOV)
    return bank


def find(walked, target: int, motions: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    frames, _, poses = walked
    picture = torch.from_numpy(frames[target]).permute(2, 0, 1).float() / 127.5 - 1
    turn = poses[target, 2] - poses[target - 1, 2]
    bank = bank_before(walked, target)
    return align_motion(bank, poses[target - 1], turn, logits, motions, picture, (FOV, FAR))


def true_motion(walked, target: int) -> torch.Tensor:
    poses = walked[2].numpy()
    return torch.from_numpy(relative_poses(poses[target - 1 : target + 1])[1][[0, 1, 3]])


@pytest.mark.parametrize("target", [17, 18])
def test_it_finds_the_motion_among_others(walked, target):
    """All are offered as equally likely: none, half, the true one, aside, too far."""
    truth = true_motion(walked, target)
    assert truth.norm() > 0.1  # it walks
    factors = torch.tensor([0.0, 0.5, 1.0, 1.6])
    aside = torch.tensor([[0.0, 0.2, 0.0]])
    motions = torch.cat((factors[:, None] * truth, truth + aside))
    found = find(walked, target, motions, torch.zeros(len(motions)))
    assert torch.equal(found, motions[2])


def test_what_is_certain_is_not_looked_at(walked):
    motions = torch.tensor([[0.0, 0.0, 0.0], [0.4, 0.0, 0.0]])
    assert torch.equal(find(walked, 17, motions, torch.tensor([9.0, 0.0])), motions[0])


def test_without_memory_the_likeliest_is_taken(walked):
    frames, _, poses = walked
    picture = torch.from_numpy(frames[3]).permute(2, 0, 1).float() / 127.5 - 1
    motions = torch.tensor([[0.0, 0.0, 0.0], [0.4, 0.0, 0.0]])
    empty = FrameBank.empty(1, 32, SIZE, SIZE // 2)
    logits = torch.tensor([0.0, 0.5])
    found = align_motion(empty, poses[2], torch.tensor(0.0), logits, motions, picture, (FOV, FAR))
    assert torch.equal(found, motions[1])


def view_of(rgb: torch.Tensor, mask: torch.Tensor) -> MemoryView:
    depth = torch.zeros(mask.shape)
    return MemoryView(rgb, mask, depth, ~mask, torch.zeros_like(mask))


def test_what_is_hidden_counts_no_more_than_a_bound():
    """A thing that stands before a part of the view is as bad in any colour."""
    picture, mask = torch.zeros(2, 3, 8, 8), torch.ones(2, 8, 8, dtype=torch.bool)
    shown = picture.clone()
    shown[0, :, :4], shown[1, :, :4] = 0.4, 1.0
    error = compare_views(view_of(shown, mask), picture)
    assert error.tolist() == pytest.approx([MOST_UNLIKE / 2] * 2)


def test_what_memory_does_not_show_is_as_bad_as_what_it_shows():
    """And no better than UNSEEN; what lies where nothing is shown says nothing."""
    picture, mask = torch.zeros(3, 3, 8, 8), torch.zeros(3, 8, 8, dtype=torch.bool)
    shown = picture + 0.9
    assert compare_views(view_of(shown, mask), picture).tolist() == pytest.approx([UNSEEN] * 3)
    mask[:2, :2] = True
    shown[0, :, :2], shown[1, :, :2] = 0.01, 0.1
    good, bad, none = compare_views(view_of(shown, mask), picture).tolist()
    assert good == pytest.approx(UNSEEN * 0.75 + 0.01 * 0.25)
    assert bad == pytest.approx(0.1)
    assert none == pytest.approx(UNSEEN)
