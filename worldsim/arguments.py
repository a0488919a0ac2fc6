"""Kinds of arguments on the command lines; argparse turns their errors into its own sentences."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

MOST = 2**63 - 1  # of a seed, or of any other whole number
PRINTED = {MOST: "2**63 - 1"}


def natural(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0, MOST)


def parse_count(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1, MOST)


def parse_counts(text: str) -> list[int]:
    """Whole numbers from 1 with commas between them, each once, in rising order."""
    try:
        return sorted({parse_count(part.strip()) for part in text.split(",")})
    except ArgumentTypeError:
        bounds = f"[1, {PRINTED[MOST]}]"
        raise ArgumentTypeError(
            f"must be whole numbers in {bounds} such as 1,2,4, got {text!r:.40}"
        ) from None


def at_most(most: int) -> Callable[[str], int]:
    """A kind: a whole number from 0 to `most`."""
    return lambda text: _whole(text, 0, most)


def parse_count_to(most: int) -> Callable[[str], int]:
    """A kind: a whole number from 1 to `most`."""
    return lambda text: _whole(text, 1, most)


def between(least: float, most: float) -> Callable[[str], float]:
    """A kind: a number from `least` to `most`."""

    def convert(text: str) -> float:
        number = _number(text)
        if not least <= number <= most:
            raise ArgumentTypeError(f"must be in [{least:g}, {most:g}], got {text!r:.40}")
        return number

    return convert


UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


def parse_size(text: str) -> int:
    """Bytes: a whole number and kB, MB or GB."""
    number, unit = text[:-2], UNITS.get(text[-2:])
    if unit is None or not (number.isascii() and number.isdigit() and 0 < len(number) < 7):
        raise ArgumentTypeError(f"must be a whole number of kB, MB or GB, got {text!r:.40}")
    if int(number) == 0:
        raise ArgumentTypeError(f"must be at least 1kB, got {text!r:.40}")
    return int(number) * unit


def hundredths(text: str) -> float:
    """A number from 0 to 0.99, of two digits at most after the point."""
    number = _number(text)
    if not 0 <= number < 1 or round(number, 2) != number:
        raise ArgumentTypeError(f"must be in [0, 0.99] in steps of 0.01, got {text!r:.40}")
    return number


def _whole(text: str, least: int, most: int) -> int:
    plain = text.isascii() and text.isdigit() and len(text) <= 40
    if not plain or not least <= int(text) <= most:
        bounds = f"[{least}, {PRINTED.get(most, most)}]"
        raise ArgumentTypeError(f"must be a whole number in {bounds}, got {text!r:.40}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
