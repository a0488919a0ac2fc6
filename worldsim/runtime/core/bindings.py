"""Which keys mean what, with the player's own changes: a YAML of names and keys.

    # my-keys.yaml, for `play.py --keys my-keys.yaml` and `worldsim replay --keys my-keys.yaml`
    intents: {rewind: [backspace, r], pause: [space, pad lb], fewer_steps: [z]}
    actions: {forward: [w, up, q]}

Actions go by place, as a US keyboard names it, and everything else by what is printed on the key;
`place w` and `letter w` insist on one of the two. What is not named keeps its keys. A gamepad's
controls are keys as well: pad a, b, x, y, lb, rb, lt, rt, back, start, left, right, up, down; they
stay where they are unless they are named. Knows no screen.
"""

import dataclasses
import difflib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldsim.actions import ActionSet
from worldsim.runtime.core.intents import (
    INTENTS,
    PAD,
    PAD_MOVES,
    REPLAY_INTENTS,
    Intent,
    check_keys,
    name_action,
)
from worldsim.runtime.core.key_press import normalise_key
from worldsim.told import Told, join, read_told, tell
from worldsim.upgrades import RENAMED_INTENTS, upgrade_names
from worldsim.yaml12 import load_yaml


@dataclass(frozen=True, kw_only=True)
class Bindings:
    """The table of intents, and the keys of actions that were changed.

    Attributes:
        intents: everything a player may ask for besides the world's actions.
        changed: action name -> its keys, where the player chose others.
        source: where the changes came from, for an error; empty for none.
    """

    intents: tuple[Intent, ...] = INTENTS
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""

    def of(self, actions: ActionSet) -> ActionSet:
        """A world's actions under the player's keys.

        Raises:
            ValueError: an action is not the world's, or a key means two things.
        """
        if unknown := [name for name in self.changed if name not in actions.names]:
            raise ValueError(
                _describe_unknown(self.source, tell("action"), unknown[0], actions.names)
            )
        keys = {key: name for key, name in actions.keys.items() if name not in self.changed}
        taken = {key for found in self.changed.values() for key in found}
        taken |= {key for intent in self.intents for key in intent.keys}
        keys |= {
            control: actions.keys[key]
            for control, key in PAD_MOVES.items()
            if key in actions.keys and control not in taken
        }
        for name, chosen in self.changed.items():
            for key in chosen:
                if key in keys:
                    raise ValueError(
                        _describe_conflict(self.source, key, *map(name_action, (keys[key], name)))
                    )
                keys[key] = name
        bound = dataclasses.replace(actions, keys=keys)
        check_keys(bound, self.intents, *([self.source] if self.source else []))
        return bound


def read_bindings(path: str | Path, intents: tuple[Intent, ...] = INTENTS) -> Bindings:
    """The player's own keys, for playing or (REPLAY_INTENTS) for recordings: one file may
    name the intents of both.

    Raises:
        ValueError: not such a YAML, a name that does not exist, or a key that means two things.
        OSError: it cannot be read.
    """
    table = load_yaml(Path(path))
    if not isinstance(table, dict) or not set(table) <= {"intents", "actions"}:
        raise ValueError(
            tell("{path} must have the keys intents and actions, and no others.", path=path)
        )
    if bad := [name for name, part in table.items() if not isinstance(part, dict | None)]:
        raise ValueError(
            tell(
                "{path}: {name} must have names with their keys, one a line.",
                path=path,
                name=bad[0],
            )
        )
    names = list(dict.fromkeys(intent.name for intent in (*INTENTS, *REPLAY_INTENTS)))
    intent_keys = upgrade_intents(path, table.get("intents") or {})
    chosen = {name: _check_keys(path, name, keys) for name, keys in intent_keys.items()}
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(_describe_unknown(path, tell("intent"), unknown[0], names))
    intents = tuple(
        dataclasses.replace(intent, keys=_add_pads(intent, chosen)) for intent in intents
    )
    seen: dict[str, str] = {}
    for intent in intents:
        for key in intent.keys:
            if key in seen:
                raise ValueError(_describe_conflict(path, key, repr(seen[key]), repr(intent.name)))
            seen[key] = intent.name
    given = (table.get("actions") or {}).items()
    changed = {name: _check_keys(path, name, keys, action=True) for name, keys in given}
    return Bindings(intents=intents, changed=changed, source=str(path))


def upgrade_intents(path: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keys by the names of intents of today, with a warning for every old one.

    Raises:
        ValueError: an intent is there under both names.
    """
    try:
        upgraded, notes = upgrade_names(given, RENAMED_INTENTS)
    except ValueError as error:
        raise ValueError(join([str(path), ": ", read_told(error)])) from None
    for note in notes:
        warnings.warn(f"{path}: {note}", FutureWarning, stacklevel=3)
    return upgraded


def _check_keys(path: str | Path, name: str, keys: Any, action: bool = False) -> tuple[str, ...]:
    keys = [keys] if isinstance(keys, str | int) else keys
    if not isinstance(keys, list) or not keys or not all(isinstance(k, str | int) for k in keys):
        raise ValueError(
            tell(
                "{path}: {name} must have a list of keys, e.g. [w, up], got {keys}.",
                path=path,
                name=name,
                keys=repr(keys),
            )
        )
    try:
        found = tuple(normalise_key(str(key).lower(), action) for key in keys)
    except ValueError as error:
        raise ValueError(join([f"{path}: {name}: ", read_told(error)])) from error
    if name in ("save_slot", "pick") and len(found) != 9:
        raise ValueError(
            tell(
                "{path}: {name} must have nine keys, one a slot, got {count}.",
                path=path,
                name=name,
                count=len(found),
            )
        )
    plain = [key for key in found if not key.startswith(PAD)]
    if name == "scrub" and not (len(plain) == 5 and found[:5] == tuple(plain) and len(found) < 8):
        raise ValueError(
            tell(
                "{path}: scrub must have five keys: back, on, far back, far on, to the end; and at "
                "most two of a gamepad after them, got {keys}.",
                path=path,
                keys=", ".join(found),
            )
        )
    return found


def _add_pads(intent: Intent, chosen: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """An intent's keys; those on a gamepad stay, unless they were given away."""
    wanted = {key for keys in chosen.values() for key in keys}
    kept = tuple(key for key in intent.keys if key.startswith(PAD) and key not in wanted)
    if intent.name not in chosen:
        return tuple(k for k in intent.keys if not k.startswith(PAD) or k in kept)
    mine = chosen[intent.name]
    return mine if any(key.startswith(PAD) for key in mine) else mine + kept


def _describe_conflict(path: str | Path, key: str, one: str, other: str) -> Told:
    return tell(
        "{path}: Key {key} means both {one} and {other}: give one of them another key.",
        path=path,
        key=repr(key),
        one=one,
        other=other,
    )


def _describe_unknown(path: str | Path, kind: Told, name: str, names: Iterable[str]) -> Told:
    close = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.4)
    values = {"path": path, "kind": kind, "name": repr(name)}
    if close:
        return tell("{path}: no {kind} {name}; did you mean {close}?", close=close[0], **values)
    known = ", ".join(names)
    return tell("{path}: no {kind} {name}; there are {known}.", known=known, **values)
