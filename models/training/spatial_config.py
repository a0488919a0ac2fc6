"""The settings of a training with a memory in space: what its YAML file may say."""

from dataclasses import dataclass, field

from models.build.spatial import SpatialSettings, check_sizes
from models.codec.view_decoder import ViewDecoderConfig
from models.memory.depth_network import DepthConfig
from models.memory.odometry import OdometryConfig
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from models.training.base_config import MainTraining, WorldConfig
from models.training.spatial_depth import DepthTraining
from models.training.spatial_odometry import OdometryTraining
from models.training.spatial_samples import SampleConfig
from models.training.view_decoder_run import DecoderTraining
from worldsim.config import load_yaml


@dataclass(frozen=True, kw_only=True)
class SpatialLossConfig:
    """How the network learns.

    Attributes:
        pure, logit_normal: shares of samples at pure noise, and at a logit-normal level; the others
            are uniform.
        least: noise level below which the velocity weight 1 / t^2 no longer grows.
        residuals: share of samples whose memory has old errors of the network added.
        own_frames: share of groups whose later targets find the first one, as the network generates
            it, in their memory, in their time.
        shortcuts: share of samples that learn long sampler steps, in their time.
    """

    pure: float = 0.25
    logit_normal: float = 0.6
    least: float = 0.15
    residuals: float = 0.25
    own_frames: float = 0.5
    shortcuts: float = 0.25


@dataclass(frozen=True, kw_only=True)
class SpatialTraining(MainTraining):
    """The main run; errors in memory, own frames in memory and long sampler steps begin at their
    shares of it. `compile`: the network's pass over targets goes through torch.compile.
    """

    batch: int = 64
    lr: float = 1.5e-3
    muon_lr: float = 4e-3
    decay: float = 0.25
    ema: float = 0.999
    error_injection_from: float = 0.02
    own_frames_from: float = 0.75
    shortcuts_from: float = 0.6
    sheet_minutes: float = 20.0
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class SpatialConfig(WorldConfig):
    """A world with a memory in space."""

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
    decoder: ViewDecoderConfig = field(default_factory=ViewDecoderConfig)
    decoder_training: DecoderTraining = field(default_factory=DecoderTraining)
    steps: int = 4

    def __post_init__(self):
        super().__post_init__()
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
