"""A first walk in a dream, cell by cell: open it in VS Code, or in Jupyter with jupytext.

python examples/first_dream.py
"""

# %%
import itertools

import gymnasium
import numpy as np

import worldsim  # noqa: F401  registers the worlds

env = gymnasium.make("FARDMLab-v0", steps=1).unwrapped
frame, info = env.reset(seed=1)
print("a frame:", frame.shape, frame.dtype, "actions:", env.actions.names)

# %% [markdown]
# Walk on four steps. Every frame is made by the network; no engine runs.

# %%
forward = env.actions.id("forward")
walk = [env.step(forward)[0] for _ in range(4)]
changes = [float(np.abs(b.astype(int) - a).mean()) for a, b in itertools.pairwise(walk)]
print("mean change a step, of 255:", np.round(changes, 1))

# %% [markdown]
# A moment can be kept: from it, each action leads elsewhere, and the same action to the same frame.

# %%
here = env.clone_state()
futures = {}
for name in env.actions.names:
    env.restore_state(here)
    futures[name] = env.step(env.actions.id(name))[0]
env.restore_state(here)
again = env.step(forward)[0]
print("the same frame again:", bool((again == futures["forward"]).all()))

# %% [markdown]
# The frames side by side: `PIL.Image.fromarray(strip)` shows them in a notebook.

# %%
strip = np.concatenate([*walk, *futures.values()], axis=1)
env.close()
print("side by side:", strip.shape)
