"""Multi-scale residual quantisation of one frame (VAR, arXiv 2404.02905; Infinity, arXiv
2412.04431): coarse to fine, each scale takes what the scales before it leave.

Two kinds of codes: `bits` (binary spherical quantisation: the sign of every channel, codes of
length 1) and `codebook` (the nearest of a scale's vectors). Knows no pixels and no time: VideoAR's
quantiser is temporal-independent, every latent frame goes through it alone.

Shapes: B frames, d channels, n tokens of a scale, m labels of a token (bits: d, codebook: 1). A
label of ABSENT says that the scale adds nothing there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ABSENT = -1
INVERSE_TEMPERATURE = 100.0
FIT_TOKENS, FIT_ROUNDS, CHUNK = 1 << 16, 12, 4096


@dataclass(frozen=True, kw_only=True)
class QuantizerConfig:
    """How a frame of features becomes labels.

    Attributes:
        kind: of the codes.
        channels: d.
        scales: rows and columns of each, coarse to fine; the last is the whole grid.
        codebook: vectors of a scale, a power of two; where kind is "codebook".
        input_mode: how a partial sum is brought to the size of the next scale, in training and in
            sampling alike.
    """

    kind: Literal["bits", "codebook"] = "codebook"
    channels: int = 48
    scales: tuple[tuple[int, int], ...] = ((1, 1), (2, 2), (4, 4), (8, 8), (8, 8))
    codebook: int = 512
    input_mode: Literal["bilinear", "area"] = "bilinear"

    def __post_init__(self):
        if not self.scales or min(min(size) for size in self.scales) < 1:
            raise ValueError(f"scales must be sizes >= 1, got {self.scales}")
        if any(a > b for size in self.scales for a, b in zip(size, self.grid, strict=True)):
            raise ValueError(f"scales must not be larger than the last one, got {self.scales}")
        if self.codebook < 2 or self.codebook & (self.codebook - 1):
            raise ValueError(f"codebook must be a power of two, got {self.codebook}")

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the latent."""
        return self.scales[-1]

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens of each scale."""
        return tuple(h * w for h, w in self.scales)

    @property
    def labels(self) -> int:
        """m: labels of a token."""
        return self.channels if self.kind == "bits" else 1

    @property
    def choices(self) -> int:
        """Values that a label may have."""
        return 2 if self.kind == "bits" else self.codebook

    @property
    def bits(self) -> int:
        """Bits of a token."""
        return self.labels * (self.choices.bit_length() - 1)

    @property
    def frame_bits(self) -> int:
        """Bits of a frame."""
        return self.bits * sum(self.tokens)


class Pyramid(NamedTuple):
    """A quantised frame.

    Attributes:
        targets: of each scale, the right labels int64 `[B,n,m]` given the scales before it.
        committed: the labels that were added: the targets, or flipped ones.
        sums: of each scale, the partial sum `[B,d,h,w]` of all scales up to it.
    """

    targets: list[Tensor]
    committed: list[Tensor]
    sums: list[Tensor]


class Quantised(NamedTuple):
    """Features after quantisation, for training: `sums` `[B,d,h,w]` of each scale with
    straight-through gradients, commitment and entropy penalties as scalars.
    """

    sums: list[Tensor]
    commitment: Tensor
    entropy: Tensor


def resize(x: Tensor, size: Sequence[int], mode: str) -> Tensor:
    """Maps `[B,d,h,w]` brought to rows and columns `size`."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    if mode == "area":
        return F.interpolate(x, tuple(size), mode="area")
    return F.interpolate(x, tuple(size), mode="bilinear", align_corners=False)


class MultiscaleQuantizer(nn.Module):
    """Features `[B,d,h,w]` <-> labels, coarse to fine."""

    def __init__(self, cfg: QuantizerConfig):
        super().__init__()
        self.cfg = cfg
        if cfg.kind == "codebook":
            vectors = torch.randn(len(cfg.scales), cfg.codebook, cfg.channels)
            self.codebooks = nn.Parameter(vectors * cfg.channels**-0.5)

    def choose_labels(self, residual: Tensor, scale: int) -> Tensor:
        """Labels `[B,n,m]` nearest to a residual `[B,d,h_k,w_k]`."""
        tokens = residual.flatten(2).transpose(1, 2)
        if self.cfg.kind == "bits":
            return (tokens > 0).long()
        parts = [nearest(part, self.codebooks[scale]) for part in tokens.flatten(0, 1).split(CHUNK)]
        return torch.cat(parts).view(*tokens.shape[:2], 1)

    def embed_labels(self, labels: Tensor, scale: int) -> Tensor:
        """Codes `[B,d,h_k,w_k]` of labels `[B,n,m]`; absent ones are zero."""
        if self.cfg.kind == "bits":
            tokens = (2.0 * labels - 1) * self.cfg.channels**-0.5
        else:
            tokens = self.codebooks[scale][labels.squeeze(-1).clamp(min=0)]
        tokens = tokens * (labels != ABSENT)
        return tokens.transpose(1, 2).unflatten(2, self.cfg.scales[scale])

    def flip(self, labels: Tensor, rates: Tensor, draws: Tensor) -> Tensor:
        """Labels of which a share is wrong.

        Args:
            labels: `[B,n,m]`.
            rates: `[B]` shares.
            draws: numbers from 0 to 1 `[B,n,m]`; one below the rate flips its label.
        """
        rates = rates[:, None, None]
        other = (draws / rates.clamp(min=1e-9) * (self.cfg.choices - 1)).long() + 1
        return torch.where(draws < rates, (labels + other) % self.cfg.choices, labels)

    def expand(self, labels: Tensor, scale: int) -> Tensor:
        """What labels of a scale add to the sum, `[B,d,h,w]`."""
        return resize(self.embed_labels(labels, scale), self.cfg.grid, "bilinear")

    def build_pyramid(
        self,
        features: Tensor,
        rates: Tensor | None = None,
        draws: Sequence[Tensor] | None = None,
    ) -> Pyramid:
        """Quantise features `[B,d,h,w]`, with errors that the scales after them may correct.

        Args:
            features: of B frames.
            rates: `[B,K]` shares of flipped labels; None: none.
            draws: of each scale `[B,n,m]`, see flip.
        """
        residual, total = features, torch.zeros_like(features)
        pyramid = Pyramid([], [], [])
        for scale, size in enumerate(self.cfg.scales):
            labels = self.choose_labels(resize(residual, size, "area"), scale)
            pyramid.targets.append(labels)
            if rates is not None and draws is not None:
                labels = self.flip(labels, rates[:, scale], draws[scale])
            added = self.expand(labels, scale)
            residual, total = residual - added, total + added
            pyramid.committed.append(labels)
            pyramid.sums.append(total)
        return pyramid

    def add_labels(self, labels: Sequence[Tensor]) -> list[Tensor]:
        """Partial sums `[B,d,h,w]` of scales, each of all up to it."""
        total, sums = torch.zeros((), device=labels[0].device), []
        for scale, part in enumerate(labels):
            total = total + self.expand(part, scale)
            sums.append(total)
        return sums

    def decode_labels(self, labels: Sequence[Tensor]) -> Tensor:
        """The sum `[B,d,h,w]` of scales; fewer than all leave the finer ones out."""
        return self.add_labels(labels)[-1]

    def next_input(self, total: Tensor, scale: int) -> Tensor:
        """What the network is shown before it predicts a scale: `[B,d,h_k,w_k]` of a sum."""
        return resize(total, self.cfg.scales[scale], self.cfg.input_mode)

    def forward(self, features: Tensor) -> Quantised:
        """Quantise features `[B,d,h,w]` with straight-through gradients."""
        residual, total = features, torch.zeros_like(features)
        sums, commitments, entropies = [], [], []
        for scale, size in enumerate(self.cfg.scales):
            part = resize(residual, size, "area")
            unit = F.normalize(part, dim=1) if self.cfg.kind == "bits" else part
            code = self.embed_labels(self.choose_labels(part, scale), scale)
            commitments.append(self._commitment(unit, code))
            entropies.append(bit_entropy(unit) if self.cfg.kind == "bits" else unit.new_zeros(()))
            added = resize(unit + (code - unit).detach(), self.cfg.grid, "bilinear")
            residual, total = residual - added.detach(), total + added
            sums.append(total)
        means = (torch.stack(part).mean() for part in (commitments, entropies))
        return Quantised(sums, *means)

    def _commitment(self, unit: Tensor, code: Tensor) -> Tensor:
        """Squared distance of features to their code; a codebook's vectors move as well, four times
        as fast (VQ-VAE, arXiv 1711.00937).
        """
        pull = F.mse_loss(unit, code.detach())
        return pull if self.cfg.kind == "bits" else pull + 4 * F.mse_loss(code, unit.detach())

    @torch.no_grad()
    def fit_codebooks(self, features: Tensor, generator: torch.Generator) -> None:
        """Find the codebooks of features `[B,d,h,w]` by k-means, scale after scale.

        Raises:
            ValueError: a quantiser without codebooks.
        """
        if self.cfg.kind != "codebook":
            raise ValueError(f"kind must be 'codebook' to have codebooks, got {self.cfg.kind!r}")
        residual = features
        for scale, size in enumerate(self.cfg.scales):
            part = resize(residual, size, "area")
            tokens = part.transpose(0, 1).flatten(1).T
            some = torch.randperm(len(tokens), generator=generator)[:FIT_TOKENS]
            self.codebooks[scale] = k_means(tokens[some], self.cfg.codebook, generator)
            residual = residual - self.expand(self.choose_labels(part, scale), scale)


def nearest(tokens: Tensor, vectors: Tensor) -> Tensor:
    """Number of the nearest of vectors `[V,d]` for each of tokens `[N,d]`."""
    distance = vectors.square().sum(dim=1) - 2 * tokens @ vectors.T
    return distance.argmin(dim=1)


def k_means(tokens: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` centres `[V,d]` of tokens `[N,d]`; a centre that no token is nearest to moves to a
    random token.
    """
    centres = tokens[torch.randint(0, len(tokens), (count,), generator=generator)].clone()
    for _ in range(FIT_ROUNDS):
        chosen = torch.cat([nearest(part, centres) for part in tokens.split(CHUNK)])
        held = torch.bincount(chosen, minlength=count)
        sums = torch.zeros_like(centres).index_add_(0, chosen, tokens)
        spare = tokens[torch.randint(0, len(tokens), (count,), generator=generator)]
        empty = (held == 0).unsqueeze(1)
        centres = torch.where(empty, spare, sums / held.clamp(min=1).unsqueeze(1))
    return centres


def bit_entropy(unit: Tensor) -> Tensor:
    """The entropy penalty of unit vectors `[B,d,h,w]` (BSQ, arXiv 2406.07548): low where single
    bits are sure and each is 1 half of the time.
    """
    logits = 4 * INVERSE_TEMPERATURE * unit / math.sqrt(unit.shape[1])
    p = logits.sigmoid()
    single = (F.softplus(logits) - logits * p).mean(dim=(0, 2, 3)).sum()
    mean = p.mean(dim=(0, 2, 3)).clamp(1e-6, 1 - 1e-6)
    return (single - F.binary_cross_entropy(mean, mean, reduction="sum")) / INVERSE_TEMPERATURE
