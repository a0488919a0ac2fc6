"""Finds the programs the engine needs, or says what to install."""

import ctypes
import os
import shutil
import sys

PACKAGES = "minetest xvfb libgl1 libgl1-mesa-dri libglx-mesa0"


def find_programs() -> tuple[str, str]:
    """The paths of Xvfb and of Luanti.

    Raises:
        ImportError: one of them or OpenGL is missing; the sentence names the packages.
    """
    if sys.platform != "linux":
        raise ImportError(f"Voxel-v0 runs on Linux only, this is {sys.platform}.")
    xvfb, engine = locate_programs()
    missing = [name for name, found in (("Luanti", engine), ("Xvfb", xvfb)) if found is None]
    if not _has_gl():
        missing.append("OpenGL")
    if missing:
        raise ImportError(
            f"Voxel-v0 finds no {' and no '.join(missing)} here: on Debian or Ubuntu, "
            f"apt-get install --no-install-recommends {PACKAGES}."
        )
    return xvfb, engine


def locate_programs() -> tuple[str | None, str | None]:
    """The paths of Xvfb and of Luanti, None for what is not there; loads no library."""
    # Debian puts games where a user's path has them and a service's has not.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/games"))
    engine = shutil.which("minetest", path=path) or shutil.which("luanti", path=path)
    return shutil.which("Xvfb", path=path), engine


def _has_gl() -> bool:
    try:
        ctypes.CDLL("libGL.so.1")
        ctypes.CDLL("libGLX_mesa.so.0")
    except OSError:
        return False
    return True
