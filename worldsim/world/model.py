"""A world model: a codec and a dynamics behind one small interface.

Knows no network: a world's card names a builder (card.py), loaded by that name. Knows no window,
engine or environment.

    world = load_world("dmlab")
    # The context: frames uint8 [1,T,H,W,3], actions [1,T-1].
    state = world.reset(frames, actions, seeds=[0])
    state, frames = world.step(state, [2])                # frames uint8 [1,H,W,3]
"""

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from worldsim.reading import reading
from worldsim.world.allocation import CALLS_A_TENSOR, GROWTH, SLACK, limit_allocation
from worldsim.world.base import EXPORT, RAN_AWAY, World, world_folder
from worldsim.world.batch_invariant import apply_row_by_row, decode_rows, make_batch_invariant
from worldsim.world.card import BUILDERS, WorldCard, read_card
from worldsim.world.checkpoint import (
    CARD,
    SPAWNS,
    WEIGHTS,
    WorldError,
    check_world,
    load_weights,
)
from worldsim.world.protocols import Carry, Controls, Parts
from worldsim.world.state import WorldState

DEVICES = ("cpu", "cuda", "mps", "xpu")  # with memory of their own; "meta" has none


class WorldModel(World):
    """A world that can be dreamt in. See the module's example; batches of any size, each row its
    own dream.
    """

    def __init__(
        self,
        card: WorldCard,
        parts: Parts,
        world_hash: str,
        spawn_paths: Sequence[Path] = (),
        device: str = "cpu",
    ):
        super().__init__(card, parts.dynamics, world_hash, spawn_paths)
        self.device, self.codec = torch.device(device), parts.codec
        make_batch_invariant(self.dynamics)

    def observe(
        self,
        carry: Carry,
        frames: np.ndarray,
        actions: Sequence[int] | np.ndarray,
        controls: np.ndarray | None = None,
    ) -> Carry:
        """Take in true frames uint8 `[B,H,W,3]`, which actions `[B]` led to (-1: none), or controls
        float32 `[B,2]` where these are not NaN.
        """
        pictures, latents = self._encode(frames)
        led = torch.as_tensor(actions, dtype=torch.long, device=self.device)
        if getattr(self.dynamics, "takes_frames", False):
            told = {} if controls is None else {"controls": self._to_tensors(controls)}
            return self.dynamics.observe(carry, latents, led, pictures, **told)
        return self.dynamics.observe(carry, latents, led)

    def _encode(self, frames: np.ndarray) -> tuple[Tensor, Tensor]:
        """True frames uint8 `[B,H,W,3]` as a tensor, and their latents, each row as it is alone."""
        pictures = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        return pictures, apply_row_by_row(self.codec.encode, pictures)

    def measure_bits(
        self, state: WorldState, frames: np.ndarray, actions: Sequence[int] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the true frames uint8 `[B,H,W,3]` that follow cost: bits `[B,K]` of each scale, and
        the share of labels `[B,K]` that were the likeliest; for a dynamics that samples labels.

        Args:
            state: the dreams, not changed.
            frames: what follows.
            actions: `[B]` that led there.
        """
        _, latents = self._encode(frames)
        led = torch.as_tensor(actions, dtype=torch.long, device=self.device)
        told = self.dynamics.measure_bits(state.carry, latents, led)
        return told.bits.cpu().numpy(), told.likeliest.cpu().numpy()

    @torch.no_grad()
    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """What the codec keeps of frames uint8 `[N,H,W,3]`."""
        pictures = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        return self.codec.decode(self.codec.encode(pictures)).cpu().numpy()

    def step(
        self,
        state: WorldState,
        actions: Sequence[int] | np.ndarray,
        steps: int | None = None,
        context_noise: float | None = None,
        poses: np.ndarray | None = None,
    ) -> tuple[WorldState, np.ndarray]:
        """Dream one frame a row. Consumes `state`; gives it back advanced, and frames uint8
        `[B,H,W,3]` (fresh).

        Args:
            state: the dreams.
            actions: one a dream, by its id; or all as numbers, float `[B,2]`, where the card has
                continuous actions: a turn in degrees counter-clockwise, and a stride as a share of
                the full step, which is gone along the heading before the turn.
            steps: sampler steps; None for the world's own number.
            context_noise: how much noise the frames are remembered with; None for the world's own.
            poses: float `[B,4]` where the bodies go (x, y, heading, height, from the context's
                first frame); None: where the dream itself says that the actions lead.

        Raises:
            ValueError: bad actions, steps, noise or poses, or a dream that ran away to numbers that
                are not finite.
        """
        chosen = self.check_actions(state, actions)
        noise = torch.stack(
            [
                draw_frame_noise(seed, count, self.codec.latent_shape)
                for seed, count in zip(state.seeds, state.counts, strict=True)
            ]
        )
        ids = torch.as_tensor(chosen.ids, dtype=torch.long, device=self.device)
        how: dict[str, Any] = {}
        if chosen.controls is not None:
            self.check_unled(poses)
            how["controls"] = self._to_tensors(chosen.controls)
        if context_noise is not None:
            how["context_noise"] = self.check_noise(context_noise)
        if poses is not None:
            how["poses"] = torch.from_numpy(self.check_poses(poses, state.batch)).to(self.device)
        carry, latents = self.dynamics.imagine(
            state.carry, ids, noise.to(self.device), steps or self.card.steps, **how
        )
        if not bool(latents.isfinite().all()):
            raise ValueError(RAN_AWAY)
        state.carry, state.counts = carry, [count + 1 for count in state.counts]
        return state, self._frames(carry, latents)

    def _to_tensors(self, controls: np.ndarray) -> Controls:
        parts = self.to_controls(controls)
        return Controls(*(torch.from_numpy(part).to(self.device) for part in parts))

    def _frames(self, carry: Carry, latents: Tensor) -> np.ndarray:
        """Frames uint8 `[B,H,W,3]` that were just generated, fresh."""
        if getattr(self.dynamics, "takes_frames", False):
            return self.dynamics.newest_frames(carry).cpu().numpy().copy()
        return decode_rows(self.codec, latents)

    def restore_state_of(
        self, tensors: dict[str, Tensor], seeds: list[int], counts: list[int]
    ) -> WorldState:
        """The state whose memory these tensors are, wherever they lie."""
        here = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        return WorldState(self.dynamics.carry_from(here), seeds, counts, self.hash)


def draw_frame_noise(seed: int, count: int, shape: Sequence[int]) -> Tensor:
    """The noise `[C,h,w]` of a dream's frame: a pure function, so that forks and restored states go
    on alike.
    """
    digest = hashlib.blake2b(f"{seed}/{count}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    return torch.randn(tuple(shape), generator=generator)


def resolve_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        WorldError: it cannot be used here.
    """
    kind = str(name).partition(":")[0]
    if kind not in DEVICES:
        raise WorldError(
            f"there is no device {name!r:.40} here, only {', '.join(DEVICES)}: use cpu"
        )
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError, UnicodeError) as error:
        told = str(error).splitlines()[0]
        raise WorldError(f"there is no device {name!r} here ({told}): use cpu") from error


def load_world(path_or_name: str | Path, device: str = "cpu") -> WorldModel:
    """Open a world, every file checked against its manifest.

    Raises:
        WorldError: in one sentence, what is wrong with it.
    """
    resolve_device(device)
    folder = world_folder(path_or_name)
    if (folder / EXPORT).is_file():
        raise WorldError(f"{folder} was exported for ONNX Runtime: play it with --runtime onnx")
    world_hash = check_world(folder)
    card = read_card(folder / CARD)
    weights = load_weights(folder / WEIGHTS)
    with reading(folder / CARD, "card of these weights", "fetch the world again", WorldError):
        parts = _build(card, weights, device)
        spawns = sorted((folder / SPAWNS).glob("[!.]*.npz"))
        return WorldModel(card, parts, world_hash, spawns, device)


def _build(card: WorldCard, weights: dict[str, Tensor], device: str) -> Parts:
    """The networks of a card, which may claim any size: they take what the weights can fill."""
    module, function = BUILDERS[card.builder].split(":")
    build = getattr(importlib.import_module(module), function)
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    with limit_allocation(SLACK + size * GROWTH, CALLS_A_TENSOR * (len(weights) + 100)):
        parts = build(card, weights, device)
        parts.dynamics.initial(1)  # a memory that is too large shows now, and not while playing
    return parts
