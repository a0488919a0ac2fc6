"""The table of every key that is not an action of the world.

One table serves the window, the session, the hints and the help overlay, so they cannot disagree.
The world's own keys come from its ActionSet; `find_conflicts` is checked before a world is played.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from worldsim.actions import ActionSet
from worldsim.runtime.core.key_press import DIGITS, US, Layout, find_collisions, print_key
from worldsim.told import Told, join, tell


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


SCRUBS = ("left", "right", "ctrl+left", "ctrl+right", "end", "pad left", "pad right")
PAD = "pad "  # begins the names of a gamepad's controls
PAD_MOVES = {f"pad {key}": key for key in ("left", "right", "up", "down")} | {"pad a": "up"}
"""The keys whose actions a gamepad's controls have, where nobody gave them others."""

INTENTS = (
    Intent(name="quit", keys=("escape",), help="close what is open, or quit"),
    Intent(name="new_start", keys=("return", "enter"), help="a new start"),
    Intent(name="same_start", keys=("u",), help="this start again from its beginning"),
    Intent(name="gallery", keys=("tab",), help="another start of this world; again for more"),
    Intent(name="worlds", keys=("c",), help="back to the choice of worlds and starts"),
    Intent(name="pause", keys=("p", ".", "pad start"), help="pause, or go on", how="toggle"),
    Intent(name="one_step", keys=("n", "e"), help="one frame, then pause"),
    Intent(name="rewind", keys=("backspace", "pad b"), help="hold to go back in time", how="hold"),
    Intent(name="run_on", keys=("t",), help="run on, or wait for a key", how="toggle"),
    Intent(name="slower", keys=("ctrl+-",), help="a slower pace"),
    Intent(name="faster", keys=("ctrl+=",), help="a faster pace"),
    Intent(name="action_preview", keys=("b", "pad x"), help="preview every action, to pick one"),
    Intent(name="ground_truth", keys=("g", "pad y"), help="truth, dream, difference side by side"),
    Intent(name="ground", keys=("x",), help="put the dream back into the true frames"),
    Intent(name="driver", keys=("m",), help="who drives: you, policy, recording, chance"),
    Intent(name="save", keys=("f5", "pad lt"), help="quick save"),
    Intent(name="load", keys=("f9", "pad rt"), help="quick load"),
    Intent(name="save_slot", keys=tuple(f"ctrl+{n}" for n in DIGITS), help="save in a slot"),
    Intent(name="pick", keys=DIGITS, help="load a slot; pick a picture where there are many"),
    Intent(name="slots", keys=("f6",), help="look at the slots"),
    Intent(name="record", keys=("v",), help="record, or stop recording", how="toggle"),
    Intent(name="fewer_steps", keys=("[", "page down", "pad lb"), help="fewer sampler steps"),
    Intent(name="more_steps", keys=("]", "page up", "pad rb"), help="more sampler steps, finer"),
    Intent(name="auto_steps", keys=("\\",), help="as many sampler steps as the pace allows"),
    Intent(name="less_noise", keys=("-",), help="remember frames with less noise: livelier"),
    Intent(name="more_noise", keys=("=",), help="with more noise: steadier, trusting old views"),
    Intent(name="memory", keys=("i",), help="what the dream remembers", how="toggle"),
    Intent(name="attention", keys=("o",), help="mark on it what a frame looks at", how="toggle"),
    Intent(name="tint", keys=("f2",), help="colour what is invented, not remembered", how="toggle"),
    Intent(name="map", keys=("f3",), help="what is remembered, from above", how="toggle"),
    Intent(name="points", keys=("f4",), help="write what is remembered as points, a .ply file"),
    Intent(name="resample", keys=("f7",), help="sample the invented part of this picture again"),
    Intent(name="walk_back", keys=("f10",), help="walk the last moves back, and say how far off"),
    Intent(name="share", keys=("f8",), help="a clip of the last ten seconds, to share"),
    Intent(name="screenshot", keys=("f12",), help="keep what is shown as a picture", how="view"),
    Intent(name="hud", keys=("h",), help="figures: a bar, all of them, none", how="view"),
    Intent(name="fullscreen", keys=("f11",), help="the whole screen, or a window", how="view"),
    Intent(name="sound", keys=("l",), help="sound on, or off", how="view"),
    Intent(name="settings", keys=(",",), help="settings, kept for the next time", how="view"),
    Intent(name="help", keys=("f1", "pad back"), help="this help", how="view"),
)

VIEWS = ("screenshot", "hud", "fullscreen", "sound", "settings", "help")
REPLAY_INTENTS = (
    *(i for i in INTENTS if i.name in ("quit", "pause", "one_step", "rewind")),
    Intent(name="slower", keys=("-", "ctrl+-"), help="a slower pace"),
    Intent(name="faster", keys=("=", "ctrl+="), help="a faster pace"),
    Intent(name="same_start", keys=("u", "home"), help="from the beginning"),
    Intent(name="scrub", keys=SCRUBS, help="back, on; with Ctrl ten frames; to the end"),
    Intent(name="comparison", keys=("tab", "g", "pad y"), help="beside it a rerun: truth or dream"),
    Intent(name="browse", keys=("b", "pad x"), help="the other recordings of this folder"),
    Intent(name="pick", keys=DIGITS, help="pick a recording where there are many"),
    *(i for i in INTENTS if i.name in VIEWS),
)
"""What a recording can be asked for."""

HINTED = {
    "scrub": "back",
    "rewind": "rewind",
    "ground_truth": "truth",
    "worlds": "worlds",
    "save": "save",
    "load": "load",
    "comparison": "compare",
    "browse": "others",
    "help": "all keys",
}
"""Intents that a player is told of unasked, in a word or two; the last one in any case."""
OTHER_WAY = {"scrub": "forward"}
"""What the second key of an intent does that needs two to be told of."""


class Hint(NamedTuple):
    """A key that a player is told of unasked.

    Attributes:
        label: what is printed on it.
        meaning: what it does, in a word or two.
        key: of the tables of keys; a click on the hint presses it.
    """

    label: str
    meaning: str
    key: str


BUILT_IN = tell("the built-in keys")
CLICK = "click"  # names what a click does, which is no intent
MOUSE_ROWS = (("Drag", "turn"), ("Click", "walk there, until a key is pressed"))
NOTHING_LACKS: Mapping[str, str] = MappingProxyType({})
SHOWN = {"escape": "Esc", "return": "Enter", "page up": "PgUp", "page down": "PgDn"}


def find_intent(key: str, intents: tuple[Intent, ...] = INTENTS) -> Intent | None:
    """The intent a key asks for, or None."""
    return next((intent for intent in intents if key in intent.keys), None)


def find_view_key(name: str, intents: tuple[Intent, ...] = INTENTS) -> str:
    """The first key of an intent as it is printed; empty where it has none."""
    keys = next((intent.keys for intent in intents if intent.name == name), ())
    return format_key(keys[0]) if keys else ""


def name_action(name: str) -> Told:
    """What an action is called in a sentence."""
    return tell("the action {name}", name=repr(name))


def find_conflicts(actions: ActionSet, intents: tuple[Intent, ...] = INTENTS) -> list[Told]:
    """One sentence for each key that means two things; empty when the tables agree."""
    seen = {
        same: name_action(action)
        for key, action in actions.keys.items()
        for same in find_collisions(key, action=True)
    }
    found = []
    for intent in intents:
        for key in intent.keys:
            meaning = tell("the intent {name}", name=repr(intent.name))
            if key in seen:
                found.append(
                    tell(
                        "Key {key} means both {one} and {other}.",
                        key=repr(key),
                        one=seen[key],
                        other=meaning,
                    )
                )
            seen |= dict.fromkeys(find_collisions(key, action=False), meaning)
    return found


def check_keys(
    actions: ActionSet,
    intents: tuple[Intent, ...] = INTENTS,
    change: str = BUILT_IN,
) -> None:
    """Refuse an action set whose keys collide with the table.

    Args:
        actions: the world's.
        intents: the table.
        change: what to change, when they do.

    Raises:
        ValueError: names every colliding key and what to change.
    """
    found = find_conflicts(actions, intents)
    if found:
        raise ValueError(
            tell(
                "{conflicts} Change assets/actions/{actions}.yaml, or {change}.",
                conflicts=join(found, by=" "),
                actions=actions.name,
                change=change,
            )
        )


def hint(
    key: str,
    actions: ActionSet,
    layout: Layout = US,
    intents: tuple[Intent, ...] = INTENTS,
) -> Told:
    """What to tell a player who pressed a key that does nothing."""
    rows = _build_action_rows(actions, _Printed(layout, actions, intents))
    moves = join([part for keys, name in rows for part in (f"{keys} ", name, ", ")])
    return tell(
        "{key} does nothing here: {moves}{help} shows all keys.",
        key=format_key(key),
        moves=moves,
        help=find_view_key("help", intents),
    )


def build_help_rows(
    actions: ActionSet,
    intents: tuple[Intent, ...] = INTENTS,
    pads: bool = False,
    layout: Layout = US,
    lacking: Mapping[str, str] = NOTHING_LACKS,
    mouse: bool = False,
) -> list[tuple[Told, Told]]:
    """The help overlay: (keys, meaning) rows, the world's actions first.

    Args:
        actions: the world's.
        intents: the table.
        pads: whether a gamepad's controls are listed too.
        layout: what is printed on the player's keys.
        lacking: by the name of an intent, or CLICK, that cannot be had here, what it needs.
        mouse: whether what the mouse does is listed too.
    """

    def explain(name: str, meaning: str) -> Told:
        told = tell(meaning)
        return join([told, " (", lacking[name], ")"]) if name in lacking else told

    names = _Printed(layout, actions, intents)
    rows = [(join([keys]), name) for keys, name in _build_action_rows(actions, names, pads)]
    if mouse and rows:
        (drag, turn), (click, walk) = MOUSE_ROWS
        rows.append((tell(drag), tell(turn)))
        rows.append((tell(click), explain(CLICK, walk)))
    return rows + [(join([format_keys(i, pads, names)]), explain(i.name, i.help)) for i in intents]


def build_key_hints(
    actions: ActionSet,
    intents: tuple[Intent, ...] = INTENTS,
    layout: Layout = US,
) -> list[Hint]:
    """What a player needs in the first minute: a key an action, then of HINTED."""
    names = _Printed(layout, actions, intents)
    known = {intent.name: intent for intent in intents}
    hints = [
        _find_hint((key for key, action in actions.keys.items() if action == name), name, names)
        for name in actions.names
    ]
    for name, meaning in HINTED.items():
        keys = known[name].keys if name in known else ()
        hints.append(_find_hint(keys, meaning, names))
        if name in OTHER_WAY:
            hints.append(_find_hint(keys[1:], OTHER_WAY[name], names))
    return [hint for hint in hints if hint is not None]


def _find_hint(
    keys: Iterable[str], meaning: str, names: Callable[[Iterable[str]], list[str]]
) -> Hint | None:
    """The hint of the first of some keys that a player's keyboard has; None where it has none."""
    printed = ((key, names([key])) for key in _filter_keys(keys, pads=False))
    return next((Hint(name[0], tell(meaning), key) for key, name in printed if name), None)


class _Printed:
    """The keys of the tables as a player's keyboard shows them."""

    def __init__(self, layout: Layout, actions: ActionSet, intents: tuple[Intent, ...]) -> None:
        self._layout, self._actions = layout, actions.keys
        self._commands = {key for intent in intents for key in intent.keys}

    def __call__(self, keys: Iterable[str]) -> list[str]:
        found = (print_key(key, self._layout, self._actions, self._commands) for key in keys)
        return [format_key(key) for key in found if key is not None]


def _format_plain(keys: Iterable[str]) -> list[str]:
    return [format_key(key) for key in keys]


def format_keys(
    intent: Intent, pads: bool = False, names: Callable[[Iterable[str]], list[str]] = _format_plain
) -> str:
    """An intent's keys as the help shows them; nine in a row as a range."""
    keys = _filter_keys(intent.keys, pads)
    if len(keys) == len(DIGITS):
        found = names(keys)
        return f"{found[0]}..{found[-1][-1]}" if found else ""
    return " ".join(dict.fromkeys(names(keys)))


def _filter_keys(keys: Iterable[str], pads: bool) -> list[str]:
    return [key for key in keys if pads or not key.startswith(PAD)]


def format_key(key: str) -> str:
    """A key's name as it is printed on the key."""
    if key.startswith(PAD):
        name = key.removeprefix(PAD)
        is_word = name == "up" or len(name) > 2
        return f"Pad-{name.capitalize() if is_word else name.upper()}"
    modifier, plus, plain = key.rpartition("+")
    letter = len(plain) > 1 or len(plain.upper()) == 1  # a sharp s has no capital
    plain = SHOWN.get(plain, plain.capitalize() if letter else plain)
    return f"{modifier.capitalize()}{plus}{plain}"


def _build_action_rows(
    actions: ActionSet, names: Callable[[Iterable[str]], list[str]], pads: bool = False
) -> list[tuple[str, Told]]:
    rows = []
    for name in actions.names:
        its = (key for key, action in actions.keys.items() if action == name)
        keys = names(_filter_keys(its, pads))
        if keys:
            rows.append((" ".join(keys), tell(name)))
    return rows
