"""Worlds as files and dreams as states: continued exactly, and refused in one sentence when they
are not what they say.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from worldsim.evaluate.bench.timing import resident_mb
from worldsim.reading import MOST_LETTERS
from worldsim.world.checkpoint import (
    MANIFEST,
    WEIGHTS,
    WorldError,
    load_training,
    load_weights,
    write_manifest,
)
from worldsim.world.model import draw_frame_noise, load_world


@pytest.fixture
def world(tiny_world):
    return load_world(tiny_world)


@pytest.fixture
def copy(tiny_world, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_world, tmp_path / "copy"))


def begin(world, seeds=(0,), frames: int = 4):
    rng = np.random.default_rng(1)
    size = world.card.frame_size
    shown = rng.integers(0, 255, (len(seeds), frames, size, size, 3), dtype=np.uint8)
    shown[:] = shown[:1]
    return world.reset(shown, np.zeros((len(seeds), frames - 1), int), list(seeds))


def dream(world, state, actions):
    frames = []
    for action in actions:
        state, frame = world.step(state, [action] * state.batch)
        frames.append(frame)
    return np.stack(frames)


def test_same_seed_same_dream_and_another_seed_another(world):
    one, again, other = (dream(world, begin(world, [seed]), [0, 1, 2, 2]) for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


def test_a_fork_continues_alike_and_leaves_the_original_alone(world):
    state = begin(world)
    dream(world, state, [0, 2])
    fork = state.fork()
    expected = dream(world, fork, [2, 1, 2])
    assert (dream(world, state.fork(), [2, 1, 2]) == expected).all()
    assert (dream(world, state, [2, 1, 2]) == expected).all()


def test_frames_belong_to_the_caller(world):
    state = begin(world)
    state, first = world.step(state, [0])
    kept = first.copy()
    world.step(state, [1])
    assert (first == kept).all()


def test_rows_of_a_batch_do_not_see_each_other(world):
    """The second dream acts differently; the first must not notice (up to the last bit of a
    float).
    """
    alone = dream(world, begin(world, [0]), [2, 2, 2])
    state = begin(world, [0, 5])
    for t in range(3):
        state, frames = world.step(state, [2, t % 2])
        assert np.abs(frames[0].astype(int) - alone[t, 0]).max() <= 1


def test_selected_rows_continue(world):
    state = begin(world, [0, 5])
    dream(world, state, [2, 0])
    chosen = state.select([1])
    both = dream(world, state, [1])
    assert np.abs(dream(world, chosen, [1])[0, 0].astype(int) - both[0, 1]).max() <= 1


def test_a_saved_state_continues_in_another_process(world, tiny_world, tmp_path):
    state = begin(world)
    dream(world, state, [0, 2])
    state.save(tmp_path / "state.safetensors")
    expected = dream(world, state, [1, 2])
    code = f"""
import numpy as np
from worldsim.world.model import load_world
world = load_world({str(tiny_world)!r})
state = world.load_state({str(tmp_path / "state.safetensors")!r})
frames = []
for action in (1, 2):
    state, frame = world.step(state, [action])
    frames.append(frame)
np.save({str(tmp_path / "frames.npy")!r}, np.stack(frames))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (np.load(tmp_path / "frames.npy") == expected).all()


def without(tensors, meta):
    tensors.pop(sorted(tensors)[0])


def with_another(tensors, meta):
    tensors["odd"] = torch.zeros(3)


def misshapen(tensors, meta):
    name = max(tensors, key=lambda one: tensors[one].ndim)
    tensors[name] = torch.cat([tensors[name]] * 2)


def of_another_type(tensors, meta):
    name = next(one for one in sorted(tensors) if tensors[one].is_floating_point())
    tensors[name] = tensors[name].double()


def not_finite(tensors, meta):
    name = next(one for one, t in sorted(tensors.items()) if t.is_floating_point() and t.numel())
    tensors[name] = torch.full_like(tensors[name], float("nan"))


def of_thousands(tensors, meta):
    meta |= {"seeds": str([1] * 4096), "counts": str([1] * 4096)}


def counted_far(tensors, meta):
    meta["counts"] = "[" + "9" * 30 + "]"


@pytest.mark.parametrize(
    "change",
    [without, with_another, misshapen, of_another_type, not_finite, of_thousands, counted_far],
)
def test_a_state_that_does_not_fit_is_refused_before_it_is_used(world, tmp_path, change):
    """It broke at the next step, when the running dream was gone; thousands took gigabytes."""
    state = begin(world)
    state.save(tmp_path / "state")
    with safe_open(tmp_path / "state", "pt") as file:
        meta, names = dict(file.metadata()), list(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    change(tensors, meta)
    save_file(tensors, tmp_path / "odd", metadata=meta)
    before = resident_mb()
    with pytest.raises(WorldError, match="odd is not a saved state") as caught:
        world.load_state(tmp_path / "odd")
    assert len(str(caught.value)) <= MOST_LETTERS
    assert resident_mb() - before < 300
    again = world.load_state(tmp_path / "state")
    assert (dream(world, again, [1, 2]) == dream(world, state, [1, 2])).all()


def test_a_state_of_another_world_is_refused(world, copy, tmp_path):
    state = begin(world)
    state.save(tmp_path / "state.safetensors")
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(card | {"fps": 1.0}))
    write_manifest(copy)
    other = load_world(copy)
    with pytest.raises(WorldError, match="saved in another world"):
        other.load_state(tmp_path / "state.safetensors")
    with pytest.raises(WorldError, match="of another world"):
        other.check_state(state)


def test_noise_is_a_function_of_seed_and_frame():
    assert torch.equal(draw_frame_noise(3, 7, (2, 2)), draw_frame_noise(3, 7, (2, 2)))
    assert not torch.equal(draw_frame_noise(3, 7, (2, 2)), draw_frame_noise(3, 8, (2, 2)))
    assert not torch.equal(draw_frame_noise(3, 7, (2, 2)), draw_frame_noise(4, 7, (2, 2)))
    before = torch.get_rng_state()
    draw_frame_noise(0, 0, (2,))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / WEIGHTS).unlink(), "is missing"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), "sha256 differs"),
        (lambda f: flip_a_bit(f / WEIGHTS), "sha256 differs"),
        (lambda f: (f / MANIFEST).unlink(), "no manifest"),
        (lambda f: (f / MANIFEST).write_text("<html>"), "not readable as JSON"),
        (lambda f: (f / MANIFEST).write_text('{"../../etc/passwd": "0"}'), "outside the world"),
        (
            lambda f: rewritten(f, WEIGHTS, b"version https://git-lfs.github.com"),
            "not a safetensors",
        ),
        (lambda f: rewritten(f, "card.json", b"{}"), "not a world card"),
        (lambda f: changed_card(f, builder="other"), "needs the builder"),
        (lambda f: changed_card(f, format=99), "upgrade worldsim"),
        (lambda f: changed_card(f, settings={}), "does not describe a network"),
        (lambda f: changed_width(f), "don't fit its card"),
    ],
)
def test_damaged_worlds_are_refused_in_one_sentence(copy, change, sentence):
    change(copy)
    with pytest.raises(WorldError, match=sentence) as error:
        load_world(copy)
    assert "\n" not in str(error.value)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def rewritten(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    write_manifest(folder)


def changed_card(folder: Path, **changes) -> None:
    card = json.loads((folder / "card.json").read_text())
    rewritten(folder, "card.json", json.dumps(card | changes).encode())


def changed_width(folder: Path) -> None:
    settings = json.loads((folder / "card.json").read_text())["settings"]
    settings["dynamics"]["network"]["width"] *= 2
    changed_card(folder, settings=settings)


def test_an_unknown_world_names_those_there_are():
    with pytest.raises(WorldError, match="there is no world 'nowhere'"):
        load_world("nowhere")


def test_bad_contexts_and_actions_are_refused(world):
    size = world.card.frame_size
    frames = np.zeros((1, 2, size, size, 3), np.uint8)
    with pytest.raises(ValueError, match="must be uint8"):
        world.reset(frames.astype(np.float32), np.zeros((1, 1), int), [0])
    with pytest.raises(ValueError, match="context actions"):
        world.reset(frames, np.zeros((1, 2), int), [0])
    with pytest.raises(ValueError, match=r"seeds must be .*, one per dream"):
        world.reset(frames, np.zeros((1, 1), int), [0, 1])
    with pytest.raises(ValueError, match="action must be"):
        world.reset(frames, np.full((1, 1), 9), [0])
    state = begin(world)
    with pytest.raises(ValueError, match="action must be"):
        world.step(state, [17])
    with pytest.raises(ValueError, match=r"actions must be .*, one per dream"):
        world.step(state, [0, 1])
    with pytest.raises(ValueError, match="steps must be 1, 2, 4 or 8"):
        world.step(state, [0], steps=3)


def test_a_world_without_a_memory_in_space_cannot_be_led(world):
    spawn = world.spawns[0]
    state = world.reset(spawn.frames[None], spawn.actions[None], [0])
    with pytest.raises(ValueError, match="tiny has no memory in space: leave poses None"):
        world.step(state, [0], poses=np.zeros((1, 4), np.float32))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.tensor([1.0, float("nan")])}, tmp_path / "w.safetensors")
    with pytest.raises(WorldError, match="not finite in a"):
        load_weights(tmp_path / "w.safetensors")


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    (tmp_path / "c.pt").write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(WorldError, match="not a training checkpoint"):
        load_training(tmp_path / "c.pt")
    assert not (tmp_path / "exploded").exists()
