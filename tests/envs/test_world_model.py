"""The dream as an environment, on a fake world; what all environments share is in contracts/."""

import os
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from envs import world_model
from envs.world_model import WorldModelEnv


@pytest.fixture
def world(make_fake_world):
    return make_fake_world()


@pytest.fixture
def env(world):
    env = WorldModelEnv(world)
    yield env
    env.close()


class Screen:
    """A Viewer that remembers; its user closes it at a frame of choice."""

    opened: list = []  # noqa: RUF012
    closes_at = 1000

    def __init__(self, title, size, zoom):
        self.title, self.size, self.zoom = title, size, zoom
        self.frames, self.closed = [], False
        Screen.opened.append(self)

    def show(self, frame):
        assert not self.closed
        self.frames.append(frame.copy())
        return len(self.frames) < self.closes_at

    def close(self):
        self.closed = True


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setattr("worldsim.runtime.window.window.Viewer", Screen)
    monkeypatch.setattr(Screen, "opened", [])
    return Screen


def test_reset_shows_the_end_of_the_context(env, world):
    frame, info = env.reset(seed=0, options={"spawn": 1})
    assert np.array_equal(frame, world.spawns[1].frames[-1])
    assert info["frame"] == 0
    assert env.step(0)[4]["frame"] == 1


def test_the_seed_draws_the_spawn(env, world):
    starts = {env.reset(seed=seed)[0].tobytes() for seed in range(40)}
    assert starts == {spawn.frames[-1].tobytes() for spawn in world.spawns}


def test_a_chosen_spawn_leaves_the_noise_of_a_seed_alone(env, world):
    """Else a start that was drawn and the same one named would dream differently."""
    drawn, _ = env.reset(seed=3)
    following = env.step(2)[0]
    number = next(i for i, s in enumerate(world.spawns) if np.array_equal(s.frames[-1], drawn))
    env.reset(seed=3, options={"spawn": number})
    assert np.array_equal(env.step(2)[0], following)


def test_a_context_of_ones_own_is_the_start(env, world):
    spawn = world.spawns[2]
    env.reset(seed=3, options={"spawn": 2})
    following = env.step(2)[0]
    own = {"frames": spawn.frames, "actions": spawn.actions.tolist()}
    frame, _ = env.reset(seed=3, options=own)
    assert np.array_equal(frame, spawn.frames[-1])
    assert np.array_equal(env.step(2)[0], following)
    assert np.array_equal(env.context.frames, spawn.frames)
    assert np.array_equal(env.context.actions, spawn.actions)


FRAMES = np.zeros((3, 16, 16, 3), np.uint8)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spawn": 3}, r"spawn must be an integer in \[0, 2\], got 3"),
        ({"spawn": -1}, r"spawn must be an integer in \[0, 2\], got -1"),
        ({"spawn": True}, "spawn must be an integer"),
        ({"spawn": 0.5}, "spawn must be an integer"),
        ({"spawn": "first"}, "spawn must be an integer"),
        (
            {"spawns": 0},
            "must be among spawn, engine_seed, frames, actions, controls, got 'spawns'",
        ),
        ({"spawn": 0, "frames": FRAMES}, "a spawn, an engine_seed, or frames and actions, got"),
        ({"frames": FRAMES}, "needs both options"),
        ({"actions": [0, 1]}, "needs both options"),
        ({"frames": FRAMES.astype(float), "actions": [0, 1]}, "frames must be uint8"),
        ({"frames": FRAMES[:, :8], "actions": [0, 1]}, r"\[T, 16, 16, 3\], got uint8 \[3, 8, 16"),
        ({"frames": FRAMES[0], "actions": [0, 1]}, "frames must be uint8"),
        ({"frames": FRAMES[:0], "actions": []}, "must be T - 1 for T >= 1 frames"),
        ({"frames": FRAMES, "actions": [0, 1, 2]}, "actions must be T - 1"),
        ({"frames": FRAMES, "actions": [[0, 1]]}, "actions must be T - 1"),
        (
            {"frames": FRAMES, "actions": [0, 1], "controls": [[0.0, 0.5]]},
            r"controls must be \[2, 2\], one row an action, got \[1, 2\]",
        ),
        ({"frames": FRAMES, "actions": [0, 4]}, r"action must be an integer in \[0, 3\]"),
        ({"frames": FRAMES, "actions": [0, 0.5]}, "action must be an integer"),
    ],
)
def test_a_bad_start_is_one_sentence(env, options, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        env.reset(seed=0, options=options)
    assert "\n" not in str(caught.value)


def test_a_world_without_spawns_wants_a_context(make_fake_world):
    env = WorldModelEnv(make_fake_world(spawns=0))
    with pytest.raises(ValueError, match="has no spawns"):
        env.reset(seed=0)
    env.reset(seed=0, options={"frames": FRAMES, "actions": [0, 1]})


def test_context_noise_is_asked_of_the_world(tiny_world):
    """It changes what is dreamt after the frame, and not the frame itself."""

    def frames(noise, changed=None):
        env = WorldModelEnv(str(tiny_world), context_noise=noise)
        env.reset(seed=0)
        first = env.step(0)[0]
        env.context_noise = changed if changed is not None else env.context_noise
        return first, env.step(0)[0], env.step(0)[0]

    own, clean, late = frames(None), frames(0.0), frames(None, 0.0)
    assert np.array_equal(own[0], clean[0])
    assert not np.array_equal(own[1], clean[1])
    assert np.array_equal(own[1], late[1])
    assert not np.array_equal(own[2], late[2])
    env = WorldModelEnv(str(tiny_world))
    assert env.context_noise == env.world.context_noise > 0
    for noise in (-0.1, 1, "0", True, float("nan")):
        with pytest.raises(ValueError, match=r"context_noise must be a number in \[0, 1\)"):
            env.context_noise = noise


def test_sampler_steps_are_asked_of_the_world(world):
    env = WorldModelEnv(world, steps=2)
    env.reset(seed=0)
    env.step(0)
    env.steps = 4
    env.step(0)
    env.steps = None
    env.step(0)
    assert world.steps_asked == [2, 4, world.card.steps]
    assert env.steps == world.card.steps
    for steps in (0, 3, -1, 1.5, "2", True):
        with pytest.raises(ValueError, match="steps must be"):
            env.steps = steps
        with pytest.raises(ValueError, match="steps must be"):
            WorldModelEnv(world, steps=steps)


@pytest.mark.parametrize("zoom", [0, -1, 1.5, "big", True])
def test_a_bad_zoom_is_refused(world, zoom):
    with pytest.raises(ValueError, match="zoom must be an integer >= 1"):
        WorldModelEnv(world, zoom=zoom)


def test_a_state_of_another_world_is_refused(env, make_fake_world):
    """Its memory would be read by weights that never wrote it, and give noise without a word."""
    other = WorldModelEnv(make_fake_world(name="other"))
    other.reset(seed=0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="the state belongs to the world"):
        env.restore_state(other.clone_state())


def test_a_saved_state_goes_on_with_the_same_frames(env, world, tmp_path):
    env.reset(seed=0)
    shown = env.step(2)[0]
    env.save_state(tmp_path / "state.npz")
    future = [env.step(action)[0] for action in (0, 1, 2)]
    later = WorldModelEnv(world, render_mode="rgb_array")
    frame, info = later.load_state(tmp_path / "state.npz")
    assert np.array_equal(frame, shown)
    assert np.array_equal(later.render(), shown)
    assert info["frame"] == 1
    assert np.array_equal([later.step(action)[0] for action in (0, 1, 2)], future)


def test_weights_are_read_once_a_process(monkeypatch, world):
    """check_env and a vector of envs make many; each would take seconds and memory again."""
    calls = []
    load = lambda name, device: calls.append(name) or world  # noqa: E731
    monkeypatch.setattr("worldsim.world.model.load_world", load)
    world_model._load_cached.cache_clear()
    one, two = WorldModelEnv("somewhere"), WorldModelEnv("somewhere")
    assert one.world is two.world
    WorldModelEnv("elsewhere")
    assert calls == ["somewhere", "elsewhere"]
    world_model._load_cached.cache_clear()


def test_a_remembered_spawn_is_as_good_as_a_new_one(tiny, tiny_world):
    """The fast path of a second start against the slow one, on a network that is real."""
    spawn = tiny.world.spawns[1]
    own = {"frames": spawn.frames, "actions": spawn.actions}
    for seed in (3, 4, 3):
        frames = []
        for options in ({"spawn": 1}, own):
            frames.append([tiny.reset(seed=seed, options=options)[0]])
            frames[-1] += [tiny.step(action)[0] for action in (2, 0, 2)]
        assert np.array_equal(frames[0], frames[1])


def test_a_spawn_is_taken_in_once(world):
    one, two = WorldModelEnv(world), WorldModelEnv(world)
    for env in (one, two, one):
        env.reset(seed=0, options={"spawn": 1})
        env.step(2)
    assert world.resets == 1
    one.reset(seed=0, options={"spawn": 2})
    assert world.resets == 2


def test_envs_of_one_world_do_not_share_their_dream(world):
    one, two = WorldModelEnv(world), WorldModelEnv(world)
    one.reset(seed=0)
    two.reset(seed=0)
    one.step(2)
    alone = two.step(2)[0]
    two.reset(seed=0)
    assert np.array_equal(two.step(2)[0], alone)


def test_the_frame_rate_is_the_worlds(env, world):
    assert env.metadata["render_fps"] == world.card.fps
    assert WorldModelEnv.metadata["render_fps"] != 0


def test_a_window_shows_every_frame(world, screen):
    env = WorldModelEnv(world, render_mode="human", zoom=3)
    frames = [env.reset(seed=0)[0], env.step(0)[0], env.step(1)[0]]
    (opened,) = screen.opened
    assert (opened.title, opened.size, opened.zoom) == ("A fake", (16, 16), 3)
    assert np.array_equal(opened.frames, frames)
    assert env.render() is None
    env.close()
    assert opened.closed


def test_closing_the_window_ends_the_episode_and_the_env(world, screen, monkeypatch):
    """A loop that resets after every end would open the window again in its user's face."""
    monkeypatch.setattr(screen, "closes_at", 3)
    env = WorldModelEnv(world, render_mode="human")
    env.reset(seed=0)
    assert env.step(0)[3] is False
    assert env.step(0)[3] is True
    assert screen.opened[0].closed
    for call in (env.reset, lambda: env.step(0)):
        with pytest.raises(gymnasium.error.ClosedEnvironmentError, match="window was closed"):
            call()
    assert len(screen.opened) == 1


def test_without_human_mode_no_window_is_opened(env, screen):
    env.reset(seed=0)
    env.step(0)
    assert screen.opened == []


def test_the_close_button_of_a_real_window_works(world, display, monkeypatch):
    import pygame

    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setattr(world.card, "fps", 100.0)
    env = WorldModelEnv(world, render_mode="human", zoom=2)
    env.reset(seed=0)
    assert pygame.display.get_driver() == "x11"
    assert pygame.display.get_window_size() == (32, 32)
    assert env.step(0)[3] is False
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    assert env.step(0)[3] is True
    assert not pygame.display.get_init()


def test_a_window_and_an_engine_live_in_one_thread(tiny_world, display, engine):
    """Two users of OpenGL took the process down with an X error, which no except can catch."""
    code = f"""
import gymnasium, worldsim
maze = gymnasium.make("Maze-v0")
maze.reset(seed=0)
dream = gymnasium.make("FARDMLab-v0", world={str(tiny_world)!r}, render_mode="human")
dream.reset(seed=0)
maze.step(0), dream.step(0), maze.step(0)
print("alive")
"""
    environ = {**os.environ, "DISPLAY": display}
    environ.pop("SDL_VIDEODRIVER", None)
    run = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=300
    )
    assert run.stdout.endswith("alive\n"), run.stderr


def test_without_a_display_a_sentence_says_so(world, monkeypatch):
    """SDL plays to nobody without a word otherwise."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="no display") as caught:
        WorldModelEnv(world, render_mode="human").reset(seed=0)
    for advice in ("SDL_VIDEODRIVER=dummy", 'render_mode="rgb_array"'):
        assert advice in str(caught.value)
    assert "--" not in str(caught.value)  # no option of a program: this is a library
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = WorldModelEnv(world, render_mode="human")
    env.reset(seed=0)
    assert env.step(0)[3] is False
    env.close()


@pytest.fixture
def tiny(tiny_world):
    env = WorldModelEnv(tiny_world)
    yield env
    env.close()


def test_a_real_world_saves_and_loads(tiny, tmp_path):
    tiny.reset(seed=0)
    shown = tiny.step(2)[0]
    tiny.save_state(tmp_path / "state")
    future = [tiny.step(action)[0] for action in (0, 1, 2)]
    frame, _ = tiny.load_state(tmp_path / "state")
    assert np.array_equal(frame, shown)
    assert np.array_equal([tiny.step(action)[0] for action in (0, 1, 2)], future)


def test_a_damaged_save_is_one_sentence_and_changes_nothing(tiny, tmp_path):
    tiny.reset(seed=0)
    tiny.save_state(tmp_path / "state")
    whole = (tmp_path / "state").read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    expected = tiny.step(2)[0]
    tiny.load_state(tmp_path / "state")
    for number, content in enumerate([b"", whole[:-100], b"<html>", bytes(flipped)]):
        path = tmp_path / f"damaged-{number}"
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged") as caught:
            tiny.load_state(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="no file"):
        tiny.load_state(tmp_path / "none")
    assert np.array_equal(tiny.step(2)[0], expected)


def test_more_sampler_steps_give_another_frame(tiny):
    frames = []
    for steps in (1, 2, 4):
        tiny.steps = steps
        tiny.reset(seed=0, options={"spawn": 0})
        frames.append(tiny.step(2)[0])
    assert not np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[1], frames[2])


# ---- true frames ----


@pytest.fixture(params=["tiny_world", "tiny_spatial_world"])
def real(request):
    env = WorldModelEnv(request.getfixturevalue(request.param))
    yield env
    env.close()


def test_a_true_frame_that_is_taken_in_is_context(real):
    """A dream that was shown how it truly went on is one that began later."""
    spawn = real.world.spawns[0]
    own = {"frames": spawn.frames, "actions": spawn.actions}
    _, at_end = real.reset(seed=3, options=own)
    following = [real.step(action)[0] for action in (2, 0, 2)]
    real.reset(seed=3, options={"frames": spawn.frames[:-2], "actions": spawn.actions[:-2]})
    for frame, action in zip(spawn.frames[-2:], spawn.actions[-2:], strict=True):
        shown, info = real.observe(frame, int(action))
        assert np.array_equal(shown, frame)
    assert info.keys() == at_end.keys()
    assert all(np.array_equal(info[name], at_end[name]) for name in info)
    here = real.clone_state()
    assert np.array_equal(here.frame, spawn.frames[-1])
    assert np.array_equal([real.step(action)[0] for action in (2, 0, 2)], following)
    real.restore_state(here)
    assert np.array_equal(real.step(2)[0], following[0])


def test_a_frame_or_action_that_does_not_fit_changes_nothing(real):
    real.reset(seed=0)
    frame = real.world.spawns[1].frames[0]
    expected = real.clone_state()
    for wrong, action in ((frame[:8], 0), (frame.astype(float), 0), (frame, 4), (frame, 0.5)):
        with pytest.raises(ValueError, match="must be"):
            real.observe(wrong, action)
    after = real.step(2)[0]
    real.restore_state(expected)
    assert np.array_equal(real.step(2)[0], after)


def test_a_true_frame_may_have_been_led_to_by_numbers(tiny_spatial_world):
    env = WorldModelEnv(tiny_spatial_world)
    spawn = env.world.spawns[0]
    own = {"frames": spawn.frames[:2], "actions": [2], "controls": [[7.5, 0.5]]}
    _, told = env.reset(seed=0, options=own)
    following = env.step(2)[0]
    env.reset(seed=0, options={"frames": spawn.frames[:1], "actions": []})
    _, info = env.observe(spawn.frames[1], np.array([7.5, 0.5], np.float32))
    assert np.array_equal(info["pose"], told["pose"])
    assert np.array_equal(env.step(2)[0], following)
    env.close()
