"""The geometry's part of a training (models/retrieval_stack/geometry.py), when the dynamics has
learnt: distances from episodes with poses, then how to weigh views against the dynamics' own
predictions, in dreams that walk where the episodes walked. The latents of the training are all it
needs; minutes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.far.dynamics import FARDynamics
from models.memory.depth import photometric_loss
from models.retrieval_stack.geometry import Geometry
from models.retrieval_stack.train_walks import Noted, Walker
from worldsim.data.latents import LatentCache
from worldsim.world.checkpoint import load_into, load_training, save_training

NEARBY = 6  # frames between two pictures of the same things, at most
OTHERS = 3  # pictures beside each
TRIES = 50
SAVED = 500  # steps between two savings
APART = 10  # of the dreams every so-manyth judges and does not teach


@dataclass(frozen=True, kw_only=True)
class GeometryTraining:
    """steps, batch, lr: of the distances. dreams: how many, `together` at a time, of so many frames
    after at least `context` true ones, teach the weights for fusion_steps.
    """

    steps: int = 6000
    batch: int = 12
    lr: float = 2e-3
    dreams: int = 144
    together: int = 8
    frames: int = 14
    context: int = 48
    fusion_steps: int = 1200
    fusion_batch: int = 32
    fusion_lr: float = 1.5e-3


def train_geometry(
    geometry: Geometry,
    dynamics: FARDynamics,
    cache: LatentCache,
    plan: GeometryTraining,
    mirror: Callable[[Tensor], Tensor],
    path: Path,
    seed: int,
) -> dict[str, float]:
    """Teach a geometry; resumes and saves in `path`.

    Args:
        geometry: to be taught; there have to be episodes `with_poses`.
        dynamics: what it will play with: the network as trained, with this geometry.
        cache: what the dynamics learnt from.
        plan: how long, how much at a time.
        mirror: latents to those of the mirrored frames.
        path: where it is saved.
        seed: of everything drawn.

    Returns:
        The last photometric error; squared errors of predictions alone and of weighed ones, on
        dreams that did not teach.
    """
    posed = with_poses(cache, plan)
    done, told = _resume(geometry, path)
    if done < plan.steps:
        told = {"photometric": _learn_distances(geometry, cache, posed, plan, path, seed, done)}
    if "weighed" not in told:
        dreamt = _dreams(geometry, dynamics, cache, posed, plan, seed)
        told |= _learn_weights(geometry, dreamt, plan, mirror, seed)
        _save(geometry, path, plan.steps, told)
    return told


def with_poses(cache: LatentCache, plan: GeometryTraining) -> np.ndarray:
    """Numbers of the episodes that can teach a geometry: their poses are known, and they are long
    enough.
    """
    shortest = max(2 * NEARBY, plan.context + plan.frames)
    return np.flatnonzero(cache.posed & (np.diff(cache.bounds) > shortest))


def _resume(geometry: Geometry, path: Path) -> tuple[int, dict[str, float]]:
    if not path.exists():
        return 0, {}
    state = load_training(path)
    load_into(geometry, state["geometry"], path)
    return state["step"], state["told"]


def _save(geometry: Geometry, path: Path, step: int, told: dict[str, float]) -> None:
    save_training(path, {"geometry": geometry.state_dict(), "step": step, "told": told})


def _learn_distances(
    geometry: Geometry,
    cache: LatentCache,
    posed: np.ndarray,
    plan: GeometryTraining,
    path: Path,
    seed: int,
    done: int,
) -> float:
    net, rng = geometry.depth.train(), np.random.default_rng([seed, 7, done])
    device = next(net.parameters()).device
    optimiser, error = torch.optim.AdamW(net.parameters(), lr=plan.lr), 0.0
    for step in range(done, plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.lr * min(1, (step + 1 - done) / 50, 2 * (1 - step / plan.steps))
        at = np.stack([_some_frames(cache, posed, rng, net.near) for _ in range(plan.batch)])
        latents = torch.from_numpy(cache.latents[at.ravel()]).to(device).float()
        poses = torch.from_numpy(cache.poses[at]).to(device)
        pictures = geometry.show(latents).unflatten(0, at.shape)
        distances = net(latents.unflatten(0, at.shape)[:, 0])
        loss = photometric_loss(
            distances, pictures[:, 0], poses[:, 0], pictures[:, 1:], poses[:, 1:], geometry.fov
        )
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        error += 0.02 * (loss.item() - error) if step > done else loss.item()
        if (step + 1) % SAVED == 0 or step + 1 == plan.steps:
            print(f"geometry {step + 1}/{plan.steps}  photometric {error:.4f}", flush=True)
            _save(geometry, path, step + 1, {"photometric": error})
    return error


def _some_frames(
    cache: LatentCache, posed: np.ndarray, rng: np.random.Generator, moved: float
) -> np.ndarray:
    """A frame and OTHERS around it, of which at least one was seen from elsewhere (as a rule)."""
    around = np.delete(np.arange(-NEARBY, NEARBY + 1), NEARBY)
    for _ in range(TRIES):
        episode = rng.choice(posed)
        begin, end = cache.bounds[episode], cache.bounds[episode + 1]
        frame = rng.integers(begin + NEARBY, end - NEARBY)
        at = np.concatenate(([frame], frame + rng.choice(around, OTHERS, replace=False)))
        if np.linalg.norm(cache.poses[at, :2] - cache.poses[frame, :2], axis=1).max() > moved:
            break
    return at


def _dreams(
    geometry: Geometry,
    dynamics: FARDynamics,
    cache: LatentCache,
    posed: np.ndarray,
    plan: GeometryTraining,
    seed: int,
) -> Noted:
    walker, notes = Walker(dynamics, geometry), []
    rng, noise = np.random.default_rng([seed, 8]), torch.Generator().manual_seed(seed)
    length = plan.context + plan.frames
    for dreamt in range(0, plan.dreams, plan.together):
        chosen = rng.choice(posed, plan.together, replace=len(posed) < plan.together)
        shortest = int(np.diff(cache.bounds)[chosen].min())
        end = int(rng.integers(length, shortest + 1))
        at = cache.bounds[chosen][:, None] + np.arange(end)
        notes.append(walker.walk(cache, at, end - plan.frames, noise))
        if dreamt % (8 * plan.together) == 0:
            print(f"geometry: {dreamt} of {plan.dreams} dreams", flush=True)
    return Noted.together(notes)


def _learn_weights(
    geometry: Geometry,
    dreamt: Noted,
    plan: GeometryTraining,
    mirror: Callable[[Tensor], Tensor],
    seed: int,
) -> dict[str, float]:
    fusion, count = geometry.fusion.train(), len(dreamt.made)
    device = next(fusion.parameters()).device
    apart = torch.arange(count, device=dreamt.made.device) >= count - count // APART
    taught, judged = (torch.nonzero(part).flatten() for part in (~apart, apart))
    optimiser = torch.optim.AdamW(fusion.parameters(), lr=plan.fusion_lr, weight_decay=0.05)
    generator = torch.Generator().manual_seed(seed)
    for step in range(plan.fusion_steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.fusion_lr * min(
                1, (step + 1) / 50, 2 * (1 - step / plan.fusion_steps)
            )
        drawn = torch.randint(len(taught), (plan.fusion_batch,), generator=generator)
        drawn = taught[drawn.to(taught.device)]
        some = dreamt.some(drawn, device)
        if step % 2:
            some = some.mirrored(mirror)
        loss = (fusion(some.made, some.views) - some.truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    fusion.eval()
    with torch.no_grad():
        some = dreamt.some(judged, device)
        weighed = (fusion(some.made, some.views) - some.truth).square().mean()
        told = {"predicted": (some.made - some.truth).square().mean(), "weighed": weighed}
    told = {name: float(value) for name, value in told.items()}
    print("geometry: " + ", ".join(f"{name} {value:.3f}" for name, value in told.items()))
    return told
