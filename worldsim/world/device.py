"""Where a network runs when nobody says: `--device auto`."""

from typing import NamedTuple


class DeviceChoice(NamedTuple):
    """A device's name, and one line that says what was chosen and why."""

    name: str
    why: str


def choose_device() -> DeviceChoice:
    """CUDA where there is a GPU of NVIDIA's (or AMD's, with ROCm), MPS on a Mac, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return DeviceChoice(
            "cuda", f"device: cuda, since torch finds {torch.cuda.get_device_name()}."
        )
    if torch.backends.mps.is_available():
        return DeviceChoice("mps", "device: mps, since torch finds a Mac's GPU.")
    built = "finds no GPU" if torch.version.cuda or torch.version.hip else "is a build for CPUs"
    return DeviceChoice("cpu", f"device: cpu, since torch {torch.__version__} {built}.")
