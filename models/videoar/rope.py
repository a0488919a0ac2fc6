"""Multi-scale Temporal RoPE (VideoAR, Eq. 7): tokens turn by frame, row and column; the scale is
told apart only by its embedding.

The paper gives neither the split of a head over the axes nor the grid that rows and columns are
counted on. `ladder`: "shared" is one ladder of frequencies cut into three sections, so that a token
at (i, i, i) turns as a text token at i; "each" gives every axis a ladder of its own; "plane" gives
rows and columns one each and time none (Infinity's, what the paper begins its ablation with): a
frame is then told from the one before by what it shows alone. `grid`: "finest" counts every scale's
cells on the grid of the last one (as Infinity), "own" on its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

AXES = 3  # frame, row, column


def sections(head_size: int) -> tuple[int, int, int]:
    """Frequency pairs of each axis, as equal as possible, time first."""
    pairs = head_size // 2
    time, row = -(-pairs // AXES), -(-(pairs - -(-pairs // AXES)) // 2)
    return time, row, pairs - time - row


def frequencies(head_size: int, ladder: str, theta: float) -> Tensor:
    """Angular frequencies `[3, head_size / 2]` of frame, row and column."""
    counts, pairs = sections(head_size), head_size // 2
    if ladder == "shared":
        steps = torch.arange(pairs, dtype=torch.float64).split(list(counts))
        return torch.block_diag(*(theta ** -(part / pairs) for part in steps))
    if ladder == "plane":
        counts = 0, pairs - pairs // 2, pairs // 2
    rungs = max(counts)
    parts = (theta ** -(torch.arange(n, dtype=torch.float64) / rungs) for n in counts)
    return torch.block_diag(*parts)


def cell_positions(size: tuple[int, int], finest: tuple[int, int], grid: str) -> Tensor:
    """Row and column `[h*w,2]` of every cell of a scale."""
    axes = []
    for count, most in zip(size, finest, strict=True):
        index = torch.arange(count, dtype=torch.float64)
        axes.append((index * most / count).round() if grid == "finest" else index)
    return torch.cartesian_prod(*axes).view(-1, 2)


def token_positions(frames: Tensor, cells: Sequence[Tensor]) -> Tensor:
    """Frame, row and column `[B,F*S,3]` of tokens of frames `[B,F]` whose levels have `cells`
    `[h*w,2]`.
    """
    place = torch.cat(list(cells)).to(frames.device)
    shape = (*frames.shape, len(place))
    time = frames.double()[..., None, None].expand(*shape, 1)
    return torch.cat((time, place.expand(*shape, 2)), dim=-1).flatten(1, 2)
