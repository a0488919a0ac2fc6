"""An inverse-dynamics probe: tells from two successive frames which action lies between them.

It learns from the engine alone and then judges dreams. Its first layer is fixed: how unlike the two
pictures are, place by place, when one of them is shifted sideways by so many columns. On top lie
two convolutions that a few thousand pairs can teach. Every pair is shown mirrored too, with left
and right exchanged; half of them also as the world's codec shows them, the other half also blurred,
so that what is judged is where things move, and not how crisp they are.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldsim.actions import ActionSet

SIDE = 32  # pixels a side it looks at
REACH = 12  # columns of shift, either way
CELL = 4  # pixels a side of a place
BATCH = 64
RATE = 3e-3
BLUR = (1.0, 6.0)  # standard deviations in pixels of 64
_CHUNK = 256


class Pairs(NamedTuple):
    """Frames before and after, uint8 `[N,H,W,3]`, and the action `[N]` between them."""

    before: np.ndarray
    after: np.ndarray
    actions: np.ndarray


class Probe(nn.Module):
    """Two convolutions and a linear layer over the costs of every shift."""

    def __init__(self, actions: int, width: int = 64):
        super().__init__()
        side = SIDE // CELL // 2
        self.layers = nn.Sequential(
            *(nn.Conv2d(2 * REACH + 1, width, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, stride=2), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(width * side * side, actions)),
        )

    def forward(self, costs: Tensor) -> Tensor:
        """Scores `[N, actions]` of `shift_costs`."""
        return self.layers(costs)


def shift_costs(before: np.ndarray, after: np.ndarray) -> Tensor:
    """How unlike pictures uint8 `[N,H,W,3]` are at every shift and place, `[N, shifts, h, w]`.

    The logarithm of the mean absolute difference, relative to the mean over the shifts.
    """
    costs = []
    for at in range(0, len(before), _CHUNK):
        a, b = (_small(frames[at : at + _CHUNK]) for frames in (before, after))
        wide = F.pad(b, (REACH, REACH, 0, 0), mode="replicate")
        shifted = (wide[..., shift : shift + SIDE] for shift in range(2 * REACH + 1))
        unlike = [F.avg_pool2d((a - part).abs().mean(dim=1), CELL) for part in shifted]
        costs.append((torch.stack(unlike, dim=1) + 0.02).log())
    cost = torch.cat(costs)
    return cost - cost.mean(dim=1, keepdim=True)


def _small(frames: np.ndarray) -> Tensor:
    """float32 `[N, 3, SIDE, SIDE]` in -1..1."""
    planes = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    return F.adaptive_avg_pool2d(planes, SIDE) / 127.5 - 1


def find_decidable(poses: np.ndarray, chosen: np.ndarray, actions: ActionSet) -> np.ndarray:
    """Which actions `[...,T]` can be told from the frames around them, by the poses `[...,T+1,3]`.

    Standing still can; so can what turned, or walked at least half a step. A push against a wall
    looks like standing still and counts for nothing.
    """
    moved = np.linalg.norm(np.diff(poses[..., :2], axis=-2), axis=-1)
    turned = np.diff(poses[..., 2], axis=-1)
    turned = np.abs((turned + np.pi) % (2 * np.pi) - np.pi) > 1e-3
    seen = turned | (moved > moved.max() / 2) & (moved > 1e-3)
    if actions.idle is None:
        return seen
    return seen | (chosen == actions.id(actions.idle)) & (moved < 1e-3)


def collect_pairs(
    frames: np.ndarray, poses: np.ndarray, chosen: np.ndarray, table: ActionSet
) -> Pairs:
    """The decidable pairs of successive frames `[N,T+1,H,W,3]`, by poses and actions `[N,T]`."""
    good = find_decidable(poses, chosen, table)
    return Pairs(frames[:, :-1][good], frames[:, 1:][good], chosen[good])


def augment_pairs(
    pairs: Pairs, actions: ActionSet, codec: Callable[[np.ndarray], np.ndarray]
) -> list[Pairs]:
    """The pairs, half of them as the codec shows them, half blurred, and all of it mirrored."""
    one, other = (Pairs(*(part[first::2] for part in pairs)) for first in (0, 1))
    seen = [pairs, Pairs(codec(one.before), codec(one.after), one.actions), blur_pairs(other)]
    exchanged = [_mirror_action(actions, number) for number in range(len(actions))]
    if None in exchanged:
        return seen
    swap = np.array(exchanged)
    return seen + [Pairs(p.before[:, :, ::-1], p.after[:, :, ::-1], swap[p.actions]) for p in seen]


def blur_pairs(pairs: Pairs, seed: int = 0) -> Pairs:
    """The pairs blurred, each by another amount; of every third one only the frame after.

    That is what a dream's first frame is like: soft, after a true one.
    """
    amounts = np.random.default_rng(seed).uniform(*BLUR, len(pairs.actions))
    amounts = amounts * pairs.before.shape[1] / 64
    before = [
        frame if number % 3 == 0 else cv2.GaussianBlur(frame, (0, 0), amount)
        for number, (frame, amount) in enumerate(zip(pairs.before, amounts, strict=True))
    ]
    after = [cv2.GaussianBlur(f, (0, 0), a) for f, a in zip(pairs.after, amounts, strict=True)]
    return Pairs(np.stack(before), np.stack(after), pairs.actions)


def _mirror_action(actions: ActionSet, number: int) -> int | None:
    """The action that turns the other way; itself where it does not turn."""
    turn = actions.turns[number]
    if not turn:
        return number
    return next((i for i, other in enumerate(actions.turns) if other == -turn), None)


def train_probe(pairs: Sequence[Pairs], actions: int, epochs: int, seed: int = 0) -> Probe:
    """Train a probe; the same pairs and seed give the same probe."""
    costs = torch.cat([shift_costs(part.before, part.after) for part in pairs])
    labels = torch.from_numpy(np.concatenate([part.actions for part in pairs]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(actions)
        optimiser = torch.optim.AdamW(probe.parameters(), lr=RATE, weight_decay=0.05)
        steps = epochs * -(-len(labels) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=RATE, total_steps=steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(labels)).split(BATCH):
                loss = F.cross_entropy(probe(costs[chosen]), labels[chosen])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return probe.eval()


@torch.no_grad()
def guess(probe: Probe, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The actions `[...]` the probe sees between frames `[...,H,W,3]`."""
    flat = (frames.reshape(-1, *frames.shape[-3:]) for frames in (before, after))
    return probe(shift_costs(*flat)).argmax(dim=1).numpy().reshape(before.shape[:-3])
