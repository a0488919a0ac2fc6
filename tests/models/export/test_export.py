import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from models.export.export import export_world, to_onnx
from models.export.graphs import make_graphs
from models.export.weights import WeightFile, choose, quantize, store_weights
from models.onnx_runtime.pipeline import GRAPHS, read_pipeline
from models.onnx_runtime.sessions import Graphs
from tests.support.commands import refused
from tests.support.spatial_worlds import small_dynamics
from worldsim.world.error import WorldError
from worldsim.world.model import load_world

TOLERANCE = 1e-4  # of numbers of about 1


@pytest.fixture(scope="module")
def torch_graphs(tiny_spatial_world):
    return make_graphs(load_world(tiny_spatial_world).dynamics)


@pytest.fixture(scope="module")
def onnx_graphs(exported_world):
    return Graphs(exported_world, read_pipeline(exported_world), "cpu")


def draw_inputs(graph, seed):
    """Inputs that mean something: frames with depth around the origin, some places empty."""
    rng = np.random.default_rng(seed)
    drawn = {}
    for name, like in graph.inputs.items():
        shape, kind = tuple(like.shape), like.numpy().dtype
        if name == "action":
            drawn[name] = np.array([rng.integers(3)])
        elif name == "jump":
            drawn[name] = np.array([3])
        elif name == "ids":
            drawn[name] = np.where(rng.random(shape) < 0.8, np.arange(shape[1]), -1)
        elif kind == np.uint8:
            drawn[name] = rng.integers(0, 256, shape, np.uint8)
        elif kind == np.bool_:
            drawn[name] = rng.random(shape) < 0.5
        elif name in ("inverse_depth", "newest", "known_depth"):
            drawn[name] = rng.uniform(0.3, 1.0, shape).astype(np.float32)
        elif name in ("level", "fresh"):
            drawn[name] = rng.uniform(0.2, 1.0, shape).astype(np.float32)
        elif name in ("pose", "poses", "offered", "motion"):
            drawn[name] = rng.normal(0, 0.3, shape).astype(np.float32)
        else:
            drawn[name] = rng.normal(0, 1, shape).astype(np.float32)
    return drawn


def compare_graph(graph, run) -> None:
    """Numbers to 1e-4; what is decided by comparing them may differ in a place or two."""
    for seed in range(2):
        inputs = draw_inputs(graph, seed)
        with torch.no_grad():
            wanted = graph(*(torch.from_numpy(part) for part in inputs.values()))
        found = run(inputs)
        for label, ours, theirs in zip(graph.outputs, found, wanted, strict=True):
            theirs = theirs.numpy()
            assert ours.dtype == theirs.dtype, label
            near = np.isclose(ours.astype(float), theirs.astype(float), TOLERANCE, TOLERANCE)
            if ours.dtype == np.uint8:  # a half may be rounded either way
                near |= np.abs(ours.astype(int) - theirs) <= 1
            assert near.mean() > 0.995, (label, float(near.mean()))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_computes_what_torch_does(name, torch_graphs, onnx_graphs):
    compare_graph(torch_graphs[name], lambda inputs: getattr(onnx_graphs, name)(*inputs.values()))


@pytest.mark.parametrize("name", ["look", "finish"])
def test_graphs_of_a_world_whose_magnified_pixels_are_hints(name):
    """What is seen and what is magnified is decided within the graphs."""
    dynamics = small_dynamics(sharp=True)
    graph = make_graphs(dynamics)[name]
    session = onnxruntime.InferenceSession(to_onnx(graph).SerializeToString())
    assert [part.name for part in session.get_inputs()] == list(graph.inputs)
    compare_graph(graph, lambda inputs: session.run(None, inputs))


def test_no_graph_computes_in_float64(exported_world):
    """WebGPU has none, and ONNX Runtime Web opens no graph that casts to it."""
    for path in exported_world.glob("*.onnx"):
        model = onnx.load(path, load_external_data=False)
        graph = onnx.shape_inference.infer_shapes(model).graph
        kinds = [tensor.data_type for tensor in graph.initializer]
        kinds += [value.type.tensor_type.elem_type for value in graph.value_info]
        kinds += [a.i for node in graph.node for a in node.attribute if a.name == "to"]
        assert onnx.TensorProto.FLOAT in kinds
        assert onnx.TensorProto.DOUBLE not in kinds, path.stem


def test_constants_of_angles_are_not_rounded(exported_world):
    """Their phases would be, by far more than the numbers."""
    model = onnx.load(exported_world / "denoise.onnx", load_external_data=False)
    angles = [tensor.name for tensor in model.graph.initializer if "fine_angles" in tensor.name]
    assert len(angles) == 5
    for precision in ("float16", "int8"):
        assert {choose(name, np.ones((9, 9)), precision) for name in angles} == {"float32"}


def test_what_graphs_share_is_stored_once(exported_world):
    folder = exported_world
    places = {}
    for name in GRAPHS:
        model = onnx.load(folder / f"{name}.onnx", load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.external_data:
                told = {entry.key: entry.value for entry in tensor.external_data}
                places.setdefault((told["offset"], told["length"]), set()).add(name)
    assert any({"denoise", "context_fine"} <= graphs for graphs in places.values())
    alone = sum(int(length) for _, length in places)
    assert alone <= (folder / "weights.bin").stat().st_size < alone + 4096 * len(places)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_stored_weights_are_the_weights(precision):
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.1, (16, 64)).astype(np.float32)
    kept = onnx.numpy_helper.from_array(weight, "dynamics.network.weight")
    node = onnx.helper.make_node("Identity", [kept.name], ["y"])
    shape = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, weight.shape)
    graph = onnx.helper.make_graph([node], "g", [], [shape], [kept])
    model, file = onnx.helper.make_model(graph), WeightFile("weights.bin")
    store_weights(model, file, precision)
    assert len(file.data) == weight.size * {"float32": 4, "float16": 2, "int8": 1}[precision]
    if precision == "int8":
        whole, scale = quantize(weight)
        assert np.frombuffer(bytes(file.data), np.int8).tobytes() == whole.tobytes()
        assert (np.abs(whole * scale - weight) <= scale / 2 + 1e-7).all()


@pytest.mark.parametrize("command", ["export", "page"])
def test_without_what_writes_graphs_the_command_says_how_to_get_it(
    command, tmp_path, tiny_spatial_world, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    monkeypatch.setattr("models.export.page.find_library", lambda *_: [])
    said = refused(capsys, command, str(tiny_spatial_world), "--out", str(tmp_path / "out"))
    assert "needs onnxscript: pip install 'worldsim[export]'" in said
    assert list(tmp_path.iterdir()) == []


def test_only_worlds_of_far_in_space_are_exported(tmp_path, tiny_world):
    with pytest.raises(WorldError, match="builder of a world must be far-spatial"):
        export_world(tiny_world, tmp_path / "out", "float32")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, tiny_spatial_world):
    (tmp_path / "mine").write_text("text")
    with pytest.raises(ValueError, match="is not empty"):
        export_world(tiny_spatial_world, tmp_path, "float32")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
