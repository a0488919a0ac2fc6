"""Text for a player: English, and what it was made of, so that a window can tell it otherwise.

    tell("Slot {slot} is empty: Ctrl+{slot} saves in it.", slot=3)

It is a str, the English one, so whoever knows no other language takes it as it is. The languages
are in `assets/languages`, and `worldsim.runtime.core.language` reads them. A text that is given to
`tell` has to be in all of them, word for word; a test looks at every call.
"""

from collections.abc import Callable, Iterable
from typing import Any, Self


class Told(str):
    """English text with its parts.

    Attributes:
        template: the text with fields for the values.
        values: by the names of the fields; those that are Told are told in the same language.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> Self:
        """Text from its parts."""
        told = super().__new__(cls, _fill(template, values))
        told.template, told.values = template, values
        return told

    def retell(self, translate: Callable[[str], str]) -> str:
        """The text in another language.

        Args:
            translate: gives a template in that language; as it is where nobody knows it.
        """
        values = {
            name: value.retell(translate) if isinstance(value, Told) else value
            for name, value in self.values.items()
        }
        return _fill(translate(self.template), values)


def tell(text: str, /, **values: Any) -> Told:
    """A text of the tables of languages.

    Args:
        text: in English, with fields in braces for the values, as of `str.format`.
        values: of the fields.
    """
    return Told(text, **values)


def join(parts: Iterable[str], by: str = "", kind: type[Told] = Told) -> Told:
    """Texts one after another, each told in the player's language.

    Args:
        parts: those that are Told are told otherwise, any other stays.
        by: what stands between them.
        kind: of the result.
    """
    values = {f"part{number}": part for number, part in enumerate(parts)}
    between = by.replace("{", "{{").replace("}", "}}")
    return kind(between.join(f"{{{name}}}" for name in values), **values)


def read_told(error: BaseException) -> str:
    """What an error says, with its parts where it was raised with a Told."""
    told = error.args[0] if len(error.args) == 1 else None
    return told if isinstance(told, Told) else str(error)


def _fill(template: str, values: dict[str, Any]) -> str:
    return template.format(**values) if values else template
