"""Which episodes of a rollout are recorded already. A rollout that was stopped goes on with the
rest, and what a kill cut short is made again instead of kept beside it.

Every recording's meta says which rollout it is of: the policy, the length, the script. Knows no
policy and plays nothing.
"""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from worldsim.data.store import read_meta
from worldsim.reading import read_json
from worldsim.runtime.core.moves import unpack
from worldsim.runtime.core.playable_env import Identity
from worldsim.runtime.recording.journal import claim_journal, is_journal, read_journal
from worldsim.runtime.recording.recording import EPISODE, JOURNAL, META

ROLLOUT = "rollout"
_WHOLE = "closed"  # how an episode's last recording ended

Part = tuple[int | None, str] | None
KnownParts = dict[Path, Part]


def read_recorded_seeds(
    folder: Path,
    rollout: dict[str, Any],
    identity: Identity,
    seeds: Iterable[int],
    known: KnownParts | None = None,
) -> set[int]:
    """The seeds of a rollout whose episodes are whole in a folder.

    Parts of the others, finished or not, are removed: they are made again from their start. What is
    of another rollout, of another world or of a window stays, and so does what cannot be read.

    Args:
        folder: where recordings are; need not exist.
        rollout: what the metas say of it.
        identity: the world it is played in.
        seeds: which episodes are looked for.
        known: what was read before of the same rollout, which is not read again; added to.
    """
    wanted, facts = set(seeds), identity.as_json() | {ROLLOUT: rollout}
    known = {} if known is None else known
    parts = {}
    for path in sorted(folder.glob(f"[!.]*/{META}")):
        parts[path] = known[path] if path in known else _read_part(path, facts)
    known.update(parts)
    found = set(parts.values())
    done = {seed for seed in wanted if (seed, _WHOLE) in found}
    for path, part in parts.items():
        if part is not None and part[0] in wanted - done:
            shutil.rmtree(path.parent)
    for journal in sorted(folder.glob(f"[!.]*{JOURNAL}")):
        _drop_journal(journal, facts, wanted - done)
    return done


def _read_part(path: Path, facts: dict[str, Any]) -> Part:
    """The seed of a recording of this rollout and how it ended; None where it is of another."""
    with suppress(ValueError, OSError):
        meta = read_json(path, "meta of a recording")
        if _matches(meta, facts):
            return read_meta(path.with_name(EPISODE)).seed, meta["ended"]
    return None


def _drop_journal(journal: Path, facts: dict[str, Any], wanted: set[int]) -> None:
    with suppress(ValueError, OSError), claim_journal(journal) as ours:
        if ours and is_journal(journal):
            point, header = unpack(next(read_journal(journal), b""), str(journal))
            if point.start.seed in wanted and _matches(header, facts):
                journal.unlink()


def _matches(meta: Any, facts: dict[str, Any]) -> bool:
    return isinstance(meta, dict) and all(meta.get(name) == facts[name] for name in facts)
