"""Dreams that walk where episodes walked, on the true way, so that what is remembered and what is
true are seen from the same place: what the geometry's weights learn from.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.far.carry import FARCarry
from models.far.dynamics import FARDynamics
from models.memory.pose import motions_between
from models.retrieval_stack.fusion import Views
from models.retrieval_stack.geometry import Geometry
from worldsim.data.latents import LatentCache


class Noted(NamedTuple):
    """Of N dreamt frames: predictions `[N,C,h,w]`, views and truths like the predictions, and how
    many frames after the context each was, `[N]`.
    """

    made: Tensor
    views: Views
    truth: Tensor
    age: Tensor

    def each(self, change) -> "Noted":
        """The same of every part."""
        views = Views(*(change(part) for part in self.views))
        return Noted(change(self.made), views, *(change(part) for part in self[2:]))

    def some(self, which: Tensor, device: torch.device) -> "Noted":
        """Those of the frames, to compute with."""
        return self.each(lambda part: part[which.to(part.device)].to(device).float())

    def mirrored(self, mirror: Callable[[Tensor], Tensor]) -> "Noted":
        """The same in the mirror; `mirror` turns latents."""

        def turned(part: Tensor) -> Tensor:
            if part.dim() < 4:
                return part
            return part.flip(-1) if part.shape[1] == 1 else mirror(part)

        return self.each(turned)

    @classmethod
    def together(cls, parts: list["Noted"]) -> "Noted":
        """All in one."""
        views = Views(
            *(torch.cat(part) for part in zip(*(one.views for one in parts), strict=True))
        )
        made, truth, age = (
            torch.cat([getattr(one, name) for one in parts]) for name in ("made", "truth", "age")
        )
        return cls(made, views, truth, age)


class Walker(FARDynamics):
    """Dreams along given ways and notes what is weighed.

    Args:
        dynamics: as it plays.
        geometry: that is being taught.
    """

    def __init__(self, dynamics: FARDynamics, geometry: Geometry):
        super().__init__(dynamics.cfg, (), dynamics.anywhere, geometry)
        self.network, self.turns = dynamics.network, dynamics.turns
        self.notes: list[Noted] = []

    @torch.inference_mode()
    def walk(
        self, cache: LatentCache, at: np.ndarray, context: int, noise: torch.Generator
    ) -> Noted:
        """Dream frames `at` `[B,T]` of the cache from the context on: what was noted."""
        device = self.turns.device
        actions = torch.from_numpy(cache.actions[at]).to(device)
        actions[:, 0] = -1
        motions = motions_between(torch.from_numpy(cache.poses[at])).to(device)
        carry, self.notes = self.initial(len(at)), []
        for t in range(at.shape[1]):
            truth = torch.from_numpy(cache.latents[at[:, t]]).to(device).float()
            carry.motions.copy_(motions[:, t, None].expand_as(carry.motions))
            if t < context:
                carry = self.observe(carry, truth, actions[:, t])
                continue
            self._truth, self._age = truth, t - context
            drawn = torch.randn(truth.shape, generator=noise).to(device)
            carry, _ = self.imagine(carry, actions[:, t], drawn, 1)
        return Noted.together(self.notes)

    def _locate(self, carry: FARCarry, latents: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        return self._dead_reckon(carry, actions)  # the way is true

    def _blend(self, made: Tensor, views: Views, needed: Tensor) -> Tensor:
        age = torch.full((len(made),), float(self._age), device=made.device)
        noted = Noted(made, views, self._truth, age)
        self.notes.append(noted.each(lambda part: part[needed].half()))
        return super()._blend(made, views, needed)
