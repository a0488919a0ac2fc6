"""Where a network runs when nobody says: `--device auto`."""

from typing import NamedTuple

from worldsim.told import tell


class DeviceChoice(NamedTuple):
    """A device's name, and one line that says what was chosen and why."""

    name: str
    why: str


def choose_device() -> DeviceChoice:
    """CUDA where there is a GPU of NVIDIA's (or AMD's, with ROCm), MPS on a Mac, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return DeviceChoice(
            "cuda",
            tell("device: cuda, since torch finds {gpu}.", gpu=torch.cuda.get_device_name()),
        )
    if torch.backends.mps.is_available():
        return DeviceChoice("mps", tell("device: mps, since torch finds a Mac's GPU."))
    version = torch.__version__
    if torch.version.cuda or torch.version.hip:
        return DeviceChoice(
            "cpu", tell("device: cpu, since torch {version} finds no GPU.", version=version)
        )
    return DeviceChoice(
        "cpu", tell("device: cpu, since torch {version} is a build for CPUs.", version=version)
    )
