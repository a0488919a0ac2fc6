"""The way to a clicked place: turns first, then strides, and an end in every case; in a session the
body goes there as if its keys had been pressed, and a key ends it.
"""

import math

import gymnasium
import numpy as np
import pytest

from tests.support import players
from worldsim.actions import load_actions
from worldsim.data.store import EpisodeStore
from worldsim.runtime.core.click_walk import ClickWalk
from worldsim.runtime.core.control import Keyboard, RandomWalk
from worldsim.runtime.core.drivers import Drivers
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.state import State

LEFT, RIGHT, FORWARD = range(3)
KEYS = {LEFT: "a", RIGHT: "d", FORWARD: "w"}
STRIDE = 0.38


def follow(walk, actions, wall=math.inf, most=200):
    """The moves of a walk in a field that ends at x = wall, from the origin, and its last place."""
    x = y = heading = 0.0
    made = []
    while (action := walk.choose(np.float32([x, y, heading]))) is not None:
        made.append(action)
        assert len(made) < most, "the walk does not end"
        heading += actions.turns[action]
        if not actions.turns[action]:
            x = min(x + STRIDE * math.cos(heading), wall)
            y += STRIDE * math.sin(heading)
    return made, (x, y)


@pytest.mark.parametrize("name", ["dmlab", "minecraft"])
@pytest.mark.parametrize("known", [(), (STRIDE, 0.1)], ids=["first stride", "later"])
def test_every_place_is_reached_however_it_lies(name, known):
    """Turns are coarse, so it is aimed again on the way, and no place is circled round."""
    actions = load_actions(name)
    for seed in range(60):
        target = tuple(np.random.default_rng(seed).uniform(-4, 4, 2).tolist())
        walk = ClickWalk(target, actions, known)
        made, end = follow(walk, actions)
        assert math.dist(end, target) <= STRIDE
        assert not walk.blocked
        turns = [action for action in made if actions.turns[action]]
        shortest = math.hypot(*target) / STRIDE
        assert len(made) - len(turns) <= 1.1 * shortest + 2


def test_as_many_turns_as_the_angle_asks_and_then_strides():
    actions = load_actions("dmlab")
    made, _ = follow(ClickWalk((0.0, 2.0), actions), actions)
    assert made == [LEFT] * 4 + [FORWARD] * 5
    made, _ = follow(ClickWalk((0.0, -2.0), actions), actions)
    assert made == [RIGHT] * 4 + [FORWARD] * 5
    made, _ = follow(ClickWalk((-2.0, 0.01), actions), actions)
    assert made == [LEFT] * 8 + [FORWARD] * 5


def test_a_wall_ends_it_and_only_one_far_before_the_place_is_told():
    actions = load_actions("dmlab")
    walk = ClickWalk((3.0, 0.0), actions)
    made, end = follow(walk, actions, wall=1.0)
    assert made == [FORWARD] * 4  # the third is cut short, the fourth moves nothing
    assert (end, walk.blocked) == ((1.0, 0.0), True)
    walk = ClickWalk((1.3, 0.0), actions)  # the wall itself was clicked on
    follow(walk, actions, wall=1.0)
    assert not walk.blocked


def test_a_wall_right_ahead_is_one_try():
    actions = load_actions("dmlab")
    assert follow(ClickWalk((3.0, 0.0), actions), actions, wall=0.0)[0] == [FORWARD]


def test_a_place_underfoot_asks_for_nothing():
    assert ClickWalk((0.01, 0.0), load_actions("dmlab")).choose(np.zeros(3)) is None


def test_a_world_that_only_watches_leads_nowhere():
    with pytest.raises(ValueError, match="do not walk and turn"):
        ClickWalk((1.0, 0.0), load_actions("watch"))


# ---- in a session ----


class Played(players.Played):
    """A session in the real maze, where a body truly moves."""

    def __init__(self, drivers=None, **options):
        place = PlayableEnv(gymnasium.make("Maze-v0"), "Maze-v0", {})
        super().__init__(LoadedWorld(place), drivers or Keyboard(), seed=3, **options)
        self.ticks(2)

    @property
    def pose(self):
        track = self.session.playthrough.track
        return track.history[track.number].pose

    def click(self, target):
        self.session.command_queue.put("walk", (self.clock.now(), target))
        return self.ticks()

    def find_place(self):
        """The middle of the farthest cell that a straight corridor leads to."""
        walls = self.place.base.clone_state().layout.walls
        x, y = self.pose[:2].tolist()
        places = []
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            for far in range(1, len(walls)):
                at = x + far * dx, y + far * dy
                if walls[len(walls) - 1 - math.floor(at[1]), math.floor(at[0])]:
                    break
                places.append((far, at))
        return max(places)[1]


@pytest.fixture
def played(engine):
    return Played()


def test_the_body_arrives_and_a_recording_holds_what_keys_would_have_made(engine, tmp_path):
    played = Played(recorder=Recorder(tmp_path))
    played.tap("v")
    target = played.ticks().find_place()
    assert math.dist(target, played.pose[:2]) >= 2
    played.click(target).ticks(60)
    assert math.dist(target, played.pose[:2]) < 0.38
    assert played.session.walk is None
    made = played.number
    assert 6 < made < 40
    assert played.session.state is State.WAITING
    played.session.close()
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (episode,) = EpisodeStore(folder)
    pressed = Played()
    for action in episode.actions.tolist():
        pressed.tap(KEYS[action])
        pressed.ticks(2)
    assert pressed.number == made
    assert np.array_equal(np.stack([step.frame for step in pressed.seen.steps]), episode.frames[1:])


@pytest.mark.parametrize("key", ["w", "a"])
def test_a_key_of_the_players_ends_it_and_is_done(played, key):
    played.click(played.find_place()).ticks(2)
    assert played.number == 3
    played.tap(key)
    played.ticks(9)
    assert played.number == 4
    assert KEYS[played.seen.actions[-1]] == key


def test_a_key_takes_over_from_whoever_drives_besides(engine):
    played = Played(Drivers(Keyboard(), [RandomWalk(0)]))
    played.tap("m")
    played.click(played.find_place()).ticks(1)
    played.tap("w")
    played.ticks(8)
    assert played.seen.status.driver == "you"
    assert played.number == 3


@pytest.mark.parametrize(("key", "back"), [("p", "p"), ("n", "p"), ("f6", "f6")])
def test_pausing_ends_it_and_so_do_pictures_to_pick_from(engine, tmp_path, key, back):
    """It went on where it was as soon as the pause was over."""
    played = Played(saves=Saves(tmp_path))
    played.session.save(1)
    played.click(played.find_place()).ticks(2)
    played.tap(key)
    made = played.ticks(2).number
    assert played.session.state in (State.PAUSED, State.CHOOSING)
    played.tap(back)
    assert played.ticks(9).number == made
    assert played.session.state is State.WAITING


def test_another_click_leads_elsewhere_and_a_drag_ends_it(played):
    there = played.find_place()
    played.click(there).ticks(2)
    back = tuple(played.pose[:2].tolist())
    played.click(there).ticks(3)
    played.click(back).ticks(60)
    assert math.dist(back, played.pose[:2]) < 0.38
    made = played.click(there).ticks(1).number
    played.session.command_queue.put("turn", (played.clock.now(), (LEFT, LEFT)))
    played.ticks(9)
    assert played.seen.actions[made:] == [LEFT, LEFT]


def test_a_wall_on_the_way_ends_it_with_a_sentence(played):
    x, y, heading = played.pose.tolist()
    played.click((x + 40 * math.cos(heading), y + 40 * math.sin(heading))).ticks(80)
    assert played.session.walk is None
    played.clock.sleep(1)  # figures are shown again after a while
    played.ticks()
    assert played.note == "Something is in the way."


def test_a_world_that_does_not_know_distances_says_so_and_stays(played):
    """The engine is asked for frames without depth."""
    assert played.seen.status.view is None
    played.click(None).ticks(3)
    assert played.note == "This world does not know how far things are: walk by the keys."
    assert played.number == 0


def test_where_play_rests_a_click_is_nothing_and_going_back_ends_a_walk(played):
    target = played.find_place()
    played.tap("p")
    played.ticks().click(target).ticks(3)
    played.tap("p")
    assert played.ticks(3).number == 0
    played.click(target).ticks(3)
    made = played.number
    played.press("backspace")
    played.ticks(2)
    played.keys.up("backspace")
    played.settle().ticks(5)
    assert played.session.walk is None
    assert played.number < made
