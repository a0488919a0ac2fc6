"""Kinds of arguments on the command lines; argparse turns their errors into its own sentences."""

from argparse import ArgumentTypeError


def natural(text: str) -> int:
    """A whole number from 0."""
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def counted(text: str) -> int:
    """A whole number from 1."""
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def hundredths(text: str) -> float:
    """A number from 0 to 0.99, of two digits at most after the point."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 <= number < 1 or round(number, 2) != number:
        raise ArgumentTypeError(f"expected 0 to 0.99 in steps of 0.01, got {text!r}")
    return number
