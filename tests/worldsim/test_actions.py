"""One table of actions for engine, network and keyboard: read as meant, refused by name."""

import math

import numpy as np
import pytest

from worldsim.actions import load_actions, parse_actions, renumber
from worldsim.paths import asset


def test_the_dmlab_table_is_the_published_one_and_stand():
    actions = load_actions("dmlab")
    assert actions.names == ("left", "right", "forward", "stand")
    assert actions.published == 3
    assert actions.idle == "stand"
    assert actions.walks == (2,)
    assert actions.turns == (math.radians(22.5), -math.radians(22.5), 0, 0)
    assert actions.keys == {
        **{"a": "left", "left": "left", "d": "right", "right": "right"},
        **{"w": "forward", "up": "forward"},
    }
    assert len(actions) == 4
    assert [actions.id(name) for name in actions.names] == [0, 1, 2, 3]


@pytest.mark.parametrize("action", [2, np.int64(2), np.uint8(2), np.array(2)])
def test_every_kind_of_integer_is_an_action(action):
    got = load_actions("dmlab").valid(action)
    assert got == 2
    assert type(got) is int


@pytest.mark.parametrize(
    "action",
    [-1, 4, 2.0, True, np.bool_(True), "2", None, [2], np.array([2]), np.array(2.0), 2**70],
)
def test_anything_else_is_refused_with_the_choice(action):
    """True is an int in Python and would turn right; -1 would take the last action."""
    with pytest.raises(ValueError, match=r"in \[0, 3\] \(left, right, forward, stand\)"):
        load_actions("dmlab").valid(action)


def test_unknown_names_say_what_there_is():
    with pytest.raises(ValueError, match="'jump' in dmlab: it has left, right"):
        load_actions("dmlab").id("jump")
    with pytest.raises(ValueError, match=r"no action set 'dmlap': there is .*dmlab"):
        load_actions("dmlap")
    with pytest.raises(ValueError, match="an action set's name must be"):
        load_actions("../../pyproject")


def row(name="left", keys=("a",), turn=0):
    return {"name": name, "keys": list(keys), "turn": turn}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ([], "must have the keys"),
        ({"actions": [row()], "idle": None}, "must have the keys"),
        ({"actions": [row(), row()], "idle": None, "published": 0}, "twice"),
        ({"actions": [row(), row("b")], "idle": None, "published": 0}, "twice"),
        (
            {"actions": [{"name": "left"}], "idle": None, "published": 0},
            "needs name, keys and turn",
        ),
        ({"actions": [row()], "idle": "stand", "published": 0}, "'stand' is not in the table"),
        (
            {"actions": [row()], "idle": None, "published": 2},
            r"published must be in \[0, 1\], got 2",
        ),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(table, sentence):
    """Two actions on one key would let the later one win silently."""
    with pytest.raises(ValueError, match=sentence):
        parse_actions("test", table)


def test_actions_of_another_table_are_found_by_name():
    """Published Minecraft clips have no stand, so each of their ids is another action in ours."""
    published, ours = load_actions("minecraft"), load_actions("voxel")
    ids = renumber(np.arange(len(published)), published, ours)
    assert [ours.names[i] for i in ids] == list(published.names)
    back = renumber(ids, ours, published)  # ours has stand besides, which nobody took
    assert back.tolist() == list(range(len(published)))
    with pytest.raises(ValueError, match="no action 'stand' in minecraft"):
        renumber(np.array([ours.id("stand")]), ours, published)


def test_assets_are_inside_the_assets_folder():
    assert asset("actions", "dmlab.yaml").is_file()
    with pytest.raises(ValueError, match="leaves the assets folder"):
        asset("..", "pyproject.toml")
