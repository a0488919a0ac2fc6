"""Dreams of the smallest FAR network, and what their memory holds."""

import torch

from models.far.dynamics import FARDynamics
from models.retrieval_stack.album import Album
from models.retrieval_stack.fusion import Views
from tests.support.far_networks import TURNS, awake, small

LEFT, RIGHT, FORWARD, STAND = range(4)


def walked(changes, frames=20):
    """A dreamer that has seen some true frames; turning does not move it."""
    torch.manual_seed(0)
    dynamics = FARDynamics(small(**changes), TURNS).eval()
    awake(dynamics.network)
    with torch.no_grad():  # odometry: no action but the forward one moves
        last = dynamics.network.odometry[-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0]))
    carry = dynamics.initial(1)
    for t in range(frames):
        latents = torch.randn(1, *dynamics.latent_shape)
        carry = dynamics.observe(carry, latents, torch.tensor([2 if t else -1]))
    return dynamics, carry, latents


def dreamt(dynamics, carry, actions):
    """Latents of the frames dreamt under actions."""
    frames = []
    for action in actions:
        noise = torch.randn(1, *dynamics.latent_shape)
        carry, latents = dynamics.imagine(carry, torch.tensor([action]), noise, 1)
        frames.append(latents)
    return frames


def album_of(frames, dull=0.0):
    """Of frames `[N,C,h,w]`, which knows frames of less contrast than `dull` as dull ones."""
    album = Album(len(frames), *frames.shape[1:3])
    album.frames.copy_(frames)
    album.usual.fill_(1.0)
    album.least.fill_(dull)
    return album


def views_of(made, seen):
    """Views that show what was made, where it is seen."""
    seen = seen.expand(1, 1, *made.shape[2:])
    return Views(made, seen, made, torch.zeros_like(seen), torch.zeros(1))
