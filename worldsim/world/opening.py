"""Opens a world for a runtime: torch plays world folders, ONNX Runtime plays what `worldsim export`
wrote. Imports neither before it is asked for.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUNTIMES = {
    "torch": "worldsim.world.model:load_world",
    "onnx": "models.onnx_runtime.world:load_world",
}
"""Name of a runtime -> `module:function` that opens a world by name or path, for a device."""
CHOOSERS = {
    "torch": "worldsim.world.device:choose_device",
    "onnx": "models.onnx_runtime.devices:choose_device",
}
"""Name of a runtime -> `module:function` that chooses a device."""


def check_runtime(name: object) -> str:
    """The name of a runtime.

    Raises:
        ValueError: there is no such runtime.
    """
    if not isinstance(name, str) or name not in RUNTIMES:
        raise ValueError(f"runtime must be one of {', '.join(RUNTIMES)}, got {name!r:.40}")
    return name


def open_world(path_or_name: str | Path, device: str = "cpu", runtime: str = "torch") -> Any:
    """Open a world.

    Raises:
        ValueError: no such runtime; or, in one sentence, what is wrong with the world.
    """
    return _load_function(RUNTIMES[check_runtime(runtime)])(path_or_name, device=device)


def choose_device(runtime: str = "torch") -> tuple[str, str]:
    """The device that a runtime computes on when nobody says, and one line that says why."""
    return _load_function(CHOOSERS[check_runtime(runtime)])()


def _load_function(place: str) -> Callable[..., Any]:
    module, function = place.split(":")
    return getattr(importlib.import_module(module), function)


def library_of(runtime: str) -> str:
    """The module that takes long to import before a world can be opened."""
    return RUNTIMES[check_runtime(runtime)].split(":")[0]
