"""The settings of VideoAR's training on published clips: what a YAML file with
`recipe: videoar-published` may say.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from models.build.videoar import VideoARSettings, check_tokenizer, refuse_view
from models.codec.causal_autoencoder import CausalAutoencoderConfig
from models.codec.multiscale_quantizer import QuantizerConfig
from models.training.base_config import check_shares
from models.training.config_published import PublishedData
from models.videoar.config import NetworkConfig, PlayConfig
from models.videoar.loss import LossConfig
from worldsim.paths import check_name

SMOKE_SCALES = ((1, 1), (2, 2), (4, 4))


@dataclass(frozen=True, kw_only=True)
class VideoARPublishedTraining:
    """The paper's optimisation. It gives no number of steps, and a batch (128) for its tokenizer
    only.

    Attributes:
        shares: of a batch, see loop.py.
        images: share of the steps whose clips are single frames.
        checkpointing: less memory for a third more arithmetic.
        sharded: each process holds a part of the weights, see weights.py.
    """

    steps: int
    batch: int = 128
    shares: int | None = None
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.95)
    warmup: int = 1000
    weight_decay: float = 0.05
    ema: float = 0.9999
    clip_norm: float = 1.0
    images: float = 0.0
    checkpointing: bool = True
    sharded: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "bfloat16"
    save_minutes: float = 10.0
    sheet_minutes: float = 60.0

    def __post_init__(self):
        check_shares(self.shares, self.batch)

    def rate(self, step: int) -> float:
        """Learning rate: warm-up, then half a cosine to zero."""
        falling = 0.5 * (1 + math.cos(math.pi * min(step / max(self.steps, 1), 1.0)))
        return self.lr * min((step + 1) / max(self.warmup, 1), 1.0) * falling


@dataclass(frozen=True, kw_only=True)
class VideoARPublishedConfig:
    """A training of a published size: `assets/configs/videoar/*.yaml`.

    Attributes:
        name: of the run.
        tokenizer: weights of the tokenizer, .safetensors; a smoke run has untrained ones.
        data: the clips; `context` and `predicted` count frames of a preview.
    """

    recipe: Literal["videoar-published"]
    name: str
    tokenizer: str
    data: PublishedData
    codec: CausalAutoencoderConfig
    quantizer: QuantizerConfig
    network: NetworkConfig
    play: PlayConfig = field(default_factory=PlayConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    training: VideoARPublishedTraining
    seed: int = 0

    def __post_init__(self):
        check_name(self.name, "name")
        check_tokenizer(self.codec, self.quantizer)
        refuse_view(self.network)
        stride, data = self.codec.time_stride, self.data
        for name in ("frames", "context"):
            count = getattr(data, name)
            if count < 1 or (count - 1) % stride:
                raise ValueError(
                    f"data.{name} must be 1 + a multiple of {stride}, the frames of a latent, "
                    f"got {count}"
                )
        if data.predicted < 1 or data.predicted % stride:
            raise ValueError(
                f"data.predicted must be a multiple of {stride} > 0, got {data.predicted}"
            )
        if data.latents is not None or data.long:
            raise ValueError("data.latents must be null and data.long false: frames are encoded")

    @property
    def settings(self) -> VideoARSettings:
        """What describes the networks."""
        return VideoARSettings(**{name: getattr(self, name) for name in VideoARSettings._fields})


def small(cfg: VideoARPublishedConfig) -> VideoARPublishedConfig:
    """The same training, of seconds: tiny networks, three scales, three latents a clip."""
    stride = cfg.codec.time_stride
    frames = 1 + 2 * stride
    codec = replace(cfg.codec, base=4, blocks=1, channels=8, frame_size=4 * cfg.codec.patch)
    quantizer = replace(cfg.quantizer, channels=8, scales=SMOKE_SCALES)
    network = replace(cfg.network, width=32, head_size=16, layers=2, window=4)
    data = replace(cfg.data, frames=frames, interval=1, context=1, predicted=2 * stride)
    plan = replace(cfg.training, steps=3, batch=2, warmup=2)
    return replace(cfg, codec=codec, quantizer=quantizer, network=network, data=data, training=plan)
