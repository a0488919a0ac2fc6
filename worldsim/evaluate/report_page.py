"""The report of `worldsim evaluate` as a page: verdicts, curves with intervals, drift, speed, every
table, films and sheets.
"""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.evaluate.page import document
from worldsim.evaluate.page.document import Film, Scene, films, picture, table
from worldsim.evaluate.page.svg import Series, curves
from worldsim.evaluate.table import lines
from worldsim.evaluate.thresholds import count_episodes

TITLES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "sharpness": "sharpness, of the truth's",
    "off place": "off the true place, cells or blocks",
}
DRIFTS = ("pixel mean", "pixel std", "latent mean", "latent std", "sharpness")


def write_page(
    path: Path,
    report: dict[str, Any],
    sheets: dict[str, np.ndarray],
    filmed: dict[str, np.ndarray],
    fps: float,
) -> None:
    """Write the page.

    Args:
        path: of the file.
        report: as `report.evaluate` gives it.
        sheets: pictures by name.
        filmed: films by name, "NUMBER truth" and "NUMBER dream".
        fps: frames a second.
    """
    parts = {
        "Verdicts": _format_verdicts(report),
        "By age": _wrap_plots(_plot_by_age(report)),
        "Drift": _wrap_plots(_plot_drift(report)),
        "Speed": _format_speed(report),
        "Films": films(_make_scenes(filmed), fps) if filmed else "",
        "Sheets": "".join(picture(name, image) for name, image in sheets.items()),
        "All tables": f"<pre>{escape(chr(10).join(lines(report)))}</pre>",
    }
    protocol = report["protocol"]
    lead = (
        f"{report['hash'][:12]}, {report['steps']} sampler steps a frame; "
        f"{count_episodes(report)} episodes, {protocol['context']} frames "
        f"given, {protocol['predicted']} dreamt. Bands hold the mean in 95 of 100 bootstrap draws "
        f"of whole episodes."
    )
    document.write_page(path, report["world"], lead, {k: v for k, v in parts.items() if v})


def _format_verdicts(report: dict[str, Any]) -> str:
    head = ["asked", "measured", "wanted", "good"]
    rows = [[verdict[column] for column in head] for verdict in report["verdicts"]]
    return table(head, rows) if rows else ""


def _wrap_plots(plots: list[str]) -> str:
    return f'<div class="plots">{"".join(plots)}</div>' if plots else ""


def _plot_by_age(report: dict[str, Any]) -> list[str]:
    """A plot for each metric of fidelity."""
    found: dict[str, list[Series]] = {}
    for one in report.get("fidelity", {}).get("by age", ()):
        mean, low, high = ([_to_number(v) for v in one[part]] for part in ("mean", "low", "high"))
        series = Series(one["name"], range(1, len(mean) + 1), mean, low, high)
        found.setdefault(one["metric"], []).append(series)
    across = "frames after the context"
    return [curves(TITLES[metric], across, series) for metric, series in found.items()]


def _plot_drift(report: dict[str, Any]) -> list[str]:
    """A plot for each figure of the long runs, a curve for each kind of keys."""
    runs = {k: v for k, v in report.get("drift", {}).items() if isinstance(v, dict)}
    if not runs:
        return []
    return [
        curves(
            f"{figure}, against the engine's",
            "frame",
            [
                Series(
                    f"{kind} keys",
                    [block["frame"] for block in run["series"]],
                    [_to_number(block[figure]) for block in run["series"]],
                )
                for kind, run in runs.items()
            ],
        )
        for figure in DRIFTS
    ]


def _format_speed(report: dict[str, Any]) -> str:
    speed = report.get("fidelity", {}).get("speed")
    if not speed:
        return ""
    batch = report["protocol"]["batch"]
    return table(
        [f"milliseconds a frame of one dream, {batch} at a time", *speed], [["", *speed.values()]]
    )


def _make_scenes(filmed: dict[str, np.ndarray]) -> list[Scene]:
    numbers = dict.fromkeys(name.split()[0] for name in filmed)
    kinds = ("truth", "dream")
    return [
        Scene(f"episode {n}", [Film(k, filmed[f"{n} {k}"], k == "dream") for k in kinds])
        for n in numbers
    ]


def _to_number(value: float | None) -> float:
    return float("nan") if value is None else value
