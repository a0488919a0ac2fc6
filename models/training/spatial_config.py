"""The settings of a training with a memory in space: what its YAML file may say."""

from dataclasses import dataclass, field
from typing import Literal

from models.build.spatial import SpatialSettings, check_sizes
from models.codec.patch_autoencoder import AutoencoderConfig
from models.memory.depth_network import DepthConfig
from models.memory.odometry import OdometryConfig
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from models.training.config import CodecTraining
from models.training.spatial_depth import DepthTraining
from models.training.spatial_odometry import OdometryTraining
from models.training.spatial_samples import SampleConfig
from worldsim.config import load_yaml


@dataclass(frozen=True, kw_only=True)
class SpatialData:
    """Folders of episodes, and of what is computed from them once."""

    train: str
    heldout: str
    cache: str


@dataclass(frozen=True, kw_only=True)
class SpatialLossConfig:
    """How the network learns.

    Attributes:
        pure, logit_normal: shares of samples at pure noise, and at a logit-normal level; the others
            are uniform.
        least: noise level below which the velocity weight 1 / t^2 no longer grows.
        residuals: share of samples whose memory has old errors of the network added.
        shortcuts: share of samples that learn long sampler steps, in their time.
    """

    pure: float = 0.25
    logit_normal: float = 0.6
    least: float = 0.15
    residuals: float = 0.25
    shortcuts: float = 0.25


@dataclass(frozen=True, kw_only=True)
class SpatialTraining:
    """The main run: `steps` of `batch` frames; shares are of `steps`, minutes are wall clock."""

    steps: int
    batch: int = 64
    lr: float = 1.5e-3
    muon_lr: float = 4e-3
    warmup: int = 200
    decay: float = 0.25
    ema: float = 0.999
    clip_norm: float = 1.0
    weight_decay: float = 0.01
    error_injection_from: float = 0.02
    shortcuts_from: float = 0.6
    save_minutes: float = 3.0
    sheet_minutes: float = 20.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def rate(self, step: int) -> float:
        """Learning rate factor: warm-up, constant, linear to zero over the last `decay`."""
        left = (self.steps - step) / max(self.decay * self.steps, 1)
        return max(min((step + 1) / max(self.warmup, 1), left, 1.0), 0.0)


@dataclass(frozen=True, kw_only=True)
class SpatialConfig:
    """A world to train. `steps`: most sampler steps a frame that it is played at."""

    name: str
    title: str
    action_set: str
    fps: float
    engine: str
    licence: str
    data: SpatialData
    codec: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    codec_training: CodecTraining = field(default_factory=CodecTraining)
    depth: DepthConfig = field(default_factory=DepthConfig)
    depth_training: DepthTraining = field(default_factory=DepthTraining)
    network: NetworkConfig
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    samples: SampleConfig = field(default_factory=SampleConfig)
    loss: SpatialLossConfig = field(default_factory=SpatialLossConfig)
    training: SpatialTraining
    odometry: OdometryConfig
    odometry_training: OdometryTraining = field(default_factory=OdometryTraining)
    seed: int = 0
    steps: int = 4

    def __post_init__(self):
        check_sizes(self.settings)

    @property
    def settings(self) -> SpatialSettings:
        """The parts that a world's card keeps."""
        names = SpatialSettings._fields
        return SpatialSettings(**{name: getattr(self, name) for name in names})


def is_spatial(config: str) -> bool:
    """Whether a file describes such a training: it names a memory."""
    data = load_yaml(config)
    return isinstance(data, dict) and "memory" in data
