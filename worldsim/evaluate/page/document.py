"""One HTML file with everything in it: tables, curves, pictures, films that play side by side, and
a mode in which names are hidden and the better film is picked.
"""

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from worldsim.atomic import atomic_write
from worldsim.paths import asset

QUALITY = 90  # of films, WebP


class Film(NamedTuple):
    """Frames uint8 `[T,H,W,3]` under a name. The one of no choice (the truth) is not picked."""

    name: str
    frames: np.ndarray
    choice: bool = True


class Scene(NamedTuple):
    """Films of one episode, shown side by side."""

    title: str
    films: Sequence[Film]


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; numbers to three digits."""
    lines = ["".join(f"<th>{escape(str(cell))}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>{body}</table></div>'


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def picture(title: str, image: np.ndarray) -> str:
    """A picture uint8 `[H,W,3]` with a title."""
    data = _encode_image(image, ".png", [])
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<img src="data:image/png;base64,{data}" alt="{escape(title)}"></figure>'
    )


def films(scenes: Sequence[Scene], fps: float) -> str:
    """A player of scenes. With two films or more to choose from, blind choices too."""
    told = [{"title": one.title, "films": [_film(film) for film in one.films]} for one in scenes]
    data = {"fps": fps, "scenes": told}
    # "</" would end the script, whatever it is inside of.
    text = json.dumps(data).replace("</", "<\\/")
    return f'<div id="films"></div><script id="scenes" type="application/json">{text}</script>'


def _film(film: Film) -> dict[str, Any]:
    """All frames in one picture, row by row."""
    count, tall, wide, _ = film.frames.shape
    columns = math.ceil(math.sqrt(count))
    sheet = np.zeros((math.ceil(count / columns), columns, tall, wide, 3), np.uint8)
    sheet.reshape(-1, tall, wide, 3)[:count] = film.frames
    whole = sheet.swapaxes(1, 2).reshape(-1, columns * wide, 3)
    return {
        "name": film.name,
        "choice": film.choice,
        "count": count,
        "columns": columns,
        "size": [wide, tall],
        "data": _encode_image(whole, ".webp", [cv2.IMWRITE_WEBP_QUALITY, QUALITY]),
    }


def _encode_image(image: np.ndarray, kind: str, options: Sequence[int]) -> str:
    good, data = cv2.imencode(kind, np.ascontiguousarray(image[..., ::-1]), list(options))
    if not good:
        raise OSError(f"a picture of {image.shape} could not be encoded as {kind}")
    return base64.b64encode(data.tobytes()).decode()


def write_page(path: Path, title: str, lead: str, parts: Mapping[str, str]) -> None:
    """Write the page, whole or not at all.

    Args:
        path: of the file.
        title: of the page.
        lead: a sentence below it.
        parts: HTML by heading.
    """
    style, script = (asset("page", name).read_text("utf-8") for name in ("page.css", "page.js"))
    sections = "".join(
        f"<section><h2>{escape(heading)}</h2>{html}</section>" for heading, html in parts.items()
    )
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{style}</style></head><body><h1>{escape(title)}</h1><p>{escape(lead)}</p>"
        f"{sections}<script>{script}</script></body></html>\n"
    )
    atomic_write(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
