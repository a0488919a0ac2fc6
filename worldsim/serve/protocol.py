"""What goes over the wire: JSON in text messages, frames in binary ones. Knows no session.

From a client: `begin` (another dream), `step` (the next frame of it), `rewind`. To a client:
`welcome`, `began`, `error`, `closing`, and frames: a header of 12 bytes, then the picture.

A step names the dream (`turn`, counted by the client from 1) and its frame (`step`, from 1), so a
message that comes twice does nothing twice, and one out of order is refused.
"""

import json
import struct
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np

VERSION = 1
HEADER = struct.Struct("<BBHII")  # kind, format, nothing, turn, step
FRAME = 1
FORMATS = {"png": 1, "jpeg": 2, "webp": 3}
_SUFFIX = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
_QUALITY = {"jpeg": [cv2.IMWRITE_JPEG_QUALITY, 92], "webp": [cv2.IMWRITE_WEBP_QUALITY, 90]}
MOST = 2**32 - 1
MOST_SEED = 2**53 - 1  # beyond, a browser's numbers are not whole


class Refused(ValueError):
    """What a client asks for is not done; nothing has changed.

    Attributes:
        code: a word for programs; the sentence is for people.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code

    def message(self, **more: int) -> dict[str, Any]:
        """What the client is told."""
        return {"type": "error", "code": self.code, "message": str(self), **more}


@dataclass(frozen=True)
class Begin:
    """Another dream: from a start, with a seed of its noise."""

    turn: int
    start: int
    seed: int


@dataclass(frozen=True)
class Step:
    """Frame `step` of a dream, by an action."""

    turn: int
    step: int
    action: int


@dataclass(frozen=True)
class Rewind:
    """Back to frame `step` of a dream."""

    turn: int
    step: int


KINDS = {"begin": Begin, "step": Step, "rewind": Rewind}
Message = Begin | Step | Rewind


def read_message(text: str) -> Message:
    """What a client asks for.

    Raises:
        Refused: it is none of what is known.
    """
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("not_json", "a message must be JSON, got something else") from None
    kind = told.get("type") if isinstance(told, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        known = ", ".join(KINDS)
        raise Refused("unknown_message", f"type must be one of {known}, got {kind!r:.40}")
    names = [field.name for field in fields(KINDS[kind])]
    if set(told) != {"type", *names}:
        raise Refused(
            "unknown_message",
            f"a {kind} must have type, {', '.join(names)}, got {', '.join(map(str, told))!a:.80}",
        )
    return KINDS[kind](**{name: _check_number(name, told[name]) for name in names})


def _check_number(name: str, value: Any) -> int:
    most = MOST_SEED if name == "seed" else MOST
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Refused(
            "bad_number", f"{name} must be a whole number in [0, {most}], got {value!r:.40}"
        )
    return value


def check_format(name: str) -> str:
    """How frames are to be sent.

    Raises:
        Refused: in a way that is not known.
    """
    if name not in FORMATS:
        raise Refused("bad_format", f"format must be one of {', '.join(FORMATS)}, got {name!r:.40}")
    return name


def pack_frame(turn: int, step: int, frame: np.ndarray, form: str) -> bytes:
    """A binary message of a frame uint8 `[H,W,3]`; `png` loses nothing of it."""
    picture = np.ascontiguousarray(frame[..., ::-1])
    data = cv2.imencode(_SUFFIX[form], picture, _QUALITY.get(form, []))[1].tobytes()
    return HEADER.pack(FRAME, FORMATS[form], 0, turn, step) + data


def unpack_frame(message: bytes) -> tuple[int, int, np.ndarray]:
    """Turn, step and frame uint8 `[H,W,3]` of such a message."""
    _, _, _, turn, step = HEADER.unpack_from(message)
    data = np.frombuffer(message, np.uint8, offset=HEADER.size)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None, "a frame's message must hold a picture"
    return turn, step, picture[..., ::-1]
