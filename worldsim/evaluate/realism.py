"""Real or dreamt: can a small network tell a dream's frames from the engine's?

It learns on half of the dreams beside true frames of the same walkers, and is asked about the other
half. Half of its answers are right where it cannot tell. Colours are exchanged and pictures are
mirrored and cut while it learns, so no contrast and no colour of a place helps for long.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (16, 32)
CROP = 48  # pixels a side it learns on
BATCH, RATE = 64, 3e-3
FIRST = 4  # frames that stand for age 1
_CHUNK = 256


class Score(NamedTuple):
    """How well dreams are told from the truth: share of right answers, and the area under the ROC
    curve; N frames of each.
    """

    accuracy: float
    auc: float
    frames: int


def score_by_age(
    dreamt: np.ndarray,
    true: np.ndarray,
    ages: Sequence[int],
    rounds: int,
    late: dict[int, tuple[np.ndarray, np.ndarray]] | None = None,
) -> dict[int, Score]:
    """Learn on every other dream, and ask about the others at each age.

    Args:
        dreamt: frames uint8 `[B,T,H,W,3]` of B >= 2 dreams from their first frame on.
        true: the same of the engine.
        ages: frames, at most T; an age is judged by the last quarter of the frames up to it.
        rounds: batches it learns on.
        late: dreamt and true frames of the first dreams at later ages.
    """
    windows = {age: slice(min(age - max(age // 4, 1), age - 1), max(age, FIRST)) for age in ages}
    asked = {age: (dreamt[1::2, at], true[1::2, at]) for age, at in windows.items()}
    learnt = [(dreamt[::2, ::2], true[::2, ::2])]
    for age, (late_dreamt, late_true) in (late or {}).items():
        if len(late_dreamt) > 1:
            asked[age] = (late_dreamt[1::2], late_true[1::2])
            learnt.append((late_dreamt[::2], late_true[::2]))
    ours, theirs = (np.concatenate([*map(_flat, kind)]) for kind in zip(*learnt, strict=True))
    network = train_classifier(ours, theirs, rounds)
    return {age: score(network, *map(_flat, pair)) for age, pair in asked.items()}


def _flat(frames: np.ndarray) -> np.ndarray:
    return frames.reshape(-1, *frames.shape[-3:])


class Classifier(nn.Module):
    """Two 3 x 3 convolutions with pooling; the mean and the largest answer over the picture."""

    def __init__(self):
        super().__init__()
        narrow, wide = WIDTHS
        self.layers = nn.Sequential(
            *(nn.Conv2d(3, narrow, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(narrow, wide, 3), nn.ReLU(), nn.MaxPool2d(2)),
        )
        self.out = nn.Linear(2 * wide, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[N]` (positive: dreamt) of pictures `[N,3,H,W]` in -1..1."""
        maps = self.layers(pictures)
        return self.out(torch.cat((maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))), 1)).squeeze(1)


def train_classifier(
    dreamt: np.ndarray, true: np.ndarray, rounds: int, seed: int = 0
) -> Classifier:
    """Teach it frames uint8 `[N,H,W,3]` of both kinds; the same frames and seed give the same."""
    both = [_planes(dreamt), _planes(true)]
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=RATE, total_steps=rounds)
    labels = torch.arange(2).repeat_interleave(BATCH // 2).flip(0).float()
    for _ in range(rounds):
        chosen = [
            part[torch.randint(len(part), (BATCH // 2,), generator=rng)].float() for part in both
        ]
        pictures = _vary(torch.cat(chosen) / 127.5 - 1, rng)
        loss = F.binary_cross_entropy_with_logits(network(pictures), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def _vary(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """One crop, one mirroring and one exchange of colours for all of a batch."""
    size = pictures.shape[-1]
    crop = min(CROP * size // 64, size)
    top, left = torch.randint(size - crop + 1, (2,), generator=rng).tolist()
    part = pictures[:, torch.randperm(3, generator=rng), top : top + crop, left : left + crop]
    return part.flip(-1) if torch.randint(2, (), generator=rng) else part


def score(network: Classifier, dreamt: np.ndarray, true: np.ndarray) -> Score:
    """Ask about frames uint8 `[N,H,W,3]` of both kinds that it has not learnt on."""
    a, b = (answers(network, frames) for frames in (dreamt, true))
    accuracy = ((a > 0).mean() + (b <= 0).mean()) / 2
    return Score(float(accuracy), area_under_curve(a, b), len(a))


@torch.no_grad()
def answers(network: Classifier, frames: np.ndarray) -> np.ndarray:
    """Logits `[N]`."""
    parts = [network(part.float() / 127.5 - 1) for part in _planes(frames).split(_CHUNK)]
    return torch.cat(parts).numpy()


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """The chance that a positive has the larger answer than a negative; a tie counts half."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, "left") + np.searchsorted(order, positive, "right")
    return float(below.mean() / 2 / len(negative))


def _planes(frames: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, 1)
