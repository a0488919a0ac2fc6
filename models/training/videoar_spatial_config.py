"""The settings of the training of a world of VideoAR with a memory in space: what a YAML file with
`recipe: videoar-spatial` may say.
"""

from dataclasses import dataclass, field
from typing import Literal

from models.build.videoar_spatial import VideoARSpatialSettings, check_sizes
from models.codec.multiscale_quantizer import QuantizerConfig
from models.memory.depth_network import DepthConfig
from models.memory.odometry import OdometryConfig
from models.spatial.config import MemoryConfig, SpaceConfig
from models.training.base_config import WorldConfig
from models.training.spatial_depth import DepthTraining
from models.training.spatial_odometry import OdometryTraining
from models.training.spatial_samples import SampleConfig
from models.training.videoar_config import VideoARTraining, check_conditions
from models.videoar.config import NetworkConfig, PlayConfig
from models.videoar.loss import LossConfig


@dataclass(frozen=True, kw_only=True)
class VideoARSpatialConfig(WorldConfig):
    """A world of VideoAR with a memory in space; `codec_training` finds the codebooks as well.
    `steps`: scales that are predicted, at most.
    """

    recipe: Literal["videoar-spatial"]
    quantizer: QuantizerConfig
    network: NetworkConfig
    depth: DepthConfig = field(default_factory=DepthConfig)
    depth_training: DepthTraining = field(default_factory=DepthTraining)
    odometry: OdometryConfig
    odometry_training: OdometryTraining = field(default_factory=OdometryTraining)
    memory: SpaceConfig = field(default_factory=SpaceConfig)
    play: PlayConfig = field(default_factory=PlayConfig)
    samples: SampleConfig
    loss: LossConfig = field(default_factory=LossConfig)
    training: VideoARTraining
    steps: int

    def __post_init__(self):
        super().__post_init__()
        check_sizes(self.settings)
        check_conditions(self.network, self.action_set)
        check_samples(self.samples)

    @property
    def settings(self) -> VideoARSpatialSettings:
        """The parts that a world's card keeps."""
        names = VideoARSpatialSettings._fields
        return VideoARSpatialSettings(**{name: getattr(self, name) for name in names})

    @property
    def sampled_memory(self) -> MemoryConfig:
        """The memory that training samples are drawn with: the newest frames are those of the
        network's window.
        """
        return MemoryConfig(**vars(self.memory), window=self.network.window)


def check_samples(samples: SampleConfig) -> None:
    """Refuse samples whose newest frames do not lead to their target.

    Raises:
        ValueError: which setting has to change.
    """
    if samples.group != 1:
        raise ValueError(
            f"samples.group must be 1, since the frames before each target are its own, "
            f"got {samples.group}"
        )
    if samples.candidates < max(samples.lengths):
        raise ValueError(
            f"samples.candidates must be >= {max(samples.lengths)}, the longest of "
            f"samples.lengths, so that the frames before a target follow each other, "
            f"got {samples.candidates}"
        )
