"""The one guard of every reader: whatever fails while a file is parsed becomes one short sentence
with the file's name, and sizes are bounded before anything is allocated. Knows no format but JSON.

    with reading(path, "world card", "fetch the world again"):
        card = parse(path)
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MOST_LETTERS = 300
"""Of a sentence about bad input."""
MOST_JSON = 64 << 20
"""Bytes of JSON or text that are read."""
_MOST_PATH, _MOST_REASON = 120, 110
_MOST_NUMBER = 2.0**64


class ReadError(ValueError):
    """A file that cannot be used: one sentence of at most MOST_LETTERS letters."""

    def __init__(self, sentence: str) -> None:
        super().__init__(cut_sentence(sentence))


def cut_sentence(text: str) -> str:
    """A text in one line of at most MOST_LETTERS letters, what cannot be printed escaped."""
    if not text.isprintable():
        text = " ".join(text.split())
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 3] + "..."


def short_path(path: object) -> str:
    """A path for a sentence: the end of a long one."""
    text = os.fspath(path) if isinstance(path, os.PathLike) else str(path)
    return text if len(text) <= _MOST_PATH else "..." + text[3 - _MOST_PATH :]


@contextmanager
def reading(
    source: object, what: str, advice: str = "", error: type[ReadError] = ReadError
) -> Iterator[None]:
    """Everything that fails inside becomes one sentence; `error`s and ReadErrors pass as they are.

    Args:
        source: the file's path, or what else the bytes are called.
        what: what it should be, e.g. "world card".
        advice: what to do.
        error: the class that is raised.

    Raises:
        error: the file is missing, damaged, or is something else.
        OSError: the system refuses it (permission, disk); it carries the path.
    """
    try:
        yield
    except (error, ImportError):
        raise
    except ReadError as refused:
        raise error(str(refused)) from refused
    except FileNotFoundError as missing:
        raise error(f"there is no file {short_path(missing.filename or source)}") from missing
    except OSError as refused:
        if refused.filename is not None:  # the command line says it in a sentence as it is
            raise
        raise error(_sentence(source, what, advice, refused)) from refused
    except Exception as failure:
        if isinstance(failure, ValueError) and str(failure).startswith(str(source)):
            raise error(str(failure)) from failure  # a sentence about the file already
        raise error(_sentence(source, what, advice, failure)) from failure


def _sentence(source: object, what: str, advice: str, failure: Exception) -> str:
    kind, (line, *_) = type(failure).__name__, str(failure).strip().splitlines() or [""]
    told = line if isinstance(failure, ValueError) and line else f"{kind}: {line}".rstrip(": ")
    told = told if len(told) <= _MOST_REASON else told[: _MOST_REASON - 3] + "..."
    article = "an" if what[0] in "aeiouAEIOU" else "a"
    return f"{short_path(source)} is not {article} {what} ({told})" + (
        f": {advice}" if advice else ""
    )


def read_bytes(path: str | os.PathLike, most: int = MOST_JSON) -> bytes:
    """A file's bytes, once its size is known to be in bounds.

    Raises:
        ReadError: it is larger than `most`, or no file that could be read.
    """
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ReadError(f"{short_path(path)} must be at most {most >> 10} KiB, it is larger")
    return data


def read_text(path: str | os.PathLike, most: int = MOST_JSON) -> str:
    """A file's text in UTF-8, with or without a byte order mark.

    Raises:
        ReadError: it is larger than `most`, or in another encoding.
    """
    data = read_bytes(path, most)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.start} is {data[error.start]:#04x}"
        raise ReadError(f"{short_path(path)} must be text in UTF-8, but {place}") from error


def read_json(
    path: str | os.PathLike,
    what: str,
    advice: str = "",
    error: type[ReadError] = ReadError,
    most: int = MOST_JSON,
) -> Any:
    """The plain data of a JSON file.

    Raises:
        error: it is none; see `reading` and `parse_json`.
    """
    with reading(path, what, advice, error):
        return parse_json(read_text(path, most))


def parse_json(text: str | bytes) -> Any:
    """JSON as its standard has it: numbers are finite, and integers fit into 64 bits.

    Raises:
        ValueError: it is no JSON, or nested too deep.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        return json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= _MOST_NUMBER:
        raise ValueError(f"a whole number must fit into 64 bits, got one of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    if abs(float(text)) > sys.float_info.max:
        raise ValueError(f"a number must be finite, got {text[:20]}")
    return float(text)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"a number must be finite, got {text}")


def check_text(value: object, what: str, most: int) -> str:
    """A text that was read from a file, and may be shown or become part of a sentence.

    Raises:
        ReadError: it is no text, too long, or holds what cannot be shown.
    """
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise ReadError(f"{what} must be printable text of at most {most} letters, got {value!a}")
    return value


def check_number(value: object, what: str, least: float, most: float, whole: bool = False) -> Any:
    """A number that was read from a file.

    Raises:
        ReadError: it is no number, or out of bounds.
    """
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise ReadError(f"{what} must be {kind} in [{least}, {most}], got {value!r:.40}")
    return value
