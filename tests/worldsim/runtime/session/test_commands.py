"""Commands of a session besides moving: slots, action preview, ground truth, other starts.

No screen: keys go in by name, and what a sink is shown comes out.
"""

import sys
import threading

import cv2
import numpy as np
import pytest

from envs.world_model import WorldModelEnv
from tests.support import players, published_clips
from worldsim.actions import load_actions
from worldsim.data.published.formats import LAYOUTS
from worldsim.data.published.teco import read_clip
from worldsim.data.store import EpisodeStore
from worldsim.runtime.cli.rollout import Calls
from worldsim.runtime.core.bindings import Bindings, read_bindings
from worldsim.runtime.core.control import Keyboard, RandomWalk
from worldsim.runtime.core.drivers import Drivers, Follower
from worldsim.runtime.core.intents import (
    INTENTS,
    REPLAY_INTENTS,
    build_key_hints,
    format_keys,
)
from worldsim.runtime.core.key_press import US
from worldsim.runtime.core.moves import NO_NOISE
from worldsim.runtime.core.pane_layout import Rect, along, beside, grid
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.step_governor import StepGovernor
from worldsim.runtime.panels import ground_truth as panels
from worldsim.runtime.panels.ground_truth_source import ClipTruth, EngineReplay
from worldsim.runtime.recording.recorder import Recorder
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.recording.start_from_file import fit_picture
from worldsim.runtime.session.loading import LoadedWorld
from worldsim.runtime.session.presenter import NOTE_SECONDS
from worldsim.runtime.session.state import State
from worldsim.tasks import load_function
from worldsim.types import Episode, EpisodeMeta
from worldsim.upgrades import RENAMED_INTENTS

LEFT, RIGHT, FORWARD, STAND = range(4)


class Played(players.Played):
    """A session on a world, with everybody who can drive."""

    def __init__(self, world, place=None, bindings=None, drivers=None, **options):
        place = place or PlayableEnv(WorldModelEnv(world), "FARDMLab-v0", {"world": "fake"})
        follower = Follower()
        drivers = drivers or Drivers(Keyboard(), [follower, RandomWalk(0)])
        super().__init__(LoadedWorld(place, bindings), drivers, sinks=[follower], **options)

    def key(self, *names):
        """Tap keys, one after another, and give each time to work."""
        for name in names:
            self.tap(name)
            self.ticks(2)
        return self

    def walk(self, *actions):
        self.session.go(actions)
        return self.ticks(len(actions) + 1)


@pytest.fixture
def world(make_fake_world):
    return make_fake_world()


@pytest.fixture
def played(world, tmp_path):
    return Played(world, saves=Saves(tmp_path / "saves"))


# ---- slots and rewinding ----


def test_slots_outlive_the_program_and_show_a_picture(world, make_fake_world, tmp_path):
    first = Played(world, saves=Saves(tmp_path)).walk(2, 0, 2)
    saved = first.session.frame
    first.key("ctrl+4").walk(1).key("ctrl+9")
    later = Played(make_fake_world(), saves=Saves(tmp_path), seed=5)
    later.key("f6")
    shown = {n: pane.frame for n, pane in enumerate(later.panes, 1) if pane.frame is not None}
    assert set(shown) == {4, 9}
    assert np.array_equal(shown[4], saved)
    later.key("4").settle()
    assert np.array_equal(later.session.frame, saved)
    assert later.number == 3
    later.key("9").settle()
    assert later.number == 4


def test_an_empty_slot_is_one_sentence(played):
    assert "Slot 7 is empty: Ctrl+7" in played.key("7").note
    assert "All slots are empty" in played.key("f6").note


def test_one_kind_of_pictures_gives_way_to_what_another_has_to_say(played):
    """The starts stayed under the sentence that all slots are empty, and 1 began one of them."""
    played.key("tab", "f6")
    assert "All slots are empty" in played.note
    assert not played.panes
    played.walk(2).key("ctrl+2", "tab", "f6")
    assert [pane.label for pane in played.panes[:2]] == ["1 empty", "2 "]
    played.key("f6")
    assert not played.panes


def test_a_load_says_that_going_back_begins_anew(played):
    played.walk(2).key("f5").walk(2).key("f9").settle()
    assert "The quick save is loaded: going back begins here" in played.note


def test_a_slot_is_written_over_and_the_quick_save_is_another(played, tmp_path):
    played.walk(2).key("ctrl+1", "f5").walk(2).key("ctrl+1").walk(2)
    played.key("1").settle()
    assert played.number == 2
    played.key("f9").settle()
    assert played.number == 1
    assert len(list((tmp_path / "saves" / "fake" / "slot-1").iterdir())) == 1


def test_another_worlds_slot_is_refused(played, make_fake_world, tmp_path):
    played.walk(2).key("ctrl+2")
    (tmp_path / "saves" / "fake").rename(tmp_path / "saves" / "other")
    other = Played(make_fake_world(name="other"), saves=Saves(tmp_path / "saves"))
    assert "is a save of fake" in other.key("2").note


def test_going_back_stays_within_its_memory_and_says_what_it_costs(world):
    """The oldest moments go, the newest stay exact."""
    played = Played(world, rewind_bytes=100_000)
    played.walk(*[2] * 300)
    history = played.session.playthrough.track.history
    assert history.bytes <= 100_000
    assert 0 < history.first < 290
    seconds = (300 - history.first) / 7.5
    assert played.seen.status.back.startswith(f"{seconds:.0f} s, ")
    assert played.seen.status.back.endswith(" s/MB")
    was = played.session.playthrough.track.history[295].frame
    played.session.rewind(5)
    assert np.array_equal(played.settle().session.frame, was)


# ---- action preview ----


def test_the_fan_is_what_would_come_and_leaves_no_trace(world, make_fake_world):
    played, twin = Played(world).walk(2, 0), Played(make_fake_world()).walk(2, 0)
    before = len(world.steps_asked)
    played.key("b").ticks(20)
    assert played.session.state is State.CHOOSING
    assert len(world.steps_asked) - before == 8  # one batched forward a frame
    assert [pane.label.split()[1] for pane in played.panes] == ["left", "right", "forward", "stand"]
    shown = {played.panes[1].label: played.panes[1].frame}
    while len(shown) < 8:
        played.clock.sleep(0.2)
        played.ticks(1)
        shown[played.panes[1].label] = played.panes[1].frame
    for ahead in range(1, 9):
        twin.walk(1)
        assert np.array_equal(shown[f"2 right +{ahead}"], twin.session.frame)
    played.key("b").walk(3)
    assert played.number == 3
    assert played.session.state is not State.CHOOSING


@pytest.mark.parametrize("key", ["1", "a", "left"])
def test_a_way_is_picked_by_number_or_by_its_key(played, key):
    played.key("b").ticks(10).key(key).ticks(12)
    assert [step.move.action for step in played.seen.steps] == [LEFT] * 8
    assert played.session.state is State.WAITING


def test_a_fan_in_an_engine_brings_it_back(engine):
    import gymnasium

    place = PlayableEnv(gymnasium.make("Maze-v0"), "Maze-v0", {})
    played = Played(None, place=place).walk(2)
    here = played.session.frame
    played.key("b").ticks(2)
    assert len(played.panes) == 4
    assert not np.array_equal(played.panes[0].frame, played.panes[1].frame)
    played.key("backspace").walk(3)
    assert np.array_equal(played.session.frame, here)  # stood where it was


def test_no_such_way_is_one_sentence(played):
    assert "action must be in [1, 4], got 7" in played.key("b", "7").note
    assert played.session.state is State.CHOOSING


def test_another_wish_leaves_the_fan(played):
    played.key("b", "p")
    assert played.session.picker is None
    assert played.session.state is State.PAUSED


# ---- back to the choice of worlds ----


def test_leaving_for_the_choice_of_worlds_is_asked_first(world, tmp_path):
    """One key pressed by mistake would end what was played."""
    recorder = Recorder(tmp_path / "recordings", on=True)
    played = Played(world, recorder=recorder)
    assert "There is no choice of worlds to go back to here" in played.key("c").note
    played.session.returns = True
    played.walk(2, 0).key("c")
    assert played.note == (
        "C again goes back to the choice of worlds. The recording is finished and kept. "
        "F5 first saves where you are."
    )
    played.clock.sleep(NOTE_SECONDS + 1)
    played.key("c")
    assert played.session.state is not State.CLOSED, "the question is gone, so it is asked again"
    played.key("c")
    assert played.session.chooses
    assert played.session.state is State.CLOSED
    assert len(recorder.made) == 1


def test_nothing_is_asked_where_nothing_was_played(world):
    played = Played(world)
    played.session.returns = True
    played.key("c")
    assert played.session.chooses


# ---- ground truth ----


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Play waits for every true frame, however busy the machine."""
    monkeypatch.setattr(panels, "SLICE", 60.0)


@pytest.fixture
def haunted(make_fake_world, engine, monkeypatch):
    """A dream of the maze that is only noise, beside the maze."""
    monkeypatch.setattr(panels, "CONTEXT", 4)
    world = make_fake_world(size=64)
    world.card.engine = "Maze-v0"
    return Played(world)


def test_the_ground_truth_does_what_the_dreamer_does(haunted):
    haunted.key("g")
    assert "a new start was made" in haunted.note
    start = haunted.session.playthrough.track.start
    assert [pane.label for pane in haunted.panes] == [
        "truth (Maze-v0)",
        "dream",
        "difference, 58.9 dB",
    ]
    haunted.walk(2, 0, 2, 1)
    import gymnasium

    env = gymnasium.make("Maze-v0").unwrapped
    frame, _ = env.reset(seed=start.options["engine_seed"])
    for action in [*start.context_actions, 2, 0, 2, 1]:
        frame = env.step(int(action))[0]
    true, dream, apart = haunted.panes
    assert [pane.newest for pane in haunted.panes] == [False, True, False]
    assert np.array_equal(true.frame, frame)
    assert np.array_equal(dream.frame, haunted.session.frame)
    error = np.abs(true.frame.astype(int) - dream.frame.astype(int))
    assert np.array_equal(apart.frame, np.minimum(2 * error, 255))
    assert len(haunted.seen.status.curve) == 5
    assert haunted.seen.status.curve[-1] == pytest.approx(
        -10 * np.log10(np.square(error / 255).mean()), abs=1e-3
    )
    haunted.key("g")
    assert haunted.panes == ()


def test_the_ground_truth_goes_back_too(haunted):
    haunted.key("g").walk(2, 2, 0)
    was, curve = haunted.panes[0].frame, haunted.seen.status.curve
    haunted.walk(2, 0, 0, 2)
    haunted.session.rewind(4)
    haunted.settle().ticks(1)
    assert np.array_equal(haunted.panes[0].frame, was)
    assert haunted.seen.status.curve == curve


def test_the_ground_truth_walks_among_blocks_too(make_fake_world, voxel_engine, monkeypatch):
    """An engine that is a program of its own, and goes back by other means."""
    monkeypatch.setattr(panels, "CONTEXT", 4)
    world = make_fake_world(size=128)
    world.card.engine, world.card.action_set = "Voxel-v0", "voxel"
    world.actions = load_actions("voxel")
    played = Played(world).key("g").walk(1, 2, 1)
    assert played.panes[0].label == "truth (Voxel-v0)"
    was = played.panes[0].frame
    played.walk(1, 3)
    assert not np.array_equal(played.panes[0].frame, was)
    played.session.rewind(2)
    played.settle().ticks(1)
    assert np.array_equal(played.panes[0].frame, was)
    played.key("g")
    assert played.panes == ()


def test_grounding_puts_the_dream_into_the_true_frames(haunted):
    haunted.key("g").walk(2, 0)
    true = haunted.panes[0].frame
    haunted.key("x")
    start = haunted.session.playthrough.track.start
    assert np.array_equal(haunted.session.frame, true)
    assert np.array_equal(start.context_frames[-1], true)
    assert start.context_frames.shape == (5, 64, 64, 3)
    assert start.context_actions[-2:].tolist() == [2, 0]
    haunted.walk(1)  # and the truth goes on from there
    assert haunted.panes[0].frame is not None
    haunted.key("x")
    assert haunted.number == 0


def test_grounding_without_a_truth_is_one_sentence(played):
    assert "press G to show it" in played.key("x").note


def test_a_ground_truth_without_an_engine_is_one_sentence(world):
    world.card.engine = "Nowhere-v0"
    played = Played(world).key("g")
    assert "won't start" in played.note
    assert played.panes == ()


def test_a_truth_that_fails_is_gone_and_play_goes_on(haunted, monkeypatch):
    haunted.key("g")

    def broken(self, actions):
        raise RuntimeError("the engine broke")

    monkeypatch.setattr(EngineReplay, "frame", broken)
    haunted.walk(2, 2)
    assert haunted.number == 2
    assert haunted.panes == ()
    assert "the engine broke" in haunted.seen.status.trouble


# ---- starts ----


def test_the_gallery_shows_every_start(played, world):
    played.key("tab")
    assert [pane.label for pane in played.panes] == ["1 spawn 0", "2 spawn 1", "3 spawn 2"]
    played.key("3")
    assert np.array_equal(played.session.frame, world.spawns[2].frames[-1])
    assert played.session.playthrough.track.start.options["spawn"] == 2


def test_a_gallery_of_many_has_pages(make_fake_world):
    played = Played(make_fake_world(spawns=11)).key("tab", "tab")
    assert len(played.panes) == 2
    played.key("2")
    assert played.session.playthrough.track.start.options["spawn"] == 10
    played.key("tab", "tab", "tab")
    assert played.session.state is State.WAITING


def test_a_dropped_picture_is_a_start(played, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    played.keys.drop(str(tmp_path / "a.png"))
    played.ticks(2)
    assert "Started from a.png" in played.note
    assert np.array_equal(played.session.frame, fit_picture(picture, 16))
    played.walk(2)
    assert played.number == 1


def test_a_dropped_picture_is_fitted_as_the_command_said(played, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((10, 40, 3), 200, np.uint8))
    played.session.opening.fit = "letterbox"
    played.keys.drop(str(tmp_path / "a.png"))
    played.ticks(2)
    assert not played.session.frame[0].any()
    assert (played.session.frame[8] == 200).all()


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (16, 16), (5, 3)])
def test_a_picture_of_any_shape_fits(shape):
    picture = np.full((*shape, 3), 200, np.uint8)
    cropped, boxed = fit_picture(picture, 16, "crop"), fit_picture(picture, 16, "letterbox")
    assert cropped.shape == boxed.shape == (16, 16, 3)
    assert (cropped == 200).all()
    share = min(shape) / max(shape)
    assert (boxed == 200).mean() == pytest.approx(share, abs=0.1)


def test_a_picture_is_turned_to_and_walked_into(world):
    """So that a gamepad, which has no numbers, reaches every picture too."""
    played = Played(world).key("tab")
    marks = lambda: [pane.marked for pane in played.panes]  # noqa: E731
    assert marks() == [True, False, False]
    played.key("d", "d", "a")
    assert marks() == [False, True, False]
    played.key("a", "a")
    assert marks() == [False, False, True]
    played.key("w")
    assert played.session.playthrough.track.start.options["spawn"] == 2
    assert played.session.state is State.WAITING


def test_an_empty_slot_is_walked_into_in_vain(played):
    played.key("ctrl+1", "f6", "d", "w")
    assert "no picture 2" in played.note
    assert played.session.state is State.CHOOSING


def test_leaving_pictures_does_not_go_back_in_time(played):
    """The key is still down in the ticks after."""
    played.walk(*[2] * 6).key("tab")
    played.press("backspace")
    played.ticks(20)
    played.keys.up("backspace")
    assert played.session.state is State.WAITING
    assert played.number == 6


def test_a_key_held_since_before_picks_nothing(world):
    played = Played(world)
    played.press("w")
    played.ticks(3)
    played.key("b").ticks(12)
    assert played.session.state is State.CHOOSING
    played.keys.up("w")
    played.key("w")
    assert played.session.state is not State.CHOOSING


def test_a_wish_that_fails_badly_is_a_sentence_and_play_goes_on(world, monkeypatch):
    """Out of memory in the preview, a dead engine behind the ground truth: play goes on."""
    played = Played(world).walk(2, 2)

    def broken(*args, **how):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(world, "step", broken)
    assert "out of memory" in played.key("b").note
    monkeypatch.undo()
    made = len(played.seen.steps)
    assert len(played.key("w").seen.steps) > made


def test_a_start_that_fails_is_not_told_as_one(world, tmp_path, monkeypatch):
    played = Played(world)
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), np.zeros((16, 16, 3), np.uint8))

    def broken(*args, **how):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(world, "reset", broken)
    played.session.command_queue.put("open", str(picture))
    assert "out of memory" in played.ticks(2).note


def test_grounding_late_asks_the_truth_for_few_frames(played, world, tmp_path, monkeypatch):
    frames, actions = open_clip(played, world, tmp_path)
    played.key("g", "m").ticks(12)
    truth, asked = played.session.overlays.panel._truth, []
    known = truth.frame
    monkeypatch.setattr(
        truth, "frame", lambda actions: asked.append(len(actions)) or known(actions)
    )
    played.key("x")
    assert np.array_equal(played.session.playthrough.track.start.context_frames, frames[-5:])
    assert np.array_equal(played.session.playthrough.track.start.context_actions, actions[-4:])
    assert min(asked[1:]) >= 5 - 4


def clip_of(world, count=9):
    """True frames of a dream, its actions, and how they are found again."""
    env = WorldModelEnv(world)
    frame, _ = env.reset(seed=3)
    actions = np.random.default_rng(1).integers(0, 4, count)
    return np.stack([frame, *(env.step(int(action))[0] for action in actions)]), actions


def open_clip(played, world, folder):
    """Start from an episode of true frames; its frames and actions."""
    frames, actions = clip_of(world)
    meta = EpisodeMeta(source="Somewhere", action_set="dmlab", fps=7.5)
    rewards = np.zeros(9, np.float32)
    episode = Episode(frames=frames, actions=actions, rewards=rewards, meta=meta)
    path = EpisodeStore(folder / "data").append(episode)
    played.session.command_queue.put("open", str(path))
    played.ticks(2)
    return frames, actions


def test_an_episode_is_a_start_and_its_rest_the_truth(played, world, tmp_path):
    frames, actions = open_clip(played, world, tmp_path)
    start = played.session.playthrough.track.start
    assert np.array_equal(start.context_frames, frames[:5])
    played.key("g", "m")
    assert played.seen.status.driver == "the recording"
    played.ticks(12)
    assert [step.move.action for step in played.seen.steps] == actions[4:].tolist()
    assert np.array_equal(played.panes[0].frame, frames[-1])
    assert len(played.seen.status.curve) == 6


def test_play_goes_on_while_the_engine_of_the_truth_starts(haunted, monkeypatch):
    """It stood still for as long as the engine took: seconds, and more on a busy machine."""
    monkeypatch.setattr(panels, "SLICE", 0)
    started, find = threading.Event(), panels.find_truth

    def find_late(start, env):
        assert started.wait(players.SECONDS)
        return find(start, env)

    monkeypatch.setattr(panels, "find_truth", find_late)
    haunted.key("g").walk(2, 0)
    assert haunted.number == 2
    assert haunted.panes == ()
    haunted.clock.sleep(60)
    assert haunted.ticks(1).note == "The engine that draws the truth is starting ..."
    haunted.key("g").ticks(1)
    assert haunted.note == "", "the same key says that nobody waits any more"
    haunted.key("g")
    started.set()
    players.until(lambda: haunted.ticks(1).panes)
    assert "a new start was made" in haunted.note
    haunted.session.close()


def test_a_late_truth_draws_what_was_played_without_it(played, world, tmp_path):
    open_clip(played, world, tmp_path)
    played.key("m").ticks(5).key("g")
    assert not played.panes[0].dimmed
    assert len(played.seen.status.curve) == played.number + 1


def test_a_slow_truth_shows_its_last_frame_and_leaps_to_the_newest(
    played, world, tmp_path, monkeypatch
):
    """An engine that draws seven frames a second left half of the screen empty until it had drawn
    all that was played without it, and play stood still for each.
    """
    frames, _ = open_clip(played, world, tmp_path)
    played.key("m").ticks(5)
    monkeypatch.setattr(panels, "CATCH_UP_SECONDS", 0)
    monkeypatch.setattr(panels, "SLICE", 0)
    drawn, asked, known = threading.Event(), [], ClipTruth.frame

    def draw_slowly(truth, actions):
        asked.append(len(actions))
        assert drawn.wait(players.SECONDS)
        return known(truth, actions)

    monkeypatch.setattr(ClipTruth, "frame", draw_slowly)
    played.key("g")
    late, _, apart = played.panes
    assert late.label == f"truth, {played.number} frames behind"
    assert late.dimmed
    assert np.array_equal(late.frame, frames[4]), "the start's last true frame"
    assert apart.frame is None
    drawn.set()
    monkeypatch.setattr(panels, "SLICE", 60.0)
    played.session.publish()
    assert asked == [played.number]
    now, _, apart = played.panes
    assert np.array_equal(now.frame, frames[4 + played.number])
    assert not now.dimmed
    assert apart.frame is not None


def test_taking_over_from_a_clip_ends_its_truth(played, world, tmp_path):
    _, actions = open_clip(played, world, tmp_path)
    played.key("g", "m")
    other = {LEFT: "d", RIGHT: "a", FORWARD: "a", STAND: "a"}[int(actions[played.number + 4])]
    played.key(other)
    assert played.seen.status.driver == "you"
    ended = played.panes[0]
    assert ended.label == "the truth is not known any more"
    assert ended.dimmed
    assert ended.frame is not None, "the last true one"
    assert "Ground truth is unavailable" in played.key("x").note


@pytest.mark.parametrize("kind", ["dmlab", "minecraft"])
def test_a_published_clip_brings_its_actions_and_its_truth(make_fake_world, tmp_path, kind):
    """As it was downloaded, without an import; its actions have other numbers than the world's."""
    world = make_fake_world(size=64 if kind == "dmlab" else 128)
    world.actions = load_actions("dmlab" if kind == "dmlab" else "voxel")
    write = published_clips.write_dmlab if kind == "dmlab" else published_clips.write_minecraft
    suffix = ".npz" if kind == "dmlab" else ".mp4"
    path = min((write(tmp_path, clips=1) / "0").glob(f"*{suffix}"))
    led = read_clip(path, LAYOUTS[kind])
    names = [load_actions(led.meta.action_set).names[action] for action in led.actions]
    played = Played(world)
    played.session.command_queue.put("open", str(path))
    played.ticks(2).key("g", "m")
    assert played.seen.status.driver == "the recording"
    played.ticks(16)
    start = played.session.playthrough.track.start
    taken = [*start.context_actions, *played.seen.actions]
    assert [world.actions.names[action] for action in taken] == names
    assert len(names) >= 12
    assert np.array_equal(played.panes[0].frame, led.frames[-1])


def test_a_clip_without_actions_gets_the_worlds_own_guess(played, tmp_path):
    """A video file has no actions; frames that come from one are shown as they are."""
    frames = np.random.default_rng(0).integers(0, 256, (6, 20, 30, 3)).astype(np.uint8)
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"FFV1"), 7.5, (30, 20))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    played.session.command_queue.put("open", path)
    played.ticks(2)
    assert "5 actions are guesses" in played.note
    start = played.session.playthrough.track.start
    assert np.array_equal(start.context_frames, np.stack([fit_picture(f, 16) for f in frames]))
    assert start.context_actions.shape == (5,)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.png", b"", "not a picture that can be read"),
        ("a.png", b"<html>not found</html>", "not a picture that can be read"),
        ("a.mp4", b"\0" * 100, "video that can be read"),
        ("a.txt", b"hello", "cannot be started from"),
        ("a.npz", b"PK", "a.npz"),
        (None, b"", "There is no"),
    ],
)
def test_what_cannot_be_a_start_is_one_sentence(played, tmp_path, name, content, sentence):
    path = tmp_path / (name or "gone.png")
    if name:
        path.write_bytes(content)
    frame = played.session.frame
    played.session.command_queue.put("open", str(path))
    played.ticks(2)
    assert sentence in played.note
    assert "\n" not in played.note
    assert np.array_equal(played.session.frame, frame)


# ---- pace and drivers ----


def paced(governor, seconds, frames=40, period=0.1, now=4):
    for _ in range(frames):
        governor._made += 1
        governor._seconds.append(seconds(now))
        now = governor.steps(now, period)
    return now


def test_the_governor_keeps_the_pace_and_the_worlds_own_number():
    assert paced(StepGovernor(), lambda k: 0.01 * k) == 4
    assert paced(StepGovernor(), lambda k: 0.03 * k, frames=200) == 2
    assert paced(StepGovernor(), lambda k: 0.3 * k, frames=400) == 2  # half of the world's own
    assert paced(StepGovernor(most=2), lambda k: 0.3 * k, frames=400) == 1
    assert paced(StepGovernor(on=False), lambda k: 9.0) == 4
    assert paced(StepGovernor(), lambda k: 9.0, period=0) == 4


def test_the_governor_comes_back_and_does_not_flutter():
    """A number that was too slow is tried again, ever more seldom."""
    governor, now, changes = StepGovernor(), 4, 0
    for _ in range(2000):
        before, now = now, paced(governor, {4: 0.1, 2: 0.034}.get, frames=1, now=now)
        changes += before != now
    assert now in (2, 4)
    assert 3 <= changes <= 12
    assert paced(governor, lambda k: 0.001, frames=5000, now=1) == 4


def test_choosing_a_number_switches_the_governor_off(world):
    played = Played(world, governor=StepGovernor())
    played.key("]")
    assert played.session.steps == 2
    assert not played.session.governor.on
    played.key("\\")
    assert played.seen.status.automatic


def test_the_pace_can_be_changed(world):
    played = Played(world, fps=10.0)
    assert "5 frames a second" in played.key("ctrl+-").note
    assert "20 frames a second" in played.key("ctrl+=", "ctrl+=").note
    assert played.session.pacer.period == pytest.approx(0.05)


def test_context_noise_goes_down_and_up_in_tens(world):
    """The next frame has it, and tells it: what is dreamt after it is another dream."""
    played = Played(world, runs_on=True).ticks(1)
    assert "30 % noise" in played.key("-").note
    played.ticks(1)
    played.key("=", "=", "=").ticks(1)
    noises = [step.move.noise for step in played.seen.steps]
    assert (noises[0], min(noises), noises[-1]) == (40, 30, 60)
    assert played.seen.status.noise == 60
    assert "0 % noise" in played.key(*"-------").note
    assert "90 % noise" in played.key(*"==========").note


def test_a_world_without_context_noise_says_so(world):
    world.context_noise = None
    played = Played(world)
    assert "as they are" in played.key("=").note
    played.key("w").ticks(1)
    assert {step.move.noise for step in played.seen.steps} == {NO_NOISE}


def test_chance_drives_until_a_key_is_touched(played):
    played.key("m").ticks(5)
    assert len(played.seen.steps) >= 5
    played.key("w")
    made = len(played.seen.steps)
    assert played.seen.status.driver == "you"
    played.ticks(5)
    assert len(played.seen.steps) == made


POLICIES = """
def turn(frame, actions, rng):
    return "left"

def broken(frame, actions, rng):
    raise KeyError("goal")

def strange(frame, actions, rng):
    return 17
"""


@pytest.fixture
def driven(world, tmp_path, monkeypatch):
    """A session that a function of the player's can drive."""
    (tmp_path / "mine.py").write_text(POLICIES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)

    def drive(name):
        policy = Calls(load_function(f"mine:{name}", "--policy"), seed=0)
        drivers = Drivers(Keyboard(), [policy, RandomWalk(0)])
        return Played(world, drivers=drivers)

    return drive


def test_a_policy_drives_until_a_key_is_touched_and_picks_no_picture(driven):
    played = driven("turn").key("m")
    assert played.seen.status.driver == "policy"
    made = len(played.ticks(4).seen.actions)
    assert set(played.seen.actions) == {LEFT}
    played.key("b").ticks(12)
    assert played.session.state is State.CHOOSING
    assert len(played.seen.actions) == made
    played.key("backspace", "w")
    assert played.seen.actions[-1] == FORWARD
    assert played.seen.status.driver == "you"


@pytest.mark.parametrize(("name", "sentence"), [("broken", "goal"), ("strange", "17")])
def test_a_policy_that_fails_hands_over_and_play_goes_on(driven, name, sentence):
    """Anybody's function must not take the window down."""
    played = driven(name).key("m")
    assert sentence in played.note
    assert played.seen.status.driver == "you"
    assert played.session.state is State.PAUSED
    assert played.key("p", "w").seen.actions == [FORWARD]


# ---- keys ----


def test_own_keys(world, tmp_path):
    path = tmp_path / "keys.yaml"
    path.write_text("intents: {pause: [space], rewind: r}\nactions: {forward: [z, up]}\n")
    played = Played(world, bindings=read_bindings(path))
    keys = [key for key, name in played.keys.actions.keys.items() if name == "forward"]
    assert [key for key in keys if not key.startswith("pad ")] == ["z", "up"]
    played.key("space")
    assert played.session.state is State.PAUSED
    assert "P does nothing here" in played.keys.down("p", 0.0)
    played.key("space", "z")
    assert [step.move.action for step in played.seen.steps] == [FORWARD]


@pytest.mark.parametrize(("old", "new"), RENAMED_INTENTS.items())
def test_an_old_name_of_an_intent_is_read_with_a_warning(tmp_path, old, new):
    path = tmp_path / "keys.yaml"
    table = INTENTS if any(intent.name == new for intent in INTENTS) else REPLAY_INTENTS
    path.write_text(f"intents: {{{old}: [z]}}")
    with pytest.warns(FutureWarning, match=f"{old} is now called {new}"):
        keys = {intent.name: intent.keys for intent in read_bindings(path, table).intents}
    assert "z" in keys[new]
    path.write_text(f"intents: {{{old}: [z], {new}: [k]}}")
    with pytest.raises(ValueError, match="give one of them, not both"):
        read_bindings(path, table)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("intents: {pauze: [x]}", "no intent 'pauze'; did you mean pause?"),
        ("intents: {pause: [b]}", "Key 'b' means both 'pause' and 'action_preview'"),
        (
            "actions: {forward: [b]}",
            "means both the action 'forward' and the intent 'action_preview'",
        ),
        ("actions: {forward: [a]}", "Key 'a' means both the action 'left' and the action"),
        ("actions: {jump: [j]}", "no action 'jump'"),
        ("keys: {}", "must have the keys intents and actions"),
        ("intents: {pause: {}}", "must have a list of keys"),
        ("intents: {pick: [z]}", "must have nine keys"),
        ("intents: {scrub: [j, k]}", "scrub must have five keys"),
        ("intents: [a]", "intents must have names"),
    ],
)
def test_conflicting_keys_are_reported(world, tmp_path, text, sentence):
    path = tmp_path / "keys.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"keys\.yaml") as error:
        read_bindings(path).of(world.actions)
    assert sentence in str(error.value)


def test_every_intent_of_the_table_can_be_fulfilled(played):
    """A name in the table that nobody answers would be a key that crashes the session."""
    wished = {intent.name for intent in INTENTS if intent.how not in ("view", "hold")} - {"quit"}
    assert wished <= set(played.session._commands._table)
    assert format_keys(next(i for i in INTENTS if i.name == "save_slot")) == "Ctrl+1..9"
    bound = Bindings().of(played.place.actions)
    assert Bindings().of(bound) == bound
    on_keys = {key: name for key, name in bound.keys.items() if not key.startswith("pad ")}
    assert on_keys == played.place.actions.keys


def overlap(one, other):
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


@pytest.mark.parametrize("room", [Rect(0, 0, 640, 480), Rect(10, 5, 300, 900), Rect(0, 0, 7, 3)])
def test_panes_and_thumbnails_stay_inside(room):
    for count in (1, 2, 3, 4, 9, 24):
        ways = [grid(count, (16, 16), room), along(count, room), along(count, room, 12, True)]
        if count > 1:
            cells, figures = beside(count, (16, 16), room)
            assert not any(overlap(figures, cell) for cell in cells)
            ways.append([*cells, figures])
        for cells in ways:
            assert len(set(cells)) == len(cells) or min(room.width, room.height) < 9
            if min(room.width, room.height) > 9:
                assert all(
                    room.x <= c.x
                    and room.y <= c.y
                    and c.x + c.width <= room.x + room.width
                    and c.y + c.height <= room.y + room.height
                    for c in cells
                )


def test_a_world_that_does_not_tell_what_it_remembers_says_so(world):
    played = Played(world)
    assert "does not tell" in played.key("i").note
    assert "does not tell" in played.key("o").note


def test_what_is_remembered_is_shown_and_how_much_it_was_looked_at(tiny_world):
    from worldsim.world.model import load_world

    played = Played(load_world(tiny_world)).walk(*[2] * 12).key("o")
    assert played.note.startswith("I first shows what the dream remembers; O then marks on it")
    assert not played.seen.status.strip, "one key, one thing"
    played.key("i")
    strip = played.seen.status.strip
    groups = dict.fromkeys(pane.label for pane in strip.panes)
    assert "window" in groups
    assert "recent_coarse" in groups
    context = played.session.playthrough.track.start.context_frames
    seen = [*context, *(step.frame for step in played.seen.steps)]
    newest = [pane.frame for pane in strip.panes if pane.label == "window"]
    assert all(any(np.array_equal(frame, shown) for shown in seen) for frame in newest)
    assert np.array_equal(newest[-1], played.session.frame)
    assert strip.panes[0].heat is None
    played.key("o").walk(2)
    heats = [pane.heat for pane in played.seen.status.strip.panes]
    assert min(heats) >= 0
    assert 0 < sum(heats) <= 1
    assert "window 7" in played.seen.status.context
    played.key("i")
    assert not played.seen.status.strip


def test_watching_attention_changes_nothing_and_adds_up(tiny_world):
    """Watching must be invisible to the dream, and every look must be counted."""
    from worldsim.attention_probe import Watch
    from worldsim.memory_levels import recollect
    from worldsim.world.model import load_world

    world = load_world(tiny_world)
    spawn, watch = world.spawns[0], Watch()
    state = world.reset(spawn.frames[None], spawn.actions[None], [0])
    _, plain = world.step(state.fork(), [2])
    with watch:
        state, watched = world.step(state, [2])
    assert np.array_equal(plain, watched)
    heats = watch.heats(recollect(world, state))
    assert sum(map(sum, heats)) == pytest.approx(1, abs=1e-4)
    assert sum(heats[2]) > 0


def test_the_keys_of_the_first_minute_are_named():
    """Nothing named the keys that move until a wrong one was pressed."""
    hints = {hint.label: hint.meaning for hint in build_key_hints(load_actions("dmlab"))}
    assert {"left", "right", "forward", "rewind", "save", "truth"} <= set(hints.values())
    assert list(hints)[-1] == "F1"
    french = build_key_hints(load_actions("dmlab"), layout={**US, "w": "z", "a": "q"})
    assert ("Z", "forward", "w") in french
    assert ("Q", "left", "a") in french
