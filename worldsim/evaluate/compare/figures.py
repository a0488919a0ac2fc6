"""The figures of a comparison: means over episodes with bootstrap intervals, and differences to the
first contestant, paired episode by episode. Plain arrays, no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worldsim.evaluate.bootstrap import interval, intervals
from worldsim.evaluate.page.svg import Series, curves

METRICS = {
    "psnr": "PSNR, dB",
    "seen psnr": "PSNR where the context shows it, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "sharpness": "sharpness, of the truth's",
}
PERCENTILES = (50, 90, 99)
LEAST_SURE = 6  # episodes below which no difference is marked as sure
Scores = Mapping[str, np.ndarray]


def average_episodes(values: np.ndarray) -> np.ndarray:
    """The mean of each episode `[B]` of figures `[B,P]`; nan where it has none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def summary(
    dreams: Mapping[str, Scores], beside: Mapping[str, Scores], horizons: Sequence[int]
) -> dict[str, Any]:
    """Figures `[B,P]` of every contestant as means with intervals, and as differences to the first.

    Args:
        dreams: by contestant and metric; the first is the one that others are held against.
        beside: floors and ceilings, by name and metric.
        horizons: frames that are listed one by one.
    """
    (first, base), *others = dreams.items()
    return {
        "means": {name: _average_scores(scores, horizons) for name, scores in dreams.items()},
        "beside": {name: _average_scores(scores, horizons) for name, scores in beside.items()},
        "differences": {
            f"{name} - {first}": {
                metric: _measure_interval(scores[metric] - base[metric])
                for metric in scores
                if metric in base
            }
            for name, scores in others
        },
    }


def _average_scores(scores: Scores, horizons: Sequence[int]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for metric, values in scores.items():
        told[metric] = _measure_interval(values) | {
            str(h): interval(values[:, h - 1])._asdict() for h in horizons if h <= values.shape[1]
        }
    return told


def _measure_interval(values: np.ndarray) -> dict[str, Any]:
    return {"all": interval(average_episodes(values))._asdict()}


def summarise_speeds(times: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Percentiles of milliseconds a frame of one dream."""
    return {
        name: {f"p{share}": float(np.percentile(values, share)) for share in PERCENTILES}
        for name, values in times.items()
    }


def table_rows(report: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """The one table: contestants, what stands beside them, differences."""
    means, beside = report["means"], report["beside"]
    metrics = [m for m in METRICS if any(m in one for one in means.values())]
    head = ["mean [95 % interval]", *(METRICS[m] for m in metrics), "ms a frame, p50", "p99"]
    rows = []
    for name, one in means.items():
        speed = report["speed"][name]
        cells = [format_figure(one.get(m, {}).get("all")) for m in metrics]
        rows.append([name, *cells, speed["p50"], speed["p99"]])
    for name, one in beside.items():
        rows.append(
            [name, *(format_figure(one.get(m, {}).get("all")) for m in metrics), None, None]
        )
    for name, one in report["differences"].items():
        marked = report["episodes"] >= LEAST_SURE
        cells = [format_figure(one.get(m, {}).get("all"), "+", marked) for m in metrics]
        rows.append([name, *cells, None, None])
    return head, rows


def format_figure(
    figure: dict[str, float] | None, sign: str = "", marked: bool = True
) -> str | None:
    """A mean with its interval; a difference (`sign` "+") whose interval holds no 0 is marked."""
    if figure is None or figure["mean"] is None or not np.isfinite(figure["mean"]):
        return None
    mean, low, high = (figure[name] for name in ("mean", "low", "high"))
    sure = " *" if sign and marked and low * high > 0 else ""
    digits = 3 if max(abs(low), abs(high)) < 2 else 2
    return f"{mean:{sign}.{digits}f} [{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]{sure}"


def make_plots(dreams: Mapping[str, Scores], beside: Mapping[str, Scores]) -> str:
    """A plot for each metric: by age, with intervals."""
    made = []
    for metric, title in METRICS.items():
        lines = [
            plot_by_age(name, scores[metric])
            for name, scores in (*dreams.items(), *beside.items())
            if metric in scores
        ]
        if any(metric in scores for scores in dreams.values()):
            made.append(curves(title, "frames after the context", lines))
    return f'<div class="plots">{"".join(made)}</div>'


def plot_by_age(name: str, values: np.ndarray) -> Series:
    """Figures `[B,P]` as a curve over the frames, with the interval over episodes."""
    mean, low, high = (part.tolist() for part in intervals(values))
    return Series(name, range(1, values.shape[1] + 1), mean, low, high)
