"""The last part of a training: the decoder learns to paint what the dynamics dreams.

A dream's latents are means of all that could be there: soft, with seams between tokens. What a
picture of this world looks like is known, so the decoder sees dreams beside true latents, and
besides being faithful it learns to please a discriminator of patches (VQGAN's losses, arXiv
2012.09841). The dynamics never sees a picture, so a dream goes on exactly as before.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.autoencoder import PatchAutoencoder
from models.discriminator import hinge_loss, spectral_discriminator
from models.dreamt import Dreams
from models.training import PaintingTraining
from worldsim.checkpoint import load_training, save_training
from worldsim.evaluate.metrics import psnr, sharpness

ALONE = 0.2  # share of the steps before the discriminator has a say
LATENT_NOISE = 0.15
TOLD = 50


class Painter:
    """Decoder, discriminator, and what they learn from; saved in one file."""

    def __init__(
        self,
        codec: PatchAutoencoder,
        dreams: Dreams,
        plan: PaintingTraining,
        path: Path,
        device: torch.device,
        seed: int = 0,
    ):
        torch.manual_seed(seed)
        self.codec, self.dreams, self.plan = codec.to(device).train(), dreams, plan
        self.path, self.device, self.seed, self.step = path, device, seed, 0
        self.judge = spectral_discriminator().to(device)
        betas = (0.5, 0.99)
        self.ours = torch.optim.AdamW(codec.parameters(), lr=plan.lr, betas=betas)
        self.theirs = torch.optim.AdamW(self.judge.parameters(), lr=0.4 * plan.lr, betas=betas)

    def parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        """Everything that has a state."""
        return {
            "codec": self.codec, "judge": self.judge, "ours": self.ours, "theirs": self.theirs
        }  # fmt: skip

    def save(self, dreamt_at: int) -> None:
        """Write the state; `dreamt_at` is the dynamics' step whose dreams these are."""
        state = {name: part.state_dict() for name, part in self.parts().items()}
        save_training(self.path, state | {"step": self.step, "dreamt_at": dreamt_at})

    def resume(self, dreamt_at: int) -> None:
        """Go on, if these very dreams were painted before."""
        state = load_training(self.path) if self.path.exists() else {}
        if state.get("dreamt_at") == dreamt_at:
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.step = state["step"]

    def one_step(self) -> dict[str, float]:
        """One update of both."""
        plan, done = self.plan, self.step / self.plan.steps
        for optimiser, rate in ((self.ours, plan.lr), (self.theirs, 0.4 * plan.lr)):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (self.step + 1) / 50, 3 * (1 - done))
        latents, truth, weight = self._batch()
        made = self.codec.paint(latents)
        half = len(latents) // 2
        faithful, dreamt = _unlike(made, truth, weight), made[:half]
        colours = self._colours(latents[:half], dreamt)
        loss = faithful + colours
        if done >= ALONE:
            loss = loss - plan.adversarial * self.judge(dreamt).mean()
        self.ours.zero_grad()
        loss.backward()
        self.ours.step()
        judged = hinge_loss(self.judge(truth[half:]), self.judge(dreamt.detach()))
        self.theirs.zero_grad()
        judged.backward()
        self.theirs.step()
        self.step += 1
        return {"unlike": faithful.item(), "colours": colours.item(), "judge": judged.item()}

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, half dreamt and half true with a little noise; pictures; weights `[B,1,1,1]`."""
        rng = torch.Generator().manual_seed(1_000_003 * self.seed + self.step)
        dreams, count = self.dreams, self.plan.batch
        one, other = torch.randint(len(dreams.ages), (2, count), generator=rng)
        dreamt = dreams.latents[one].float().to(self.device)
        frames = [dreams.frames[index].to(self.device) for index in (one, other)]
        clean = self.codec.encode(frames[1])
        level = LATENT_NOISE * torch.rand(count, 1, 1, 1, generator=rng)
        noise = level * torch.randn(clean.shape, generator=rng)
        if torch.rand(1, generator=rng) < 0.5:
            dreamt, frames[0] = self.codec.mirror(dreamt), frames[0].flip(-2)
        weight = torch.cat((1 / (1 + dreams.ages[one] / self.plan.faithful), torch.ones(count)))
        pictures = torch.cat(frames).float().permute(0, 3, 1, 2) / 127.5 - 1
        latents = torch.cat((dreamt, clean + noise.to(self.device)))
        return latents, pictures, weight[:, None, None, None].to(self.device)

    def _colours(self, latents: Tensor, made: Tensor) -> Tensor:
        """How far the mean colour of patches is from what was dreamt."""
        dreamt, size = self.codec.linear_decode(latents), self.codec.cfg.patch
        return (F.avg_pool2d(made, size) - F.avg_pool2d(dreamt, size)).abs().mean()

    @torch.no_grad()
    def scores(self, count: int = 200) -> dict[str, float]:
        """PSNR and sharpness of some painted dreams and of true frames decoded again."""
        some = torch.linspace(0, len(self.dreams.ages) - 1, count).long()
        truth = self.dreams.frames[some].to(self.device)
        dreamt = self._decoded(self.dreams.latents[some].float().to(self.device))
        again = self._decoded(self.codec.encode(truth))
        true = truth.cpu().numpy()
        return {
            "dreams_db": float(psnr(dreamt, true).mean()),
            "dreams_sharp": float(sharpness(dreamt).mean() / sharpness(true).mean()),
            "frames_db": float(psnr(again, true).mean()),
            "frames_sharp": float(sharpness(again).mean() / sharpness(true).mean()),
        }

    def _decoded(self, latents: Tensor) -> np.ndarray:
        parts = [self.codec.decode(part).cpu() for part in latents.split(self.plan.batch)]
        return torch.cat(parts).numpy()


def _unlike(made: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """L1 + L2 + L1 of gradients, weighed."""
    error = made - truth
    edges = (weight * error.diff(dim=-1).abs()).mean() + (weight * error.diff(dim=-2).abs()).mean()
    return (weight * (error.abs() + 2 * error.square())).mean() + 0.5 * edges


def painted(codec: PatchAutoencoder, path: Path) -> PatchAutoencoder:
    """The codec with the decoder that was saved last; as it is, if none was."""
    if path.exists():
        codec.load_state_dict(load_training(path)["codec"])
    return codec.eval()


def paint(painter: Painter, dreamt_at: int, every: int = 200) -> PatchAutoencoder:
    """Train to the end, telling how it goes; the codec with the decoder that came out."""
    painter.resume(dreamt_at)
    plan = painter.plan
    while painter.step < plan.steps:
        measures = painter.one_step()
        if painter.step % TOLD == 0 or painter.step == plan.steps:
            told = measures | (painter.scores() if painter.step % every == 0 else {})
            numbers = "  ".join(f"{name} {value:.3f}" for name, value in told.items())
            print(f"painting {painter.step}/{plan.steps}  {numbers}", flush=True)
            painter.save(dreamt_at)
    return painter.codec.eval()
