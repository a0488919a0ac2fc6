"""The folder an engine runs in: its settings, our game, its pictures, an empty world, two pipes.

All of it is new for every engine and lies in one temporary folder, which is the engine's home too:
nothing of the user's own Luanti is read or written. Knows no processes.
"""

import math
import os
import shutil
import socket
from pathlib import Path

from envs.voxel.textures import write_textures

BIOMES = ("mixed", "forest", "plains")
STRIP = 8  # rows above and below the picture that show the heading
VIEW = 64  # blocks
FIELD_OF_VIEW = 70  # degrees, of the picture, either way
_GAME = Path(__file__).parent / "game"


def prepare(folder: Path, size: int, biome: str) -> tuple[list[str], dict[str, str]]:
    """Fill an engine's folder.

    Args:
        folder: an empty folder.
        size: pixels a side of the picture.
        biome: one of BIOMES.

    Returns:
        The engine's arguments, without the program, and its environment variables. The pipes are
        `world/commands` and `world/answers` in the folder.
    """
    home, world = folder / "home" / ".minetest", folder / "world"
    game = home / "games" / "worldsim"
    shutil.copytree(_GAME, game)
    write_textures(game / "mods" / "worldsim" / "textures", STRIP)
    world.mkdir()
    lines = {"gameid": "worldsim", "backend": "dummy", "player_backend": "dummy"}
    lines |= {"auth_backend": "sqlite3", "mod_storage_backend": "dummy"}
    _write_settings(world / "world.mt", lines)
    for name in ("commands", "answers"):
        os.mkfifo(world / name)
    settings = {"screen_w": size, "screen_h": size + 2 * STRIP, "viewing_range": VIEW}
    settings |= {"fov": _widen_view(size), "port": _find_free_port()}
    settings |= {"worldsim_biome": biome, "worldsim_strip": STRIP}
    _write_settings(folder / "settings.conf", settings, (_GAME / "engine.conf").read_text("utf-8"))
    arguments = ["--go", "--gameid", "worldsim", "--world", str(world)]
    arguments += ["--config", str(folder / "settings.conf"), "--logfile", str(folder / "log.txt")]
    variables = {"HOME": str(folder / "home"), "MINETEST_USER_PATH": str(home)}
    variables |= {"XDG_RUNTIME_DIR": str(folder), "SDL_AUDIODRIVER": "dummy"}
    # The renderer's own threads only get in the way at this size.
    variables |= {"LIBGL_ALWAYS_SOFTWARE": "1", "GALLIUM_DRIVER": "llvmpipe", "LP_NUM_THREADS": "0"}
    return arguments, variables


def _widen_view(size: int) -> float:
    """The engine's setting: of the whole window, before it widens that of a narrow one."""
    height = size + 2 * STRIP
    window = 2 * math.atan(math.tan(math.radians(FIELD_OF_VIEW) / 2) * height / size)
    return math.degrees(window) / min(max(math.sqrt(1.6 * height / size), 1), 1.4)


def _find_free_port() -> int:
    # Two engines that start in the same second would choose the same one.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write_settings(path: Path, settings: dict[str, object], before: str = "") -> None:
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    path.write_text(before + "".join(lines), encoding="utf-8")
