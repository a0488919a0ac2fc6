"""What a key press means on any keyboard: by its place or by what is printed on it.

A layout moves letters about, and hands stay where they are. So the world's actions and the row of
digits go by place (named as a US keyboard prints it), commands by what is printed on the key, and
where that is no command, by place too: on a Cyrillic keyboard every letter is another. `--keys` may
insist: `place w` and `letter w`. Knows no screen.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from worldsim.told import tell

PLACES = tuple("1234567890-=qwertyuiop[]\\asdfghjkl;'`zxcvbnm,./")
"""The keys that print a character, as a US keyboard names them; other keys are alike everywhere."""
DIGITS = tuple("123456789")
LETTER, PLACE, CTRL = "letter ", "place ", "ctrl+"
Layout = Mapping[str, str]
US: Layout = {place: place for place in PLACES}
"""Place -> what is printed there, in small letters."""


class Press(NamedTuple):
    """A key that went down: what is printed on it ("" where that has no name), its place ("" where
    it is unknown, or alike everywhere), and whether Ctrl was down.
    """

    letter: str
    place: str = ""
    ctrl: bool = False


def read_press(key: str, place: str = "") -> Press:
    """A press from a key's name, which begins with "ctrl+" while Ctrl is down."""
    ctrl = key.startswith(CTRL)
    return Press(key.removeprefix(CTRL) if ctrl else key, place, ctrl)


def find_key(press: Press, actions: Collection[str], commands: Collection[str]) -> str | None:
    """The key of the tables that a press means; None where it means nothing.

    Args:
        press: what was pressed.
        actions: keys of the world's actions.
        commands: keys of everything else.
    """
    head = CTRL if press.ctrl else ""
    letter, place = f"{head}{press.letter}", f"{head}{press.place}"
    offered = []
    if press.letter:
        offered += [(f"{LETTER}{letter}", actions), (f"{LETTER}{letter}", commands)]
    if press.place:
        offered += [(f"{PLACE}{place}", commands), (place, actions)]
        offered += [(place, commands)] if press.place in DIGITS else []
    if press.letter:
        offered += [(letter, commands)] + ([] if press.place else [(letter, actions)])
    if press.place:
        offered.append((place, commands))
    return next((key for key, table in offered if key in table), None)


def print_key(
    key: str, layout: Layout, actions: Collection[str], commands: Collection[str]
) -> str | None:
    """What is printed on the key that means a key of the tables, e.g. `z` for the place `w` of a
    French keyboard; the key's own name where it is alike everywhere, None where no key means it.
    """
    plain = key
    for part in (LETTER, PLACE, CTRL):
        plain = plain.removeprefix(part)
    if plain not in PLACES and not key.startswith(LETTER):
        return key
    ctrl = CTRL in key
    means = [
        place
        for place in PLACES
        if find_key(Press(layout.get(place, place), place, ctrl), actions, commands) == key
    ]
    if not means:
        return None
    best = min(means, key=lambda place: (layout.get(place) != plain, place != plain))
    printed = best if best in DIGITS else layout.get(best) or best
    return f"{CTRL if ctrl else ''}{printed}"


def normalise_key(key: str, action: bool) -> str:
    """A key as the tables hold it: an action's plain keys are places already.

    Raises:
        ValueError: `place` of no place.
    """
    plain = key.removeprefix(PLACE)
    if key.startswith(PLACE) and plain.removeprefix(CTRL) not in PLACES:
        raise ValueError(
            tell(
                "{key} must be `place` and a key that prints a character, as on a US keyboard, "
                "e.g. `place w`",
                key=repr(key),
            )
        )
    return plain if action else key


def find_collisions(key: str, action: bool) -> tuple[str, ...]:
    """The keys of other tables that would mean the same press."""
    if key.startswith(LETTER):
        return key, key.removeprefix(LETTER)
    return (key, f"{PLACE}{key}") if action else (key,)
