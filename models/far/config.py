"""The settings of FAR-Long in the sliding layout: its network, its memory, its sampler."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of the network.

    Attributes:
        actions: size of the action set.
        latent_channels, latent_size: C and h = w of the codec's latents.
        patch, coarse_patch: cells of a fine token (each way) and of a coarse one (rows, columns).
        width, layers, head_size, mlp_ratio: of the blocks.
    """

    actions: int
    latent_channels: int = 32
    latent_size: int = 8
    patch: int = 2
    coarse_patch: tuple[int, int] = (8, 4)
    width: int = 256
    layers: int = 6
    head_size: int = 64
    mlp_ratio: float = 4.0

    def __post_init__(self):
        if self.width % self.head_size:
            raise ValueError(
                f"width must be a multiple of head_size {self.head_size}, got {self.width}"
            )
        for side in (self.patch, *self.coarse_patch):
            if self.latent_size % side:
                raise ValueError(
                    f"patch sides must divide latent_size {self.latent_size}, got {side}"
                )

    @property
    def fine_tokens(self) -> int:
        """Tokens of a fine frame."""
        return (self.latent_size // self.patch) ** 2

    @property
    def coarse_tokens(self) -> int:
        """Tokens of a coarse frame."""
        tall, wide = self.coarse_patch
        return (self.latent_size // tall) * (self.latent_size // wide)


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What a dream remembers, counted in frames.

    Attributes:
        window: newest frames kept as fine tokens.
        recent_coarse: frames before the window, every one as coarse tokens.
        dilation, dilated: of older frames every `dilation`-th, `dilated` of them, as coarse tokens.
        keyframes: frames near in space, as fine tokens.
        field_of_view: degrees, of the square picture.
        stride: how far an unhindered step leads, in the unit of poses; uncertain steps of a dream
            are rounded to it (models/memory/pose.py). 0: not known.
    """

    window: int = 8
    recent_coarse: int = 16
    dilation: int = 4
    dilated: int = 128
    keyframes: int = 6
    field_of_view: float = 73.0
    stride: float = 0.0

    @property
    def span(self) -> int:
        """How many frames back the coarse memory reaches."""
        return self.recent_coarse + self.dilation * self.dilated


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """How a frame is sampled.

    Attributes:
        shortcuts: whether the network is told how long a step is, or that every step is the
            shortest: better where the shortcuts were trained too little (docs/LOG.md).
        context_noise: how much noise, told to the network, the dream's own frames get in its
            short-term window, so that it leans on what it truly saw.
    """

    shortcuts: bool = True
    context_noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FARConfig:
    """The network, what a dream remembers, and how its frames are sampled."""

    network: NetworkConfig
    memory: MemoryConfig = MemoryConfig()
    sampler: SamplerConfig = SamplerConfig()
