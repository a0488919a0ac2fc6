"""Our key names as the numbers `gymnasium.utils.play` compares its events with.

It takes `ord` of a text, which fails for a named key such as "left". The numbers are SDL's, and
part of its stable interface, so that no window library is imported for a table.
"""

from worldsim.actions import ActionSet

_SCANCODE = 1 << 30  # SDL marks the keys that make no character this way
_NAMED = {
    "space": ord(" "),
    "return": ord("\r"),
    "tab": ord("\t"),
    "right": _SCANCODE | 79,
    "left": _SCANCODE | 80,
    "down": _SCANCODE | 81,
    "up": _SCANCODE | 82,
}


def keys_to_action(actions: ActionSet) -> dict[tuple[int, ...], int]:
    """Key combinations to action ids, for `gymnasium.utils.play`.

    Args:
        actions: the table of keys and actions; a key it names that SDL numbers otherwise is left
            out, since that player has no name for it.
    """
    codes = {key: ord(key) if len(key) == 1 else _NAMED.get(key) for key in actions.keys}
    return {
        (codes[key],): actions.id(name)
        for key, name in actions.keys.items()
        if codes[key] is not None
    }
