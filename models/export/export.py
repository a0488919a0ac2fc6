"""From a world to a folder that ONNX Runtime plays: graphs, one file of weights, pipeline.json, the
card, the starts and a manifest.
"""

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import torch

from models.export.graphs import Graph, make_graphs
from models.export.weights import WeightFile, store_weights
from models.nn.noise_schedule import sigmas
from models.onnx_runtime.pipeline import (
    KIND,
    PIPELINE,
    VERSION,
    WEIGHTS,
    GraphSpec,
    JumpSpec,
    Pipeline,
    TensorSpec,
)
from models.spatial.dynamics import LATENT_LIMIT, SpatialDynamics
from models.spatial.space import LEAST_NEW
from worldsim.config import to_dict
from worldsim.types import STEPS
from worldsim.world.checkpoint import CARD, SPAWNS, write_manifest
from worldsim.world.error import WorldError
from worldsim.world.model import load_world, world_folder

BUILDER = "far-spatial"
OPSET = 18


def export_world(
    name: str | Path, out: Path, precision: str, tell: Callable[[str], None] = print
) -> None:
    """Write the folder, whole or not at all.

    Args:
        name: of a bundled world, or a world's folder.
        out: a folder that is not there yet, or is empty.
        precision: how weights are stored, float32, float16 or int8.
        tell: is told of each graph.

    Raises:
        WorldError: no such world, or one of another builder.
        ValueError: there is something in `out`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: give a folder that is not there yet")
    world = load_world(name)
    if world.card.builder != BUILDER:
        raise WorldError(
            f"the builder of a world must be {BUILDER} for it to be exported, {world.card.name} "
            f"has {world.card.builder}: give another world"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-") as scratch:
        made = Path(scratch) / "world"
        source = world_folder(name)
        made.mkdir()
        if (source / SPAWNS).is_dir():
            shutil.copytree(source / SPAWNS, made / SPAWNS)
        shutil.copyfile(source / CARD, made / CARD)
        write_graphs(world.dynamics, made, precision, world.hash, tell)
        write_manifest(made)
        if out.exists():
            out.rmdir()  # it is empty; not everywhere may a folder take its place
        made.rename(out)


def write_graphs(
    dynamics: SpatialDynamics, folder: Path, precision: str, world: str, tell: Callable[[str], None]
) -> None:
    """Write every graph of a dynamics, the weights and pipeline.json."""
    specs, weights = {}, WeightFile(WEIGHTS)
    for name, graph in make_graphs(dynamics).items():
        tell(f"exporting {name}")
        model = to_onnx(graph)
        store_weights(model, weights, precision)
        specs[name] = describe(name, graph)
        onnx.save(model, folder / specs[name].file)
    (folder / WEIGHTS).write_bytes(weights.data)
    pipeline = Pipeline(
        kind=KIND,
        version=VERSION,
        world=world,
        weights=precision,
        latent_limit=LATENT_LIMIT,
        least_new=LEAST_NEW,
        schedules=schedules(dynamics),
        graphs=specs,
        full_step=float(dynamics.odometry.full_step),
    )
    (folder / PIPELINE).write_text(json.dumps(to_dict(pipeline), indent=1) + "\n")


def to_onnx(graph: Graph) -> onnx.ModelProto:
    """An ONNX model of a graph, weights inside."""
    # The exporter calls what torch deprecates, and says of each graph that torchvision is missing.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph.eval(),
            tuple(graph.inputs.values()),
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            optimize=False,  # ONNX Runtime does it, and names of weights stay
            verbose=False,
        )
    return drop_traces(program.model_proto)


def drop_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without what the exporter notes of the Python code that each node came from, which
    is most of a file and names folders of this machine.
    """
    parts = [model.graph, *model.functions]
    for part in (*parts, *(node for graph in parts for node in graph.node)):
        del part.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    return model


def describe(name: str, graph: Graph) -> GraphSpec:
    """What goes into a graph and comes out of it."""
    with torch.no_grad():
        outputs = graph(*graph.inputs.values())
    made = dict(zip(graph.outputs, outputs, strict=True))
    return GraphSpec(
        file=f"{name}.onnx",
        inputs={label: _spec(tensor) for label, tensor in graph.inputs.items()},
        outputs={label: _spec(tensor) for label, tensor in made.items()},
    )


def _spec(tensor: torch.Tensor) -> TensorSpec:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return TensorSpec(dtype=dtype, shape=tuple(tensor.shape))


def schedules(dynamics: SpatialDynamics) -> dict[str, tuple[JumpSpec, ...]]:
    """The sampler steps of every number of steps."""
    return {
        str(steps): tuple(
            JumpSpec(level=level, length=length, told=dynamics.told_jump(length))
            for level, length in sigmas(steps)
        )
        for steps in STEPS
    }
