"""The settings of published FAR's training: what a file in assets/configs/published may say."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from models.far_published.loss import FlowConfig
from models.training.base_config import check_shares
from worldsim.config import load_yaml
from worldsim.paths import check_name

SMOKE = ("training.steps=3", "training.batch=2", "training.warmup=2", "data.predicted=3")
SMOKE_PRESET = (
    *("network.width=32", "network.head_size=16", "network.axes=[4, 6, 6]", "network.layers=2"),
    *("network.window=4", "play.memory=6", "steps=2"),
)
SMOKE_FRAMES = 8


@dataclass(frozen=True, kw_only=True)
class PublishedData:
    """Clips in a published layout, and how stretches are cut from them.

    Attributes:
        layout: the data set.
        train: a list or a folder of clips; heldout likewise, for previews and spawns.
        root: the folder that paths in the lists start from; None finds it.
        latents: a folder of memory-mapped latents, encoded first if need be; None encodes frames
            while training, each time another square of them, mirrored half of the time with `flip`.
        frames: of a clip that is looked at; `interval`: every so many of them.
        long: a step's stretches have a random length from the window up to `frames`.
        context: frames a preview is given; `predicted`: frames it dreams.
    """

    layout: Literal["dmlab", "minecraft", "ucf101", "bair"]
    train: str
    heldout: str
    root: str | None = None
    latents: str | None = None
    frames: int
    interval: int = 1
    flip: bool = False
    long: bool = False
    context: int
    predicted: int


@dataclass(frozen=True, kw_only=True)
class PublishedTraining:
    """The paper's optimisation. `ema_warmup`: average faster at the start, which short trainings
    need and the paper has not; `checkpointing`: less memory for a third more arithmetic; `shares`:
    of a batch, see loop.py; `sharded`: each process holds a part of the weights, see weights.py.
    """

    steps: int
    batch: int = 32
    shares: int | None = None
    lr: float = 1e-4
    warmup: int = 0
    weight_decay: float = 0.0
    ema: float = 0.9999
    ema_warmup: bool = False
    clip_norm: float = 1.0
    checkpointing: bool = False
    sharded: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "bfloat16"
    save_minutes: float = 10.0
    sheet_minutes: float = 60.0

    def __post_init__(self):
        check_shares(self.shares, self.batch)

    def rate(self, step: int) -> float:
        """Learning rate: warm-up, then constant."""
        return self.lr * min((step + 1) / max(self.warmup, 1), 1.0)

    def keep(self, step: int) -> float:
        """How much of the average stays."""
        return min(self.ema, (1 + step) / (10 + step)) if self.ema_warmup else self.ema


@dataclass(frozen=True, kw_only=True)
class PublishedConfig:
    """A published training: `assets/configs/published/*.yaml`.

    Attributes:
        recipe: tells such a file from one of our own worlds'.
        name: of the world it makes.
        kind: the network, a preset of the zoo.
        preset: settings of it that differ, `network.classes=0`.
        autoencoder: its weights, .pth or .safetensors.
        licence: of the world.
    """

    recipe: Literal["published"]
    name: str
    kind: str
    preset: tuple[str, ...] = ()
    autoencoder: str
    licence: str
    data: PublishedData
    loss: FlowConfig = field(default_factory=FlowConfig)
    training: PublishedTraining
    seed: int = 0

    def __post_init__(self):
        check_name(self.name, "name")


def is_published(path: str) -> bool:
    """Whether a config is of this kind of training."""
    data = load_yaml(path)
    return isinstance(data, dict) and data.get("recipe") == "published"


def small(cfg: PublishedConfig, out: Path) -> PublishedConfig:
    """The same training, of seconds; its latents in `out`."""
    data = replace(
        cfg.data,
        frames=min(cfg.data.frames, SMOKE_FRAMES),
        context=min(cfg.data.context, 4),
        latents=str(out / "latents") if cfg.data.latents else None,
    )
    return replace(cfg, data=data, preset=(*cfg.preset, *SMOKE_PRESET))
