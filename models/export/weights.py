"""One file of weights for all graphs of a world: what several share is stored once.

float16 and int8 say how numbers are stored. Every graph begins by making float32 of them, which
ONNX Runtime does once, when it opens the graph; so what is stored smaller is not computed slower.
int8 is for the matrices of the dynamics' network, whose errors are small beside the noise it takes
away, with a scale for each row; other matrices, the codec's above all, are float16 then.
"""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LEAST = 512  # bytes of what is worth a place in the file
ALIGNMENT = 4096  # of every place, as memory maps want it
NETWORK = "dynamics.network."
ANGLES = "_angles."  # in the names of constants that lose their phase with their last bits


class WeightFile:
    """Bytes of tensors, each kind of bytes once.

    Attributes:
        name: what the graphs call the file.
        data: what it will hold.
    """

    def __init__(self, name: str):
        self.name, self.data = name, bytearray()
        self._places: dict[bytes, int] = {}

    def place(self, content: bytes) -> int:
        """Where these bytes are, put there if they are new."""
        digest = hashlib.sha256(content).digest()
        if digest not in self._places:
            self.data += bytes(-len(self.data) % ALIGNMENT)
            self._places[digest] = len(self.data)
            self.data += content
        return self._places[digest]

    def tensor(self, name: str, values: np.ndarray) -> TensorProto:
        """An initializer of these values that lies in the file."""
        content = np.ascontiguousarray(values).tobytes()
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = TensorProto(name=name, data_type=kind, dims=values.shape)
        tensor.data_location = TensorProto.EXTERNAL
        where = {"location": self.name, "offset": self.place(content), "length": len(content)}
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


def store_weights(model: onnx.ModelProto, file: WeightFile, precision: str) -> None:
    """Move the large initializers of a graph to the file, stored with a precision."""
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or 4 * int(np.prod(tensor.dims)) < LEAST:
            kept.append(tensor)
            continue
        values = numpy_helper.to_array(tensor)
        stored, made = _store(tensor.name, values, file, choose(tensor.name, values, precision))
        kept, nodes = [*kept, *stored], [*nodes, *made]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])


def choose(name: str, values: np.ndarray, precision: str) -> str:
    """How a tensor is stored where `precision` is asked for."""
    if values.ndim < 2 or ANGLES in name:
        return "float32"
    return "float16" if precision == "int8" and not name.startswith(NETWORK) else precision


def _store(
    name: str, values: np.ndarray, file: WeightFile, precision: str
) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    """The initializers that lie in the file, and the nodes that make float32 of them."""
    if precision == "float32":
        return [file.tensor(name, values)], []
    if precision == "float16":
        half = file.tensor(f"{name}.half", values.astype(np.float16))
        return [half], [helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT)]
    whole, scale = quantize(values)
    parts = [file.tensor(f"{name}.int8", whole), numpy_helper.from_array(scale, f"{name}.scale")]
    wide = f"{name}.wide"
    cast = helper.make_node("Cast", [parts[0].name], [wide], to=TensorProto.FLOAT)
    return parts, [cast, helper.make_node("Mul", [wide, parts[1].name], [name])]


def quantize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers int8 of the values' shape, and the scale of each row, with which they are the
    values again up to half a scale.
    """
    rows = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    scale = np.maximum(rows, np.float32(1e-12)) / np.float32(127)
    return np.round(values / scale).astype(np.int8), scale.astype(np.float32)
