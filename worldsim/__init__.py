"""worldsim: play worlds that a network dreams, and the engines they were learnt from.

Importing registers the Gymnasium environments by name; it loads no network and no engine.
Run `worldsim --help` for the commands, or::

    import gymnasium, worldsim
    env = gymnasium.make("Maze-v0")
"""

from worldsim.registration import ENVIRONMENTS, register_with_gymnasium

__all__ = ["ENVIRONMENTS", "__version__"]
__version__ = "0.1.0"

register_with_gymnasium()
