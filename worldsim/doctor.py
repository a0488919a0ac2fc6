"""`worldsim doctor`: what this machine has, and what to install for what it lacks.

Each check is a function that returns one Finding; it imports what it asks about only when asked.
The exit status is 0 if a world can be played in a window here.
"""

import argparse
import ctypes
import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from worldsim.import_check import HOME, check_names
from worldsim.paths import asset

PYTHON = (3, 11)
MATRIX = 512  # the side of the matrices that are multiplied
_DEBIAN = "on Debian or Ubuntu: apt-get install"


class Finding(NamedTuple):
    """One line of the table.

    Attributes:
        found: what is there; it may be empty.
        remedy: what to do, empty where all is well.
    """

    found: str
    remedy: str = ""


class Check(NamedTuple):
    """What is looked for, and whether playing needs it."""

    name: str
    look: Callable[[], Finding]
    needed: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 if a world can be played here, else 1."""
    parser = argparse.ArgumentParser(
        prog="worldsim doctor",
        description="Show what this machine has, and what to install for what it lacks.",
    )
    parser.parse_args(argv)
    blocked = []
    for check in CHECKS:
        finding = _run_check(check)
        mark = "ok" if not finding.remedy else "MISSING" if check.needed else "absent"
        print(f"{mark:<9}{check.name:<14}{finding.found}".rstrip(), flush=True)
        if finding.remedy:
            print(f"{'':<23}-> {finding.remedy}")
            blocked += [check.name] * check.needed
    print()
    if blocked:
        print(f"A window cannot be played in here yet: see {', '.join(blocked)} above.")
        return 1
    print("Ready: worldsim play")
    return 0


def _run_check(check: Check) -> Finding:
    try:
        return check.look()
    except Exception as error:  # a broken package may fail in any way, and the table goes on
        return Finding(" ".join(f"{type(error).__name__}: {error}".split()), _REINSTALL)


_REINSTALL = "install it again, in a fresh virtual environment: pip install worldsim"


def look_at_python() -> Finding:
    """The interpreter."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    wanted = ".".join(map(str, PYTHON))
    old = sys.version_info < PYTHON
    return Finding(found, f"worldsim needs Python {wanted} or later." if old else "")


def look_at_names() -> Finding:
    """Whether our top-level packages are the ones that are found."""
    check_names()
    return Finding(str(HOME))


def look_at_torch() -> Finding:
    """Torch, what it runs on, and the precision that training would choose here."""
    import torch

    from worldsim.machine_speed import matmul_seconds, pick_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    where = f"threads: {torch.get_num_threads()}"
    if device.type == "cuda":
        where += f", {torch.cuda.get_device_name()}"
    speeds = [
        f"{name} {2 * MATRIX**3 / matmul_seconds(dtype, device, MATRIX) / 1e9:.0f} GFLOP/s"
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    ]
    chosen = str(pick_precision("auto", device)).removeprefix("torch.")
    return Finding(f"{torch.__version__}, {where}; {', '.join(speeds)}: training takes {chosen}")


def look_at_opencv() -> Finding:
    """OpenCV, which needs system libraries that bare containers lack."""
    try:
        import cv2
    except ImportError as error:
        return Finding(str(error), f"{_DEBIAN} libgl1 libglib2.0-0")
    return Finding(cv2.__version__)


def look_at_onnx() -> Finding:
    """One of the two builds of ONNX Runtime."""
    found = _versions("onnxruntime-gpu", "onnxruntime")
    if len(found) == 2:
        return Finding(" and ".join(found), "they hide each other: pip uninstall onnxruntime")
    return Finding(*found) if found else Finding("", "pip install onnxruntime-gpu")


def look_at_pygame() -> Finding:
    """The window's library."""
    found = _versions("pygame", "pygame-ce")
    if len(found) == 2:
        return Finding(" and ".join(found), "they hide each other: pip uninstall pygame-ce")
    return Finding(*found) if found else Finding("", "pip install pygame")


def look_at_display() -> Finding:
    """Where a window would appear."""
    from worldsim.runtime.window.window import NoDisplay, video_driver

    try:
        return Finding(f"SDL draws on {video_driver()}")
    except NoDisplay as error:
        return Finding("", str(error))


def look_at_gl() -> Finding:
    """OpenGL without a screen, which draws the maze engine."""
    if sys.platform != "linux":
        return Finding("from the system")
    missing = [library for library in ("libEGL.so.1", "libGL.so.1") if not _loads(library)]
    if missing:
        remedy = f"{_DEBIAN} libegl1 libgl1 libgl1-mesa-dri (only Maze-v0 needs it)"
        return Finding(f"no {' and no '.join(missing)}", remedy)
    return Finding("EGL and GL")


def look_at_engine() -> Finding:
    """The packages of the maze engine."""
    found = _versions("mujoco")
    if not found:
        return Finding("", "pip install 'worldsim[maze]' (only Maze-v0 needs it)")
    return Finding(", ".join(found))


def look_at_voxel_engine() -> Finding:
    """The programs of the voxel engine."""
    try:
        return Finding(", ".join(importlib.import_module("envs.voxel.programs").find_programs()))
    except ImportError as error:
        return Finding("", str(error))


def look_at_worlds() -> Finding:
    """The bundled worlds, every file compared with its hash."""
    from worldsim.world.checkpoint import check_world

    folders = sorted(path for path in asset("worlds").glob("*") if path.is_dir())
    if not folders:
        return Finding(
            "", f"{asset('worlds')} is empty: fetch the project again, or train a world."
        )
    for folder in folders:
        try:
            check_world(folder)
        except ValueError as error:
            return Finding(folder.name, str(error))
    return Finding(f"{', '.join(folder.name for folder in folders)}: all hashes agree")


def _versions(*names: str) -> list[str]:
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


CHECKS = (
    Check("Python", look_at_python, needed=True),
    Check("our packages", look_at_names, needed=True),
    Check("torch", look_at_torch, needed=True),
    Check("OpenCV", look_at_opencv, needed=True),
    Check("pygame", look_at_pygame, needed=True),
    Check("display", look_at_display, needed=True),
    Check("worlds", look_at_worlds, needed=True),
    Check("ONNX Runtime", look_at_onnx, needed=False),
    Check("OpenGL", look_at_gl, needed=False),
    Check("maze engine", look_at_engine, needed=False),
    Check("voxel engine", look_at_voxel_engine, needed=False),
)
