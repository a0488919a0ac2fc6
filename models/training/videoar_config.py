"""The settings of VideoAR's trainings: what a YAML file with `recipe: videoar` may say."""

from dataclasses import dataclass, field
from typing import Literal

from models.build.videoar import VideoARSettings, check_tokenizer, refuse_view
from models.codec.multiscale_quantizer import QuantizerConfig
from models.training.base_config import EpisodeFolders, MainTraining, WorldConfig
from models.videoar.config import NetworkConfig, PlayConfig
from models.videoar.loss import LossConfig
from worldsim.actions import load_actions
from worldsim.config import load_yaml


@dataclass(frozen=True, kw_only=True)
class ClipData(EpisodeFolders):
    """Folders of episodes; `frames` of every training clip."""

    frames: int = 16


@dataclass(frozen=True, kw_only=True)
class VideoARTraining(MainTraining):
    """The main run."""

    batch: int = 4
    lr: float = 1e-3
    muon_lr: float = 2e-3
    decay: float = 0.2
    ema: float = 0.999
    sheet_minutes: float = 20.0


@dataclass(frozen=True, kw_only=True)
class VideoARConfig(WorldConfig):
    """A world of VideoAR; `codec_training` finds the codebooks as well, and the decoder learns to
    paint what they leave. `steps`: scales that are predicted, at most.
    """

    recipe: Literal["videoar"]
    data: ClipData
    quantizer: QuantizerConfig
    network: NetworkConfig
    play: PlayConfig = field(default_factory=PlayConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: VideoARTraining
    steps: int

    def __post_init__(self):
        super().__post_init__()
        check_tokenizer(self.codec, self.quantizer)
        refuse_view(self.network)
        check_conditions(self.network, self.action_set)
        if self.data.frames < 2:
            raise ValueError(f"data.frames must be >= 2, got {self.data.frames}")

    @property
    def settings(self) -> VideoARSettings:
        """The parts that a world's card keeps."""
        return VideoARSettings(**{name: getattr(self, name) for name in VideoARSettings._fields})


def check_conditions(network: NetworkConfig, action_set: str) -> None:
    """Refuse a network for other actions.

    Raises:
        ValueError: how many there are.
    """
    actions = len(load_actions(action_set))
    if network.conditions != actions:
        raise ValueError(
            f"network.conditions must be {actions}, the actions of {action_set}, "
            f"got {network.conditions}"
        )


def recipe_of(config: str) -> str | None:
    """The recipe that a file names."""
    data = load_yaml(config)
    return data.get("recipe") if isinstance(data, dict) else None
