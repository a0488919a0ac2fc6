"""What is said of keys, in the player's language: whole tables, and English where there is none."""

import string

import pytest

from worldsim.actions import load_actions
from worldsim.paths import asset_names
from worldsim.runtime.core import language
from worldsim.runtime.core.intents import (
    HINTED,
    INTENTS,
    MOUSE_ROWS,
    PAGES,
    REPLAY_INTENTS,
    UNUSED,
    build_help_rows,
    build_key_hints,
    hint,
)
from worldsim.runtime.core.language import ENGLISH, find_words, read_locale
from worldsim.runtime.core.settings import AUTO, LANGUAGES
from worldsim.runtime.core.status import Dimmed, format_help
from worldsim.runtime.panels.lacking import NEEDED

ACTIONS = load_actions("dmlab")
TABLES = [name for name in LANGUAGES if name not in (AUTO, "en")]


def list_texts():
    """All that is said of keys, in English."""
    sets = [load_actions(name.removesuffix(".yaml")) for name in asset_names("actions")]
    texts = {name for actions in sets for name in actions.names}
    texts |= {intent.help for intent in (*INTENTS, *REPLAY_INTENTS)}
    texts |= {word for row in MOUSE_ROWS for word in row}
    return texts | {*HINTED.values(), *NEEDED, *PAGES, UNUSED}


def list_fields(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_there_is_a_table_for_every_language_but_english():
    assert asset_names("languages") == sorted(f"{name}.yaml" for name in TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_every_text_and_no_other(name):
    """A text that was changed in English would be half a translation, and no error."""
    words = find_words(name)
    assert set(words) == list_texts()
    assert all(isinstance(text, str) and text.strip() == text != "" for text in words.values())
    for text, told in words.items():
        assert list_fields(text) == list_fields(told)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ""),
        ({"LANG": "C.UTF-8"}, "c"),
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "de_AT.UTF-8", "LC_ALL": "C"}, "c"),
        ({"LANG": "C", "LC_MESSAGES": "es_MX"}, "es"),
        ({"LANG": "es_ES", "LANGUAGE": "fr_CA:en"}, "fr"),
    ],
)
def test_the_language_of_the_system(monkeypatch, variables, found):
    for name in language.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(language, "_read_windows_locale", str)
    assert read_locale() == found
    assert find_words(AUTO) == (find_words(found) if found in TABLES else ENGLISH)
    assert find_words("en") == ENGLISH


def test_a_locale_never_becomes_a_path(monkeypatch):
    monkeypatch.setenv("LANGUAGE", "../actions/dmlab")
    assert find_words(AUTO) == ENGLISH


def test_windows_is_asked_where_no_variable_is_set(monkeypatch):
    for name in language.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(language, "_read_windows_locale", lambda: "fr_BE")
    assert read_locale() == "fr"


def test_hints_and_help_are_told_in_it():
    german = find_words("de")
    assert build_key_hints(ACTIONS, words=german)[0] == ("A", "links")
    assert ("F5", "speichern") in build_key_hints(ACTIONS, words=german)
    assert hint("k", ACTIONS, words=german) == (
        "K hat hier keine Funktion: A Left links, D Right rechts, W Up vorwärts, "
        "F1 zeigt alle Tasten."
    )
    rows = build_help_rows(ACTIONS, mouse=True, words=german)
    assert {meaning for _, meaning in rows} <= set(german.values())
    assert ("Ziehen", "drehen") in rows
    assert ("P .", "anhalten oder fortsetzen") in rows


def test_what_is_missing_is_told_in_it_too_and_greyed():
    lacking = {"map": NEEDED[0], "ground_truth": f"{NEEDED[2]}: pip install 'worldsim[maze]'"}
    lines = format_help(ACTIONS, lacking=lacking, words=find_words("de"))
    grey = [line.partition("\t")[2] for line in lines if isinstance(line, Dimmed)]
    assert grey == [
        "Wahrheit, Traum und Unterschied nebeneinander "
        "(braucht die Engine: pip install 'worldsim[maze]')",
        "was erinnert wird, von oben (braucht eine Welt mit räumlichem Gedächtnis)",
    ]


def test_text_without_a_translation_stays_english():
    assert hint("k", ACTIONS, words={"left": "links"}).startswith(
        "K does nothing here: A Left links"
    )
    rows = build_help_rows(ACTIONS, words={"left": "links"})
    assert ("W Up", "forward") in rows
    assert ("A Left", "links") in rows
