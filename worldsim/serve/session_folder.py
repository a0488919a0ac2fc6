"""Sessions on the disk: what a server that was killed goes on with. ::

    FOLDER/<session>/00000002/line.json       the second dream of a session: world, start, seed
    FOLDER/<session>/00000002/moves           an action a byte, written as they are made
    FOLDER/<session>/00000002/state-00000256  what is remembered after so many frames

A dream follows from its start, seed and moves; a state saves making them all again.
"""

import json
import re
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.atomic import atomic_write
from worldsim.reading import ReadError, check_number, read_bytes, read_json, reading
from worldsim.serve.dreams import Dream, DreamBatch
from worldsim.world.moment_file import read_state, write_state
from worldsim.world.state import WorldState

VERSION = 1
LINE, MOVES, STATE = "line.json", "moves", "state-"
MOST_MOVES = 1 << 28
_SESSION = re.compile(r"[A-Za-z0-9_-]{16,64}")


class SessionFolder:
    """The dreams of sessions, one each.

    Args:
        folder: made when the first session is kept.
        most: sessions; the oldest make room.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most

    def list(self) -> list[Path]:
        """Folders of sessions, the one that was written last at the end."""
        found = [path for path in self._folder.glob("*") if _SESSION.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime)

    def begin(
        self, session: str, turn: int, dream: Dream, world_hash: str, in_use: Collection[str] = ()
    ) -> None:
        """Keep a new dream of a session instead of the one before; those `in_use` are not the
        oldest.

        Raises:
            OSError: full disk, no permission.
        """
        for old in self.list()[: -self._most]:
            if old.name not in in_use:
                shutil.rmtree(old, ignore_errors=True)
        home = self._home(session) / f"{turn:08d}"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        if dream.start is None:  # nothing else leads to it
            assert dream.state is not None, "a new dream must not be in the batch"
            self.save(session, turn, dream.state, dream.frame)
        (home / MOVES).write_bytes(bytes(dream.moves))
        line = {"version": VERSION, "world": world_hash, "seed": dream.seed}
        text = json.dumps(line | {"start": dream.start, "origin": dream.origin})
        atomic_write(home / LINE, lambda scratch: scratch.write_text(text))
        for other in self._home(session).iterdir():
            if other != home:
                shutil.rmtree(other, ignore_errors=True)

    def note(self, session: str, turn: int, action: int) -> None:
        """Keep a move that was made."""
        with open(self._home(session) / f"{turn:08d}" / MOVES, "ab") as file:
            file.write(bytes([action]))

    def cut(self, session: str, turn: int, dream: Dream) -> None:
        """Keep no more than the dream's moves."""
        home = self._home(session) / f"{turn:08d}"
        for path in _list_states(home):
            if _number(path) > dream.count:
                path.unlink()
        moves = bytes(dream.moves)
        atomic_write(home / MOVES, lambda scratch: scratch.write_bytes(moves))

    def save(self, session: str, turn: int, state: WorldState, frame: np.ndarray) -> None:
        """Keep a state of the dream, instead of the one before."""
        home = self._home(session) / f"{turn:08d}"
        path = home / f"{STATE}{state.counts[0]:08d}"
        write_state(path, state, frame)
        for old in _list_states(home):
            if old != path:
                old.unlink()

    def load(self, session: str, batch: DreamBatch) -> tuple[int, Dream]:
        """Turn and dream of a session; moves since its newest state lie ahead.

        Raises:
            ReadError: there is no such session, it is damaged, or one of another world.
        """
        turns = sorted(self._home(session).glob("[0-9]*/" + LINE))
        if not turns:
            raise ReadError(f"there is no session {session} here (any more): begin again")
        home = turns[-1].parent
        with reading(home, "session that can be resumed", "begin again"):
            return int(home.name), _read_dream(home, batch)

    def _home(self, session: str) -> Path:
        if not _SESSION.fullmatch(session):
            raise ReadError(
                f"a session must be 16 to 64 letters, digits, - and _, got {session!a:.40}"
            )
        return self._folder / session


def _read_dream(home: Path, batch: DreamBatch) -> Dream:
    line = read_json(home / LINE, "line of a session")
    if line["version"] != VERSION:
        raise ValueError(f"version must be {VERSION}, got {line['version']!r:.20}")
    if line["world"] != batch.world.hash:
        raise ValueError(f"it is of another world, {str(line['world'])[:12]}")
    moves = read_bytes(home / MOVES, MOST_MOVES)
    for action in set(moves):
        batch.world.actions.valid(action)
    origin = check_number(line["origin"], "origin", 0, 2**40, whole=True)
    state, frame = _read_newest(home, origin, origin + len(moves), batch.world) or _begin(
        line, batch
    )
    return Dream(state, frame, line["start"], moves, origin)


def _read_newest(home: Path, least: int, most: int, world: Any) -> tuple[WorldState, Any] | None:
    """The newest state that can be read, of a frame among those."""
    for path in reversed(_list_states(home)):
        if least <= _number(path) <= most:
            with suppress(ValueError):
                return read_state(path, world)
    return None


def _begin(line: dict[str, Any], batch: DreamBatch) -> tuple[WorldState, Any]:
    """Where a dream starts that has no state yet."""
    if line["start"] is None:
        raise ValueError("its state is missing")
    starts = len(batch.world.spawns)
    start = check_number(line["start"], "start", 0, starts - 1, whole=True)
    seed = check_number(line["seed"], "seed", 0, 2**53, whole=True)
    return batch.open_start(start, seed)


def _list_states(home: Path) -> list[Path]:
    return sorted(path for path in home.glob(f"{STATE}*") if path.name[len(STATE) :].isdigit())


def _number(path: Path) -> int:
    return int(path.name[len(STATE) :])
