"""How FAR-Long learns: one loss over clips, and the measures that keep a dream from drifting.

Every clip ends in `targets` frames that are noised and predicted; the frames before them are clean
context, coarse memory and keyframes, exactly as in
play. Context is corrupted now and then (noise told to the network, old errors of its own, its own
predictions), because in play it never is perfect.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from models.far.config import FARConfig
from models.far.network import JUMPS, NO_FRAME, NO_JUMP, FARNetwork, Frames, Prediction
from models.memory.keyframes import choose_keyframes
from models.memory.pose import motions_between, relative_to_first
from models.nn.flow_matching import euler_step, interpolate, shortcut_target
from models.nn.noise_schedule import loss_weight
from models.nn.rng import Rng
from worldsim.data.clips import Clip


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Shares are of rows (clips) unless said otherwise.

    `drop_window` rows see their short-term window only through heavy noise: they must remember.
    """

    targets: int = 12
    pure_noise: float = 0.35
    clean_context: float = 0.5
    context_noise: float = 0.3
    drop_window: float = 0.35
    drop_coarse: float = 0.1
    drop_keyframes: float = 0.15
    one_place: float = 0.25
    self_forcing: float = 0.75
    odometry: float = 0.5
    odometry_jitter: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Curriculum:
    """What is switched on at this step of the training.

    jumps: `any` lengths at random (the network learns to ignore them), `short` ones, or `shortcut`
    targets for the longer ones. self_forcing: how many times over the context is the network's own
    guess.
    """

    jumps: Literal["any", "short", "shortcut"]
    error_injection: bool
    self_forcing: int


class Measures(dict):
    """Names -> numbers for the log."""


class FARLoss:
    """Computes the loss; keeps a few old prediction errors (`residuals` `[R,C,h,w]`) to corrupt
    context with.
    """

    def __init__(self, cfg: FARConfig, loss: LossConfig):
        self.cfg, self.loss = cfg, loss
        self.residuals: Tensor | None = None

    def __call__(
        self,
        network: FARNetwork,
        teacher: FARNetwork,
        clip: Clip,
        curriculum: Curriculum,
        rng: torch.Generator,
    ) -> tuple[Tensor, Measures]:
        """The loss of one batch of clips, and what to log.

        `teacher` is the averaged network; `rng` draws everything.
        """
        draw = Rng(rng)
        parts = _ClipParts(self.cfg, self.loss, clip, draw)
        latents = clip.latents.float()
        truth = parts.take(latents, parts.noisy_ids)
        for _ in range(curriculum.self_forcing):
            latents = self._self_forcing(teacher, parts, latents, draw)
        context = self._corrupt_frames(parts, latents, curriculum, draw)
        if curriculum.jumps == "shortcut":
            noisy, target = self._shortcuts(teacher, context, parts, truth, draw)
        else:
            noisy, target = self._flow(parts, truth, curriculum, draw), truth
        prediction = network(*context, noisy)
        error = (prediction.latents - target).square().mean(dim=(2, 3, 4))
        flow = (loss_weight(noisy.noise) * error).mean()
        odometry = parts.odometry_error(prediction, context[1].ids)
        self._remember(prediction, truth)
        pure = noisy.noise > 0.99
        at_noise = error[pure].mean() if bool(pure.any()) else error.mean()
        measures = Measures(flow=flow.item(), noise_mse=at_noise.item(), odometry=odometry.item())
        return flow + self.loss.odometry * odometry, measures

    def _flow(
        self, parts: "_ClipParts", truth: Tensor, curriculum: Curriculum, draw: Rng
    ) -> Frames:
        """Noised truth, every frame at its own time."""
        shape = truth.shape[:2]
        t = draw.uniform(*shape).clamp(min=0.02)
        t = torch.where(draw.chance(self.loss.pure_noise, *shape), 1.0, t)
        jumps = draw.integers(len(JUMPS), *shape)
        if curriculum.jumps == "short":
            jumps = torch.full_like(jumps, len(JUMPS) - 1)
        return parts.noisy(interpolate(truth, draw.normal(*truth.shape), wide(t)), t, jumps)

    @torch.no_grad()
    def _shortcuts(self, teacher, context, parts: "_ClipParts", truth: Tensor, draw: Rng):
        """Frames at times on the grid of their jump, and what two half jumps of the teacher say."""
        shape = truth.shape[:2]
        long = draw.integers(len(JUMPS) - 1, *shape)
        d = torch.tensor(JUMPS, device=truth.device)[long]
        t = (d * (1 + (draw.uniform(*shape) / d).floor())).clamp(max=1.0)
        x_t = interpolate(truth, draw.normal(*truth.shape), wide(t))
        half = long + 1
        first = teacher(*context, parts.noisy(x_t, t, half)).latents
        middle = euler_step(x_t, first, wide(t), wide(d / 2))
        second = teacher(*context, parts.noisy(middle, t - d / 2, half)).latents
        target = shortcut_target(x_t, wide(t), wide(d), first, middle, second)
        return parts.noisy(x_t, t, long), target

    @torch.no_grad()
    def _self_forcing(self, teacher, parts: "_ClipParts", latents: Tensor, draw: Rng) -> Tensor:
        """Latents in which, in most clips, the newest frames are the network's guesses."""
        ids = parts.noisy_ids
        t = torch.ones(ids.shape, device=ids.device)
        noise = draw.normal(*parts.take(latents, ids).shape)
        noisy = parts.noisy(noise, t, torch.zeros_like(ids))
        guess = teacher(*parts.context(latents), noisy).latents
        chosen = draw.chance(self.loss.self_forcing, len(latents), 1, 1, 1, 1)
        out = latents.clone()
        rows = torch.arange(len(latents), device=ids.device).unsqueeze(1)
        out[rows, ids] = torch.where(chosen, guess, out[rows, ids])
        return out

    def _corrupt_frames(
        self, parts: "_ClipParts", latents: Tensor, curriculum: Curriculum, draw: Rng
    ) -> tuple[Frames, Frames, Frames]:
        """Coarse, clean and keyframe latents as imperfect as they are in play."""
        coarse, clean, keyframes = parts.context(latents)
        levels = [self._levels(frames.ids, draw) for frames in (coarse, clean, keyframes)]
        drop_window = draw.chance(self.loss.drop_window, len(clean.ids), 1)
        levels[1] = torch.where(drop_window, 0.4 + 0.6 * draw.uniform(*clean.ids.shape), levels[1])
        kinds = []
        for frames, level in zip((coarse, clean, keyframes), levels, strict=True):
            noisy = interpolate(frames.latents, draw.normal(*frames.latents.shape), wide(level))
            if curriculum.error_injection and self.residuals is not None:
                noisy = noisy + self._old_errors(frames.ids.shape, draw)
            kinds.append(frames._replace(latents=noisy, noise=level))
        return tuple(kinds)

    def _levels(self, ids: Tensor, draw: Rng) -> Tensor:
        level = self.loss.context_noise * draw.uniform(*ids.shape)
        return level.masked_fill(draw.chance(self.loss.clean_context, *ids.shape), 0.0)

    def _old_errors(self, shape: torch.Size, draw: Rng) -> Tensor:
        """Residuals of earlier predictions, at random strengths, for half of the frames."""
        strength = draw.uniform(*shape) * draw.chance(0.5, *shape)
        return wide(strength) * self.residuals[draw.integers(len(self.residuals), *shape)]

    def _remember(self, prediction: Prediction, truth: Tensor, most: int = 256) -> None:
        new = (prediction.latents.detach() - truth).flatten(0, 1)
        old = new[:0] if self.residuals is None else self.residuals
        self.residuals = torch.cat((new, old))[:most]


class _ClipParts:
    """Which frames of a clip play which part."""

    def __init__(self, cfg: FARConfig, loss: LossConfig, clip: Clip, draw: Rng):
        self.cfg, self.clip = cfg, clip
        n, w, ends = loss.targets, cfg.memory.window, clip.lengths.unsqueeze(1)
        poses = relative_to_first(clip.poses)
        self.motions = motions_between(poses)
        moved = (self.motions.norm(dim=-1, keepdim=True) > 0.02).float()
        jitter = loss.odometry_jitter * draw.normal(*self.motions.shape) * moved
        self.poses = torch.cat((poses[..., :2] + jitter.cumsum(dim=1), poses[..., 2:]), dim=-1)
        newest = torch.arange(n, device=ends.device)
        before = torch.arange(w - 1 + n - 1, device=ends.device)
        self.noisy_ids = ends - n + newest
        self.clean_ids = (ends - n - (w - 1) + before).clamp(min=NO_FRAME)
        dropped = draw.chance(loss.drop_coarse, len(ends), 1)
        self.coarse_ids = torch.where(dropped, NO_FRAME, self._coarse_ids(n))
        self.keyframe_ids = self._keyframe_ids(loss, draw)

    def _coarse_ids(self, n: int) -> Tensor:
        """Every dilation-th frame within reach, then the newest ones between them, padded with
        NO_FRAME.
        """
        cfg, ends = self.cfg, self.clip.lengths.unsqueeze(1)
        newest = ends - 1 - cfg.memory.window
        dilated = (
            torch.arange(0, max(int(newest.max()), 0) + 1, cfg.memory.dilation, device=ends.device)
            .unsqueeze(0)
            .expand(len(ends), -1)
        )
        dilated = torch.where(dilated <= newest, dilated, NO_FRAME)
        recent = newest - torch.arange(cfg.memory.recent_coarse + n - 1, device=ends.device)
        recent = torch.where((recent >= 0) & (recent % cfg.memory.dilation != 0), recent, NO_FRAME)
        ids = torch.cat((dilated, recent), dim=1).sort(dim=1, descending=True).values
        most = max(int((ids >= 0).sum(1).max()), 1)
        return ids[:, :most]

    def _keyframe_ids(self, loss: LossConfig, draw: Rng) -> Tensor:
        """Keyframes of all targets, or in some rows of a single one, as in play."""
        cfg, ends, batch = self.cfg, self.clip.lengths.unsqueeze(1), len(self.clip.lengths)
        ids = torch.arange(self.poses.shape[1], device=ends.device)
        usable = (ids <= ends - loss.targets - cfg.memory.window) & self.clip.posed.unsqueeze(1)
        usable &= ~draw.chance(loss.drop_keyframes, batch, 1)
        every = self.noisy_ids[:, :: max(loss.targets // max(cfg.memory.keyframes, 1), 1)]
        single = self.noisy_ids.gather(1, draw.integers(loss.targets, batch, 1)).expand_as(every)
        one = draw.chance(loss.one_place, batch, 1)
        targets = self.take(self.poses, torch.where(one, single, every))
        return choose_keyframes(targets, self.poses, usable, cfg.memory.keyframes)

    def take(self, source: Tensor, ids: Tensor) -> Tensor:
        """source `[B,T,...]` at ids `[B,F]` (empty places give frame 0)."""
        return source[torch.arange(len(ids), device=ids.device).unsqueeze(1), ids.clamp(min=0)]

    def context(self, latents: Tensor) -> tuple[Frames, Frames, Frames]:
        """Coarse, clean and keyframe latents, uncorrupted."""
        coarse, clean = (
            self._frames(latents, self.coarse_ids),
            self._frames(latents, self.clean_ids),
        )
        keyframes = self._frames(latents, self.keyframe_ids)
        nothing = torch.full_like(keyframes.actions, -1)
        return (
            coarse,
            clean,
            keyframes._replace(actions=nothing, motions=torch.zeros_like(keyframes.motions)),
        )

    def _frames(self, latents: Tensor, ids: Tensor) -> Frames:
        zero = torch.zeros(ids.shape, device=ids.device)
        return Frames(
            self.take(latents, ids),
            ids,
            self.take(self.poses, ids),
            zero,
            torch.full_like(ids, NO_JUMP),
            self.take(self.clip.actions, ids),
            self.take(self.motions, ids),
        )

    def noisy(self, latents: Tensor, t: Tensor, jumps: Tensor) -> Frames:
        """The frames being made, at times t and jump indices."""
        ids = self.noisy_ids
        return Frames(
            latents,
            ids,
            self.take(self.poses, ids),
            t,
            jumps,
            self.take(self.clip.actions, ids),
            self.take(self.motions, ids),
        )

    def odometry_error(self, prediction: Prediction, clean_ids: Tensor) -> Tensor:
        """Huber loss of the motion that the next action made, over clean frames with known places;
        in tenths of a cell.
        """
        following = clean_ids + 1
        actions = self.take(self.clip.actions, following)
        known = (clean_ids >= 0) & (actions >= 0) & self.clip.posed.unsqueeze(1)
        made = prediction.motions.gather(
            2, actions.clamp(min=0)[..., None, None].expand(-1, -1, 1, 2)
        ).squeeze(2)
        error = F.smooth_l1_loss(
            10 * made, 10 * self.take(self.motions, following), reduction="none"
        ).mean(-1)
        return (error * known).sum() / known.sum().clamp(min=1)


def wide(t: Tensor) -> Tensor:
    """`[B,F]` -> `[B,F,1,1,1]`."""
    return t[..., None, None, None]
