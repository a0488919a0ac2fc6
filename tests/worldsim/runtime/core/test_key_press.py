"""Keys on keyboards of other layouts: actions by place, commands by what is printed."""

import pytest

from worldsim.actions import load_actions
from worldsim.runtime.core.bindings import read_bindings
from worldsim.runtime.core.control import Latch
from worldsim.runtime.core.intents import INTENTS, REPLAY_INTENTS, build_help_rows
from worldsim.runtime.core.key_press import PLACES, US, Press, find_key, normalise_key, print_key
from worldsim.runtime.session.command_queue import CommandQueue, Keys

FRENCH = US | dict(zip("qwasz;'`m,./-]\\", "azqswmù²,;:!)$*", strict=True))
CYRILLIC = "йцукенгшщзхъ\\фывапролджэёячсмитьбю."
RUSSIAN = US | dict(zip("qwertyuiop[]\\asdfghjkl;'`zxcvbnm,./", CYRILLIC, strict=True))
GERMAN = US | dict(zip("yz-[];'/", "zyßü+öä-", strict=True))
DVORAK = US | dict(
    zip("-=qwertyuiop[]sdfghjkl;'zxcvbnm,./", "[]',.pyfgcrl/=oeuidhtns-;qjkxbmwvz", strict=True)
)
LAYOUTS = {"us": US, "fr": FRENCH, "ru": RUSSIAN, "de": GERMAN, "dvorak": DVORAK}
ACTIONS = load_actions("dmlab")
COMMANDS = {key for intent in INTENTS for key in intent.keys}


def find(layout, place, ctrl=False, actions=ACTIONS, commands=COMMANDS):
    return find_key(Press(layout[place], place, ctrl), actions.keys, commands)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_actions_lie_under_the_same_fingers(layout):
    """On AZERTY W and A did nothing, on a Cyrillic keyboard no letter did."""
    assert [find(layout, place) for place in "wad"] == ["w", "a", "d"]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("intents", [INTENTS, REPLAY_INTENTS], ids=["play", "replay"])
def test_every_command_has_a_key_that_the_help_names(layout, intents):
    commands = {key for intent in intents for key in intent.keys}
    for intent in intents:
        names = [print_key(key, layout, ACTIONS.keys, commands) for key in intent.keys]
        assert any(names), intent.name
    for ctrl in (False, True):
        for place in PLACES:
            key = find(layout, place, ctrl, commands=commands)
            if key in commands:
                assert print_key(key, layout, ACTIONS.keys, commands) is not None


def test_commands_go_by_what_is_printed_and_else_by_place():
    assert find(FRENCH, ";") == "m"  # M is printed there
    assert find(GERMAN, "/") == "-"
    assert find(RUSSIAN, "n") == "n"
    assert find(RUSSIAN, "/") == "."
    assert find(GERMAN, "[") == "["
    assert find(US, "k") is None


def test_digits_go_by_place_and_so_do_slots():
    layout = FRENCH | dict(zip("123456789", "&é\"'(-è_ç", strict=True))  # as some systems have it
    assert [find(layout, n) for n in "169"] == ["1", "6", "9"]
    assert find(layout, "6", ctrl=True) == "ctrl+6"
    assert print_key("-", layout, ACTIONS.keys, COMMANDS) == ")"
    rows = {meaning: keys for keys, meaning in build_help_rows(ACTIONS, layout=layout)}
    assert rows["save in a slot"] == "Ctrl+1..9"


def test_the_help_names_what_is_printed():
    rows = {meaning: keys for keys, meaning in build_help_rows(ACTIONS, layout=FRENCH)}
    assert rows["forward"] == "Z Up"
    assert rows["left"] == "Q Left"
    assert rows["who drives: you, policy, recording, chance"] == "M"
    rows = {meaning: keys for keys, meaning in build_help_rows(ACTIONS, layout=RUSSIAN)}
    assert rows["forward"] == "Ц Up"
    assert rows["what the dream remembers"] == "Ш"
    rows = {meaning: keys for keys, meaning in build_help_rows(ACTIONS, layout=GERMAN)}
    assert "SS" not in "".join(rows.values())


def test_a_key_without_a_place_goes_by_its_name():
    """What a remote desktop or a program sends; and arrows, which are alike everywhere."""
    assert find_key(Press("w"), ACTIONS.keys, COMMANDS) == "w"
    assert find_key(Press("up"), ACTIONS.keys, COMMANDS) == "up"
    assert find_key(Press(""), ACTIONS.keys, COMMANDS) is None


class Opening:
    actions = ACTIONS

    class bindings:
        intents = INTENTS


def test_a_key_comes_up_as_it_went_down():
    """Also where the layout was changed, or Ctrl let go, while it was down."""
    latch = Latch()
    keys = Keys(Opening, latch, CommandQueue())
    keys.layout = FRENCH
    keys.down("z", 0.0, "w")
    assert latch.held() == ("w",)
    assert keys.held() == ("z",)
    keys.up("w", "w")
    assert latch.held() == ()


def test_the_hint_names_the_players_own_keys():
    keys = Keys(Opening, Latch(), CommandQueue())
    keys.layout = RUSSIAN
    said = keys.down("л", 0.0, "k")
    assert said.startswith("Л does nothing here: ")
    assert "Ц Up forward" in said
    assert keys.down("", 0.0, "k").startswith("K does nothing here")


def test_players_keys_may_name_places_and_letters(tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text("intents: {one_step: [n]}\nactions: {forward: [place e, letter k]}\n")
    bindings = read_bindings(path)
    actions = bindings.of(ACTIONS)
    commands = {key for intent in bindings.intents for key in intent.keys}
    own = {"actions": actions, "commands": commands}
    assert actions.keys[find(FRENCH, "e", **own)] == "forward"
    assert actions.keys[find(DVORAK, "v", **own)] == "forward"  # K is printed there
    path.write_text("intents: {memory: [place j]}\n")
    commands = {key for intent in read_bindings(path).intents for key in intent.keys}
    assert find(DVORAK, "j", commands=commands) == "place j"
    assert print_key("place j", DVORAK, ACTIONS.keys, commands) == "h"


@pytest.mark.parametrize("key", ["place é", "place up", "place "])
def test_a_place_that_is_none_is_one_sentence(tmp_path, key):
    with pytest.raises(ValueError, match="must be `place` and a key"):
        normalise_key(key, action=True)
    path = tmp_path / "keys.yaml"
    path.write_text(f"actions: {{forward: ['{key}']}}\n")
    with pytest.raises(ValueError, match="forward"):
        read_bindings(path)


@pytest.mark.parametrize("keys", ["intents: {memory: [place w]}", "actions: {left: [letter n]}"])
def test_a_press_that_would_mean_two_things_is_refused(tmp_path, keys):
    path = tmp_path / "keys.yaml"
    path.write_text(f"{keys}\n")
    with pytest.raises(ValueError, match="means both"):
        read_bindings(path).of(ACTIONS)
