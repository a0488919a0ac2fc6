"""The blocks' 16 x 16 pictures, drawn from noise, and the compass that tells the drawn heading.

Our own, so frames of this land carry nobody's licence; the same on every machine. Knows no engine.
"""

import zlib
from pathlib import Path

import cv2
import numpy as np

SIDE = 16
PREFIX = "worldsim_"
COMPASS_SHADES = 16
"""A degree is two hexadecimal digits, each a shade of red or green; blue is full."""
Picture = np.ndarray  # float [16, 16, 4], RGBA in 0 to 255


def write_textures(folder: Path, strip: int) -> None:
    """Draw every picture into a new folder.

    Args:
        folder: is made.
        strip: rows of the compass.
    """
    folder.mkdir(parents=True)
    for name, picture in {
        **_draw_cubes(),
        **_draw_plants(),
        "compass": draw_compass(strip),
    }.items():
        bgra = np.clip(picture, 0, 255).astype(np.uint8)[:, :, [2, 1, 0, 3]]
        (folder / f"{PREFIX}{name}.png").write_bytes(cv2.imencode(".png", bgra)[1].tobytes())


def read_plant_shapes() -> dict[str, np.ndarray]:
    """Where the pictures of plants are opaque, bool `[16, 16]` from the top, by name."""
    return {name: picture[:, :, 3] > 0 for name, picture in _draw_plants().items()}


def draw_compass(strip: int) -> Picture:
    """A band of 360 columns, one a degree, uint8-valued `[strip, 360, 4]`."""
    degrees = np.arange(360)
    band = np.full((strip, 360, 4), 255.0)
    band[:, :, 0] = degrees // COMPASS_SHADES * 10
    band[:, :, 1] = degrees % COMPASS_SHADES * 16
    return band


def find_compass_degree(pixel: np.ndarray) -> float:
    """The column a pixel of the compass came from; nan for any other colour.

    Args:
        pixel: uint8 RGB `[3]`.
    """
    red, green, blue = (int(channel) for channel in pixel)
    degree = red // 10 * COMPASS_SHADES + green // 16
    exact = red % 10 == 0 and green % 16 == 0 and blue == 255 and degree < 360
    return float(degree) if exact else float("nan")


def _make_rng(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _draw_noise(rng: np.random.Generator, grain: int) -> np.ndarray:
    """Noise of mean 0 in specks of `grain` pixels that tiles, float `[16, 16]`."""
    cells = rng.normal(size=(SIDE // grain, SIDE // grain))
    return np.kron(cells, np.ones((grain, grain)))


def _add_speckles(name: str, colour: tuple[int, int, int], fine: float, coarse: float) -> Picture:
    rng = _make_rng(name)
    shade = fine * _draw_noise(rng, 1) + coarse * _draw_noise(rng, 2)
    picture = np.full((SIDE, SIDE, 4), 255.0)
    picture[:, :, :3] = np.array(colour) * (1 + shade[:, :, None])
    return picture


def _draw_cubes() -> dict[str, Picture]:
    dirt = _add_speckles("dirt", (134, 96, 67), 0.10, 0.08)
    top = _add_speckles("grass_top", (112, 176, 66), 0.09, 0.06)
    side = dirt.copy()
    fringe = _make_rng("fringe").integers(2, 6, SIDE)
    for x, depth in enumerate(fringe):
        side[:depth, x] = top[:depth, x]
    cubes = {"dirt": dirt, "grass_top": top, "grass_side": side}
    cubes["stone"] = _add_speckles("stone", (125, 125, 125), 0.06, 0.10)
    cubes["moss"] = _add_speckles("moss", (104, 124, 90), 0.12, 0.14)
    cubes["path"] = _add_speckles("path", (160, 136, 84), 0.08, 0.05)
    cubes["oak_leaves"] = _draw_leaves("oak_leaves", (66, 128, 38))
    cubes["birch_leaves"] = _draw_leaves("birch_leaves", (112, 150, 62))
    cubes["pine_leaves"] = _draw_leaves("pine_leaves", (48, 94, 62))
    return cubes | _draw_woods() | _draw_pumpkin()


def _draw_leaves(name: str, colour: tuple[int, int, int]) -> Picture:
    picture = _add_speckles(name, colour, 0.22, 0.12)
    holes = _make_rng(name + " holes").random((SIDE, SIDE)) < 0.2
    picture[holes, :3] *= 0.45
    return picture


def _draw_woods() -> dict[str, Picture]:
    oak = _add_speckles("oak", (104, 82, 50), 0.07, 0.0)
    oak[:, :, :3] *= 1 + 0.16 * _make_rng("bark").normal(size=(1, SIDE, 1))
    birch = _add_speckles("birch", (216, 214, 206), 0.04, 0.0)
    rng = _make_rng("birch marks")
    for _ in range(9):
        y, x, length = rng.integers(SIDE), rng.integers(SIDE), rng.integers(2, 6)
        birch[y, np.arange(x, x + length) % SIDE, :3] = 52
    rings = _add_speckles("oak_top", (176, 142, 90), 0.05, 0.0)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    rings[np.maximum(abs(x), abs(y)).astype(int) % 3 == 1, :3] *= 0.78
    return {"oak": oak, "birch": birch, "oak_top": rings}


def _draw_pumpkin() -> dict[str, Picture]:
    side = _add_speckles("pumpkin", (222, 126, 26), 0.05, 0.0)
    side[:, ::4, :3] *= 0.72
    top = _add_speckles("pumpkin_top", (206, 118, 28), 0.05, 0.04)
    top[6:10, 6:10, :3] = (90, 110, 40)
    return {"pumpkin": side, "pumpkin_top": top}


def _draw_plants() -> dict[str, Picture]:
    flowers = {"red_flower": (214, 44, 38), "yellow_flower": (244, 214, 48)}
    flowers |= {"blue_flower": (92, 110, 232), "mushroom": (178, 60, 44)}
    plants = {name: _draw_flower(name, colour) for name, colour in flowers.items()}
    plants["tall_grass"] = _draw_blades("tall_grass", (98, 168, 58), 14, 15)
    plants["fern"] = _draw_blades("fern", (70, 138, 62), 10, 9)
    return plants


def _draw_blades(name: str, colour: tuple[int, int, int], count: int, tall: int) -> Picture:
    rng, picture = _make_rng(name), np.zeros((SIDE, SIDE, 4))
    for _ in range(count):
        x, lean, height = rng.integers(1, SIDE - 1), rng.normal() * 0.25, rng.integers(5, tall)
        for rise in range(height):
            column = int(np.clip(x + lean * rise, 0, SIDE - 1))
            shade = 0.7 + 0.4 * rise / tall + 0.1 * rng.normal()
            picture[SIDE - 1 - rise, column] = [*(np.array(colour) * shade), 255]
    return picture


def _draw_flower(name: str, colour: tuple[int, int, int]) -> Picture:
    picture = np.zeros((SIDE, SIDE, 4))
    picture[8:, 7:9] = (74, 132, 48, 255)
    picture[11, 5:7] = picture[12, 9:11] = (74, 132, 48, 255)
    y, x = np.mgrid[:SIDE, :SIDE]
    bloom = (y - 6) ** 2 + (x - 7.5) ** 2 < 8.5
    picture[bloom] = (*colour, 255)
    picture[bloom, :3] *= 1 + 0.1 * _make_rng(name).normal(size=(int(bloom.sum()), 1))
    picture[6:7, 7:9, :3] = (250, 232, 150)
    return picture
