"""What a world lacks for a key is told before the key is tried, and when it is."""

import gymnasium
import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support.players import Played
from worldsim.actions import load_actions
from worldsim.runtime.core.control import Keyboard
from worldsim.runtime.core.intents import CLICK, INTENTS
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.status import Dimmed, format_help
from worldsim.runtime.panels.lacking import find_lacking
from worldsim.runtime.session.loading import LoadedWorld


class Bare(gymnasium.Env):
    """An environment with actions and nothing else: no states, no starts, no sampler."""

    metadata = {"render_fps": 10}  # noqa: RUF012
    observation_space = gymnasium.spaces.Box(0, 255, (16, 16, 3), np.uint8)

    def __init__(self):
        self.actions = load_actions("dmlab-published")
        self.action_space = gymnasium.spaces.Discrete(len(self.actions))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros((16, 16, 3), np.uint8), {}

    def step(self, action):
        return np.full((16, 16, 3), action, np.uint8), 0.0, False, False, {}


@pytest.fixture(params=["bare", "dream"])
def place(request, make_fake_world):
    if request.param == "bare":
        return PlayableEnv(Bare(), "Bare-v0", {})
    return PlayableEnv(WorldModelEnv(make_fake_world()), "FARDMLab-v0", {})


def test_a_key_that_is_greyed_says_why_when_it_is_pressed(place):
    """Twenty keys of an engine did nothing, and the help listed them like all others."""
    lacking = find_lacking(place)
    played = Played(LoadedWorld(place), Keyboard()).ticks(2)
    for intent in INTENTS:
        if intent.name in lacking:
            played.session.presenter.notify("")
            played.tap(intent.keys[0])
            played.ticks(2)
            assert played.note.endswith("."), intent.name
    lines = format_help(place.actions, lacking=lacking, mouse=True)
    assert sum(isinstance(line, Dimmed) for line in lines) == len(lacking)


def test_what_a_world_has_is_not_lacking(place):
    lacking = set(find_lacking(place))
    assert {CLICK, "tint", "map", "points", "resample", "memory", "attention"} <= lacking
    of_dreams = {"rewind", "action_preview", "gallery", "more_steps", "run_on", "ground_truth"}
    assert of_dreams & lacking == (set() if place.dreams else of_dreams)


def test_a_whole_world_lacks_nothing(tiny_spatial_world):
    env = WorldModelEnv(tiny_spatial_world)
    found = find_lacking(PlayableEnv(env, "FARDMLab-v0", {}))
    # It remembers frames as they are, and its engine may not be installed.
    assert set(found) <= {"less_noise", "more_noise", "ground_truth"}
    found = find_lacking(PlayableEnv(env, "FARDMLab-v0", {"runtime": "onnx"}))
    assert found["attention"] == "needs torch"
