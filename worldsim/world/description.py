"""What a page has to know of a world to let somebody play it: names, keys, starts."""

from typing import Any

from worldsim.actions import ActionSet
from worldsim.world.base import World


def describe_play(world: World) -> dict[str, Any]:
    """Title, pace, size, actions and starts of a world, a hint for the player, and what saved
    moments belong to.
    """
    starts = [{"name": spawn.name} for spawn in world.spawns]
    return describe_screen(world) | {"identity": f"served {world.hash}", "starts": starts}


def describe_screen(world: World) -> dict[str, Any]:
    """All of that but the starts."""
    actions = describe_actions(world.actions)
    keys = "; ".join(f"{one['name']}: {' or '.join(one['keys'])}" for one in actions if one["keys"])
    return {
        "title": world.card.title,
        "fps": world.card.fps,
        "frame_size": world.card.frame_size,
        "hint": f"Hold a key or a button. {keys}; rewind: backspace",
        "actions": actions,
    }


def describe_actions(table: ActionSet) -> list[dict[str, Any]]:
    """Name, keys and turn of every action."""
    return [
        {
            "name": name,
            "keys": [key for key, action in table.keys.items() if action == name],
            "turn": table.turns[number],
        }
        for number, name in enumerate(table.names)
    ]
