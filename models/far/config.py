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
        refiner: width of the convolutions over what the tokens predict; 0 for none.
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
    refiner: int = 0

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
    """How a frame is sampled, and what of memory is put into it afterwards.

    Attributes:
        shortcuts: whether the network is told how long a step is, or that every step is the
            shortest: better where the shortcuts were trained too little (docs/LOG.md).
        context_noise: how much noise, told to the network, the dream's own frames get in its
            short-term window, so that it leans on what it truly saw.
        retrieval: by how many of the coarsest channels the cells of a finished frame are looked up
            among those of the keyframes and the newest frame, which replace them; 0 for not at all.
        kept: how many of the coarsest channels stay as they were predicted.
        shifted: in how many of the remembered frames patches between the cells are looked at.
        exemplars: from how many true frames, from wherever, cells are taken as well.
        inpaint, inpaint_old: share of what no view shows that is taken from a true frame, in a
            young and in an old dream (models/retrieval_stack/inpainting.py).
        contrast: share of the contrast lost by an old dream that is restored
            (models/retrieval_stack/contrast.py).
        trust: weight of what views show against the prediction in an old dream.
        album: true frames of the training data that fill gaps as well
            (models/retrieval_stack/album.py).
        ripens, steepness: after how many frames a dream is half as old as can be, and how suddenly;
            the older, the more the `kept` channels are those of true cells as well.
        still: how near (cells) a pose must be to an earlier one for its frame to be repeated; 0 for
            never.
    """

    shortcuts: bool = True
    context_noise: float = 0.0
    retrieval: int = 0
    kept: int = 0
    shifted: int = 2
    exemplars: int = 0
    inpaint: float = 0.0
    inpaint_old: float = 1.0
    contrast: float = 0.0
    trust: float = 0.0
    album: int = 0
    ripens: float = 250.0
    steepness: float = 2.0
    still: float = 0.0

    def __post_init__(self):
        for name in ("inpaint", "inpaint_old", "contrast", "trust"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.album < 0:
            raise ValueError(f"album must be >= 0 frames, got {self.album}")
        if self.ripens <= 0:
            raise ValueError(f"ripens must be > 0 frames, got {self.ripens}")
        if self.steepness <= 0:
            raise ValueError(f"steepness must be > 0, got {self.steepness}")


@dataclass(frozen=True, kw_only=True)
class FARConfig:
    """The network, what a dream remembers, and how its frames are sampled."""

    network: NetworkConfig
    memory: MemoryConfig = MemoryConfig()
    sampler: SamplerConfig = SamplerConfig()

    def __post_init__(self):
        channels = self.network.latent_channels
        for name in ("retrieval", "kept"):
            value = getattr(self.sampler, name)
            if not 0 <= value <= channels:
                raise ValueError(f"{name} must be in [0, {channels}] channels, got {value}")
