"""Which frames of a bank show most of a view, against a greedy loop."""

import numpy as np
import torch

from models.memory.coverage import LEAST_GAIN, MAX_QUALITY, cell_quality, select_keyframes
from models.memory.frame_bank import EMPTY
from models.memory.pinhole import NEAR_PLANE, half_width
from tests.support.rooms import FOV, bank_of_looks

SIZE = 16


def poses_drawn(count: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    places = rng.uniform(-2, 2, (count, 2))
    return torch.tensor(
        np.column_stack((places, rng.uniform(0, 6.28, count), rng.uniform(-0.2, 0.2, count))),
        dtype=torch.float32,
    )


def quality_slowly(bank, target) -> np.ndarray:
    """The same as cell_quality, one point after another `[N,64]`."""
    x, y, heading, height = target.double().numpy()
    points, fresh = bank.points[0].double().numpy(), bank.fresh[0].double().numpy()
    seen, nearest = [], {}
    for frame, number in np.ndindex(points.shape[:2]):
        if bank.ids[0, frame] == EMPTY:
            continue
        east, north = points[frame, number, :2] - (x, y)
        depth = east * np.cos(heading) + north * np.sin(heading)
        left = north * np.cos(heading) - east * np.sin(heading)
        scale = 1 / (max(depth, 1e-3) * half_width(FOV))
        u, v = -left * scale, (height - points[frame, number, 2]) * scale
        if abs(u) < 1 and abs(v) < 1 and depth > NEAR_PLANE:
            cell = int((v + 1) * 4) * 8 + int((u + 1) * 4)
            seen.append((frame, number, cell, depth))
            nearest[cell] = min(nearest.get(cell, np.inf), depth)
    found = np.zeros((len(points), 64))
    for frame, number, cell, depth in seen:
        if depth < nearest[cell] * 1.35 + 0.15:
            stood = bank.poses[0, frame, :2].double().numpy()
            distance = np.linalg.norm(points[frame, number, :2] - stood) + 0.1
            worth = (min(depth / distance, MAX_QUALITY) + 0.05) * fresh[frame, number]
            found[frame, cell] = max(found[frame, cell], worth)
    return found


def greedy_slowly(quality: np.ndarray, count: int) -> list[int]:
    covered, chosen = np.zeros(quality.shape[1]), []
    for _ in range(count):
        gains = [sum(max(q - c, 0) for q, c in zip(row, covered, strict=True)) for row in quality]
        best = int(np.argmax(gains))
        if gains[best] < LEAST_GAIN:
            chosen.append(EMPTY)
            continue
        chosen.append(best)
        covered = np.maximum(covered, quality[best])
    return chosen


def test_it_agrees_with_a_greedy_loop():
    bank = bank_of_looks(poses_drawn(18), SIZE, slots=20)
    bank.fresh[0, 3] *= 0.5
    for target in poses_drawn(4, seed=1):
        slow = quality_slowly(bank, target)
        fast = cell_quality(bank, target[None], FOV)[0]
        assert np.allclose(fast.numpy(), slow, atol=1e-4)
        chosen = select_keyframes(bank, target[None], 5, FOV)[0].tolist()
        assert chosen == greedy_slowly(fast.numpy(), 5)


def test_the_frame_that_stood_there_is_chosen_first():
    poses = poses_drawn(12)
    bank = bank_of_looks(poses, SIZE, slots=20)
    chosen = select_keyframes(bank, poses[7:8], 3, FOV)[0]
    assert bank.ids[0, chosen[0]] == 7


def test_nothing_is_chosen_where_nothing_is_seen():
    bank = bank_of_looks(torch.zeros(1, 4), SIZE, slots=20)
    behind = torch.tensor([[0.0, 0.0, 3.14159, 0.0]])
    assert select_keyframes(bank, behind, 3, FOV).tolist() == [[EMPTY] * 3]
    bank.ids.fill_(EMPTY)
    assert select_keyframes(bank, torch.zeros(1, 4), 3, FOV).tolist() == [[EMPTY] * 3]


def test_no_frame_is_chosen_twice():
    bank = bank_of_looks(poses_drawn(18), SIZE)
    for target in poses_drawn(5, seed=2):
        chosen = [
            slot for slot in select_keyframes(bank, target[None], 6, FOV)[0].tolist() if slot >= 0
        ]
        assert len(chosen) == len(set(chosen))
