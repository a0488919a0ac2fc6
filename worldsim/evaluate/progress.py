"""How far a long run is, and about when it is done: lines on stderr. No torch."""

import sys
import time


class Progress:
    """Counts what is done of a whole.

    Args:
        what: is counted, a plural.
        total: of it.
        before: what was done already when the run began, and took no time of it.
    """

    def __init__(self, what: str, total: float, before: float = 0):
        self._what, self.total, self._before = what, total, before
        self._began = time.monotonic()
        if before:
            say(f"{before:g} of {total:g} {what} are there already")

    def left(self, done: float) -> str:
        """How long the rest takes at the pace so far."""
        spent = time.monotonic() - self._began
        return duration(spent / max(done - self._before, 1) * max(self.total - done, 0))

    def tell(self, done: float) -> None:
        """One line."""
        say(f"{done:g} of {self.total:g} {self._what}, {self.left(done)} to go")


def duration(seconds: float) -> str:
    """Seconds as people say them, to two units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def say(line: str) -> None:
    """Print a line where progress goes."""
    print(line, file=sys.stderr, flush=True)
