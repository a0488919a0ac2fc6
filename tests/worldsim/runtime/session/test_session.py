"""The session without a screen: keys, pace, pausing, rewinding, saving, faults."""

import itertools
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.world_model import WorldModelEnv
from tests.support import players
from tests.support.players import FakeClock, Seen
from worldsim import runtime
from worldsim.actions import load_actions, parse_actions
from worldsim.runtime.core.clock import Pacer
from worldsim.runtime.core.control import Keyboard, Latch, RandomWalk, Script
from worldsim.runtime.core.intents import INTENTS, Intent, build_help_rows, check_keys
from worldsim.runtime.core.loading_stage import LoadingStage
from worldsim.runtime.core.playable_env import PlayableEnv
from worldsim.runtime.core.state_history import History, Moment
from worldsim.runtime.core.status import Status, format_hud
from worldsim.runtime.recording.saves import Saves
from worldsim.runtime.session.loading import LoadedWorld, WorldLoader
from worldsim.runtime.session.session import Session
from worldsim.runtime.session.state import State

LEFT, RIGHT, FORWARD, STAND = range(4)


def make_place(world, **changes):
    """A place in a fake world; `changes` replace attributes of its environment."""
    env = WorldModelEnv(world)
    for name, value in changes.items():
        setattr(env, name, value)
    return PlayableEnv(env, "FARDMLab-v0", {"world": world.card.name})


def without_idle(world):
    rows = [
        {"name": name, "keys": keys, "turn": turn}
        for name, keys, turn in (("left", ["a"], 9), ("right", ["d"], -9), ("forward", ["w"], 0))
    ]
    table = {"actions": rows, "idle": None, "published": 3}
    world.actions = parse_actions("test", table)
    return world


class Played(players.Played):
    """A session on a fake world."""

    def __init__(self, world, controller=None, place=None, **options):
        super().__init__(
            LoadedWorld(place or make_place(world)), controller or Keyboard(), **options
        )


@pytest.fixture
def world(make_fake_world):
    return make_fake_world()


@pytest.fixture
def played(world):
    return Played(world)


def scripted(world, actions, **options):
    return Played(world, Script(actions), **options).ticks(len(actions))


def frames(played):
    return [step.frame for step in played.seen.steps]


def runtime_calls():
    """The functions of worldsim/runtime that are being called, the outermost first."""
    stack = traceback.extract_stack()
    ours = str(Path(runtime.__file__).parent)
    return [call.name for call in stack if call.filename.startswith(ours)]


def test_a_key_press_is_seven_calls_from_its_frame(world, monkeypatch):
    """Two from the window's thread into the latch, five from there to the environment."""
    played, calls = Played(world), {}
    press, step = Latch.press, WorldModelEnv.step

    def pressed(*given):
        calls["press"] = [*runtime_calls(), "press"]
        return press(*given)

    def stepped(*given):
        calls["step"] = [*runtime_calls(), "step"]
        return step(*given)

    monkeypatch.setattr(Latch, "press", pressed)
    monkeypatch.setattr(WorldModelEnv, "step", stepped)
    played.press("w")
    played.ticks()
    assert played.session.made == 1
    assert calls["press"] == ["down", "press"]
    assert calls["step"] == ["tick", "_tick_play", "_make", "make", "step", "step"]
    assert len(calls["press"]) + len(calls["step"][:-1]) == 7


# ---- opening ----


def test_the_preview_is_shown_while_the_world_opens(world):
    """A first picture must not wait for the network."""
    preview = np.full((16, 16, 3), 7, np.uint8)
    seen = Seen()

    class Slow(WorldLoader):
        def stages(self, seed, spawn):
            yield LoadingStage("loading", 0.2)
            self.place = make_place(world)

    opening = Slow("FARDMLab-v0", preview=preview)
    session = Session(opening, Script([]), seed=0, sinks=[seen], clock=FakeClock())
    session.tick()
    frame, status = seen.shown[-1]
    assert np.array_equal(frame, preview)
    assert (status.doing, status.progress) == ("loading", 0.2)
    session.tick()
    assert session.state is State.WAITING
    assert seen.shown[-1][1].progress is None


def test_requests_while_opening_do_nothing(world):
    session = Session(LoadedWorld(make_place(world)), Keyboard(), seed=0, clock=FakeClock())
    session.command_queue.put("rewind")
    session.command_queue.put("one_step")
    session.tick()
    assert session.made == 0


def test_the_first_frame_is_the_end_of_the_context(world):
    played = Played(world, spawn=2)
    assert np.array_equal(played.session.frame, world.spawns[2].frames[-1])


def test_a_spawn_that_is_not_there_is_one_sentence(world):
    with pytest.raises(ValueError, match="no spawn 9"):
        Played(world, spawn=9)


def test_colliding_keys_are_refused(world):
    table = {
        "actions": [{"name": "peek", "keys": ["p", "x"], "turn": 0}],
        "idle": None,
        "published": 1,
    }
    world.actions = parse_actions("clash", table)
    with pytest.raises(ValueError, match="'p' means both the action 'peek' and the intent 'pause'"):
        Played(world)


def test_an_environment_without_actions_is_refused(world):
    env = SimpleNamespace(unwrapped=SimpleNamespace())
    with pytest.raises(ValueError, match="no `actions` table"):
        PlayableEnv(env, "CartPole-v1", {})


# ---- keys ----


def test_the_tables_of_keys_agree():
    check_keys(load_actions("dmlab"))
    rows = dict(build_help_rows(load_actions("dmlab")))
    assert rows["W Up"] == "forward"
    assert {intent.help for intent in INTENTS} <= set(rows.values())


def test_two_intents_on_one_key_are_refused():
    twice = (Intent(name="one", keys=("q",), help=""), Intent(name="two", keys=("q",), help=""))
    with pytest.raises(ValueError, match="'q' means both the intent 'one' and the intent 'two'"):
        check_keys(load_actions("dmlab"), twice)


def test_a_tap_between_two_frames_acts_once(played):
    played.tap("w")
    played.ticks(3)
    assert played.seen.actions == [FORWARD]


def test_many_taps_act_once(played):
    """Presses must not pile up behind a slow network."""
    for _ in range(5):
        played.tap("w")
    played.ticks(4)
    assert played.seen.actions == [FORWARD]


def test_a_held_key_acts_in_every_frame_until_it_comes_up(played):
    played.press("up")
    played.ticks(3)
    played.keys.up("up")
    played.ticks(3)
    assert played.seen.actions == [FORWARD] * 3


def test_the_newest_key_wins_and_the_older_comes_back(played):
    played.press("w")
    played.ticks()
    played.clock.sleep(0.1)
    played.tap("a")
    played.ticks(2)
    assert played.seen.actions == [FORWARD, LEFT, FORWARD]


def test_opposite_keys_cancel(played):
    played.press("a")
    played.press("d")
    played.ticks(2)
    assert played.seen.actions == []
    played.keys.up("d")
    played.ticks()
    assert played.seen.actions == [LEFT]


def test_losing_the_keyboard_lets_go_of_all_keys(played):
    """A release that goes to another window would leave the key down for ever."""
    played.press("w")
    played.press("backspace")
    played.keys.lost()
    played.ticks(3)
    assert played.seen.actions == []
    assert played.session.state is State.WAITING


def test_an_unbound_key_gives_a_hint(played):
    assert "K does nothing here" in played.tap("k")
    assert "W Up forward" in played.tap("k")
    assert played.seen.actions == []


def test_a_press_during_a_pause_does_nothing_later(played):
    played.tap("p")
    played.ticks()
    played.tap("w")
    played.ticks()
    played.tap("p")
    played.ticks(3)
    assert played.seen.actions == []


def test_the_time_of_the_press_reaches_the_sinks(played):
    pressed = played.clock.now()
    played.press("w")
    played.clock.sleep(0.3)
    played.ticks(2)
    assert [step.pressed_at for step in played.seen.steps] == [pressed, None]


# ---- waiting, running on, pausing, stepping ----


def test_the_world_runs_on_where_it_can_stand(world):
    played = Played(world, runs_on=None).ticks(3)
    assert played.seen.actions == [STAND] * 3
    played.tap("t")
    played.ticks(3)
    assert len(played.seen.actions) == 3
    assert played.session.state is State.WAITING


def test_a_world_without_standing_waits_and_says_so(world):
    played = Played(without_idle(world), runs_on=True).ticks(3)
    assert played.seen.actions == []
    played.tap("t")
    played.ticks()
    assert "waits for a key" in played.note


def test_pause_and_single_steps(world):
    played = Played(world, runs_on=True).ticks(2)
    played.tap("p")
    played.ticks(5)
    assert played.session.state is State.PAUSED
    assert len(played.seen.steps) == 2
    played.tap("n")
    played.ticks(5)
    played.press("d")
    played.tap("e")
    played.ticks(5)
    played.keys.up("d")
    played.tap(".")
    played.ticks(1)
    assert played.seen.actions == [STAND, STAND, STAND, RIGHT, STAND]


def test_a_step_without_a_key_repeats_the_last_move_where_nobody_can_stand(world):
    played = Played(without_idle(world))
    played.tap("n")
    played.ticks()
    assert "Hold the key" in played.note
    played.tap("a")
    played.ticks()
    assert played.seen.actions == []
    played.press("a")
    played.tap("n")
    played.ticks()
    played.keys.up("a")
    played.tap("n")
    played.ticks()
    assert played.seen.actions == [LEFT, LEFT]


def test_a_toggle_pressed_twice_is_nothing(played):
    played.tap("p")
    played.tap("p")
    played.ticks()
    assert played.session.state is State.WAITING


@pytest.mark.parametrize("fps", [10, 7.5])
def test_the_pace_is_kept_and_lost_time_is_not_made_up_for(world, fps):
    clock, times = FakeClock(), []
    pacer = Pacer(fps, clock)
    for number in range(6):
        clock.sleep(pacer.remaining())
        pacer.beat()
        times.append(clock.now())
        clock.sleep(5 if number == 2 else 0.01)
    gaps = np.diff(times) * fps
    assert np.allclose(gaps[[0, 1, 3, 4]], 1)
    assert gaps[2] > 5


def test_the_session_keeps_the_worlds_pace(world):
    played = Played(world, fps=None, runs_on=True)
    began = played.clock.now()
    played.session.run(frames=10)
    assert played.clock.now() - began == pytest.approx(9 / 7.5, abs=0.02)


@pytest.mark.parametrize("fps", [-1, float("inf"), float("nan")])
def test_a_strange_pace_is_refused(fps):
    with pytest.raises(ValueError, match="fps must be >= 0"):
        Pacer(fps)


def test_sampler_steps_go_to_the_world_from_the_next_frame_on(world):
    played = Played(world, Script([]), runs_on=True).ticks(1)
    played.session.command_queue.put("more_steps")
    played.ticks(1)
    played.session.command_queue.put("more_steps")
    played.ticks(1)
    played.session.command_queue.put("fewer_steps")
    played.ticks(1)
    assert world.steps_asked == [1, 2, 4, 2]
    assert [step.move.steps for step in played.seen.steps] == [1, 2, 4, 2]


def test_a_pause_does_not_count_as_time_between_frames(world):
    played = Played(world, Script([2] * 40), fps=10)
    for _ in range(400):
        if not played.session.tick():
            played.clock.sleep(0.005)
    before = played.seen.status.fps
    played.clock.sleep(60)
    for _ in range(300):
        if not played.session.tick():
            played.clock.sleep(0.005)
    assert before == pytest.approx(10, abs=1)
    assert played.seen.status.fps == pytest.approx(10, abs=1)


# ---- starts ----


def test_the_same_start_again_gives_the_same_frames(world):
    played = scripted(world, [2, 0, 2])
    first = frames(played)
    played.session.controller = Script([2, 0, 2])
    played.session.command_queue.put("same_start")
    played.ticks(4)
    assert np.array_equal(frames(played)[3:], first)


def test_new_starts_differ_and_follow_from_the_seed(world):
    def seeds(played):
        for _ in range(3):
            played.session.command_queue.put("new_start")
            played.ticks()
        return [point.start.seed for point in played.seen.lines]

    first, second = seeds(Played(world, seed=5)), seeds(Played(world, seed=5))
    assert first == second
    assert first[0] == 5
    assert len(set(first)) == 4


# ---- rewinding ----


@pytest.mark.parametrize("back", [1, 2, 5, 31, 32, 33, 90])
def test_going_back_and_doing_the_same_gives_the_same_frames(world, back):
    actions = np.random.default_rng(back).integers(0, 4, 100).tolist()
    played = scripted(world, actions)
    played.session.rewind(back)
    played.settle()
    assert played.session.playthrough.track.number == 100 - back
    played.session.controller = Script(actions[100 - back :])
    played.ticks(back + 1)
    assert np.array_equal(frames(played)[100:], frames(played)[100 - back : 100])


def test_another_way_after_going_back_is_as_if_never_gone(world):
    played = scripted(world, [2, 2, 2, 2, 2])
    played.session.rewind(3)
    played.settle()
    played.session.controller = Script([0, 1])
    played.ticks(3)
    straight = scripted(world, [2, 2, 0, 1])
    assert np.array_equal(frames(played)[5:], frames(straight)[2:])


def test_holding_the_key_shows_the_past_at_once_and_costs_no_network(world):
    played = Played(world, runs_on=True).ticks(40)
    made = list(world.steps_asked)
    played.press("backspace")
    for _ in range(10):
        played.ticks()
        played.clock.sleep(1)
    assert played.session.state is State.REWINDING
    assert world.steps_asked == made
    assert np.array_equal(played.session.frame, frames(played)[40 - 10 - 1])
    assert played.seen.shown[-1][1].number == 30
    played.keys.up("backspace")
    played.clock.sleep(1)
    played.settle()
    assert played.session.playthrough.track.number == 30
    assert len(world.steps_asked) - len(made) <= 3


def test_a_tap_goes_back_one_frame(world):
    played = scripted(world, [2, 2, 2])
    played.keys.down("backspace", 0)
    played.keys.up("backspace")
    played.ticks()
    played.clock.sleep(1)
    played.settle()
    assert played.session.playthrough.track.number == 2


def test_going_back_while_paused_stays_paused(world):
    played = scripted(world, [2] * 6)
    played.session.pause()
    played.session.rewind(2)
    played.settle()
    assert played.session.state is State.PAUSED


def test_going_back_ends_at_the_start(world):
    played = scripted(world, [2] * 6)
    played.session.rewind(100)
    played.settle()
    assert played.session.playthrough.track.number == 0


def test_a_new_start_cuts_a_journey_short(world):
    played = scripted(world, [2] * 30)
    played.session.rewind(7)
    played.session.command_queue.put("new_start")
    played.ticks()
    assert played.session.state is State.WAITING
    assert played.session.playthrough.track.number == 0


def test_a_world_that_forgets_says_so(world):
    place = make_place(world)
    place.rewinds = False
    played = Played(world, place=place, runs_on=True).ticks(3)
    played.session.rewind(1)
    played.ticks()
    assert "cannot go back" in played.note


def test_a_world_that_is_not_deterministic_is_found_out(world):
    played = scripted(world, [2] * 7)
    world.step = lambda state, actions, *how: (state, np.zeros((1, 16, 16, 3), np.uint8))
    played.session.rewind(1)
    played.settle()
    played.ticks()
    assert "not deterministic" in played.note


@given(st.data())
def test_history_finds_a_near_state_and_stays_small(data):
    """Flat memory: neither moments nor states may grow with the hours."""
    how = {"sparse": 8, "dense": 2, "budget": 8, "weigh": lambda state: 1}
    history = History(0, Moment(frame=None), "state 0", **how)
    last = data.draw(st.integers(0, 200))
    for number in range(1, last + 1):
        state = f"state {number}" if history.wants_state(number) else None
        history.add(number, Moment(frame=number), state)
        assert len(history._moments) <= 8 * 5
        assert len(history._states) <= 3 + 8 // 2
    wanted = data.draw(st.integers(history.first, last))
    found, state = history.keyframe(wanted)
    assert state == f"state {found}"
    assert 0 <= wanted - found < (2 if wanted > last - 8 else 8)
    assert history.first <= max(0, last - 2 * 8)
    history.cut(wanted)
    assert history.last == wanted


# ---- quick saves ----


def test_what_is_asked_for_on_a_journey_waits_for_its_end(world, tmp_path):
    """Backspace let go and Ctrl+3 at once: the save is of the place that one went back to."""
    played = scripted(world, [2, 0, 2, 1], saves=Saves(tmp_path))
    played.press("backspace")
    played.ticks()
    assert played.session.state is State.REWINDING
    played.keys.up("backspace")
    played.tap("ctrl+3")
    played.clock.sleep(0.2)
    played.ticks()
    assert played.note == "One moment."
    assert not list(tmp_path.rglob("line.npz"))
    played.settle()
    played.ticks()
    assert "slot-3" in played.note
    number = played.number
    played.ticks(5).tap("3")
    played.ticks().settle()
    assert played.number == number == 3


def test_what_is_asked_for_in_one_breath_with_a_journey_waits_for_its_end_too(world, tmp_path):
    played = Played(world, Script([2, 0, 2, 1]), saves=Saves(tmp_path)).ticks(2)
    saved = played.number
    played.session.save(3)
    played.ticks(2)
    assert played.number > saved
    played.session.command_queue.put("pick", 2)
    played.session.command_queue.put("pause")
    played.ticks().settle().ticks(2)
    assert played.session.state is State.PAUSED
    assert played.number == saved


def test_a_new_start_on_a_journey_makes_void_what_waited(world, tmp_path):
    played = scripted(world, [2, 0, 2, 1], saves=Saves(tmp_path))
    played.press("backspace")
    played.ticks()
    played.tap("ctrl+3")
    played.ticks().tap("return")
    played.keys.up("backspace")
    played.ticks(2).settle().ticks(2)
    assert not list(tmp_path.rglob("line.npz"))


def test_a_save_outlives_the_program_and_goes_on_exactly(world, make_fake_world, tmp_path):
    played = scripted(world, [2, 0, 2, 1], saves=Saves(tmp_path))
    played.session.command_queue.put("save")
    played.session.controller = Script([1, 2])
    played.ticks(3)
    later = Played(make_fake_world(), Script([1, 2]), saves=Saves(tmp_path), seed=9)
    later.session.command_queue.put("load")
    later.ticks()
    later.settle()
    assert later.session.playthrough.track.number == 4
    later.session.controller = Script([1, 2])
    later.ticks(2)
    assert np.array_equal(frames(later)[-2:], frames(played)[-2:])


def test_a_saved_line_is_kept_without_the_state_of_the_world(world, tmp_path):
    """An engine writes no state: the moves are made again."""
    place = make_place(world)
    place.saves_state = False
    played = Played(world, Script([2, 0, 2]), place=place, saves=Saves(tmp_path)).ticks(3)
    saved = played.session.frame
    played.session.save()
    played.session.new_start()
    played.session.load()
    played.settle()
    assert np.array_equal(played.session.frame, saved)
    assert played.session.playthrough.track.number == 3


def test_going_back_after_a_load_stops_where_it_began(world, tmp_path):
    played = scripted(world, [2] * 5, saves=Saves(tmp_path))
    played.session.save()
    played.session.load()
    played.settle()
    played.session.rewind(3)
    played.settle()
    assert played.session.playthrough.track.number == 5


def test_the_newest_save_wins_and_older_ones_go(world, tmp_path):
    played = scripted(world, [2, 2], saves=Saves(tmp_path))
    played.session.save()
    played.session.controller = Script([0])
    played.ticks(2)
    played.session.save()
    assert len(list(tmp_path.glob("*/*"))) == 1
    played.session.load()
    played.settle()
    assert played.session.playthrough.track.number == 3


def test_another_worlds_save_is_refused(world, make_fake_world, tmp_path):
    saves = Saves(tmp_path)
    scripted(world, [2], saves=saves).session.save()
    (tmp_path / "fake").rename(tmp_path / "other")
    other = Played(make_fake_world(name="other"), saves=saves)
    other.session.command_queue.put("load")
    other.ticks()
    assert "is a save of fake" in other.note
    assert other.session.state is State.WAITING


def test_nothing_to_load_is_one_sentence(world, tmp_path):
    played = Played(world, saves=Saves(tmp_path / "none"))
    played.session.command_queue.put("load")
    played.ticks()
    assert "no quick save" in played.note


def test_a_damaged_save_is_one_sentence(world, tmp_path):
    played = scripted(world, [2], saves=Saves(tmp_path))
    path = played.session.saves.save(played.session.playthrough.track) / "line.npz"
    path.write_bytes(path.read_bytes()[:200])
    played.session.command_queue.put("load")
    played.ticks()
    assert "is damaged" in played.note


def test_a_save_that_cannot_be_written_is_told_and_leaves_nothing(world, tmp_path):
    (tmp_path / "saves").write_text("a file")
    played = scripted(world, [2], saves=Saves(tmp_path / "saves"))
    played.session.command_queue.put("save")
    played.ticks()
    assert "saves" in played.note
    assert played.session.state is not State.CLOSED


# ---- faults and ends ----


def failing(world, at):
    """A world that fails once, at its step number `at`."""
    count, step = itertools.count(1), world.step

    def step_or_fail(state, actions, *how):
        if next(count) == at:
            state.alive = False
            raise ValueError("the dream ran away")
        return step(state, actions, *how)

    world.step = step_or_fail
    return world


def test_after_a_fault_play_goes_on_exactly_where_it_was(world, make_fake_world):
    actions = [2, 0, 2, 2, 1, 1, 2]
    played = Played(failing(world, at=6), Script([*actions[:5], 3])).ticks(6)
    assert played.session.state is State.PAUSED
    assert "ran away" in played.note
    assert len(played.seen.steps) == 5
    played.session.controller = Script([3, *actions[5:]])
    played.session.pause()
    played.ticks()
    played.settle()
    played.ticks(3)
    assert np.array_equal(frames(played), frames(scripted(make_fake_world(), actions)))


def test_a_lost_world_is_not_saved(world, tmp_path):
    played = Played(failing(world, at=2), Script([2, 2]), saves=Saves(tmp_path)).ticks(2)
    played.session.command_queue.put("save")
    played.ticks()
    assert "before saving" in played.note


def test_unattended_a_fault_raises(world):
    with pytest.raises(ValueError, match="ran away"):
        Played(failing(world, at=3), RandomWalk(0), endless=True).session.run(frames=10)


class Ending:
    """An environment whose episodes are three steps long."""

    def __init__(self, env):
        self.env, self.unwrapped, self.metadata, self.count = env, env, env.metadata, 0

    def reset(self, **options):
        self.count = 0
        return self.env.reset(**options)

    def step(self, action):
        self.count += 1
        frame, reward, _, _, info = self.env.step(action)
        return frame, reward, self.count == 3, False, info

    def close(self):
        self.env.close()


def test_an_episode_that_is_over_waits_for_a_new_start(world):
    place = PlayableEnv(Ending(WorldModelEnv(world)), "Ending-v0", {})
    played = Played(world, place=place, runs_on=True).ticks(6)
    assert len(played.seen.steps) == 3
    assert "The episode is over" in played.note
    played.tap("n")
    played.ticks()
    assert len(played.seen.steps) == 3
    played.tap("return")
    played.ticks()
    assert len(played.seen.steps) == 4


def test_unattended_a_new_start_follows_an_end(world):
    place = PlayableEnv(Ending(WorldModelEnv(world)), "Ending-v0", {})
    played = Played(world, RandomWalk(0), place=place, endless=True)
    played.session.run(frames=8)
    assert [step.number for step in played.seen.steps] == [1, 2, 3, 1, 2, 3, 1, 2]


def test_quitting_closes_everything_once(world):
    played = Played(world, runs_on=True).ticks(2)
    played.tap("escape")
    played.session.run()
    played.session.close()
    assert played.session.state is State.CLOSED
    assert played.seen.closed == 1
    assert played.seen.ends == ["closed"]


def test_a_session_that_fails_to_open_closes_its_sinks(world):
    class Broken(WorldLoader):
        def stages(self, seed, spawn):
            yield LoadingStage("loading", 0.1)
            raise ValueError("no such world")

    seen = Seen()
    session = Session(Broken("X-v0"), Script([]), seed=0, sinks=[seen], clock=FakeClock())
    with pytest.raises(ValueError, match="no such world"):
        session.run()
    assert seen.closed == 1


def test_lines_are_told_without_gaps(world):
    """Between `begin` and `end` every step follows the one before."""
    played = scripted(world, [2, 2, 2])
    played.session.new_start()
    played.session.rewind(0)
    played.settle()
    played.session.close()
    assert len(played.seen.lines) == len(played.seen.ends)
    assert played.seen.ends == ["new start", "closed"]


def test_hud_lines_have_all_figures():
    status = Status(
        title="A maze", state="running", driver="you", action="left", held=("a",), number=12,
        fps=7.4, fps_shown=7.3, p50_ms=80, p99_ms=120, photon_ms=95, steps=2, seed=5,
        recording="REC 9",
    )  # fmt: skip
    text = " ".join(format_hud(status))
    for part in ("A maze", "playing", "frame 12", "seed 5", "2 sampler steps", "7.4", "7.3", "80",
                 "120", "95", "left", "REC 9"):  # fmt: skip
        assert part in text


@given(
    st.lists(st.sampled_from(["press a", "up a", "press d", "up d", "press w", "up w", "frame"]))
)
def test_no_key_is_lost_or_repeated(events):
    """A model of the latch: each press acts at least once unless its opposite does, none twice."""
    latch, down, fresh = Latch(), set(), set()
    for time, event in enumerate(events):
        verb, _, key = event.partition(" ")
        if verb == "press":
            latch.press(key, time)
            down.add(key)
            fresh.add(key)
        elif verb == "up":
            latch.release(key)
            down.discard(key)
        else:
            assert set(latch.take()) == down | fresh
            fresh.clear()
