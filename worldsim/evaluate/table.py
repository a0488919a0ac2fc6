"""The report as lines to read. Plain text, no torch."""

from typing import Any


def lines(report: dict[str, Any]) -> list[str]:
    """All parts of a report, one below the other."""
    told = [f"{report['world']} ({report['hash'][:12]}), {report['steps']} sampler steps a frame"]
    for part, tell in _TELLERS.items():
        if part in report:
            told += ["", *([f"{part}: {report[part]['failed']}"] if "failed" in report[part] else tell(report[part]))]
    return told


def grid(head: list[str], rows: list[list[Any]]) -> list[str]:
    """Columns under a head: the first to the left, numbers to the right."""
    cells = [head, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join([row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)])
        for row in cells
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def _fidelity(part: dict[str, Any]) -> list[str]:
    names = [name for name in part if isinstance(part[name], dict)]
    told = ["fidelity: against the engine under the same actions, by frame"]
    for metric in ("psnr", "ssim", "sharpness"):
        columns = list(part[names[0]][metric])
        rows = [[name, *(float(part[name][metric][c]) for c in columns)] for name in names]
        told += grid([metric, *columns], rows)
    return told


_TELLERS = {"fidelity": _fidelity}
