"""The settings of a training: what a file in assets/configs may say."""

from dataclasses import dataclass, field
from typing import Literal

from models.codec.patch_autoencoder import AutoencoderConfig
from models.far.config import FARConfig
from models.far.loss import Curriculum, LossConfig
from models.retrieval_stack.geometry import GeometryConfig
from models.retrieval_stack.train_geometry import GeometryTraining
from models.training.reward import OutcomeTraining
from worldsim.paths import check_name


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Folders of episodes, and how clips are cut from them (ClipSampler)."""

    train: str
    heldout: str
    cache: str
    longest: int = 300
    short_length: int = 40
    short: float = 0.3
    rests: float = 0.0


@dataclass(frozen=True, kw_only=True)
class CodecTraining:
    """Frames the encoder is found from, and how long the decoder learns."""

    fit_frames: int = 20000
    steps: int = 1500
    batch: int = 16
    lr: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class DynamicsTraining:
    """The main run. Shares are of `steps`; `save_minutes` and `sheet_minutes` are wall clock."""

    steps: int
    batch: int = 6
    lr: float = 1e-3
    muon_lr: float = 2e-3
    warmup: int = 200
    decay: float = 0.2
    ema: float = 0.998
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    shortcuts_from: float = 0.7
    error_injection_from: float = 0.2
    self_forcing_from: float = 0.3
    save_minutes: float = 3.0
    sheet_minutes: float = 15.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def rate(self, step: int) -> float:
        """Learning rate factor: warm-up, constant, linear to zero over the last `decay`."""
        left = (self.steps - step) / max(self.decay * self.steps, 1)
        return max(min((step + 1) / max(self.warmup, 1), left, 1.0), 0.0)

    def curriculum(self, step: int) -> Curriculum:
        """What is switched on at a step; the costly things take turns."""
        done, turn = step / self.steps, step % 4
        jumps = "any" if done < self.shortcuts_from else "shortcut" if turn == 1 else "short"
        own = {0: 2, 2: 1}.get(turn, 0) if done >= self.self_forcing_from else 0
        return Curriculum(
            jumps=jumps, error_injection=done >= self.error_injection_from, self_forcing=own
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A world to train: `assets/configs/*.yaml`. `steps`: sampler steps a frame it is played at."""

    name: str
    title: str
    action_set: str
    fps: float
    engine: str
    licence: str
    data: DataConfig
    codec: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    codec_training: CodecTraining = field(default_factory=CodecTraining)
    dynamics: FARConfig
    loss: LossConfig = field(default_factory=LossConfig)
    training: DynamicsTraining
    geometry: GeometryConfig | None = None
    geometry_training: GeometryTraining = field(default_factory=GeometryTraining)
    outcome_training: OutcomeTraining = field(default_factory=OutcomeTraining)
    seed: int = 0
    steps: int = 1

    def __post_init__(self):
        check_name(self.name, "name")
