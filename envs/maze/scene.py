"""Draws a Layout from a pose with MuJoCo, on any machine, headless.

One model holds a wall box and a floor plane for every cell and is built once per process; a new
maze only moves the boxes and changes their materials. MuJoCo is imported only here, and only when
the first picture is asked for. A GL context belongs to one thread, so each thread has its own.
"""

import math
import os
import threading
from pathlib import Path
from types import ModuleType

import numpy as np

from envs.maze.layout import GRID, Layout, find_centre, list_floor_textures, list_wall_textures
from worldsim.data.picture import read_picture

FIELD_OF_VIEW = 73  # degrees, vertical
EYE_HEIGHT = 0.5  # of a wall
SKY = (150, 224, 255)
MAX_SIZE = 128
_TEXTURE_SIZE = 128
_HIDDEN = -10.0  # a box under the floor is out of sight
_FACE_TURNS = (1, 3, 2, 0, 0, 0)  # quarter turns of the cube faces +x -x +y -y +z -z
_GL_HELP = (
    "MuJoCo found no headless OpenGL: install the Debian packages libegl1 and libgl1-mesa-dri "
    "(or set MUJOCO_GL=osmesa or glfw)."
)
_scenes = threading.local()


def open_scene(size: int) -> "Scene":
    """The scene of this process and thread that draws `size` x `size` pictures."""
    cache = _scenes.__dict__.setdefault(os.getpid(), {})
    if size not in cache:
        cache[size] = Scene(size)
    return cache[size]


class Scene:
    """A MuJoCo model, its renderer, and the layout it currently shows."""

    def __init__(self, size: int) -> None:
        """Build the model.

        Raises:
            ImportError: MuJoCo or OpenGL is not installed; the sentence names the packages.
        """
        mujoco = _import_mujoco()
        self._mujoco = mujoco
        self._model = _build_model(mujoco)
        self._data = mujoco.MjData(self._model)
        try:
            self._renderer = mujoco.Renderer(self._model, size, size)
        except Exception as error:  # each GL back end has its own error types
            raise ImportError(f"{_GL_HELP} [{error}]") from error
        flags = mujoco.mjtRndFlag
        for flag in (flags.mjRND_SHADOW, flags.mjRND_REFLECTION, flags.mjRND_FOG, flags.mjRND_HAZE):
            self._renderer.scene.flags[flag] = 0
        self._layout: Layout | None = None

    def draw(self, layout: Layout, x: float, y: float, heading: float) -> np.ndarray:
        """The view from a pose, as a fresh uint8 `[size, size, 3]`."""
        self._place(layout, x, y, heading)
        return self._renderer.render().copy()

    def measure(self, layout: Layout, x: float, y: float, heading: float) -> np.ndarray:
        """How far along the viewing axis everything lies that is seen from a pose.

        Returns:
            float32 `[size/2, size/2]`, in cells, at the middle of each block of 2 x 2 pixels.
        """
        self._place(layout, x, y, heading)
        self._renderer.enable_depth_rendering()
        try:
            return _halve_size(self._renderer.render())
        finally:
            self._renderer.disable_depth_rendering()

    def _place(self, layout: Layout, x: float, y: float, heading: float) -> None:
        if layout is not self._layout:
            self._show(layout)
        self._data.mocap_pos[0] = x, y, EYE_HEIGHT
        self._data.mocap_quat[0] = math.cos(heading / 2), 0, 0, math.sin(heading / 2)
        self._mujoco.mj_kinematics(self._model, self._data)
        self._mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera=0)

    def _show(self, layout: Layout) -> None:
        cells = GRID * GRID
        model = self._model
        model.geom_pos[:cells, 2] = np.where(layout.walls.ravel(), 0.5, _HIDDEN)
        model.geom_matid[:cells] = layout.wall_texture.ravel()
        model.geom_matid[cells : 2 * cells] = (
            len(list_wall_textures()) + layout.floor_texture.ravel()
        )
        self._layout = layout


def _halve_size(depth: np.ndarray) -> np.ndarray:
    """Depth `[n, n]` at the middle of each 2 x 2 block: on a plane its inverse is linear."""
    blocks = depth.reshape(len(depth) // 2, 2, -1, 2)
    return 1 / (1 / blocks).mean(axis=(1, 3))


def _import_mujoco() -> ModuleType:
    try:
        import mujoco
    except ModuleNotFoundError as error:
        raise ImportError("the maze needs MuJoCo: pip install mujoco") from error
    except (ImportError, AttributeError, OSError) as error:  # PyOpenGL without its library
        raise ImportError(f"{_GL_HELP} [{error}]") from error
    return mujoco


def _build_model(mujoco: ModuleType) -> object:
    spec = mujoco.MjSpec()
    spec.visual.quality.offsamples = 0  # four times as fast; the published frames are rough too
    spec.visual.global_.offwidth = spec.visual.global_.offheight = MAX_SIZE
    spec.visual.headlight.active = 0
    spec.visual.map.znear = 0.01
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=[channel / 255 for channel in SKY],
        rgb2=[channel / 255 for channel in SKY],
        width=8,
        height=48,
    )
    for index, path in enumerate(list_wall_textures()):
        _add_material(mujoco, spec, f"wall{index}", _unfold_cube(_read_picture(path)), cube=True)
    for index, path in enumerate(list_floor_textures()):
        _add_material(mujoco, spec, f"floor{index}", _read_picture(path), cube=False)
    cells = [find_centre((row, column)) for row in range(GRID) for column in range(GRID)]
    box, plane = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_PLANE
    for x, y in cells:
        spec.worldbody.add_geom(type=box, size=[0.5, 0.5, 0.5], pos=[x, y, 0.5], material="wall0")
    for x, y in cells:
        spec.worldbody.add_geom(type=plane, size=[0.5, 0.5, 1], pos=[x, y, 0], material="floor0")
    body = spec.worldbody.add_body(name="eye", mocap=True)
    # a MuJoCo camera looks along its -z with +y up: turn it to look along the body's +x
    body.add_camera(name="eye", fovy=FIELD_OF_VIEW, xyaxes=[0, -1, 0, 0, 0, 1])
    return spec.compile()


def _add_material(mujoco: ModuleType, spec: object, name: str, rgb: np.ndarray, cube: bool) -> None:
    kind = mujoco.mjtTexture.mjTEXTURE_CUBE if cube else mujoco.mjtTexture.mjTEXTURE_2D
    height, width = rgb.shape[:2]
    texture = spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
    texture.data = rgb.tobytes()
    material = spec.add_material(name=name, emission=1, specular=0, shininess=0, reflectance=0)
    roles = [""] * mujoco.mjtTextureRole.mjNTEXROLE
    roles[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    material.textures = roles


def _read_picture(path: str) -> np.ndarray:
    image = read_picture(Path(path))
    if image is None or image.shape != (_TEXTURE_SIZE, _TEXTURE_SIZE, 3):
        raise ValueError(f"{path} must be a picture of {_TEXTURE_SIZE} pixels: install again")
    return np.ascontiguousarray(image)


def _unfold_cube(image: np.ndarray) -> np.ndarray:
    """The six faces below one another, each turned so that the picture stands upright."""
    return np.concatenate([np.rot90(image, turns) for turns in _FACE_TURNS])
