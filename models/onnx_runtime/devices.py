"""Where ONNX Runtime computes: its providers, and which of them work on this machine.

That a build of ONNX Runtime has a provider says nothing of the libraries and the GPU that it needs:
a session whose provider fails runs on the CPU instead. So a provider is tried on a graph first.
"""

import os

import onnxruntime

from worldsim.told import tell
from worldsim.world.device import DeviceChoice
from worldsim.world.error import WorldError

PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Device -> who computes; what the first cannot, the next one does."""
WARNINGS, ERRORS, NOTHING = 2, 3, 4  # what ONNX Runtime logs
IDENTITY = (
    b'\x08\x09:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12'
    b"\x04\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x12"
)
"""An ONNX model: y is x, a number."""


def choose_device() -> DeviceChoice:
    """CUDA where it works, else the CPU; TensorRT has to be asked for, since it builds engines."""
    if can_use("cuda"):
        return DeviceChoice("cuda", tell("device: cuda, since ONNX Runtime can use it."))
    version = onnxruntime.__version__
    return DeviceChoice(
        "cpu", tell("device: cpu, since ONNX Runtime {version} can use no GPU.", version=version)
    )


def check_device(device: str) -> None:
    """Refuse what ONNX Runtime cannot compute on here.

    Raises:
        WorldError: what there is instead.
    """
    if device in PROVIDERS and can_use(device):
        return
    usable = ", ".join(name for name in PROVIDERS if can_use(name))
    raise WorldError(
        f"ONNX Runtime has no device {device!r:.40} that works here (a GPU, or the libraries it "
        f"needs, may be missing), only {usable}: use cpu"
    )


def can_use(device: str) -> bool:
    """Whether a graph runs on a device, a key of PROVIDERS."""
    first = PROVIDERS[device][0]
    if first not in onnxruntime.get_available_providers():
        return False
    onnxruntime.set_default_logger_severity(NOTHING)  # what is missing is said in our sentence
    try:
        session = open_session(IDENTITY, device, NOTHING)
    except (ValueError, RuntimeError):
        return False
    finally:
        onnxruntime.set_default_logger_severity(WARNINGS)
    return session.get_providers()[0] == first


def open_session(
    model: str | bytes, device: str, logged: int = ERRORS
) -> onnxruntime.InferenceSession:
    """A graph, ready to run.

    Args:
        model: the path of its file, or its content.
        device: a key of PROVIDERS.
        logged: the least severity of what is written to the terminal.

    Raises:
        ValueError, RuntimeError: it cannot be opened, in ONNX Runtime's words.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = logged
    # As many threads as torch would be given, else as the machine has.
    told = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = int(told) if told.isdecimal() else 0
    providers = list(PROVIDERS[device])
    return onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
