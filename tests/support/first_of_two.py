"""One of two dreams of a vector environment as an environment of its own, so that what is promised
of every environment is tested on dreams in a batch as well.
"""

import gymnasium
import numpy as np

from envs.keys import keys_to_action
from envs.vector import DreamVectorEnv

OTHER = 1  # what the second dream does meanwhile


class FirstOfTwo(gymnasium.Env):
    """The first dream; the second one goes its own way."""

    def __init__(self, world, render_mode=None, **kwargs):
        self.many = DreamVectorEnv(2, world, render_mode=render_mode, **kwargs)
        self.world, self.actions, self.metadata = world, self.many.actions, self.many.metadata
        self.render_mode = render_mode
        self.observation_space = self.many.single_observation_space
        self.action_space = self.many.single_action_space

    def reset(self, *, seed=None, options=None):
        frames, info = self.many.reset(seed=seed, options=options)
        return frames[0], _first(info)

    def step(self, action):
        frames, rewards, terminated, truncated, info = self.many.step([action, OTHER])
        return frames[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first(info)

    def render(self):
        frames = self.many.render()
        return None if frames is None else frames[0]

    def close(self):
        self.many.close()

    def clone_state(self):
        return self.many.clone_state()[0]

    def restore_state(self, state):
        frames, info = self.many.restore_state(state)
        return frames[0], _first(info)

    def get_keys_to_action(self):
        return keys_to_action(self.actions)


def _first(info):
    return {name: np.copy(told)[0] for name, told in info.items() if not name.startswith("_")}
