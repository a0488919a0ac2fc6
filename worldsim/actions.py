"""Action ids, their names, the keys that press them and the turn they make, read from YAML.

One table (`assets/actions/<name>.yaml`) serves the engine, the network, the keyboard and the help
overlay, so they cannot disagree.
"""

import math
import operator
from dataclasses import dataclass
from functools import cache

import numpy as np

from worldsim.paths import asset, check_name
from worldsim.yaml12 import load_yaml


@dataclass(frozen=True, kw_only=True)
class ActionSet:
    """The actions of a world; the index in `names` is the id.

    Attributes:
        name: the table's name.
        names: action names, by id.
        keys: key name -> action name.
        idle: the action taken when no key is pressed; None where the world has no such action.
        turns: radians each action turns the viewer, counter-clockwise, by id.
        published: how many of the first ids are also classes of the published data.
    """

    name: str
    names: tuple[str, ...]
    keys: dict[str, str]
    idle: str | None
    turns: tuple[float, ...]
    published: int

    def __len__(self) -> int:
        return len(self.names)

    def __hash__(self) -> int:
        return hash((self.name, self.names))

    @property
    def walks(self) -> tuple[int, ...]:
        """Ids of the actions that carry: they neither turn nor idle."""
        named = zip(self.names, self.turns, strict=True)
        return tuple(i for i, (name, turn) in enumerate(named) if not turn and name != self.idle)

    def id(self, name: str) -> int:
        """The id of a named action.

        Raises:
            ValueError: there is no action of that name.
        """
        if name not in self.names:
            raise ValueError(f"no action {name!r} in {self.name}: it has {', '.join(self.names)}.")
        return self.names.index(name)

    def valid(self, action: object) -> int:
        """An action id as an int.

        Args:
            action: an int, or a numpy integer (0-d arrays included).

        Raises:
            ValueError: not an integer, or out of range.
        """
        number = _as_int(action)
        if number is None or not 0 <= number < len(self):
            raise ValueError(
                f"action must be an integer in [0, {len(self) - 1}] "
                f"({', '.join(self.names)}), got {action!r}."
            )
        return number


def _as_int(action: object) -> int | None:
    if isinstance(action, np.ndarray) and action.ndim:
        return None
    if isinstance(action, bool | np.bool_):
        return None
    try:
        return operator.index(action)
    except TypeError:
        return None


def load_actions(name: str) -> ActionSet:
    """Read `assets/actions/<name>.yaml`; the name may come from a file.

    Raises:
        ValueError: no such table, or a table that contradicts itself.
    """
    return _read_actions(check_name(name, "an action set's name"))


@cache
def _read_actions(name: str) -> ActionSet:
    path = asset("actions", f"{name}.yaml")
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ValueError(f"no action set {name!r}: there is {known}.")
    return parse_actions(name, load_yaml(path))


def renumber(taken: np.ndarray, source: ActionSet, target: ActionSet) -> np.ndarray:
    """Actions `[T]` that were taken by one table's ids, by another's: int64 `[T]`.

    Raises:
        ValueError: one of them is none of the source's, or the target does not have it.
    """
    if len(taken) and not 0 <= taken.min() <= taken.max() < len(source):
        raise ValueError(f"actions of {source.name} must be in [0, {len(source) - 1}]")
    ids = np.full(len(source), -1, np.int64)
    for action in np.unique(taken):
        ids[action] = target.id(source.names[action])
    return ids[taken]


def parse_actions(name: str, table: dict) -> ActionSet:
    """Build an ActionSet from a parsed table; see `assets/actions/dmlab.yaml` for its keys.

    Raises:
        ValueError: a key that is missing, unknown or contradicts another.
    """
    if not isinstance(table, dict) or set(table) != {"actions", "idle", "published"}:
        raise ValueError(f"action set {name!r} must have the keys actions, idle and published.")
    rows = table["actions"]
    for row in rows:
        if set(row) != {"name", "keys", "turn"}:
            raise ValueError(f"action set {name!r}: each action needs name, keys and turn: {row}.")
    names = tuple(row["name"] for row in rows)
    presses = [(key, row["name"]) for row in rows for key in row["keys"]]
    keys = dict(presses)
    if len(set(names)) < len(names) or len(keys) < len(presses):
        raise ValueError(f"action set {name!r} uses a name or a key twice.")
    if table["idle"] is not None and table["idle"] not in names:
        raise ValueError(f"action set {name!r}: idle action {table['idle']!r} is not in the table.")
    if not 0 <= table["published"] <= len(names):
        raise ValueError(
            f"action set {name!r}: published must be in [0, {len(names)}], got "
            f"{table['published']}."
        )
    turns = tuple(math.radians(row["turn"]) for row in rows)
    return ActionSet(
        name=name,
        names=names,
        keys=keys,
        idle=table["idle"],
        turns=turns,
        published=table["published"],
    )
