"""What every training of a world may set: the world, its episodes, its codec, the main run."""

from dataclasses import dataclass, field
from typing import Literal

from models.codec.patch_autoencoder import AutoencoderConfig
from worldsim.paths import check_name


@dataclass(frozen=True, kw_only=True)
class EpisodeFolders:
    """Folders of episodes, and of what is computed from them once."""

    train: str
    heldout: str
    cache: str


@dataclass(frozen=True, kw_only=True)
class CodecTraining:
    """Frames the encoder is found from, and how long the decoder learns."""

    fit_frames: int = 20000
    steps: int = 1500
    batch: int = 16
    lr: float = 1e-3


def check_shares(shares: int | None, batch: int) -> None:
    """Refuse a number of shares that no batch has.

    Raises:
        ValueError: it is out of range.
    """
    if shares is not None and not 1 <= shares <= batch:
        raise ValueError(f"shares must be in [1, {batch}], the batch, got {shares}")


@dataclass(frozen=True, kw_only=True)
class MainTraining:
    """The main run: `steps` of `batch`. Shares of time are of `steps`; `save_minutes` and
    `sheet_minutes` are wall clock.

    Attributes:
        shares: parts of a batch, which outlive a restart with another number of processes
            (loop.py); None for as many as there are processes at the beginning.
    """

    steps: int
    batch: int
    shares: int | None = None
    lr: float
    muon_lr: float
    warmup: int = 200
    decay: float
    ema: float
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    save_minutes: float = 3.0
    sheet_minutes: float
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self):
        check_shares(self.shares, self.batch)

    def rate(self, step: int) -> float:
        """Learning rate factor: warm-up, constant, linear to zero over the last `decay`."""
        left = (self.steps - step) / max(self.decay * self.steps, 1)
        return max(min((step + 1) / max(self.warmup, 1), left, 1.0), 0.0)


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """A world to train: `assets/configs/*.yaml`.

    Attributes:
        steps: sampler steps a frame that it is played at, at most.
    """

    name: str
    title: str
    action_set: str
    fps: float
    engine: str
    licence: str
    data: EpisodeFolders
    codec: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    codec_training: CodecTraining = field(default_factory=CodecTraining)
    training: MainTraining
    seed: int = 0
    steps: int

    def __post_init__(self):
        check_name(self.name, "name")
