"""An exported world that ONNX Runtime plays, behind the calls that torch's WorldModel has.

    world = load_world("exported/dmlab")         # a folder that `worldsim export` wrote
    state = world.reset(frames, actions, seeds=[0])
    state, frames = world.step(state, [2])

Imports no torch.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.memory.sizes import LEAST_SHARE
from models.onnx_runtime.dynamics import OnnxDynamics, Settings
from models.onnx_runtime.noise import draw_frame_noise
from models.onnx_runtime.pipeline import ADVICE, PIPELINE, WEIGHTS, read_pipeline
from models.onnx_runtime.sessions import Graphs
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from worldsim.config import from_dict
from worldsim.reading import check_number, reading
from worldsim.world.base import RAN_AWAY, World, world_folder
from worldsim.world.card import WorldCard, read_card
from worldsim.world.checkpoint import CARD, SPAWNS, check_files
from worldsim.world.error import WorldError
from worldsim.world.state import WorldState


class OnnxWorld(World):
    """A world that graphs compute."""

    def observe(
        self,
        carry: Any,
        frames: np.ndarray,
        actions: Sequence[int] | np.ndarray,
        controls: np.ndarray | None = None,
    ) -> Any:
        """Take in true frames uint8 `[B,H,W,3]`, which actions `[B]` led to (-1: none), or controls
        float32 `[B,2]` where these are not NaN.
        """
        told = None if controls is None else self.to_controls(controls)
        frames = np.ascontiguousarray(frames)
        return self.dynamics.observe(carry, np.asarray(actions), frames, told)

    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """What the codec keeps of frames uint8 `[N,H,W,3]`."""
        return np.concatenate([self.dynamics.reconstruct(frame[None]) for frame in frames])

    def step(
        self,
        state: WorldState,
        actions: Sequence[int] | np.ndarray,
        steps: int | None = None,
        context_noise: float | None = None,
        poses: np.ndarray | None = None,
    ) -> tuple[WorldState, np.ndarray]:
        """Dream one frame a row; as WorldModel.step.

        Raises:
            ValueError: bad actions, steps, noise or poses, or a dream that ran away to numbers that
                are not finite.
        """
        chosen = self.check_actions(state, actions)
        if context_noise is not None:
            self.check_noise(context_noise)
        led = None if poses is None else self.check_poses(poses, state.batch)
        shape = state.carry.latents.shape[1:]
        moments = zip(state.seeds, state.counts, strict=True)
        noise = np.stack([draw_frame_noise(seed, count, shape) for seed, count in moments])
        steps = steps or self.card.steps
        if str(steps) not in self.dynamics.pipeline.schedules:
            known = ", ".join(self.dynamics.pipeline.schedules)
            raise ValueError(f"steps must be one of {known} sampler steps a frame, got {steps!r}")
        ids = np.array(chosen.ids)
        told = {}
        if chosen.controls is not None:
            self.check_unled(poses)
            told["controls"] = self.to_controls(chosen.controls)
        carry, latents = self.dynamics.imagine(state.carry, ids, noise, steps, led, **told)
        if not np.isfinite(latents).all():
            raise ValueError(RAN_AWAY)
        state.carry, state.counts = carry, [count + 1 for count in state.counts]
        return state, self.dynamics.newest_frames(carry).copy()


def load_world(path_or_name: str | Path, device: str = "cpu") -> OnnxWorld:
    """Open an exported world, every file checked against its manifest.

    Raises:
        WorldError: in one sentence, what is wrong with it.
    """
    folder = world_folder(path_or_name)
    if not (folder / PIPELINE).is_file():
        raise WorldError(
            f"{folder} has no {PIPELINE}, so ONNX Runtime cannot play it: `worldsim export "
            f"{path_or_name} --out DIR` makes a folder that it plays"
        )
    check_files(folder, (CARD, PIPELINE, WEIGHTS))
    pipeline, card = read_pipeline(folder), read_card(folder / CARD)
    with reading(folder / CARD, "card of these graphs", ADVICE, WorldError):
        settings = read_settings(card)
        graphs = Graphs(folder, pipeline, device)
        spawns = sorted((folder / SPAWNS).glob("[!.]*.npz"))
        world = OnnxWorld(card, None, exported_identity(pipeline.world, pipeline.weights), spawns)
        world.dynamics = OnnxDynamics(graphs, pipeline, settings, world.actions.turns)
    return world


def read_settings(card: WorldCard) -> Settings:
    """What a card says of its dynamics."""
    told = card.settings
    parts = (("network", NetworkConfig), ("memory", MemoryConfig), ("sampler", SamplerConfig))
    configs = [from_dict(kind, told[name], name) for name, kind in parts]
    far = check_number(told["depth"]["far"], "depth.far", 1e-3, 1e6)
    radius = check_number(told["odometry"].get("radius", 0), "odometry.radius", 0, 1e3)
    least = check_number(told["odometry"].get("least", LEAST_SHARE), "odometry.least", 0, 1)
    return Settings(*configs, far, radius, least)


def exported_identity(world: str, weights: str) -> str:
    """The identity of an export, 64 hex digits: its frames differ from torch's in last bits, so
    states and recordings of one do not go on in the other.
    """
    return hashlib.sha256(f"{world} onnx {weights}".encode()).hexdigest()
