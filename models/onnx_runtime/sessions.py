"""The graphs of an exported world, opened by ONNX Runtime and checked against its pipeline.json."""

from pathlib import Path

import numpy as np

from models.onnx_runtime.devices import check_device, open_session
from models.onnx_runtime.pipeline import ADVICE, GraphSpec, Pipeline, TensorSpec
from worldsim.reading import reading
from worldsim.world.error import WorldError

TYPES = {"uint8": "tensor(uint8)", "int64": "tensor(int64)", "bool": "tensor(bool)"}
TYPES |= {"float32": "tensor(float)"}


class Graph:
    """One graph.

    Args:
        path: its file; its weights lie beside it.
        spec: its inputs and outputs.
        device: a key of PROVIDERS.

    Raises:
        WorldError: damaged, or not as its spec says.
    """

    def __init__(self, path: Path, spec: GraphSpec, device: str):
        self._inputs = tuple(spec.inputs)
        with reading(path, "ONNX graph", ADVICE, WorldError):
            self._session = open_session(str(path), device)
        _check(path, self._session.get_inputs(), spec.inputs)
        _check(path, self._session.get_outputs(), spec.outputs)

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs of inputs, in the order of the spec."""
        return self._session.run(None, dict(zip(self._inputs, inputs, strict=True)))


class Graphs:
    """All graphs of a world, as attributes named as in pipeline.json.

    Args:
        folder: the exported world.
        pipeline: of it.
        device: where they run, a key of PROVIDERS.

    Raises:
        WorldError: a graph is damaged, or the device cannot be used here.
    """

    encode: Graph
    read_depth: Graph
    odometry: Graph
    select: Graph
    look: Graph
    compare: Graph
    context_fine: Graph
    context_coarse: Graph
    denoise: Graph
    finish: Graph

    def __init__(self, folder: Path, pipeline: Pipeline, device: str):
        check_device(device)
        for name, spec in pipeline.graphs.items():
            setattr(self, name, Graph(folder / spec.file, spec, device))


def _check(path: Path, found: list, specs: dict[str, TensorSpec]) -> None:
    told = {one.name: (one.type, tuple(one.shape)) for one in found}
    expected = {name: (TYPES[spec.dtype], spec.shape) for name, spec in specs.items()}
    if list(told.items()) != list(expected.items()):
        odd = next(name for name in [*expected, *told] if told.get(name) != expected.get(name))
        raise WorldError(
            f"{path} does not fit its pipeline.json ({odd!r:.40} is {told.get(odd)}, not "
            f"{expected.get(odd)}): {ADVICE}"
        )
