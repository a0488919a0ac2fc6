"""What a codec and a dynamics must do to be a world. Structural types; implementations lie in
models/.
"""

from __future__ import annotations  # so that worlds without torch need not import it

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Codec(Protocol):
    """Pixels <-> latents."""

    latent_shape: tuple[int, int, int]
    frame_size: int

    def encode(self, frames: Tensor) -> Tensor:
        """Latents float32 `[...,C,h,w]` of frames uint8 `[...,H,W,3]`."""

    def decode(self, latents: Tensor) -> Tensor:
        """Frames uint8 `[B,H,W,3]` of latents `[B,C,h,w]`."""


class Carry(Protocol):
    """A dynamics' memory of B dreams; opaque but for these."""

    def map(self, function) -> Carry:
        """A new carry of `function(tensor, batch dimension)` of every tensor."""

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""


class Dynamics(Protocol):
    """What happens next, in latents.

    One with `takes_frames` remembers pixels: `observe` gets the frames uint8 `[B,H,W,3]` as well,
    and `newest_frames(carry)` gives those that `imagine` made, uint8 `[B,H,W,3]`; the codec is not
    asked to decode.

    One whose frames can be remembered with noise has `context_noise` (0 to 1), how much it is
    without being told, and `imagine` takes another by that name.

    One with `takes_poses` can be led: `imagine` takes `poses` `[B,4]`, where the bodies go, in the
    frame of reference of the first frame that was observed.

    One with `takes_controls` can be led by continuous actions: `imagine` takes `controls`, and
    `actions` are the nearest ones then.

    One whose carry has `inverse_depth` `[B,n,n]` of the newest frames names the camera that it is
    seen by: `field_of_view` in degrees, and `far`, the depth from which on all is equally far.
    """

    def initial(self, batch: int) -> Carry:
        """Dreams that have seen nothing."""

    def observe(self, carry: Carry, latents: Tensor, actions: Tensor) -> Carry:
        """Take in true frames `[B,C,h,w]`; actions `[B]` led to them."""

    def imagine(
        self, carry: Carry, actions: Tensor, noise: Tensor, steps: int
    ) -> tuple[Carry, Tensor]:
        """Make and take in the next frames."""

    def carry_from(self, tensors: dict[str, Tensor]) -> Carry:
        """Inverse of `Carry.tensors`."""


class Controls(NamedTuple):
    """Continuous actions of B bodies, each `[B]`: turns in radians, strides as shares of the full
    step of the actions `walks`; `named` where an action's id says the same.
    """

    turns: Tensor
    strides: Tensor
    walks: Tensor
    named: Tensor


class Parts(NamedTuple):
    """What a builder makes of a card and weights."""

    codec: Codec
    dynamics: Dynamics
