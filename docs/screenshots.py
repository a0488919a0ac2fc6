"""Draws every screen of the window as it is today, for the pages that show them.

    xvfb-run python docs/screenshots.py [--out docs/screens]

Frames are those of the bundled starts, and figures are given, so that nothing depends on how fast
a machine is; what is around them is drawn by the window's own code. A test draws them again and
compares.
"""

import argparse
import math
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from worldsim.actions import load_actions
from worldsim.data.store import read_episode
from worldsim.runtime.core.intents import build_key_hints
from worldsim.runtime.core.pane_layout import Pane, Strip
from worldsim.runtime.core.settings import Settings
from worldsim.runtime.core.settings_page import SettingsPage
from worldsim.runtime.core.status import Status, describe_plainly, format_help, format_hud
from worldsim.runtime.core.touch_pad import list_pad_keys
from worldsim.runtime.window.compose import Around, compose
from worldsim.runtime.window.screen import Screen
from worldsim.runtime.window.start_choice import StartChoice
from worldsim.world.starts import WorldStarts, list_worlds

ZOOM, WORLD = 10, "dmlab"
SMALL = 5  # the zoom of the small window, in which the help has pages
ENGLISH = Settings(language="en")  # whoever draws the screens
TRENDS = [("milliseconds a frame", [130 + 20 * math.sin(n / 4) for n in range(60)])]


class Still:
    """A clock that stands, where thumbnails show their starts."""

    def now(self) -> float:
        """Always the same."""
        return 0.0

    def sleep(self, seconds: float) -> None:
        """Nothing waits."""


def draw_choice(worlds: list[WorldStarts], path: Path, settings: Settings = ENGLISH) -> None:
    """The choice of worlds and starts."""
    choice = StartChoice(worlds, (WORLD, 0), zoom=ZOOM, settings=settings, clock=Still())
    choice.read_clips()
    choice.draw()
    choice.screen.save(path)  # and it stays open: a display may end with its last window


def make_scenes(clip: np.ndarray) -> dict[str, tuple[Status, Around]]:
    """What is to be seen on every screen of play, by name."""
    actions = load_actions("dmlab")
    status = Status(
        title="A maze of four quadrants",
        state="running",
        driver="you",
        action="forward",
        held=("w",),
        number=76,
        fps=7.5,
        fps_shown=7.5,
        p50_ms=131,
        p99_ms=164,
        photon_ms=148,
        steps=2,
        automatic=True,
        seed=1,
        runs_on=True,
        recording="recording 0:12",
        context="window 4, coarse 21",
        drift=0.97,
        seen_share=0.81,
        back="34 s, 0.4 s/MB",
    )
    plain = Around(describe_plainly(status), build_key_hints(actions))
    names = [f"{n}: {name}" for n, name in enumerate(actions.names, 1)]
    previews = tuple(Pane(frame, name) for frame, name in zip(clip[-4:], names, strict=True))
    truth, dream = clip[-2], clip[-1]
    difference = abs(truth.astype(int) - dream).astype(np.uint8)
    compared = Pane(truth, "truth"), Pane(dream, "dream"), Pane(difference, "difference")
    strip = Strip(tuple(Pane(frame, "window", heat=0.5) for frame in clip[-8:]))
    curve = tuple(30 - 8 * math.log1p(n) / 3 for n in range(60))
    return {
        "play": (status, plain),
        "figures": (status, replace_figures(plain, status)),
        "preview": (replace(status, state="choosing", panes=previews), plain),
        "truth": (replace(status, panes=compared, curve=curve), plain),
        "memory": (replace(status, strip=strip), plain),
        "trouble": (replace(status, trouble="The disk is full: recording has stopped."), plain),
        "loading": (
            Status(title="A maze of four quadrants", doing="loading the libraries", progress=0.1),
            plain,
        ),
        "help": (status, plain._replace(helped=format_help(actions, mouse=True))),
        "touch": (status, plain._replace(pad=list_pad_keys(actions), held=["w"])),
    }


def replace_figures(around: Around, status: Status) -> Around:
    """With the side panel."""
    return around._replace(figures=format_hud(status), trends=TRENDS)


def draw_all(out: Path) -> list[Path]:
    """Draw every screen into a folder; the files."""
    with tempfile.TemporaryDirectory() as nothing:
        # Nobody's own settings, and no fetched worlds.
        os.environ["WORLDSIM_CONFIG"] = os.environ["WORLDSIM_CACHE"] = nothing
        os.environ["WORLDSIM_KEPT"] = str(Path.home() / "Documents" / "worldsim")
        worlds = list_worlds(Path(nothing))
        draw_choice(worlds, out / "choice.png")
        draw_choice(worlds, out / "german.png", Settings(language="de"))
        settings = SettingsPage([one.world for one in worlds]).lines()
    maze = next(one for one in worlds if one.world == WORLD)
    clip = read_episode(maze.paths[0]).frames
    scenes = make_scenes(clip)
    status, plain = scenes["play"]
    scenes["settings"] = status, plain._replace(helped=settings)
    screen = Screen("worldsim", clip.shape[2:0:-1], ZOOM, footed=True)
    screen.apply(ENGLISH)
    for name, (told, around) in scenes.items():
        compose(screen, clip[-1], told, around, 0.0)
        screen.save(out / f"{name}.png")
    screen.apply(replace(ENGLISH, palette="light", upscaler="smooth"))
    compose(screen, clip[-1], *scenes["figures"], 0.0)
    screen.save(out / "light.png")
    draw_small_help(scenes["help"], out / "small-help.png")
    return sorted(out.glob("*.png"))


def draw_small_help(scene: tuple[Status, Around], path: Path) -> None:
    """The first page of the help in a window of 320 pixels."""
    status, around = scene
    screen = Screen("worldsim", (64, 64), SMALL)
    screen.apply(ENGLISH)
    pages = screen.split_pages(around.helped, screen.room(), "F1")
    compose(screen, None, status, around._replace(helped=pages[0]), 0.0)
    screen.save(path)
    screen.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "screens")
    for path in draw_all(parser.parse_args().out):
        print(path)
