"""All that the window may say, in English: what the tables of languages have to hold."""

import ast
from functools import cache
from pathlib import Path

from worldsim import __file__ as library
from worldsim.actions import load_actions
from worldsim.paths import asset, asset_names
from worldsim.runtime.core.intents import HINTED, INTENTS, MOUSE_ROWS, REPLAY_INTENTS
from worldsim.runtime.panels.memory_strip import LEVELS
from worldsim.world.card import read_card

PACKAGE = Path(library).parent
NETWORKS = PACKAGE.parent / "models"
IMPORT = "from worldsim.told import"


@cache
def list_modules(below=""):
    """The modules below a folder of the library, or those of library and networks that tell
    something, as syntax trees, by path.
    """
    folders = [PACKAGE / below] if below else [PACKAGE, NETWORKS]
    paths = (path for folder in folders for path in sorted(folder.rglob("*.py")))
    texts = {path: path.read_text("utf-8") for path in paths}
    return {path: ast.parse(text) for path, text in texts.items() if below or IMPORT in text}


@cache
def list_told():
    """(path, line, first argument) of every call of `tell`."""
    return [
        (path, node.lineno, node.args[0])
        for path, tree in list_modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tell"
    ]


def list_said():
    """What is said as it stands in the code: the literals that are given to `tell`."""
    return {text.value for _, _, text in list_told() if isinstance(text, ast.Constant)}


def list_named():
    """What tables and cards name: actions, keys' meanings, memories, worlds and their starts."""
    sets = [load_actions(name.removesuffix(".yaml")) for name in asset_names("actions")]
    texts = {name for actions in sets for name in actions.names}
    texts |= {intent.help for intent in (*INTENTS, *REPLAY_INTENTS)}
    texts |= {word for row in MOUSE_ROWS for word in row}
    for name in asset_names("worlds"):
        card = read_card(asset("worlds", name, "card.json"))
        texts |= {card.title, *card.starts.values()}
    return texts | {*HINTED.values(), *LEVELS}


def list_texts():
    """All of it."""
    return list_said() | list_named()
