"""The table of a protocol: units gathered, figures over clips and seeds, the paper's rows above."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.evaluate.contact_sheet import contact_sheet
from worldsim.evaluate.fvd import FEATURES, fvd
from worldsim.evaluate.published.protocols import Setting, read_paper_rows
from worldsim.evaluate.published.units import Run, Unit, read_unit, unit_path
from worldsim.evaluate.table import grid

Arrays = dict[str, np.ndarray]
BEST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "psnr": lambda values: values.max(axis=-1),
    "ssim": lambda values: values.max(axis=-1),
    "lpips": lambda values: values.min(axis=-1),
    "mse": lambda values: values.min(axis=-1),
}
"""The best of a clip's trajectories `[...,N]`."""
TITLES = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "fvd": "FVD", "mse": "MSE"}


def best_of(metric: str, values: np.ndarray, as_published: bool = False) -> np.ndarray:
    """The best `[...]` of trajectories `[...,N]`; as published, of errors the largest."""
    if metric == "mse" and as_published:
        return values.max(axis=-1)
    return BEST[metric](values)


def figures(
    units: Sequence[Arrays], span: int, metrics: Sequence[str], as_published: bool, prefix: str = ""
) -> dict[str, float]:
    """Figures of one seed over the units of all clips: the best of N for each clip by its mean over
    the frames, and the mean of FVD over the trajectories.
    """
    told = {}
    for metric in (*(m for m in metrics if m != "fvd"), "mse"):
        name = prefix + metric
        if name in units[0]:
            means = np.stack([unit[name][:, :span].mean(axis=1) for unit in units])
            told[metric] = float(best_of(metric, means, as_published).mean())
    name, true = f"{prefix}dream {span}", f"{prefix}true {span}"
    if "fvd" in metrics and name in units[0]:
        dreamt = np.stack([unit[name] for unit in units])
        theirs = np.concatenate([unit[true] for unit in units])
        each = [fvd(dreamt[:, n], theirs, as_published) for n in range(dreamt.shape[1])]
        told["fvd"] = float(np.mean(each))
    return told


def gather(run: Run, count: int) -> dict[str, Any]:
    """All figures of a finished run of `count` clips: for each span its rows."""
    setting, tables = run.setting, {}
    beside = _read_units(run.folder, None, count)
    seeds = {seed: _read_units(run.folder, seed, count) for seed in setting.seeds}
    for span in setting.spans:
        each = [figures(units, span, setting.metrics, run.as_published) for units in seeds.values()]
        tables[str(span)] = {
            "paper": dict(read_paper_rows(setting, span)),
            "dream": {
                name: {"mean": np.mean(values), "std": np.std(values), "seeds": values}
                for name in each[0]
                for values in [[one[name] for one in each]]
            },
            "beside": _beside(run, beside, span),
        }
    return tables


def _read_units(folder: Path, seed: int | None, count: int) -> list[Arrays]:
    return [read_unit(unit_path(folder, Unit(seed, number))) for number in range(count)]


def _beside(run: Run, units: list[Arrays], span: int) -> dict[str, dict[str, float]]:
    metrics = run.setting.metrics
    names = dict.fromkeys(key.partition("/")[0] for key in units[0])
    rows = {
        name: figures(units, span, metrics, run.as_published, f"{name}/")
        for name in names
        if name != "best of context" or set(metrics) != {"fvd"}  # stills in any order are no clip
    }
    true = f"codec/true {span}"
    if "fvd" in metrics and true in units[0] and len(units) >= 4:
        features = np.concatenate([unit[true] for unit in units])
        apart = fvd(features[::2], features[1::2], run.as_published)
        rows[f"true against true, {len(features) // 2} clips each"] = {"fvd": apart}
    return rows


def lines(report: dict[str, Any], setting: Setting) -> list[str]:
    """The tables in the paper's layout: its rows, ours below, and what stands beside."""
    told = [f"{report['protocol']} on {setting.layout}: {report['world']}"]
    head = [TITLES[metric] for metric in setting.metrics]
    for span, table in report["tables"].items():
        title = f"{setting.given} given, {span} predicted" if setting.given else f"{span} frames"
        rows = [[name, *map(row.get, setting.metrics)] for name, row in table["paper"].items()]
        dream = table["dream"]
        rows.append([report["world"], *(_spread(dream.get(m), setting) for m in setting.metrics)])
        rows += [
            [name, *(_number(row.get(m)) for m in setting.metrics)]
            for name, row in table["beside"].items()
        ]
        told += ["", *grid([title, *head], rows)]
    return [*told, "", *(f"  {note}" for note in report["notes"])]


def _spread(figure: dict[str, Any] | None, setting: Setting) -> str | None:
    if figure is None:
        return None
    spread = f" +- {_number(figure['std'])}" if len(setting.seeds) > 1 else ""
    return f"{_number(figure['mean'])}{spread}"


def _number(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"


def notes(run: Run, clips: int, whole: bool, others: Sequence[str]) -> list[str]:
    """What has to be known to read the table."""
    setting = run.setting
    many = f", {setting.trajectories} trajectories each" if setting.trajectories > 1 else ""
    told = [f"{clips} clips{many}, {run.steps} sampler steps, seeds {list(setting.seeds)}"]
    if setting.trajectories > 1:
        told.append("PSNR, SSIM and LPIPS are the best trajectory's of each clip, FVD is the mean")
    if not whole:
        told.append("fewer or shorter clips than the protocol has: no published figure")
    if "fvd" in setting.metrics and run.i3d and clips < FEATURES:
        told.append(
            f"{clips} clips are fewer than FVD's {FEATURES} features, the covariances have no full "
            f"rank: compare at equal N only"
        )
    if "lpips" in setting.metrics and not run.backbone:
        told.append("LPIPS is left out: --lpips-backbone takes torchvision's AlexNet")
    if "fvd" in setting.metrics and not run.i3d:
        told.append("FVD is left out: --i3d takes StyleGAN-V's i3d_torchscript.pt")
    ways = "as published: 8 bits by truncation, lossy film, LPIPS of 0..1, the largest MSE of N"
    told.append(ways if run.as_published else "in the correct ways (--as-published: the paper's)")
    return [*told, *others]


def sheet(run: Run, count: int) -> np.ndarray | None:
    """Truth above, dream below, of the first clips at ever later frames."""
    rows = []
    for unit in _read_units(run.folder, run.setting.seeds[0], count):
        if "shown dream" in unit:
            rows += [unit["shown truth"], unit["shown dream"]]
    return contact_sheet(rows, group=2) if rows else None
