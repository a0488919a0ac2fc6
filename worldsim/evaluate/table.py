"""The report as lines to read. Plain text, no torch."""

from typing import Any

from worldsim.evaluate.thresholds import ENOUGH, count_episodes

SEEN = 1.5  # a fault that multiplies a feature distance by less is not seen


def lines(report: dict[str, Any]) -> list[str]:
    """All parts of a report, one below the other."""
    told = [f"{report['world']} ({report['hash'][:12]}), {report['steps']} sampler steps a frame"]
    for part, (title, tell) in FORMATTERS.items():
        if part in report:
            figures = report[part]
            told += ["", f"{part}: {title}"]
            told += [f"  {figures[why]}" for why in ("failed", "skipped") if why in figures]
            told += tell(_select_entries(figures)) if _select_entries(figures) else []
    head = ["asked", "measured", "wanted", "good"]
    rows = [[verdict[column] for column in head] for verdict in report["verdicts"]]
    if count_episodes(report) < ENOUGH:
        return [*told, "", f"no verdicts: they need at least {ENOUGH} episodes"]
    return [*told, "", "verdicts", *grid(head, rows)] if rows else told


def grid(head: list[str], rows: list[list[Any]]) -> list[str]:
    """Columns under a head: the first to the left, numbers to the right."""
    cells = [head, *([_format_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    padded = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in cells)
    return ["  " + "  ".join(row) for row in padded]


def _format_cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _select_entries(part: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: value for name, value in part.items() if isinstance(value, dict)}


def _group_by_metric(part: dict[str, dict]) -> list[str]:
    """A grid for each metric, a row for each contestant that has it."""
    told = []
    for metric in next(iter(part.values()), {}):
        those = {name: scores[metric] for name, scores in part.items() if metric in scores}
        columns = list(next(iter(those.values())))
        rows = [[name, *(scores[c] for c in columns)] for name, scores in those.items()]
        told += grid([metric, *columns], rows)
    return told


def _format_fidelity(part: dict[str, dict]) -> list[str]:
    speed = part.pop("speed", {})
    shown = ", ".join(f"{name} {value:.1f}" for name, value in speed.items())
    return [
        *_group_by_metric(part),
        *([f"  milliseconds a frame of one dream: {shown}"] if speed else []),
    ]


def _format_visibility(part: dict[str, dict]) -> list[str]:
    told = []
    for name, title in (
        ("share", "share of a frame"),
        ("seen", "PSNR where the context shows it"),
        ("unseen", "PSNR where it does not"),
    ):
        told += _format_grid(title, {row: next(iter(f.values())) for row, f in part[name].items()})
        perceptual = {row: f["lpips"] for row, f in part[name].items() if "lpips" in f}
        told += _format_grid(title.replace("PSNR", "LPIPS"), perceptual)
    if part.get("led"):
        told += _format_grid("PSNR, bodies led by the engine", {"dream": part["led"]["psnr"]})
    told += _format_grid("invented, relative to the truth", part["invented"])
    told += _format_features(part["features"])
    for figure in ("accuracy", "auc"):
        those = _select_entries(part["real or dreamt"])
        told += _format_grid(
            f"real or dreamt: {figure}", {row: f[figure] for row, f in those.items()}
        )
    told += _format_grid("back again, PSNR against before", part["return"])
    told += _format_grid("PSNR between two seeds", {"dream": part["two seeds"]})
    return [*told, f"  {part['speed']['ms a frame']:.1f} ms a frame of one dream"]


def _format_features(part: dict[str, Any]) -> list[str]:
    """What the distances are made of, and the faults that they hardly see."""
    if "skipped" in part:
        return [f"  {part['skipped']}"]
    faults = part["faults"]
    seen = [f"{name} x{times:.1f}" for name, times in faults.items() if times >= SEEN]
    missed = [f"{name} x{times:.1f}" for name, times in faults.items() if times < SEEN]
    return [
        f"  frechet and kernel distance: {part['network']}, against true frames of other walkers; "
        f"sees {', '.join(seen) or 'nothing'}; does not see {', '.join(missed) or 'nothing'}"
    ]


def _format_grid(title: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """A row for each entry, a column for each figure that any of them has."""
    columns = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    found = [[name, *map(figures.get, columns)] for name, figures in rows.items()]
    return grid([title, *columns], found) if columns else []


def _format_memory(part: dict[str, dict]) -> list[str]:
    told = []
    for way, figures in part.items():
        if "skipped" in figures:
            told.append(f"  {way}: {figures['skipped']}")
            continue
        runs = _select_entries(figures)
        columns = list(next(iter(runs.values())))
        rows = [[name, *map(run.get, columns)] for name, run in runs.items()]
        told += grid([f"{way}, {figures['frames']} frames", *columns], rows)
    return told


def _format_drift(part: dict[str, dict]) -> list[str]:
    columns = ["pixel mean", "pixel std", "latent mean", "latent std", "sharpness", "good"]
    rows = [[kind, *(run[c] for c in columns)] for kind, run in part.items()]
    return grid(["keys", *columns], rows)


def _format_walks(part: dict[str, dict]) -> list[str]:
    told = [f"  {name}: {one['skipped']}" for name, one in part.items() if "skipped" in one]
    walked = {name: one for name, one in part.items() if "skipped" not in one}
    return [*told, *_format_grid("back again, PSNR against before", walked)]


def _format_likelihood(part: dict[str, dict]) -> list[str]:
    told = _format_grid("bits", {"a frame": part["a frame"]})
    return [*told, *_format_grid("of its labels", part["scales"])]


FORMATTERS = {
    "visibility": ("what the context shows, and what is invented", _format_visibility),
    "fidelity": ("against the engine under the same actions, by frame", _format_fidelity),
    "following": (
        "share of actions that can be told from the frames they led to",
        _group_by_metric,
    ),
    "memory": ("PSNR in dB of views from one pose", _format_memory),
    "walks": ("long loops, returns and revisits that the engine has planned", _format_walks),
    "likelihood": ("what a true frame costs, and the labels rightly expected", _format_likelihood),
    "drift": (
        "second half of the long runs, against the engine under the same keys",
        _format_drift,
    ),
}
