"""Colours of everything that is not a picture, dark and light: Okabe and Ito's, which are told
apart by every kind of eye and in grey.
"""

from typing import NamedTuple

Colour = tuple[int, int, int]


class Palette(NamedTuple):
    """Colours by what they are for.

    Attributes:
        back: around the picture.
        text: letters.
        shade: behind letters over a picture, with its opacity.
        foot: behind what is beside and below the picture.
        cap, told: a drawn key, and what is written beside it.
        dim: letters about what cannot be had.
        grid: lines of scales.
        idle: the part of a bar that is still to come.
        bar, alarm, mark, heat: progress, a trouble, what is marked, how much is looked at.
    """

    back: Colour
    text: Colour
    shade: tuple[int, int, int, int]
    foot: Colour
    cap: Colour
    told: Colour
    dim: Colour
    grid: Colour
    idle: Colour
    bar: Colour
    alarm: Colour
    mark: Colour
    heat: Colour


DARK = Palette(
    back=(0, 0, 0),
    text=(255, 255, 255),
    shade=(0, 0, 0, 150),
    foot=(24, 24, 28),
    cap=(60, 60, 68),
    told=(200, 200, 205),
    dim=(150, 150, 155),
    grid=(110, 110, 110),
    idle=(60, 60, 60),
    bar=(0, 158, 115),
    alarm=(240, 228, 66),
    mark=(86, 180, 233),
    heat=(230, 159, 0),
)
LIGHT = Palette(
    back=(250, 250, 250),
    text=(0, 0, 0),
    shade=(255, 255, 255, 190),
    foot=(236, 236, 232),
    cap=(255, 255, 255),
    told=(60, 60, 64),
    dim=(105, 105, 110),
    grid=(120, 120, 120),
    idle=(200, 200, 200),
    bar=(0, 158, 115),
    alarm=(170, 50, 0),
    mark=(0, 114, 178),
    heat=(230, 159, 0),
)
BY_NAME = {"dark": DARK, "light": LIGHT}
