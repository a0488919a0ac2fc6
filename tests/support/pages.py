"""What tests of the page share: a walk, Python's dream of it, and what the page shows."""

import numpy as np

SEED = 5


def begin(world):
    """The dream of the first start."""
    spawn = world.spawns[0]
    return world.reset(spawn.frames[None], spawn.actions[None], [SEED])


def dream(world, moves):
    """Its frames `[T,H,W,3]`, and the state afterwards."""
    state, made = begin(world), []
    for move in moves:
        state, frames = world.step(state, [move])
        made.append(frames[0])
    return np.stack(made), state


SHOWN = """(() => {
  const screen = document.getElementById("screen");
  const { data } = screen.getContext("2d").getImageData(0, 0, screen.width, screen.height);
  return Array.from(data);
})()"""


def picture(tab, size):
    """The frame that a page shows, uint8 `[size,size,3]`."""
    return np.array(tab.evaluate(SHOWN), np.uint8).reshape(size, size, 4)[..., :3]


def told(tab):
    """The page's sentence."""
    return tab.evaluate("document.getElementById('status').textContent")


def open_page(tab, address):
    """Go to a page and wait until it can be played or has failed; which of them."""
    tab.open("about:blank")
    tab.complaints.clear()
    tab.open(address)
    tab.wait_for("['ready', 'failed'].includes(document.body?.dataset.state)")
    return tab.evaluate("document.body.dataset.state")


def unlike(ours, theirs):
    """The share of numbers that differ by more than two grey levels."""
    return float((np.abs(ours.astype(int) - theirs) > 2).mean())
