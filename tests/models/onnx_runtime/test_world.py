import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from models.onnx_runtime.world import load_world
from worldsim.controls import name_controls
from worldsim.world import model
from worldsim.world.batching import concat
from worldsim.world.checkpoint import write_manifest
from worldsim.world.error import WorldError
from worldsim.world.snapshot import recall, take

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def world(exported_world):
    return load_world(exported_world)


def begin(world, seeds=(0,)):
    spawn = world.spawns[0]
    count = len(seeds)
    frames, actions = spawn.frames[None].repeat(count, 0), spawn.actions[None].repeat(count, 0)
    return world.reset(frames, actions, list(seeds))


def dream(world, state, frames=6):
    made = []
    for number in range(frames):
        state, frame = world.step(state, [number % 3] * state.batch)
        made.append(frame)
    return np.stack(made, axis=1), state


def test_the_same_dream_as_in_torch(world, tiny_spatial_world):
    """The same seeds, starts and actions: frames within a grey level but for a few pixels, where a
    last bit decided what is seen. Six of seed 2: of this untaught world the sixth frame of seed 1
    is another one in torch too, where a pose is moved by 2e-7.
    """
    theirs = model.load_world(tiny_spatial_world)
    ours, ours_state = dream(world, begin(world, (2,)))
    wanted, their_state = dream(theirs, begin(theirs, (2,)))
    assert (np.abs(ours.astype(int) - wanted) <= 1).mean() > 0.99
    np.testing.assert_allclose(ours_state.poses, their_state.poses, atol=1e-3)
    told, carry = their_state.carry.tensors(), ours_state.carry.tensors()
    assert {name: part.shape for name, part in carry.items()} == {
        name: tuple(part.shape) for name, part in told.items()
    }
    for name in ("bank.ids", "cache.ids", "frame"):
        assert np.array_equal(carry[name], told[name].numpy()), name
    for name in ("bank.points", "bank.poses", "cache.k", "cache.v"):
        near = np.isclose(carry[name], told[name].numpy(), 1e-2, 1e-2)
        assert near.mean() > 0.98, name


def test_a_batch_dreams_what_each_dreams_alone(world):
    together, _ = dream(world, begin(world, (3, 4)))
    for row, seed in enumerate((3, 4)):
        alone, _ = dream(world, begin(world, (seed,)))
        assert np.array_equal(together[row : row + 1], alone)


def test_a_dream_is_led_where_torch_leads_it(world, tiny_spatial_world):
    theirs = model.load_world(tiny_spatial_world)
    there = np.array([[0.3, -0.2, 0.1, 0.0]], np.float32)
    ours, frame = world.step(begin(world), [0], poses=there)
    _, wanted = theirs.step(begin(theirs), [0], poses=there)
    assert np.array_equal(ours.poses, there[:, :3])
    assert (np.abs(frame.astype(int) - wanted) <= 1).mean() > 0.99
    with pytest.raises(ValueError, match=r"poses must be \[1, 4\] finite numbers"):
        world.step(ours, [0], poses=there[0])


def test_forked_kept_saved_and_joined_dreams_go_on_alike(world, tmp_path):
    _, state = dream(world, begin(world), 2)
    fork, moment = state.fork(), take(state)
    state.save(tmp_path / "state")
    wanted, _ = dream(world, state, 3)
    others = [fork, recall(world, moment), world.load_state(tmp_path / "state")]
    assert np.array_equal(dream(world, concat(others).select([2, 0, 1]), 3)[0][1:2], wanted)
    for other in others:
        assert np.array_equal(dream(world, other, 3)[0], wanted)


def test_what_the_codec_keeps(world, tiny_spatial_world):
    theirs = model.load_world(tiny_spatial_world)
    frames = world.spawns[0].frames
    ours = world.reconstruct(frames).astype(int)
    assert (np.abs(ours - theirs.reconstruct(frames)) <= 1).all()


def test_the_environment_plays_it(exported_world):
    env = gymnasium.make("FARDMLab-v0", world=str(exported_world), runtime="onnx")
    first, info = env.reset(seed=1)
    moment = env.unwrapped.clone_state()
    frame, *_, info = env.step(1)
    assert frame.shape == first.shape
    assert 0 <= info["seen_share"] <= 1
    env.unwrapped.restore_state(moment)
    assert np.array_equal(env.step(1)[0], frame)
    with pytest.raises(ValueError, match="runtime must be one of torch, onnx"):
        gymnasium.make("FARDMLab-v0", world=str(exported_world), runtime="jax")


PLAYS = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise AssertionError("torch is imported")
sys.meta_path.insert(0, Refuse())
import play
told = ["--world", sys.argv[1], "--runtime", "onnx", "--device", "auto", "--seed", "0"]
status = play.main([*told, "--headless", "3"])
import gymnasium, worldsim
env = gymnasium.make("FARDMLab-v0", world=sys.argv[1], runtime="onnx")
env.reset(seed=0)
env.step(0)
env.unwrapped.save_state("state")
env.unwrapped.load_state("state")
assert "torch" not in sys.modules
for device in ("cuda", "tensorrt"):
    try:
        gymnasium.make("FARDMLab-v0", world=sys.argv[1], runtime="onnx", device=device)
    except ValueError as error:
        print(error)
sys.exit(status)
"""


def test_nothing_imports_torch_to_play(tmp_path, exported_world):
    """Nor does ONNX Runtime compute on the CPU in silence where a GPU was asked for."""
    done = subprocess.run(
        [sys.executable, "-c", PLAYS, exported_world],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "3 frames" in done.stdout
    assert "device: cpu, since ONNX Runtime" in done.stdout
    for device in ("cuda", "tensorrt"):
        assert f"ONNX Runtime has no device '{device}' that works here" in done.stdout
    assert "Provider" not in done.stdout + done.stderr  # what ONNX Runtime would say of it


@pytest.fixture
def copied(tmp_path, exported_world):
    folder = tmp_path / "copy"
    shutil.copytree(exported_world, folder)
    return folder


def rewrite(folder, **changes):
    path = folder / "pipeline.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    write_manifest(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 1}, "version 1, this program plays version 5: upgrade worldsim"),
        ({"kind": "something"}, "not a pipeline"),
        ({"colour": 1}, "colour"),
        ({"graphs": {}}, "graphs must be"),
        ({"weights": "int2"}, "float32"),
    ],
)
def test_a_pipeline_that_is_not_understood_is_refused(copied, changes, told):
    rewrite(copied, **changes)
    with pytest.raises(WorldError, match=told) as refused:
        load_world(copied)
    assert len(str(refused.value)) <= 300


def test_damaged_graphs_are_refused(copied):
    (copied / "denoise.onnx").write_bytes(b"no graph")
    with pytest.raises(WorldError, match="sha256 differs"):
        load_world(copied)
    write_manifest(copied)
    with pytest.raises(WorldError, match=r"denoise.onnx is not an ONNX graph"):
        load_world(copied)


def test_a_graph_of_another_shape_is_refused(copied):
    shutil.copyfile(copied / "context_fine.onnx", copied / "context_coarse.onnx")
    write_manifest(copied)
    with pytest.raises(WorldError, match="does not fit its pipeline"):
        load_world(copied)


def test_a_world_for_torch_says_how_to_export_it(tiny_spatial_world):
    with pytest.raises(WorldError, match="worldsim export"):
        load_world(tiny_spatial_world)


def test_an_export_says_what_plays_it(exported_world):
    with pytest.raises(WorldError, match="runtime onnx"):
        model.load_world(exported_world)


def test_a_number_of_steps_without_a_schedule_is_refused(world):
    with pytest.raises(ValueError, match="steps must be one of 1, 2, 4, 8"):
        world.step(begin(world), [0], steps=3)


def test_an_unknown_device_is_refused(exported_world):
    with pytest.raises(WorldError, match="no device 'tpu'"):
        load_world(exported_world, device="tpu")


def test_continuous_actions_lead_where_they_lead_in_torch(world, tiny_spatial_world):
    theirs = model.load_world(tiny_spatial_world)
    way = np.array([[7.5, 0.5], [0, 0.25], [-22.5, 1], [3, 0], [0, 1]], np.float32)
    ours, wanted = begin(world), begin(theirs)
    for control in way:
        ours, frame = world.step(ours, control[None])
        wanted, shown = theirs.step(wanted, control[None])
        np.testing.assert_allclose(ours.poses, wanted.poses, atol=1e-3)
    assert (np.abs(frame.astype(int) - shown) <= 1).mean() > 0.97


def test_a_control_that_says_what_an_action_does_is_that_action(world):
    for action, control in enumerate(name_controls(world.actions)):
        _, wanted = world.step(begin(world), [action])
        assert np.array_equal(world.step(begin(world), control[None])[1], wanted)
    with pytest.raises(ValueError, match=r"stride must be in \[0, 1\], got 2"):
        world.step(begin(world), np.array([[0.0, 2.0]]))
    with pytest.raises(ValueError, match="ids where poses lead"):
        world.step(begin(world), np.zeros((1, 2), np.float32), poses=np.zeros((1, 4)))


def test_frames_that_controls_led_to_are_taken_in_as_in_torch(world, tiny_spatial_world):
    theirs, told = model.load_world(tiny_spatial_world), np.full((1, 3, 2), np.nan, np.float32)
    told[0, 0], told[0, 2] = (5.0, 0.0), (-3.0, 0.5)
    spawn = world.spawns[0]
    ours, wanted = (
        one.reset(spawn.frames[None], np.array([[3, 0, 2]]), [0], controls=told).poses
        for one in (world, theirs)
    )
    np.testing.assert_allclose(ours, wanted, atol=1e-3)
