"""What many tests need: a display, the engine, the bundled world, and a world that is a fake.

Where one of the first three is missing its tests are skipped; with CI=true they fail instead, so
that a broken machine cannot pass for a good one.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from types import SimpleNamespace

# Several workers share the cores. Set here, since numpy and torch look when they are imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from hypothesis import settings

from tests.support.browser import find_browser
from worldsim.actions import load_actions

os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# A player's own settings and language change no test, and no test changes them.
os.environ["WORLDSIM_CONFIG"] = os.path.join(
    tempfile.gettempdir(), f"worldsim-config-{os.getpid()}"
)
os.environ["LANGUAGE"] = "en"
os.environ["WORLDSIM_KEPT"] = os.environ["WORLDSIM_CONFIG"] + "-kept"
os.environ["WORLDSIM_CACHE"] = os.environ["WORLDSIM_CONFIG"] + "-worlds"
# The machine may be busy: no example fails for being slow, and CI tries the same ones every time.
settings.register_profile("worldsim", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("worldsim")

MOST_WORKERS = 8  # each loads torch, and may start a display and an engine of its own


@pytest.hookimpl(optionalhook=True)  # `-p no:xdist` may leave it out
def pytest_xdist_auto_num_workers(config):
    """One worker a core for the whole suite; none for chosen files, which start sooner without."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(cores, MOST_WORKERS) if is_whole and cores > 1 else 0


def pytest_collection_modifyitems(items):
    """Files with the most slow tests come first, so that no worker ends with a long one alone."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def _lacking(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def display():
    """The name of an X display with nobody in front of it, and the tools to use it are there."""
    missing = [tool for tool in ("Xvfb", "xdotool", "import") if shutil.which(tool) is None]
    if missing:
        _lacking(f"no {', '.join(missing)}: install xvfb, xdotool and imagemagick")
    reading, writing = os.pipe()
    # Without -noreset the server begins anew when its last client leaves, and refuses the next.
    screen = ["-screen", "0", "1280x1024x24", "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), *screen],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()  # Xvfb writes it once it is ready
    if not number:
        _lacking("Xvfb did not start")
    yield f":{number}"
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(scope="session")
def browser():
    """Makes sure that pages can be opened here."""
    if find_browser() is None:
        _lacking("no browser: install chromium")


@pytest.fixture(scope="session")
def engine():
    """Makes sure that the maze can be drawn here."""
    import gymnasium

    env = gymnasium.make("Maze-v0").unwrapped
    try:
        env.reset(seed=0)
    except ImportError as error:
        _lacking(str(error))
    env.close()


@pytest.fixture(scope="session")
def voxel_engine():
    """Makes sure that the land of blocks can be drawn here; its engines are used again."""
    from envs.voxel import pool
    from envs.voxel.engine import VoxelEnv

    pool.keep(2)
    env = VoxelEnv()
    try:
        env.reset(seed=0)
    except ImportError as error:
        _lacking(str(error))
    env.close()
    yield
    pool.keep(0)


@pytest.fixture(scope="session")
def diffusers():
    """Makes sure that the published autoencoder can be built here."""
    if importlib.util.find_spec("diffusers") is None:
        _lacking("no diffusers: pip install -e '.[test]'")


@pytest.fixture(scope="session")
def minari():
    """Makes sure that Minari data sets can be written here."""
    if not all(importlib.util.find_spec(name) for name in ("minari", "h5py")):
        _lacking("no minari: pip install -e '.[test]'")


@pytest.fixture(scope="session")
def parquet():
    """Reads tables: the module pyarrow.parquet."""
    if importlib.util.find_spec("pyarrow") is None:
        _lacking("no pyarrow: pip install -e '.[test]'")
    return importlib.import_module("pyarrow.parquet")


@pytest.fixture(scope="session")
def agents():
    """Makes sure that a policy can learn here."""
    if not all(importlib.util.find_spec(name) for name in ("stable_baselines3", "torchrl")):
        _lacking("no stable-baselines3 or torchrl: pip install -e '.[test]'")


@pytest.fixture(scope="session")
def bundled_world():
    """The world that ships with the project, loaded."""
    from worldsim.paths import asset
    from worldsim.world.model import load_world

    if not asset("worlds", "dmlab").is_dir():
        _lacking("the world dmlab is not in assets/worlds")
    return load_world("dmlab")


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory):
    """The folder of a real world, of the smallest network, that was never trained."""
    from tests.support.far_worlds import write_far_world

    folder = tmp_path_factory.mktemp("worlds") / "tiny"
    write_far_world(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_spatial_world(tmp_path_factory):
    """The folder of a real world with a memory in space, as small, never trained either."""
    from tests.support.spatial_worlds import write_spatial_world

    folder = tmp_path_factory.mktemp("worlds") / "tiny-spatial"
    write_spatial_world(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_videoar_spatial_world(tmp_path_factory):
    """The folder of a real world of VideoAR with a memory in space, as small, never trained."""
    from tests.support.videoar_spatial_worlds import write_videoar_spatial_world

    folder = tmp_path_factory.mktemp("worlds") / "tiny-videoar-spatial"
    write_videoar_spatial_world(folder)
    return folder


@pytest.fixture(scope="session")
def exported_world(tiny_spatial_world, tmp_path_factory):
    """What `worldsim export` makes of it, weights as they are; it takes half a minute."""
    from models.export.export import export_world

    folder = tmp_path_factory.mktemp("exported") / "tiny-spatial"
    export_world(tiny_spatial_world, folder, "float32", tell=lambda _: None)
    return folder


@pytest.fixture(scope="session")
def small_world(engine, tmp_path_factory):
    """The folder of a real world of the engine's size: a fitted encoder, an untrained network."""
    import torch

    from models.build.networks import far_settings, far_weights
    from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
    from models.far.network import FARNetwork
    from tests.support.far_networks import far_config
    from worldsim import ground_truth
    from worldsim.world.checkpoint import save_world

    card = {"name": "small", "title": "A small dream", "fps": 7.5, "frame_size": 64}
    card |= {"action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT", "builder": "far"}
    maze = ground_truth.open_engine(SimpleNamespace(**card))
    frames = np.concatenate(
        [one.episode.frames for one in ground_truth.plays(maze, 2, 30, "train")]
    )
    sizes = AutoencoderConfig(channels=8, width=16, blocks=1)
    shape = far_config(actions=4, latent_channels=8, width=64, layers=2)
    codec = PatchAutoencoder(sizes)
    codec.fit_encoder(torch.from_numpy(frames))
    folder = tmp_path_factory.mktemp("worlds") / "small"
    card |= {"steps": 1, "settings": far_settings(sizes, shape), "training": {}, "figures": {}}
    save_world(folder, card, far_weights(codec, FARNetwork(shape)))
    return folder


class FakeState:
    """A dream whose whole memory is a row of numbers."""

    outcomes = seen = None

    def __init__(self, history, frame_count, seeds):
        self.history, self.frame_count, self.seeds = history, frame_count, seeds
        self.alive, self.world_hash = True, ""

    @property
    def carry(self):
        import torch

        tensors = {"history": self.history, "frame_count": self.frame_count}
        return SimpleNamespace(
            tensors=lambda: {name: torch.from_numpy(part) for name, part in tensors.items()}
        )

    @property
    def counts(self):
        return self.frame_count.tolist()

    @property
    def batch(self):
        return len(self.seeds)

    @property
    def poses(self):
        return np.stack([self.frame_count, self.history % 7, self.history % 3], 1).astype("f4")

    def fork(self, seeds=None):
        assert self.alive, "a state that was stepped is used again"
        seeds = self.seeds if seeds is None else np.array(seeds)
        return FakeState(self.history.copy(), self.frame_count.copy(), seeds)

    def select(self, rows):
        rows = list(rows)
        return FakeState(self.history[rows].copy(), self.frame_count[rows].copy(), self.seeds[rows])

    def save(self, path):
        with open(path, "wb") as file:
            np.savez(file, history=self.history, frame_count=self.frame_count, seeds=self.seeds)


class FakeWorld:
    """A WorldModel without a network: a frame is noise from seed, frame number, all actions and all
    context noise, as whole per cents.
    """

    context_noise = 0.4

    def __init__(self, size=16, spawns=3, name="fake"):
        self.actions = load_actions("dmlab")
        self.card = SimpleNamespace(
            name=name, title="A fake", fps=7.5, frame_size=size, action_set="dmlab", steps=1
        )
        self.hash = (name.encode().hex() * 64)[:64]
        rng = np.random.default_rng(0)
        self.spawns = [
            SimpleNamespace(
                name=f"spawn {i}",
                frames=rng.integers(0, 256, (4, size, size, 3)).astype(np.uint8),
                actions=rng.integers(0, 3, 3),
            )
            for i in range(spawns)
        ]
        self.steps_asked, self.resets = [], 0

    def reset(self, frames, actions, seeds):
        size = self.card.frame_size
        assert frames.dtype == np.uint8
        assert frames.shape[2:] == (size, size, 3)
        assert actions.shape == (len(frames), frames.shape[1] - 1)
        assert len(seeds) == len(frames)
        self.resets += 1
        history = frames.sum((1, 2, 3, 4)).astype(np.int64)
        return FakeState(history, np.zeros(len(frames), np.int64), np.array(seeds))

    def check_noise(self, noise):
        return noise

    def step(self, state, actions, steps=None, context_noise=None):
        assert state.alive, "a state that was stepped is used again"
        assert actions.shape == (state.batch,)
        self.steps_asked.append(steps)
        state.alive = False
        noise = next(n for n in (context_noise, self.context_noise, 0) if n is not None)
        history = (state.history * 5 + actions + 1 + round(700 * noise)) % 1_000_003
        stepped = FakeState(history, state.frame_count + 1, state.seeds)
        size = self.card.frame_size
        draws = [
            np.random.default_rng([seed, count, past])
            for seed, count, past in zip(state.seeds, stepped.frame_count, history, strict=True)
        ]
        frames = [rng.integers(0, 256, (size, size, 3)).astype(np.uint8) for rng in draws]
        return stepped, np.stack(frames)

    def check_state(self, snapshot):
        pass

    device = "cpu"

    def restore_state_of(self, tensors, seeds, counts):
        history, count = tensors["history"].numpy(), tensors["frame_count"].numpy()
        assert count.tolist() == counts
        return FakeState(history, count, np.array(seeds))

    def load_state(self, path):
        with np.load(path) as saved:
            return FakeState(saved["history"], saved["frame_count"], saved["seeds"])


@pytest.fixture
def make_fake_world():
    """The class FakeWorld: `make_fake_world(size=16, spawns=3)`."""
    return FakeWorld
