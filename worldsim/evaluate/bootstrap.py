"""How sure a mean over episodes is: percentile bootstrap over whole episodes, since frames of one
are alike.
"""

from typing import NamedTuple

import numpy as np

DRAWS = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean, and the interval that holds it in 95 of 100 draws."""

    mean: float
    low: float
    high: float


def resamples(count: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Which of `count` episodes each draw takes, `[draws,count]`; the same for the same count, so
    draws of two contestants are paired.
    """
    return np.random.default_rng([seed, count]).integers(0, count, (draws, count))


def intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, low and high `[T]` of figures `[B,T]` of B episodes; nan counts for nothing."""
    known = ~np.isnan(values)
    filled, chosen = np.where(known, values, 0.0), resamples(len(values))
    weights = np.zeros((len(chosen), len(values)))
    np.add.at(weights, (np.arange(len(chosen))[:, None], chosen), 1)
    totals, numbers = weights @ filled, weights @ known
    with np.errstate(invalid="ignore"):
        draws = np.where(numbers > 0, totals / np.maximum(numbers, 1), np.nan)
        mean = filled.sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    low, high = (_quantile(draws, share) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return mean, low, high


def _quantile(draws: np.ndarray, share: float) -> np.ndarray:
    """Of each column without its nans; nan where a column has nothing else."""
    found = np.full(draws.shape[1], np.nan)
    for column, values in enumerate(draws.T):
        known = values[~np.isnan(values)]
        if len(known):
            found[column] = np.quantile(known, share)
    return found


def interval(values: np.ndarray) -> Interval:
    """Of one figure `[B]` an episode."""
    return Interval(*(float(part[0]) for part in intervals(np.asarray(values, float)[:, None])))
