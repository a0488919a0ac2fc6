"""A player's own settings: a YAML in the user's folder, which is read where a window opens.

    # settings.yaml
    {world: dmlab, steps: 2, fps: 10, keys: my-keys.yaml, folder: ~/Videos/worldsim,
     recordings: /disk/recordings, upscaler: smooth, palette: light, language: de, mouse: true,
     touch_pad: touch, gamepad: true, sound: true}

What is not named is as usual; options of the command line come first. Knows no screen.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import yaml

from worldsim.atomic import atomic_write
from worldsim.runtime.core.user_folder import user_folder
from worldsim.told import Told, join, tell
from worldsim.yaml12 import load_yaml

FILE = "settings.yaml"
UPSCALERS = ("nearest", "smooth")
PALETTES = ("dark", "light")
AUTO = "auto"
LANGUAGES = (AUTO, "en", "de", "fr", "es")
TOUCH_PADS = ("touch", "always", "never")
MOST_STEPS, MOST_FPS = 64, 1000


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a player may choose once for all windows.

    Attributes:
        world: what is played where nothing else says; empty for the usual one.
        steps: sampler steps a frame; None for as many as the pace allows.
        fps: frames a second, 0 for as fast as possible; None for the world's own pace.
        keys: a YAML of the player's own keys; empty for none.
        folder: of all that is kept of play; empty for the usual one (user_folder.kept_folder).
        recordings: folder of recordings; empty for the one in that folder.
        upscaler: how pictures are enlarged, one of UPSCALERS.
        palette: colours of what is not the picture, one of PALETTES.
        language: of the window, one of LANGUAGES; AUTO for that of the system where it is one of
            them, else English.
        mouse: whether dragging the mouse turns, and a click walks.
        touch_pad: when keys are drawn on the screen, one of TOUCH_PADS: from the first touch on,
            always or never.
        gamepad: whether gamepads count.
        sound: whether steps, bumps, recall and invention are to be heard.
    """

    world: str = ""
    steps: int | None = None
    fps: int | None = None
    keys: str = ""
    folder: str = ""
    recordings: str = ""
    upscaler: str = UPSCALERS[0]
    palette: str = PALETTES[0]
    language: str = AUTO
    mouse: bool = True
    touch_pad: str = TOUCH_PADS[0]
    gamepad: bool = True
    sound: bool = True


def _is_count(low: int, high: int) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return value is None or (type(value) is int and low <= value <= high)

    return check


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_folder(value: Any) -> bool:
    return _is_text(value) and (not value or not value.isspace())


def _list_values(values: Sequence[str]) -> Told:
    return tell("{some} or {last}", some=", ".join(values[:-1]), last=values[-1])


CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "world": (_is_text, tell("a name or a folder")),
    "steps": (_is_count(1, MOST_STEPS), tell("in [{low}, {high}] or null", low=1, high=MOST_STEPS)),
    "fps": (_is_count(0, MOST_FPS), tell("in [{low}, {high}] or null", low=0, high=MOST_FPS)),
    "keys": (_is_text, tell("the path of a YAML")),
    "folder": (_is_folder, tell("a folder")),
    "recordings": (_is_folder, tell("a folder")),
    "upscaler": (UPSCALERS.__contains__, _list_values(UPSCALERS)),
    "palette": (PALETTES.__contains__, _list_values(PALETTES)),
    "language": (LANGUAGES.__contains__, _list_values(LANGUAGES)),
    "mouse": (_is_switch, _list_values(("true", "false"))),
    "touch_pad": (TOUCH_PADS.__contains__, _list_values(TOUCH_PADS)),
    "gamepad": (_is_switch, _list_values(("true", "false"))),
    "sound": (_is_switch, _list_values(("true", "false"))),
}


def parse_settings(table: object, source: str) -> Settings:
    """Settings from what a YAML holds.

    Args:
        table: names and values; None for an empty file.
        source: where it is from, for errors.

    Raises:
        ValueError: a name that does not exist, or a value that cannot be.
    """
    if not isinstance(table, dict | None):
        raise ValueError(
            tell("{source} must have names with their values, one a line.", source=source)
        )
    names = [field.name for field in fields(Settings)]
    for name, value in (table or {}).items():
        if name not in names:
            raise ValueError(join([source, ": ", _describe_unknown(str(name), names)]))
        check, expected = CHECKS[name]
        if not check(value):
            raise ValueError(
                tell(
                    "{source}: {name} must be {expected}, got {value}.",
                    source=source,
                    name=name,
                    expected=expected,
                    value=repr(value),
                )
            )
    return Settings(**(table or {}))


def _describe_unknown(name: str, names: Sequence[str]) -> Told:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return tell("no setting {name}; did you mean {close}?", name=repr(name), close=close[0])
    return tell("no setting {name}; there are {names}.", name=repr(name), names=", ".join(names))


def read_settings() -> Settings:
    """The player's settings; the usual ones where none are kept.

    Raises:
        ValueError: the file is no such YAML; one sentence that names it.
        OSError: it is there and cannot be read.
    """
    path = user_folder() / FILE
    if not path.exists():
        return Settings()
    return parse_settings(load_yaml(path), str(path))


def write_settings(settings: Settings) -> None:
    """Keep settings; only those that are not the usual ones are written.

    Raises:
        OSError: the folder cannot be written.
    """
    usual = asdict(Settings())
    changed = {name: value for name, value in asdict(settings).items() if value != usual[name]}
    text = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)
    atomic_write(user_folder() / FILE, lambda scratch: scratch.write_text(text, "utf-8"))
