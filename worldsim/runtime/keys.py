"""The table of every key that is not an action of the world.

One table serves the window, the session, the hints and the help overlay, so they cannot disagree.
The world's own keys come from its ActionSet; `conflicts` is checked before a world is played.
"""

from dataclasses import dataclass

from worldsim.actions import ActionSet


@dataclass(frozen=True, kw_only=True)
class Intent:
    """Something a player may ask for.

    Attributes:
        name: what the session or the window is asked for.
        keys: names of the keys, any of which asks for it.
        help: one line for the overlay.
        how: "press" acts once a press, "toggle" twice is nothing, "hold" lasts while it is down,
            "view" changes only what the window shows.
    """

    name: str
    keys: tuple[str, ...]
    help: str
    how: str = "press"


INTENTS = (
    Intent(name="quit", keys=("escape",), help="quit; everything is written first"),
    Intent(name="new_start", keys=("return", "enter"), help="a new start"),
    Intent(name="same_start", keys=("u",), help="the same start again"),
    Intent(name="pause", keys=("p", "."), help="pause, or go on", how="toggle"),
    Intent(name="one_step", keys=("n", "e"), help="one frame, then pause"),
    Intent(name="rewind", keys=("backspace",), help="hold to go back in time", how="hold"),
    Intent(name="run_on", keys=("t",), help="run on, or wait for a key", how="toggle"),
    Intent(name="save", keys=("f5",), help="quick save"),
    Intent(name="load", keys=("f9",), help="quick load"),
    Intent(name="record", keys=("v",), help="record, or stop recording", how="toggle"),
    Intent(name="fewer_steps", keys=("[", "page down"), help="fewer sampler steps: faster"),
    Intent(name="more_steps", keys=("]", "page up"), help="more sampler steps: finer"),
    Intent(name="hud", keys=("h",), help="figures on or off", how="view"),
    Intent(name="help", keys=("f1",), help="this help", how="view"),
)

SHOWN = {"escape": "Esc", "return": "Enter", "page up": "PgUp", "page down": "PgDn"}


def intent_of(key: str, intents: tuple[Intent, ...] = INTENTS) -> Intent | None:
    """The intent a key asks for, or None."""
    return next((intent for intent in intents if key in intent.keys), None)


def conflicts(actions: ActionSet, intents: tuple[Intent, ...] = INTENTS) -> list[str]:
    """One sentence for each key that means two things; empty when the tables agree."""
    seen = {key: f"the action {action!r}" for key, action in actions.keys.items()}
    found = []
    for intent in intents:
        for key in intent.keys:
            meaning = f"the intent {intent.name!r}"
            if key in seen:
                found.append(f"Key {key!r} means both {seen[key]} and {meaning}.")
            seen[key] = meaning
    return found


def check_keys(actions: ActionSet, intents: tuple[Intent, ...] = INTENTS) -> None:
    """Refuse an action set whose keys collide with the table.

    Raises:
        ValueError: names every colliding key and what to change.
    """
    found = conflicts(actions, intents)
    if found:
        raise ValueError(
            f"{' '.join(found)} Change assets/actions/{actions.name}.yaml, or the table in "
            "worldsim/runtime/keys.py."
        )


def hint(key: str, actions: ActionSet) -> str:
    """What to tell a player who pressed a key that does nothing."""
    moves = "".join(f"{keys} {name}, " for keys, name in _action_rows(actions))
    return f"{shown(key)} does nothing here: {moves}F1 shows all keys."


def help_rows(actions: ActionSet, intents: tuple[Intent, ...] = INTENTS) -> list[tuple[str, str]]:
    """The help overlay: (keys, meaning) rows, the world's actions first."""
    rows = _action_rows(actions)
    names = [" ".join(dict.fromkeys(map(shown, intent.keys))) for intent in intents]
    return rows + [(name, intent.help) for name, intent in zip(names, intents, strict=True)]


def shown(key: str) -> str:
    """A key's name as it is printed on the key."""
    return SHOWN.get(key, key.capitalize())


def _action_rows(actions: ActionSet) -> list[tuple[str, str]]:
    rows = []
    for name in actions.names:
        keys = [shown(key) for key, action in actions.keys.items() if action == name]
        if keys:
            rows.append((" ".join(keys), name))
    return rows
