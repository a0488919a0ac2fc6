"""How FAR-Long learns: one loss over clips, and the measures that keep a dream from drifting.

Every clip ends in `targets` frames that are noised and predicted; the frames before them are clean
context, coarse memory and landmarks, exactly as in
play. Context is corrupted now and then (noise told to the network, old errors of its own, its own
predictions), because in play it never is perfect.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.far import JUMPS, NO_FRAME, NO_JUMP, FARConfig, FARNetwork, Frames, Prediction
from models.flow import jump, mix, ramp, shortcut_target
from models.places import choose_landmarks, motions_between, relative_to_first
from worldsim.data.clips import Clip


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Shares are of rows (clips) unless said otherwise."""

    targets: int = 12
    pure_noise: float = 0.35
    shortcut_rows: float = 0.25
    clean_context: float = 0.5
    context_noise: float = 0.3
    drop_coarse: float = 0.1
    drop_landmarks: float = 0.15
    one_place: float = 0.25
    odometry: float = 0.5
    odometry_jitter: float = 0.02


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is switched on at this point of the training."""

    shortcuts: bool
    residuals: bool
    own_context: bool


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
        stage: Stage,
        rng: torch.Generator,
    ) -> tuple[Tensor, Measures]:
        """The loss of one batch of clips, and what to log. `teacher` is the averaged network; `rng`
        draws everything.
        """
        parts = _ClipParts(self.cfg, self.loss, clip, rng)
        latents = clip.latents.float()
        truth = parts.take(latents, parts.noisy_ids)
        if stage.own_context:
            latents = self._own_context(teacher, parts, latents, truth, rng)
        context = self._corrupted(parts, latents, stage, rng)
        noisy, target, t = self._noised(teacher, context, parts, truth, stage, rng)
        prediction = network(*context, noisy)
        error = (prediction.latents - target).square().mean(dim=(2, 3, 4))
        flow = (ramp(t) * error).mean()
        odometry = parts.odometry_error(prediction, context[1].ids)
        self._remember(prediction, truth, rng)
        at_noise = error[t > 0.99].mean() if bool((t > 0.99).any()) else error.mean()
        return flow + self.loss.odometry * odometry, Measures(
            flow=flow.item(), noise_mse=at_noise.item(), odometry=odometry.item()
        )

    def _noised(
        self, teacher, context, parts: "_ClipParts", truth: Tensor, stage: Stage, rng
    ) -> tuple[Frames, Tensor, Tensor]:
        shape = truth.shape[:2]
        noise = torch.randn(truth.shape, generator=rng, device=rng.device)
        t = torch.rand(shape, generator=rng, device=rng.device).clamp(min=0.02)
        t = torch.where(
            torch.rand(shape, generator=rng, device=rng.device) < self.loss.pure_noise, 1.0, t
        )
        jumps = torch.randint(0, len(JUMPS), shape, generator=rng, device=rng.device)
        if not stage.shortcuts:
            return parts.noisy(mix(truth, noise, wide(t)), t, jumps), truth, t
        rows = torch.rand(shape[0], 1, generator=rng, device=rng.device) < self.loss.shortcut_rows
        short = torch.randint(0, len(JUMPS) - 1, shape, generator=rng, device=rng.device)
        d = torch.tensor(JUMPS, device=rng.device)[short]
        grid = d * (1 + (torch.rand(shape, generator=rng, device=rng.device) / d).floor())
        t = torch.where(rows, grid.clamp(max=1.0), t)
        jumps = torch.where(rows, short, len(JUMPS) - 1)
        x_t = mix(truth, noise, wide(t))
        target = truth
        if bool(rows.any()):
            target = torch.where(
                rows[..., None, None, None],
                self._shortcut(teacher, context, parts, x_t, t, d, short),
                truth,
            )
        return parts.noisy(x_t, t, jumps), target, t

    @torch.no_grad()
    def _shortcut(
        self,
        teacher,
        context,
        parts: "_ClipParts",
        x_t: Tensor,
        t: Tensor,
        d: Tensor,
        short: Tensor,
    ) -> Tensor:
        """What two half jumps of the teacher say. (Rows that are not shortcut rows are computed for
        nothing: they are few to one.)
        """
        half = short + 1
        first = teacher(*context, parts.noisy(x_t, t, half)).latents
        second_at = jump(x_t, first, wide(t), wide(d / 2))
        second = teacher(*context, parts.noisy(second_at, t - d / 2, half)).latents
        return shortcut_target(x_t, wide(t), wide(d), first, second_at, second)

    @torch.no_grad()
    def _own_context(
        self, teacher, parts: "_ClipParts", latents: Tensor, truth: Tensor, rng
    ) -> Tensor:
        """Latents in which, in half of the clips, the frames being learnt are the network's own
        guesses where they serve as context.
        """
        t = torch.ones(truth.shape[:2], device=rng.device)
        noise = torch.randn(truth.shape, generator=rng, device=rng.device)
        guess = teacher(
            *parts.context(latents), parts.noisy(noise, t, torch.zeros_like(t, dtype=torch.long))
        ).latents
        chosen = torch.rand(len(latents), generator=rng, device=rng.device) < 0.5
        out = latents.clone()
        rows = torch.arange(len(latents), device=rng.device).unsqueeze(1)
        out[rows, parts.noisy_ids] = torch.where(chosen[:, None, None, None, None], guess, truth)
        return out

    def _corrupted(
        self, parts: "_ClipParts", latents: Tensor, stage: Stage, rng
    ) -> tuple[Frames, Frames, Frames]:
        kinds = []
        for frames in parts.context(latents):
            shape = frames.ids.shape
            level = self.loss.context_noise * torch.rand(shape, generator=rng, device=rng.device)
            level = torch.where(
                torch.rand(shape, generator=rng, device=rng.device) < self.loss.clean_context,
                0.0,
                level,
            )
            noisy = mix(
                frames.latents,
                torch.randn(frames.latents.shape, generator=rng, device=rng.device),
                wide(level),
            )
            if stage.residuals and self.residuals is not None:
                pick = torch.randint(
                    0, len(self.residuals), shape, generator=rng, device=rng.device
                )
                strength = torch.rand(shape, generator=rng, device=rng.device) * (
                    torch.rand(shape, generator=rng, device=rng.device) < 0.5
                )
                noisy = noisy + wide(strength) * self.residuals[pick]
            kinds.append(frames._replace(latents=noisy, noise=level))
        return tuple(kinds)

    def _remember(self, prediction: Prediction, truth: Tensor, rng, most: int = 256) -> None:
        new = (prediction.latents.detach() - truth).flatten(0, 1)
        self.residuals = new if self.residuals is None else torch.cat((new, self.residuals))[:most]


class _ClipParts:
    """Which frames of a clip play which part."""

    def __init__(self, cfg: FARConfig, loss: LossConfig, clip: Clip, rng: torch.Generator):
        self.cfg, self.clip = cfg, clip
        n, w, ends = loss.targets, cfg.window, clip.lengths.unsqueeze(1)
        self.poses = relative_to_first(clip.poses)
        self.motions = motions_between(self.poses)
        moved = (self.motions.norm(dim=-1, keepdim=True) > 0.02).float()
        jitter = (
            loss.odometry_jitter
            * torch.randn(self.motions.shape, generator=rng, device=rng.device)
            * moved
        )
        self.poses = torch.cat(
            (self.poses[..., :2] + jitter.cumsum(dim=1), self.poses[..., 2:]), dim=-1
        )
        self.noisy_ids = ends - n + torch.arange(n, device=rng.device)
        self.clean_ids = (
            ends - n - (w - 1) + torch.arange(w - 1 + n - 1, device=rng.device)
        ).clamp(min=NO_FRAME)
        coarse = self._coarse_ids(n)
        dropped = torch.rand(len(ends), 1, generator=rng, device=rng.device) < loss.drop_coarse
        self.coarse_ids = torch.where(dropped, NO_FRAME, coarse)
        self.landmark_ids = self._landmark_ids(loss, rng)

    def _coarse_ids(self, n: int) -> Tensor:
        """Every dilation-th frame within reach, then the newest ones between them, padded with
        NO_FRAME.
        """
        cfg, ends = self.cfg, self.clip.lengths.unsqueeze(1)
        newest = ends - 1 - cfg.window
        dilated = (
            torch.arange(0, max(int(newest.max()), 0) + 1, cfg.dilation, device=ends.device)
            .unsqueeze(0)
            .expand(len(ends), -1)
        )
        dilated = torch.where(dilated <= newest, dilated, NO_FRAME)
        recent = newest - torch.arange(cfg.ring + n - 1, device=ends.device)
        recent = torch.where((recent >= 0) & (recent % cfg.dilation != 0), recent, NO_FRAME)
        ids = torch.cat((dilated, recent), dim=1).sort(dim=1, descending=True).values
        most = max(int((ids >= 0).sum(1).max()), 1)
        return ids[:, :most]

    def _landmark_ids(self, loss: LossConfig, rng: torch.Generator) -> Tensor:
        cfg, ends, batch = self.cfg, self.clip.lengths.unsqueeze(1), len(self.clip.lengths)
        ids = torch.arange(self.poses.shape[1], device=ends.device)
        usable = (ids <= ends - loss.targets - cfg.window) & self.clip.posed.unsqueeze(1)
        usable &= torch.rand(batch, 1, generator=rng, device=rng.device) >= loss.drop_landmarks
        spread_out = self.noisy_ids[:, :: max(loss.targets // cfg.landmarks, 1)]
        single = self.noisy_ids.gather(
            1, torch.randint(0, loss.targets, (batch, 1), generator=rng, device=rng.device)
        ).expand_as(spread_out)
        one = torch.rand(batch, 1, generator=rng, device=rng.device) < loss.one_place
        targets = self.take(self.poses, torch.where(one, single, spread_out))
        return choose_landmarks(targets, self.poses, usable, cfg.landmarks)

    def take(self, source: Tensor, ids: Tensor) -> Tensor:
        """source `[B,T,...]` at ids `[B,F]` (empty places give frame 0)."""
        return source[torch.arange(len(ids), device=ids.device).unsqueeze(1), ids.clamp(min=0)]

    def context(self, latents: Tensor) -> tuple[Frames, Frames, Frames]:
        """Coarse, clean and landmark frames, uncorrupted."""
        coarse, clean = (
            self._frames(latents, self.coarse_ids),
            self._frames(latents, self.clean_ids),
        )
        landmarks = self._frames(latents, self.landmark_ids)
        nothing = torch.full_like(landmarks.actions, -1)
        return (
            coarse,
            clean,
            landmarks._replace(actions=nothing, motions=torch.zeros_like(landmarks.motions)),
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
