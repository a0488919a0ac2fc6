"""What a dream remembers of space: a map from above, and points for a file.

A dynamics with a memory in space names a module of its own in MAPPERS; others have nothing to draw.
"""

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from worldsim.world.model import WorldModel, WorldState

MAPPERS = {
    "far-spatial": "models.memory.point_cloud",
    "videoar-spatial": "models.memory.point_cloud",
}
"""Builder of a world -> module with `remembered_points`, `draw_map` and `format_ply`."""


def draw_map(world: "WorldModel", state: "WorldState", size: int, reach: float) -> np.ndarray:
    """A map from above of what the first dream of a state remembers, uint8 `[size,size,3]`.

    Args:
        world: its world.
        state: not changed.
        size: pixels a side.
        reach: from the middle, where the body is, to an edge, in the unit of poses; ahead is up.

    Raises:
        ValueError: the world has no memory in space.
    """
    mapper, carry = _load_mapper(world), _carry(state)
    cloud = _read_points(mapper, world, state)
    return mapper.draw_map(cloud, carry.pose[0], size, reach).numpy()


def format_points(world: "WorldModel", state: "WorldState") -> bytes:
    """What the first dream of a state remembers as a PLY file: coloured points, those that were
    invented marked.

    Raises:
        ValueError: the world has no memory in space.
    """
    mapper = _load_mapper(world)
    return mapper.format_ply(_read_points(mapper, world, state))


def _load_mapper(world: "WorldModel") -> Any:
    target = MAPPERS.get(world.card.builder)
    if target is None:
        raise ValueError(
            f"{world.card.name} (builder {world.card.builder}) has no memory in space to draw: "
            f"give a world of builder {' or '.join(MAPPERS)}"
        )
    if not hasattr(world, "codec"):
        raise ValueError(f"a map of {world.card.name} is drawn by torch: open it with that runtime")
    return importlib.import_module(target)


def _read_points(mapper: Any, world: "WorldModel", state: "WorldState") -> Any:
    dynamics: Any = world.dynamics
    view = dynamics.memory.field_of_view, dynamics.depth.cfg.far
    return mapper.remembered_points(_carry(state).bank, 0, *view)


def _carry(state: "WorldState") -> Any:
    """The memory, of which only the mapper's kind has a bank and a pose."""
    return state.carry
