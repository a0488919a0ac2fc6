"""Curves with bands as inline SVG; no library, no script."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#999999")
WIDE, TALL, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 52, 40, 14, 12
TICKS = 5


class Series(NamedTuple):
    """A curve: y over x, and the band from low to high where there is one; it breaks at nan."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def curves(title: str, across: str, series: Sequence[Series]) -> str:
    """A plot of all series as an SVG element, with a legend below it."""
    box = _box(series)
    parts = [*_axes(box, across)]
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        if one.low is not None and one.high is not None:
            edges = (_pieces(box, one.x, part) for part in (one.low, one.high))
            for low, high in zip(*edges, strict=True):
                band = _join([*low, *reversed(high)])
                parts.append(f'<polygon points="{band}" fill="{colour}" fill-opacity=".15"/>')
        parts += [
            f'<polyline points="{_join(piece)}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
            for piece in _pieces(box, one.x, one.y)
        ]
    legend = "".join(
        f'<span><i style="background:{COLOURS[n % len(COLOURS)]}"></i>{escape(one.name)}</span>'
        for n, one in enumerate(series)
    )
    return (
        f'<figure class="plot"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDE} {TALL}" role="img">{"".join(parts)}</svg>'
        f'<div class="legend">{legend}</div></figure>'
    )


class _Box(NamedTuple):
    """The ranges that are shown."""

    left: float
    right: float
    low: float
    high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.left) / (self.right - self.left)
        up = (y - self.low) / (self.high - self.low)
        return LEFT + across * (WIDE - LEFT - RIGHT), TALL - BOTTOM - up * (TALL - BOTTOM - TOP)


def _box(series: Sequence[Series]) -> _Box:
    ys = [
        value
        for one in series
        for part in (one.y, one.low or (), one.high or ())
        for value in part
        if math.isfinite(value)
    ]
    xs = [value for one in series for value in one.x]
    low, high = (min(ys), max(ys)) if ys else (0.0, 1.0)
    space = (high - low) * 0.05 or 0.5
    left, right = (min(xs), max(xs)) if xs else (0.0, 1.0)
    return _Box(left, right if right > left else left + 1, low - space, high + space)


def _axes(box: _Box, across: str) -> list[str]:
    parts = []
    for value in ticks(box.low, box.high):
        x, y = box.place(box.left, value)
        parts.append(f'<line x1="{x}" y1="{y:.1f}" x2="{WIDE - RIGHT}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{x - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(box.left, box.right):
        x, y = box.place(value, box.low)
        parts.append(f'<text x="{x:.1f}" y="{y + 18}" text-anchor="middle">{value:g}</text>')
    middle = (LEFT + WIDE - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{TALL - 4}" text-anchor="middle">{escape(across)}</text>')
    return parts


def ticks(low: float, high: float) -> list[float]:
    """About TICKS round numbers from low to high."""
    rough = (high - low) / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.ceil(low / step)
    return [round(n * step, 10) for n in range(first, math.floor(high / step) + 1)]


def _pieces(box: _Box, xs: Sequence[float], ys: Sequence[float]) -> list[list[tuple[float, float]]]:
    """The points of a curve, in pieces between what is not finite."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(xs, ys, strict=True):
        if np.isfinite(y):
            pieces[-1].append(box.place(x, y))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _join(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
