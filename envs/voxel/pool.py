"""Running engines for whoever needs one; an engine that is given back may be kept for the next.

By default none is kept: a closed environment leaves no process behind. A program that makes many
environments one after another, such as the tests, saves the seconds of a start by `keep(2)`.
"""

import threading

from envs.voxel.process import Engine

_LOCK = threading.Lock()
_spares: list[Engine] = []
_kept = 0


def keep(number: int) -> None:
    """Keep up to so many idle engines from now on; the rest of those kept so far end."""
    global _kept
    with _LOCK:
        _kept = number
        surplus = [_spares.pop() for _ in range(len(_spares) - number)]
    for engine in surplus:
        engine.close()


def borrow(size: int, biome: str) -> Engine:
    """An engine for pictures of a size of a biome: a spare one, or a new one.

    Raises:
        ImportError: what it needs is not installed.
        EngineError: it did not start.
    """
    with _LOCK:
        for engine in _spares:
            if engine.alive and (engine.size, engine.biome) == (size, biome):
                _spares.remove(engine)
                return engine
    return Engine(size, biome)


def give_back(engine: Engine) -> None:
    """Keep an engine that works for the next, or end it."""
    with _LOCK:
        if engine.alive and len(_spares) < _kept:
            _spares.append(engine)
            return
    engine.close()
