"""The settings of a training of a sliding-layout dynamics: what its YAML file may say."""

from dataclasses import dataclass, field

from models.far.config import FARConfig
from models.far.loss import Curriculum, LossConfig
from models.training.base_config import EpisodeFolders, MainTraining, WorldConfig
from models.training.reward import OutcomeTraining


@dataclass(frozen=True, kw_only=True)
class DataConfig(EpisodeFolders):
    """Folders of episodes, and how clips are cut from them (ClipSampler)."""

    longest: int = 300
    short_length: int = 40
    short: float = 0.3
    rests: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DynamicsTraining(MainTraining):
    """The main run; the costly parts of the loss begin at their shares of it."""

    batch: int = 6
    lr: float = 1e-3
    muon_lr: float = 2e-3
    decay: float = 0.2
    ema: float = 0.998
    shortcuts_from: float = 0.7
    error_injection_from: float = 0.2
    self_forcing_from: float = 0.3
    sheet_minutes: float = 15.0

    def curriculum(self, step: int) -> Curriculum:
        """What is switched on at a step; the costly things take turns."""
        done, turn = step / self.steps, step % 4
        jumps = "any" if done < self.shortcuts_from else "shortcut" if turn == 1 else "short"
        own = {0: 2, 2: 1}.get(turn, 0) if done >= self.self_forcing_from else 0
        return Curriculum(
            jumps=jumps, error_injection=done >= self.error_injection_from, self_forcing=own
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(WorldConfig):
    """A world of a sliding-layout dynamics."""

    data: DataConfig
    dynamics: FARConfig
    loss: LossConfig = field(default_factory=LossConfig)
    training: DynamicsTraining
    outcome_training: OutcomeTraining = field(default_factory=OutcomeTraining)
    steps: int = 1
