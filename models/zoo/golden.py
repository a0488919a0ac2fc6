"""Golden files: weights, inputs and outputs of the published networks, and whether ours agree.

A golden file is safetensors: `weights.<published name>`, inputs (latents, timesteps, actions or
labels, noise; or image), outputs (velocity_*, rollout_*; or latent, reconstruction), and the
network's `config` as JSON in its metadata, beside `rollout` where there is one.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from models.codec.dcae import autoencoder_from
from models.far_published.dynamics import FARReferenceDynamics, ReferencePlay
from models.far_published.network import (
    CLEAN_CODE,
    NULL,
    FARReferenceNetwork,
    ReferenceFrames,
)
from models.nn.flow_matching import velocity_step
from models.nn.noise_schedule import published_sigmas
from models.zoo.presets import far_config
from models.zoo.tensor_names import from_published
from worldsim.reading import parse_json, reading
from worldsim.world.allocation import CALLS_A_TENSOR, GROWTH, SLACK, limit_allocation
from worldsim.world.card import check_sizes
from worldsim.world.tensor_files import read_safetensors

TOLERANCE = 1e-4
META = ("config", "rollout")
WHAT = ("golden file", "give a safetensors file")
FAR_INPUTS = {"latents", "timesteps", "actions", "labels", "noise"}


class Golden(NamedTuple):
    """A golden file's metadata, and its tensors by name."""

    meta: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def weights(self) -> dict[str, Tensor]:
        """The network's, by published name."""
        return {
            name.removeprefix("weights."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith("weights.")
        }

    def outputs(self, inputs: set[str]) -> list[str]:
        """Every tensor that is neither a weight nor one of the inputs."""
        rest = set(self.tensors) - inputs
        return sorted(name for name in rest if not name.startswith("weights."))


class Difference(NamedTuple):
    """How far ours is from an output in the file, at most."""

    output: str
    largest: float

    @property
    def agrees(self) -> bool:
        """Whether it is small enough; what is not a number is not."""
        return self.largest < TOLERANCE


def read_golden(path: str | Path) -> Golden:
    """Read a golden file.

    Raises:
        ValueError: it is not one.
    """
    with reading(path, *WHAT):
        written, tensors = read_safetensors(path, *WHAT)
        meta = {name: parse_json(written[name]) for name in META if name in written}
        if not isinstance(meta.get("config"), dict):
            raise ValueError("its metadata has no config")
        return Golden(meta, tensors)


@torch.no_grad()
def differences(golden: Golden) -> Iterator[Difference]:
    """Of every output in a golden file.

    Raises:
        ValueError: nothing in the file can be compared.
    """
    outputs = autoencoder_outputs if "image" in golden.tensors else far_outputs
    found = False
    with reading("the golden file", *WHAT):
        for name, make in outputs(golden):
            found = True
            yield Difference(name, _largest(make(), golden.tensors[name.partition(" ")[0]]))
    if not found:
        raise ValueError("the golden file has no output to compare: velocity_*, rollout_*, latent")


def _largest(ours: Tensor, theirs: Tensor) -> float:
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes differ: {list(ours.shape)} here, {list(theirs.shape)} there")
    return float((ours - theirs).abs().max())


Output = tuple[str, Callable[[], Tensor]]


def _limit_allocation(golden: Golden) -> AbstractContextManager[None]:
    """A network may take what the weights can fill; the file claims its sizes."""
    check_sizes(golden.meta["config"], "config")
    size = sum(tensor.numel() * tensor.element_size() for tensor in golden.tensors.values())
    return limit_allocation(SLACK + GROWTH * size, CALLS_A_TENSOR * (len(golden.tensors) + 100))


def autoencoder_outputs(golden: Golden) -> Iterator[Output]:
    """DC-AE's latent of an image, and the picture of the file's latent."""
    with _limit_allocation(golden):
        model = autoencoder_from(golden.meta["config"], golden.weights)
    image = golden.tensors["image"]
    made = {
        "latent": lambda: model.encode(image).latent,
        "reconstruction": lambda: model.decode(model.encode(image).latent).sample,
    }
    for name in golden.outputs({"image"}):
        if name not in made:
            raise ValueError(f"the golden file has {name!r}, which is not known here")
        yield name, made[name]


class Clip(NamedTuple):
    """A golden clip: latents `[B,T,C,h,w]`, timesteps and conditions `[B,T]`."""

    latents: Tensor
    timesteps: Tensor
    conditions: Tensor


def far_outputs(golden: Golden) -> Iterator[Output]:
    """FAR's and FAR-Long's velocities and rollouts, uncached and cached."""
    tensors, clip = golden.tensors, clip_of(golden.tensors)
    with _limit_allocation(golden):
        cfg = far_config(golden.meta["config"], clip.latents.shape[-1])
        network = FARReferenceNetwork(cfg).requires_grad_(False).eval()
    network.load_state_dict(from_published(golden.weights, cfg))
    for name in golden.outputs(FAR_INPUTS):
        if name.startswith("velocity_all"):
            yield name, partial(velocity, network, clip)
        elif name.startswith("velocity_last_T"):
            short = newest_noisy(clip, int(name.removeprefix("velocity_last_T")))
            yield f"{name} uncached", partial(last_velocity, network, short)
            yield f"{name} cached", partial(cached_velocity, network, short)
        elif name.startswith("rollout_"):
            made = (network, clip, tensors["noise"], golden.meta["rollout"])
            yield f"{name} uncached", partial(rollout, *made)
            yield f"{name} cached", partial(cached_rollout, *made)
        else:
            raise ValueError(f"the golden file has {name!r}, which is not known here")


def clip_of(tensors: dict[str, Tensor]) -> Clip:
    """The inputs of a FAR file; a label holds for all frames of its row."""
    shape = tensors["latents"].shape[:2]
    conditions = torch.full(shape, NULL)
    if "actions" in tensors:
        conditions = tensors["actions"].long()
    elif "labels" in tensors:
        conditions = tensors["labels"].long().unsqueeze(1).expand(shape)
    timesteps = tensors.get("timesteps", torch.full(shape, CLEAN_CODE))
    return Clip(tensors["latents"].float(), timesteps.float(), conditions)


def newest_noisy(clip: Clip, count: int) -> Clip:
    """The first `count` frames, all clean but the last."""
    latents, timesteps, conditions = (part[:, :count] for part in clip)
    clean = torch.full_like(timesteps, CLEAN_CODE)
    return Clip(latents, torch.cat((clean[:, :-1], timesteps[:, -1:]), 1), conditions)


def velocity(network: FARReferenceNetwork, clip: Clip) -> Tensor:
    """Velocity of the fine frames, from all frames at once."""
    cfg, count = network.cfg, clip.latents.shape[1]
    cut = max(count - cfg.window, 0) if cfg.memory_level == "coarse" else 0
    ids = torch.arange(count)
    code = torch.full_like(clip.timesteps, cfg.memory_code)
    old = ReferenceFrames(clip.latents[:, :cut], ids[:cut], code[:, :cut], clip.conditions[:, :cut])
    return network(
        old,
        ReferenceFrames(
            clip.latents[:, cut:], ids[cut:], clip.timesteps[:, cut:], clip.conditions[:, cut:]
        ),
    )


def last_velocity(network: FARReferenceNetwork, clip: Clip) -> Tensor:
    """Velocity of the last frame, from all frames at once."""
    return velocity(network, clip)[:, -1:]


def cached_velocity(network: FARReferenceNetwork, clip: Clip) -> Tensor:
    """Velocity of the last frame, the others taken in one after another."""
    dynamics, newest = _dynamics(network, guidance=1.0), clip.latents.shape[1] - 1
    latents, timesteps, conditions = (part[:, -1] for part in clip)
    carry = _observe_clip(dynamics, clip, newest)
    ready = dynamics.ready(carry, conditions, timesteps.unsqueeze(1))
    return dynamics.velocity(ready, latents, step=0).unsqueeze(1)


def rollout(
    network: FARReferenceNetwork, clip: Clip, noise: Tensor, settings: dict[str, Any]
) -> Tensor:
    """Frames `[B,F,C,h,w]` made one after another from the context, everything encoded anew for
    each sampler step.
    """
    made = clip.latents[:, : settings["context"]]
    for x in noise.float().split(1, dim=1):
        count = made.shape[1] + 1
        conditions = clip.conditions[:, :count]
        for t, to in published_sigmas(settings["steps"]):
            timesteps = torch.full(conditions.shape, CLEAN_CODE)
            timesteps[:, -1] = 1000 * t
            noisy = Clip(torch.cat((made, x), 1), timesteps, conditions)
            null = noisy._replace(conditions=torch.full_like(conditions, NULL))
            with_actions, without = (velocity(network, c)[:, -1:] for c in (noisy, null))
            guided = without + settings["guidance_scale"] * (with_actions - without)
            x = velocity_step(x, guided, t, to)
        made = torch.cat((made, x), 1)
    return made[:, settings["context"] :]


def cached_rollout(
    network: FARReferenceNetwork, clip: Clip, noise: Tensor, settings: dict[str, Any]
) -> Tensor:
    """The same as a world plays it."""
    dynamics = _dynamics(network, settings["guidance_scale"])
    carry, made = _observe_clip(dynamics, clip, settings["context"]), []
    for x in noise.float().unbind(1):
        conditions = clip.conditions[:, settings["context"] + len(made)]
        carry, latents = dynamics.imagine(carry, conditions, x, settings["steps"])
        made.append(latents)
    return torch.stack(made, dim=1)


def _dynamics(network: FARReferenceNetwork, guidance: float) -> FARReferenceDynamics:
    classes = tuple(range(network.cfg.classes))
    return FARReferenceDynamics(network, ReferencePlay(classes=classes, guidance=guidance))


def _observe_clip(dynamics: FARReferenceDynamics, clip: Clip, count: int) -> Any:
    carry = dynamics.initial(len(clip.latents))
    for t in range(count):
        carry = dynamics.observe(carry, clip.latents[:, t], clip.conditions[:, t])
    return carry
