"""The settings of FAR-Long in the sliding layout: its network, its memory, its sampler."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FARConfig:
    """Shape of the network and of its memory. Sizes in latent cells, counts in frames.

    `context_noise`: how much noise, told to the network, the dream's own frames get in its
    short-term window, so that it leans on what it truly saw.
    `shortcuts`: whether play tells the network how long a jump is; a network whose shortcuts were
    trained too little is better told that every jump is the shortest (docs/LOG.md).
    `refiner`: width of the convolutions over what the tokens predict; 0 for none.
    `retrieval`: by how many of the coarsest channels the cells of a finished frame are looked up
    among those of the keyframes and the newest frame, which take their places; 0 for not at all.
    `kept`: how many of the coarsest channels stay as they were predicted. `shifted`: of how many of
    the remembered frames what lies between the cells is looked at.
    `exemplars`: cells of how many truly seen frames, from wherever, may take places as well.
    `inpaint`: how much of what no view shows is taken from a truly seen frame in a young dream, and
    `inpaint_old` in an old one (models/retrieval_stack/inpainting.py). `contrast`: how much of the
    contrast that an old dream has lost it is given back (models/retrieval_stack/contrast.py).
    `trust`: how much an old dream trusts what views show rather than the prediction. These four 0
    to 1. `album`: how many true frames of what the world learnt from fill gaps as well
    (models/retrieval_stack/album.py). `ripens`: after how many frames a dream is half as old as can
    be, and `steepness` how suddenly; the older, the more the `kept` channels are those of true
    cells as well. `stride`: how far a step carries that nothing is in the way of, in the unit of
    poses; doubtful steps of a dream are then whole (models/memory/pose.py). 0: not known.
    `still`: how near (cells) a place must be to one that was seen before to look just the same; 0
    for never.
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
    window: int = 8
    recent_coarse: int = 16
    dilation: int = 4
    dilated: int = 128
    keyframes: int = 6
    field_of_view: float = 73.0
    shortcuts: bool = True
    context_noise: float = 0.0
    refiner: int = 0
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
    stride: float = 0.0
    still: float = 0.0

    def __post_init__(self):
        if self.width % self.head_size:
            raise ValueError(
                f"width {self.width} is no multiple of head_size {self.head_size}: choose one "
                f"that is"
            )
        if not 0 <= self.retrieval <= self.latent_channels:
            raise ValueError(
                f"retrieval {self.retrieval} is no number of channels: give 0 to "
                f"{self.latent_channels}"
            )
        if not 0 <= self.kept <= self.latent_channels:
            raise ValueError(
                f"kept {self.kept} is no number of channels: give 0 to {self.latent_channels}"
            )
        for name in ("inpaint", "inpaint_old", "contrast", "trust"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)} is no share: give 0 to 1")
        if self.album < 0:
            raise ValueError(f"album {self.album} is no number of frames: give 0 or more")
        if self.ripens <= 0:
            raise ValueError(f"ripens {self.ripens} is no number of frames: give more than 0")
        if self.steepness <= 0:
            raise ValueError(f"steepness {self.steepness} is no power: give more than 0")
        for side in (self.patch, *self.coarse_patch):
            if self.latent_size % side:
                raise ValueError(
                    f"patch side {side} does not divide latent_size {self.latent_size}: choose a "
                    f"divisor"
                )

    @property
    def fine_tokens(self) -> int:
        """Tokens of a fine frame."""
        return (self.latent_size // self.patch) ** 2

    @property
    def coarse_tokens(self) -> int:
        """Tokens of a coarse frame."""
        return (self.latent_size // self.coarse_patch[0]) * (
            self.latent_size // self.coarse_patch[1]
        )

    @property
    def span(self) -> int:
        """How many frames back the coarse memory reaches."""
        return self.recent_coarse + self.dilation * self.dilated
