"""The languages of the window: texts by their English ones, from `assets/languages`.

    # assets/languages/de.yaml
    forward: vorwärts
    "Slot {slot} is empty: Ctrl+{slot} saves in it.": "Platz {slot} ist leer: ..."

Whoever says something says it in English, with its parts (`worldsim.told`); the screen translates
what it draws. Text that a table does not have stays as it is. Knows no screen.
"""

import os
import sys
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from worldsim.paths import asset
from worldsim.runtime.core.settings import AUTO, LANGUAGES
from worldsim.told import Told
from worldsim.yaml12 import load_yaml

Words = Mapping[str, str]
ENGLISH: Words = MappingProxyType({})
"""The words of a language that needs no table."""

VARIABLES = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set counts


def translate(text: str, words: Words) -> str:
    """A text in the language of the words; as it is where they do not have it."""

    def find(template: str) -> str:
        return words.get(template, template)

    return text.retell(find) if isinstance(text, Told) else find(text)


def find_words(language: str) -> Words:
    """The words of a language.

    Args:
        language: one of LANGUAGES; AUTO for that of the player's system.
    """
    return _read_words(read_locale() if language == AUTO else language)


def read_locale() -> str:
    """The language of the player's system, e.g. "de"; the C locale's is "c"."""
    given = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "")
    given = given or _read_windows_locale()
    return given.partition(":")[0].partition("_")[0].partition(".")[0].lower()


def _read_windows_locale() -> str:
    """The language of Windows' own windows, e.g. "de_DE"; empty elsewhere."""
    if sys.platform != "win32":
        return ""
    import ctypes
    import locale

    return locale.windows_locale.get(ctypes.windll.kernel32.GetUserDefaultUILanguage(), "")


@cache
def _read_words(language: str) -> Words:
    path = asset("languages", f"{language}.yaml")
    known = language in LANGUAGES and path.is_file()
    return MappingProxyType(load_yaml(path)) if known else ENGLISH
