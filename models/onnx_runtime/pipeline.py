"""`pipeline.json`: what an exported world consists of, and what goes into and comes out of each of
its graphs. Read strictly: what is not understood is refused, in one sentence.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from worldsim.config import ConfigError, from_dict
from worldsim.reading import read_json
from worldsim.world.base import EXPORT
from worldsim.world.error import WorldError

PIPELINE, VERSION = EXPORT, 5
KIND = "worldsim pipeline"
WEIGHTS = "weights.bin"
GRAPHS = (
    *("encode", "read_depth", "odometry", "select", "look", "compare"),
    *("context_fine", "context_coarse", "denoise", "finish"),
)
ADVICE = "export the world again with `worldsim export`"
MOST_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """Type and shape of an input or output of a graph."""

    dtype: Literal["float32", "int64", "uint8", "bool"]
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GraphSpec:
    """A graph's file, and its inputs and outputs in order."""

    file: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


@dataclass(frozen=True, kw_only=True)
class JumpSpec:
    """One sampler step: from noise level `level` by `length`; `told` is what the network is told of
    the length.
    """

    level: float
    length: float
    told: int


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """An exported world, beside its card.

    Attributes:
        kind, version: of this file.
        world: identity of the world that was exported.
        weights: how numbers are stored in the file of weights; all is computed in float32.
        latent_limit: latents are clamped to it after each sampler step.
        least_new: first-hand pixels without which a frame is not banked.
        schedules: sampler steps a frame -> its steps.
        graphs: by name.
        full_step: how far a step goes that nothing stops, in the unit of poses.
    """

    kind: str
    version: int
    world: str
    weights: Literal["float32", "float16", "int8"]
    latent_limit: float
    least_new: int
    schedules: dict[str, tuple[JumpSpec, ...]]
    graphs: dict[str, GraphSpec]
    full_step: float

    def __post_init__(self):
        if set(self.graphs) != set(GRAPHS):
            odd = sorted(set(self.graphs) ^ set(GRAPHS))
            raise ValueError(f"graphs must be {', '.join(GRAPHS)}, these differ: {', '.join(odd)}")
        for name, graph in self.graphs.items():
            if graph.file != f"{name}.onnx":
                raise ValueError(f"graphs.{name}.file must be {name}.onnx, got {graph.file!r:.60}")
        for steps, schedule in self.schedules.items():
            if str(len(schedule)) != steps:
                raise ValueError(f"schedules.{steps:.20} must have as many steps as its name says")


def read_pipeline(folder: Path) -> Pipeline:
    """The pipeline of a folder.

    Raises:
        WorldError: there is none, or it is damaged, newer, or says what is not understood.
    """
    path = folder / PIPELINE
    data = read_json(path, "pipeline", ADVICE, WorldError, MOST_BYTES)
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise WorldError(f"{path} is not a pipeline (its kind is not {KIND!r}): {ADVICE}")
    if data.get("version") != VERSION:
        told = repr(data.get("version"))[:20]
        raise WorldError(
            f"{path} has version {told}, this program plays version {VERSION}: upgrade worldsim, "
            f"or {ADVICE}"
        )
    try:
        return from_dict(Pipeline, data)
    except ConfigError as error:
        raise WorldError(f"{path}: {error} {ADVICE}") from None
