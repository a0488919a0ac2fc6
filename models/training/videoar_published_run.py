"""VideoAR's training at a published size on clips in a published layout.

    python train_world.py videoar-l-ucf101 --device cuda

Clips are encoded while training by a fixed tokenizer. Every draw is a function of seed, step and
row, so that `torchrun --nproc-per-node N` trains on the batches that one process would. What comes
out is the network: with several frames a latent it is no world that is played.
"""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from models.build.networks import settings_to_dict
from models.build.videoar import make_tokenizer
from models.codec.multiscale_tokenizer import MultiscaleTokenizer, to_pictures
from models.training import distributed
from models.training.ema import warm_up_ema
from models.training.loop import Run, check_batch, count_shares, start_folder
from models.training.start import finish, learn, read_settings
from models.training.videoar_published_config import VideoARPublishedConfig, small
from models.training.videoar_run import row_seed, to_device
from models.training.weights import place
from models.videoar.dynamics import VideoARDynamics
from models.videoar.loss import draw, videoar_loss
from models.videoar.network import VideoARNetwork, initialise
from worldsim.atomic import atomic_write
from worldsim.config import to_dict
from worldsim.data.published.clip_files import find_clips
from worldsim.data.published.formats import find_layout
from worldsim.data.published.windows import FrameSource, Row, Stretches
from worldsim.evaluate.contact_sheet import contact_sheet, write_picture
from worldsim.evaluate.metrics import psnr
from worldsim.world.checkpoint import load_into, load_weights
from worldsim.world.model import draw_frame_noise

WEIGHTS, SETTINGS = "weights.safetensors", "settings.json"
SHOWN = 4  # clips of a preview


def train_videoar_published(args) -> int:
    """Everything, in order; `args` as train_world.py parses them."""
    rank, _ = distributed.start()
    cfg, out = read_settings(args, VideoARPublishedConfig)
    cfg = small(cfg) if args.smoke else cfg
    device = distributed.own_device(args.device)
    check_batch(cfg.training, count_shares(cfg.training))
    check_clips(cfg)
    tokenizer = open_tokenizer(cfg, untrained=args.smoke).to(device)
    if rank == 0:
        start_folder(out, args.fresh)
    distributed.barrier()
    recipe = PublishedVideoARRecipe(cfg, tokenizer, device)
    levels = recipe.network.levels.detach().cpu().clone()
    run = Run(recipe, out, device, sharded=cfg.training.sharded)
    learn(run, args, lambda: weights_to_begin_with(Path(args.origin), levels))
    return finish(run)


def weights_to_begin_with(folder: Path, unlearnt: Tensor) -> dict[str, Tensor]:
    """The weights of a stage before, which may have had fewer scales: what is added to those of a
    new one is as yet `unlearnt` `[scales, D]`.

    Raises:
        ValueError: there is no such folder.
    """
    if not (folder / WEIGHTS).is_file():
        raise ValueError(f"there is no {folder / WEIGHTS}: --from takes a run's folder `network`")
    weights = load_weights(folder / WEIGHTS)
    levels = unlearnt.clone()
    known = min(len(levels), len(weights["levels"]))
    levels[:known] = weights["levels"][:known]
    return weights | {"levels": levels}


def check_clips(cfg: VideoARPublishedConfig) -> None:
    """Look for all clips before a folder is made.

    Raises:
        ValueError: none, damaged ones, or more classes than the network has.
    """
    layout = find_layout(cfg.data.layout)
    for source in (cfg.data.train, cfg.data.heldout):
        find_clips(source, layout, cfg.data.root)
    if layout.condition == "action" and cfg.codec.time_stride > 1:
        raise ValueError(
            f"codec.time_stride must be 1 for {layout.name}, which has an action a frame, "
            f"got {cfg.codec.time_stride}"
        )
    if len(layout.classes) > cfg.network.conditions:
        raise ValueError(
            f"network.conditions must be >= {len(layout.classes)}, the classes of "
            f"{layout.name}, got {cfg.network.conditions}"
        )


def open_tokenizer(cfg: VideoARPublishedConfig, untrained: bool) -> MultiscaleTokenizer:
    """The config's tokenizer; in a smoke run an untrained one, from a fixed seed.

    Raises:
        ValueError: no such file, or weights of another tokenizer.
    """
    torch.manual_seed(0)
    tokenizer = make_tokenizer(cfg.codec, cfg.quantizer)
    if not untrained:
        path = Path(cfg.tokenizer)
        if not path.is_file():
            raise ValueError(
                f"there are no tokenizer weights {path}: set tokenizer to a .safetensors file"
            )
        load_into(tokenizer, load_weights(path), path)
    return tokenizer.requires_grad_(False).eval()


class PublishedVideoARRecipe:
    """How VideoAR is trained at its published sizes."""

    def __init__(
        self, cfg: VideoARPublishedConfig, tokenizer: MultiscaleTokenizer, device: torch.device
    ):
        self.cfg, self.plan, self.tokenizer, self.device = cfg, cfg.training, tokenizer, device
        self.config = json.dumps(to_dict(cfg))
        torch.manual_seed(cfg.seed)
        self.network = VideoARNetwork(cfg.network, cfg.quantizer)
        initialise(self.network)
        self.network.checkpointing = self.plan.checkpointing
        self.network = place(self.network, self.plan.sharded, device)
        plan = {"betas": self.plan.betas, "weight_decay": self.plan.weight_decay}
        self.opts = [torch.optim.AdamW(self.network.parameters(), self.plan.lr, **plan)]
        layout, size = find_layout(cfg.data.layout), cfg.codec.frame_size
        clips = find_clips(cfg.data.train, layout, cfg.data.root)
        self.source = FrameSource(clips, layout, size=size, flip=cfg.data.flip)

    def open_share(self, number: int, count: int) -> "PublishedVideoARShare":
        """As many rows of every batch as each share has."""
        check_batch(self.plan, count)
        return PublishedVideoARShare(self, number, self.plan.batch // count)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Features `[B,T',d,h,w]` of clips uint8 `[B,T,S,S,3]`, in float32."""
        with torch.autocast(self.device.type, enabled=False):
            past, codec = self.tokenizer.initial(), self.tokenizer.autoencoder
            return codec.encode_clip(past, to_pictures(frames))[1]

    def set_rate(self, step: int) -> None:
        """Warm-up and cosine."""
        self.opts[0].param_groups[0]["lr"] = self.plan.rate(step)

    def update_ema(self, average: nn.Module, step: int) -> None:
        """Faster at the start."""
        warm_up_ema(average, self.network, self.plan.ema, step)

    def preview(self, average: nn.Module, path: Path) -> dict[str, float]:
        """Held-out clips, continued from their first frames: the truth above, and PSNR in dB."""
        layout, data = find_layout(self.cfg.data.layout), self.cfg.data
        clips = find_clips(data.heldout, layout, data.root)[:SHOWN]
        source = FrameSource(clips, layout, size=self.cfg.codec.frame_size)
        count = np.arange(data.context + data.predicted)
        rows = [source.row(i, count, np.random.default_rng(0)) for i in range(len(clips))]
        truth = np.stack([row.pictures for row in rows])
        conditions = torch.from_numpy(np.stack([row.conditions for row in rows]))
        made = self.continue_clips(average, torch.from_numpy(truth), conditions)
        shown = np.linspace(0, len(count) - 1, min(len(count), 9)).astype(int)
        sheet = [part[shown] for pair in zip(truth, made, strict=True) for part in pair]
        write_picture(path, contact_sheet(sheet, group=2))
        score = psnr(made[:, data.context :], truth[:, data.context :])
        return {"psnr": float(score.mean())}

    @torch.no_grad()
    def continue_clips(self, network: nn.Module, frames: Tensor, conditions: Tensor) -> np.ndarray:
        """Clips uint8 `[B,T,S,S,3]` of which the network has seen the first `data.context`
        frames.
        """
        tokenizer, stride = self.tokenizer, self.cfg.codec.time_stride
        dynamics = VideoARDynamics(copy.deepcopy(network), tokenizer.quantizer, self.cfg.play)
        context = frames[:, : self.cfg.data.context].to(self.device)
        _, seen = tokenizer.encode_clip(tokenizer.initial(), context)
        led = conditions[:, ::stride].to(self.device)
        carry, latents = dynamics.initial(len(frames)), list(seen.unbind(1))
        for t, latent in enumerate(latents):
            carry = dynamics.observe(carry, latent, led[:, t])
        for t in range(len(latents), led.shape[1]):
            noise = [draw_frame_noise(row, t, dynamics.latent_shape) for row in range(len(frames))]
            noise = torch.stack(noise).to(self.device)
            carry, latent = dynamics.imagine(carry, led[:, t], noise, len(tokenizer.cfg.scales))
            latents.append(latent)
        _, made = tokenizer.decode_clip(tokenizer.initial(), torch.stack(latents, dim=1))
        return made.cpu().numpy()

    def export(self, average: nn.Module, folder: Path, step: int) -> str:
        """Write the averaged network and its settings."""
        folder = folder.with_name("network")
        folder.mkdir(exist_ok=True)
        weights = {name: part.cpu().contiguous() for name, part in average.state_dict().items()}
        told = settings_to_dict(self.cfg.settings) | {"steps": step}
        atomic_write(folder / WEIGHTS, lambda scratch: save_file(weights, scratch))
        text = json.dumps(told, indent=1)
        atomic_write(folder / SETTINGS, lambda scratch: Path(scratch).write_text(text))
        return f"{folder}: {sum(p.numel() for p in average.parameters()) / 1e6:.1f} M parameters"


class PublishedVideoARShare:
    """A share of every batch: its rows from `number * each` on."""

    def __init__(self, recipe: PublishedVideoARRecipe, number: int, each: int):
        cfg, self.recipe = recipe.cfg, recipe
        self.rows = range(number * each, (number + 1) * each)
        self.stretches = Stretches(
            recipe.source,
            frames=cfg.data.frames,
            interval=cfg.data.interval,
            pad=find_layout(cfg.data.layout).condition != "action",
            batch=cfg.training.batch,
            seed=cfg.seed,
            rows=self.rows,
        )

    def draw(self, step: int) -> list[Row]:
        """Its rows; at a share of the steps only their first frames."""
        rows, cfg = self.stretches.draw(step), self.recipe.cfg
        images = np.random.default_rng([cfg.seed, 6, step]).random() < cfg.training.images
        return [Row(*(part[:1] for part in row)) for row in rows] if images else rows

    def loss(
        self, average: nn.Module, batch: list[Row], step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Of its rows."""
        recipe, cfg, device = self.recipe, self.recipe.cfg, self.recipe.device
        pictures = torch.from_numpy(np.stack([row.pictures for row in batch])).to(device)
        conditions = torch.from_numpy(np.stack([row.conditions for row in batch]))
        features = recipe.encode(pictures)
        conditions = conditions[:, :: cfg.codec.time_stride].to(device)
        seeds = [row_seed(cfg.seed, step, row) for row in self.rows]
        drawn = draw(cfg.loss, cfg.quantizer, features.shape[1], seeds)
        drawn, quantizer = to_device(drawn, device), recipe.tokenizer.quantizer
        return videoar_loss(recipe.network, quantizer, features, conditions, drawn)

    def state(self) -> dict[str, Any]:
        """Nothing: every draw follows from seed and step."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Inverse of state."""

    def close(self) -> None:
        """Nothing: it draws when it is asked."""
