"""All that the window says, in the player's language: whole tables, and nothing beside them."""

import ast
import pickle
import string

import pytest

from tests.support.texts import PACKAGE, list_modules, list_texts, list_told
from worldsim.actions import load_actions
from worldsim.paths import asset_names
from worldsim.runtime.core import language
from worldsim.runtime.core.intents import INTENTS, build_help_rows, build_key_hints, hint
from worldsim.runtime.core.language import ENGLISH, find_words, read_locale, translate
from worldsim.runtime.core.settings import AUTO, LANGUAGES
from worldsim.runtime.core.status import Dimmed, Status, describe_plainly, format_help
from worldsim.runtime.panels.lacking import NEEDS
from worldsim.told import Told, join, read_told, tell

ACTIONS = load_actions("dmlab")
TABLES = [name for name in LANGUAGES if name not in (AUTO, "en")]
HEARD = ("core", "panels", "session", "window")  # below worldsim/runtime: what it says is shown
INTERNAL = ("core/clock.py", "core/moves.py", "core/playable_env.py", "tint")
"""Files and functions whose errors are about the program or its files: no key leads to them."""


def list_fields(text):
    return {(name, form) for _, name, form, _ in string.Formatter().parse(text) if name}


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


def test_what_is_told_is_a_text_of_the_tables():
    """An f-string would be another text every time, and stay English."""
    for path, line, text in list_told():
        assert not isinstance(text, ast.JoinedStr | ast.BinOp), (path, line)


def list_said(tree):
    """Literals that a module says to a player as they are, as syntax trees."""
    spoken = {"ValueError": 0, "notify": 0, "_say": 0, "say": 0, "LoadingStage": 0, "Pane": 1}
    for node in list_nodes(tree):
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        said = node.args[spoken[name] :][:1] if name in spoken else []
        yield from (one for one in said if isinstance(one, ast.Constant | ast.JoinedStr))


def list_nodes(tree):
    """The calls of a module, but for those in functions that are INTERNAL."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            yield node
        if getattr(node, "name", "") not in INTERNAL:
            waiting += ast.iter_child_nodes(node)


def test_nothing_is_said_but_by_tell():
    """Errors, notes, labels of pictures and what is waited for: none is a literal by itself."""
    found = []
    for path, tree in list_modules("runtime").items():
        part = path.relative_to(PACKAGE / "runtime").as_posix()
        if part.partition("/")[0] in HEARD and part not in INTERNAL:
            found += [(part, one.lineno, ast.unparse(one)) for one in list_said(tree)]
    assert not found


def test_text_keeps_its_parts_wherever_it_goes():
    told = tell("Slot {slot} is empty: Ctrl+{slot} saves in it.", slot=3)
    assert told == "Slot 3 is empty: Ctrl+3 saves in it."
    assert read_told(ValueError(told)) is told
    assert read_told(ValueError("plain")) == "plain"
    assert read_told(OSError(2, "gone")) == "[Errno 2] gone"
    inside = join([told, tell("dream"), "{braces}"], by=" {} ")
    assert inside == f"{told} {{}} dream {{}} {{braces}}"
    words = {told.template: "Platz {slot} ist leer.", "dream": "Traum"}
    for copy in (inside, pickle.loads(pickle.dumps(inside))):
        assert translate(copy, words) == "Platz 3 ist leer. {} Traum {} {braces}"
    assert join([]) == ""
    assert translate(join([tell("dream")], kind=Dimmed), words) == "Traum"


def test_a_title_with_braces_is_told_as_it_is():
    status = Status(title="a {world}", state="running", fps=7.5, recording=tell("recording"))
    assert describe_plainly(status) == "a {world}   playing   7.5 frames a second   recording"
    german = translate(describe_plainly(status), find_words("de"))
    assert german == "a {world}   im Spiel   7.5 Bilder je Sekunde   Aufnahme"


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
    hints = [(key, translate(meaning, german)) for key, meaning, _ in build_key_hints(ACTIONS)]
    assert hints[0] == ("A", "links")
    assert ("F5", "speichern") in hints
    assert translate(hint("k", ACTIONS), german) == (
        "K hat hier keine Funktion: A Left links, D Right rechts, W Up vorwärts, "
        "F1 zeigt alle Tasten."
    )
    rows = [
        (translate(keys, german), translate(meaning, german))
        for keys, meaning in build_help_rows(ACTIONS, mouse=True)
    ]
    assert {meaning for _, meaning in rows} <= set(german.values())
    assert len(rows) == 3 + 2 + len(INTENTS)
    assert ("Ziehen", "drehen") in rows
    assert ("P .", "anhalten oder fortsetzen") in rows


def test_what_is_missing_is_told_in_it_too_and_greyed():
    engine = tell("needs the engine: {remedy}", remedy="pip install 'worldsim[maze]'")
    lines = format_help(ACTIONS, lacking={"map": NEEDS, "ground_truth": engine})
    grey = [translate(line, find_words("de")) for line in lines if isinstance(line, Dimmed)]
    assert [line.partition("\t")[2] for line in grey] == [
        "Wahrheit, Traum und Unterschied nebeneinander "
        "(braucht die Engine: pip install 'worldsim[maze]')",
        "was erinnert wird, von oben (braucht eine Welt mit räumlichem Gedächtnis)",
    ]


def test_text_without_a_translation_stays_english():
    words = {"left": "links"}
    assert translate(hint("k", ACTIONS), words).startswith("K does nothing here: A Left links, D")
    assert isinstance(tell("right"), Told)
    for text, told in (("right", "right"), ("left", "links")):
        assert translate(text, words) == translate(tell(text), words) == told
