"""Settings of VideoAR: the transformer's shape, and how it plays."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of the transformer. What the paper leaves open is an option; docs/videoar.md says
    which reading each is.

    Attributes:
        conditions: actions of the world, or classes of the data.
        width, layers, head_size: of the transformer.
        mlp_ratio: hidden width over width, of a SwiGLU's three matrices or of an MLP's two.
        block: "swiglu": self-attention and SwiGLU; "cross-gelu": Infinity's, with cross-attention
            to the condition and a GELU MLP.
        adaln: whether the condition shifts, scales and gates every block (one table for all).
        context: what later frames see of a frame: "scales", its inputs as published, or "whole",
            the finished frame, by one more pass over it.
        window: frames that a frame sees before itself.
        ladder: rotary frequencies: "shared", one ladder cut into three, or "each", one an axis,
            or "plane", one for rows and one for columns: none for frames.
        grid: a token's row and column: on its scale's "own" grid or on the "finest".
        theta: base of the frequencies.
        patch: cells on a side that a token of a level on the finest grid stands for; their labels
            are predicted from it together. Coarser levels have a token a cell.
        view_scales: how many of the first scales are told what a memory in space shows of the
            frame (models/videoar_spatial); 0 where there is no such memory.
    """

    conditions: int
    width: int = 192
    layers: int = 6
    head_size: int = 32
    mlp_ratio: float = 4.0
    block: Literal["swiglu", "cross-gelu"] = "swiglu"
    adaln: bool = True
    context: Literal["scales", "whole"] = "whole"
    window: int = 8
    ladder: Literal["shared", "each", "plane"] = "shared"
    grid: Literal["own", "finest"] = "finest"
    theta: float = 10_000.0
    patch: int = 1
    view_scales: int = 0

    def __post_init__(self):
        if self.width % self.head_size:
            raise ValueError(
                f"width must be a multiple of head_size {self.head_size}, got {self.width}"
            )
        if self.head_size % 2 or self.head_size < 6:
            raise ValueError(f"head_size must be even and >= 6, got {self.head_size}")
        for name in ("conditions", "layers", "window", "patch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.view_scales < 0:
            raise ValueError(f"view_scales must be >= 0, got {self.view_scales}")

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.width // self.head_size


@dataclass(frozen=True, kw_only=True)
class GuidanceConfig:
    """Classifier-free guidance by frame and scale; 1 is none.

    Attributes:
        first, last: of the first and the last of `length` frames.
        finest: of a frame's last scale, to which its first scale's number moves linearly; None
            moves from `first` to `last` over frames and scales together.
        length: frames; later ones are guided as the last.
    """

    first: float = 1.0
    last: float = 1.0
    finest: float | None = None
    length: int = 1

    def __post_init__(self):
        if self.length < 1:
            raise ValueError(f"length must be >= 1 frame, got {self.length}")

    @property
    def used(self) -> bool:
        """Whether anything is guided."""
        return any(value not in (None, 1) for value in (self.first, self.last, self.finest))


@dataclass(frozen=True, kw_only=True)
class PlayConfig:
    """How labels are drawn.

    Attributes:
        temperature: of the labels' chances; 0 takes the likeliest.
        guidance: towards the condition.
    """

    temperature: float = 0.7
    guidance: GuidanceConfig = field(default_factory=GuidanceConfig)

    def __post_init__(self):
        if not 0 <= self.temperature <= 10:
            raise ValueError(f"temperature must be in [0, 10], got {self.temperature}")
