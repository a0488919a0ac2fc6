"""Settings of the dynamics with a memory in space: its network, its memory, its sampler."""

from dataclasses import dataclass

from models.memory.sizes import KEPT_NEWEST


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of the network: an hourglass of cells (narrow) and groups of 2 x 2 cells (wide).

    Attributes:
        actions: size of the action set.
        latent_channels, latent_size: C and h = w of the codec's latents.
        narrow, wide: widths; outer: narrow blocks before and after; layers: wide blocks.
        head_size: of wide attention; narrow attention has 4 heads.
        coarse_patch: cells of a coarse token, rows and columns.
        condition: width of the conditioning vector.
        unit: poses are divided by it before they rotate keys and queries.
    """

    actions: int
    latent_channels: int = 48
    latent_size: int = 8
    narrow: int = 128
    wide: int = 256
    outer: int = 2
    layers: int = 5
    head_size: int = 64
    mlp_ratio: float = 4.0
    coarse_patch: tuple[int, int] = (8, 4)
    condition: int = 128
    unit: float = 1.0

    def __post_init__(self):
        if self.wide % self.head_size:
            raise ValueError(
                f"wide must be a multiple of head_size {self.head_size}, got {self.wide}"
            )
        for side in (2, *self.coarse_patch):
            if self.latent_size % side:
                raise ValueError(
                    f"latent_size must be a multiple of {side}, got {self.latent_size}"
                )

    @property
    def fine_tokens(self) -> int:
        """Wide tokens of a frame."""
        return (self.latent_size // 2) ** 2

    @property
    def coarse_tokens(self) -> int:
        """Coarse tokens of a frame."""
        tall, wide = self.coarse_patch
        return self.latent_size**2 // (tall * wide)


@dataclass(frozen=True, kw_only=True)
class SpaceConfig:
    """What a dream remembers of the space around it.

    Attributes:
        slots: frames in the bank.
        sources: of them, rendered into one view.
        field_of_view: degrees, of the square picture.
        sharp: whether pixels that are seen much nearer than they were stored are hints (see
            models/memory/renderer.py, `render`).
    """

    slots: int = 256
    sources: int = 6
    field_of_view: float = 73.0
    sharp: bool = False

    def __post_init__(self):
        if self.slots <= KEPT_NEWEST:
            raise ValueError(
                f"slots must be > {KEPT_NEWEST}, the newest frames that are never dropped, got "
                f"{self.slots}"
            )
        if self.sources < 1:
            raise ValueError(f"sources must be >= 1, got {self.sources}")
        if not 10 <= self.field_of_view <= 150:
            raise ValueError(f"field_of_view must be in [10, 150], got {self.field_of_view}")


@dataclass(frozen=True, kw_only=True)
class MemoryConfig(SpaceConfig):
    """What a dream remembers, of space and as tokens.

    Attributes:
        window: newest frames kept as fine tokens.
        keyframes: frames of the bank that show most of the view, as fine tokens.
        coarse, dilation: how many frames of the long past, every `dilation`-th one, as coarse
            tokens.
    """

    window: int = 1
    keyframes: int = 1
    coarse: int = 16
    dilation: int = 8

    def __post_init__(self):
        super().__post_init__()
        for name in ("window", "keyframes", "coarse", "dilation"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """Sampler steps by the share of the view that memory does not show: below `little` one, below
    `some` two, below `most` four, else eight.

    Attributes:
        little, some, most: shares, rising.
        shortcuts: whether the network is told how long a step is, or that every step is the
            shortest.
        order: 1 for Euler steps; 2 for steps that go by the velocity extrapolated from the step
            before as well, which invents with as much contrast in half as many steps.
    """

    little: float = 0.05
    some: float = 0.3
    most: float = 0.9
    shortcuts: bool = False
    order: int = 1

    def __post_init__(self):
        if not self.little <= self.some <= self.most:
            raise ValueError(
                f"little, some and most must rise, got {self.little}, {self.some}, {self.most}"
            )
        if self.order not in (1, 2):
            raise ValueError(f"order must be 1 or 2, got {self.order}")
        if self.order == 2 and self.shortcuts:
            raise ValueError("order must be 1 where shortcuts are learnt, got 2")

    def steps(self, unseen: float) -> int:
        """Sampler steps for a frame of which a share of `unseen` is invented."""
        if unseen < self.little:
            return 1
        if unseen < self.some:
            return 2
        return 4 if unseen < self.most else 8
