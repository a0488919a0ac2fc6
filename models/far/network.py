"""FAR-Long in the sliding layout: the network, whole clips at once. Knows nothing of sampling,
caches or training.

A clip's tokens are four kinds of frame (arXiv 2503.19325, with the window made to slide so that
keys never go stale):

    coarse    long-term memory, a few tokens a frame, own projections
    clean     the short-term window, fine
    keyframe  old frames seen from near the present place, kept fine
    noisy     the frames being made, fine

A noisy frame sees the clean frames of its window, the coarse ones older than that, the keyframes
and itself. A clean frame sees clean and coarse likewise.
Coarse frames see every `dilation`-th older coarse frame. Keyframes see themselves alone. So every
frame is encoded once and stays valid.

Shape letters: B rows, F frames, S tokens of a frame, N = F*S, C channels, h w latent size, D width,
H heads, d head size, L layers.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.far.attention_mask import Masks, build_masks
from models.far.config import FARConfig
from models.nn.blocks import (
    QKV,
    Block,
    Modulation,
    modulate,
    patchify,
    timestep_embedding,
    unpatchify,
)
from models.nn.geometric_attention import attach_poses, geometric_attention
from models.nn.relative_pose import NUMBERS, TokenPose, token_poses
from models.nn.rope import far_long_frequencies, kernel_bias, rotation

NO_FRAME = -1
JUMPS = (1.0, 0.5, 0.25, 0.125)
NO_JUMP = len(JUMPS)
CLEAN, NOISY, COARSE, KEYFRAME = range(4)


class Frames(NamedTuple):
    """Frames of one kind: what they show, when and where they were seen, and how they came about.

    latents `[B,F,C,h,w]`; ids `[B,F]` (NO_FRAME: an empty place); poses `[B,F,3]` (x, y in cells,
    heading in radians); noise `[B,F]` in 0..1;
    jumps `[B,F]` index into JUMPS or NO_JUMP; actions `[B,F]` that led to the frame (-1: none);
    motions `[B,F,2]` in cells ahead and to the left.
    """

    latents: Tensor
    ids: Tensor
    poses: Tensor
    noise: Tensor
    jumps: Tensor
    actions: Tensor
    motions: Tensor


class Prediction(NamedTuple):
    """What a forward gives: clean latents `[B,F,C,h,w]` of the noisy frames; motions `[B,F,A,2]`
    that each action would make from each clean frame.
    """

    latents: Tensor
    motions: Tensor


class FARNetwork(nn.Module):
    """The weights, and the forward over whole clips."""

    def __init__(self, cfg: FARConfig):
        super().__init__()
        self.cfg, shape = cfg, cfg.network
        fine_size = shape.latent_channels * shape.patch**2
        coarse_size = shape.latent_channels * shape.coarse_patch[0] * shape.coarse_patch[1]
        self.embed_fine = nn.Linear(fine_size, shape.width)
        self.embed_coarse = nn.Linear(coarse_size, shape.width)
        self.embed_time = nn.Sequential(
            nn.Linear(256, shape.width), nn.SiLU(), nn.Linear(shape.width, shape.width)
        )
        self.embed_action = nn.Embedding(shape.actions + 1, shape.width)
        self.embed_jump = nn.Embedding(len(JUMPS) + 1, shape.width)
        self.embed_kind = nn.Embedding(4, shape.width)
        self.embed_motion = nn.Linear(2, shape.width, bias=False)
        last = shape.layers - 1
        self.blocks = nn.ModuleList(
            Block(
                shape.width, shape.head_size, shape.mlp_ratio, numbers=NUMBERS, coarse_out=i < last
            )
            for i in range(shape.layers)
        )
        self.out_modulation = nn.Linear(shape.width, 2 * shape.width)
        self.out = nn.Linear(shape.width, fine_size)
        hidden = shape.width // 4
        self.odometry = nn.Sequential(
            nn.Linear(shape.width, hidden),
            nn.Flatten(-2),
            nn.ReLU(),
            nn.Linear(hidden * shape.fine_tokens, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 2 * shape.actions),
        )
        for table in (self.embed_action, self.embed_jump, self.embed_kind):
            nn.init.normal_(table.weight, std=0.02)
        for layer in (self.out_modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self._start_as_kernels(far_long_frequencies(shape.head_size))
        self.register_buffer("frequencies", far_long_frequencies(shape.head_size), persistent=False)
        self.register_buffer("fine_grid", self._grid(shape.patch, shape.patch), persistent=False)
        self.register_buffer("coarse_grid", self._grid(*shape.coarse_patch), persistent=False)

    @torch.no_grad()
    def _start_as_kernels(self, frequencies: Tensor) -> None:
        shape = self.cfg.network
        bias = kernel_bias(frequencies, shape.width // shape.head_size).flatten()
        for block in self.blocks:
            for projections in (block.fine, block.coarse):
                q, k, _ = projections.qkv.bias.chunk(3)
                q.copy_(bias)
                k.copy_(bias)

    def _grid(self, tall: int, wide: int) -> Tensor:
        """Row, column and bearing (radians left of the heading) of each token of a frame, `[S,
        3]`.
        """
        size = self.cfg.network.latent_size
        rows = torch.arange(0, size, tall, dtype=torch.float64) + (tall - 1) / 2
        columns = torch.arange(0, size, wide, dtype=torch.float64) + (wide - 1) / 2
        edge = torch.tan(
            torch.deg2rad(torch.tensor(self.cfg.memory.field_of_view / 2, dtype=torch.float64))
        )
        bearings = -torch.atan(((columns + 0.5) / size * 2 - 1) * edge)
        row, column = torch.meshgrid(rows, columns, indexing="ij")
        return torch.stack((row, column, bearings.expand_as(column)), dim=-1).flatten(0, 1)

    def rotations(self, ids: Tensor, poses: Tensor, coarse: bool = False) -> Tensor:
        """Rotations `[B, F*S, 1, d/2]` of the tokens of frames `[B,F]` at poses `[B,F,3]`."""
        grid = self.coarse_grid if coarse else self.fine_grid
        poses = poses.double().unsqueeze(2)
        shape = (*ids.shape, len(grid), 1)
        positions = torch.cat(
            (
                ids.double()[..., None, None].expand(shape),
                grid[:, :2].expand(*shape[:3], 2),
                poses[..., 2:] + grid[:, 2:],
                poses[..., :2].expand(*shape[:3], 2),
            ),
            dim=-1,
        )
        return rotation(positions, self.frequencies).flatten(1, 2)

    def token_poses(self, poses: Tensor, coarse: bool = False) -> TokenPose:
        """Where the tokens are, `[B, F*S]`, of frames at poses `[B,F,3]`."""
        return token_poses(poses, self.coarse_grid if coarse else self.fine_grid)

    def condition(self, frames: Frames, kind: int | Tensor) -> Tensor:
        """AdaLN's input `[B,F,D]` for frames of one kind, or of kinds `[F]`."""
        null = self.cfg.network.actions
        actions = torch.where(frames.actions < 0, null, frames.actions)
        total = self.embed_time(timestep_embedding(frames.noise * 1000).to(self.out.weight.dtype))
        total = total + self.embed_action(actions) + self.embed_jump(frames.jumps)
        total = (
            total + self.embed_motion(frames.motions.to(total.dtype)) + self.embed_kind.weight[kind]
        )
        return nn.functional.silu(total)

    def patchify(self, latents: Tensor, coarse: bool = False) -> Tensor:
        """`[B,F,C,h,w]` -> tokens `[B,F,S,C*p*p]`."""
        shape = self.cfg.network
        tall, wide = shape.coarse_patch if coarse else (shape.patch, shape.patch)
        return patchify(latents, tall, wide)

    def unpatchify(self, tokens: Tensor) -> Tensor:
        """Inverse of patchify for fine tokens."""
        shape = self.cfg.network
        return unpatchify(tokens, shape.patch, shape.latent_size // shape.patch)

    def embed(self, latents: Tensor, coarse: bool = False) -> Tensor:
        """Tokens `[B,F,S,D]` that enter the first block, of latents `[B,F,C,h,w]`."""
        layer = self.embed_coarse if coarse else self.embed_fine
        return layer(self.patchify(latents, coarse).to(layer.weight.dtype))

    def enter(self, frames: Frames, kind: int) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, condition and rotations of frames of one kind."""
        coarse = kind == COARSE
        return (
            self.embed(frames.latents, coarse),
            self.condition(frames, kind),
            self.rotations(frames.ids, frames.poses, coarse),
        )

    def predict(self, x: Tensor, condition: Tensor) -> Tensor:
        """Clean latents `[B,F,C,h,w]` from the last hidden state x `[B,F,S,D]` of noisy ones."""
        scale, shift = self.out_modulation(condition).unsqueeze(2).chunk(2, dim=-1)
        return self.unpatchify(self.out(modulate(x, Modulation(shift, 1 + scale, scale)))).float()

    def predict_motions(self, x: Tensor) -> Tensor:
        """Odometry `[B,F,A,2]` from the hidden state of clean frames before the last block
        `[B,F,S,D]`.
        """
        return self.odometry(x).unflatten(-1, (-1, 2)).float()

    def forward(
        self, coarse: Frames, clean: Frames, keyframes: Frames, noisy: Frames
    ) -> Prediction:
        """Predict the clean latents of the noisy frames. Fine kinds lie side by side as [clean |
        keyframes | noisy].
        """
        cfg = self.cfg
        kinds = ((clean, CLEAN), (keyframes, KEYFRAME), (noisy, NOISY))
        entered = zip(*(self.enter(*kind) for kind in kinds), strict=True)
        x, fine_condition, fine_rotations = (torch.cat(part, 1) for part in entered)
        fine_where = self.token_poses(torch.cat([frames.poses for frames, _ in kinds], dim=1))
        y, coarse_condition, coarse_rotations = self.enter(coarse, COARSE)
        coarse_where = self.token_poses(coarse.poses, True)
        masks = build_masks(cfg, coarse, clean, keyframes, noisy)
        marks = [frames.ids.shape[1] for frames, _ in kinds]
        motions = None
        for block in self.blocks[:-1]:
            fine_mods, coarse_mods = block.adaln(fine_condition), block.adaln(coarse_condition)
            fine = block.fine(modulate(x, fine_mods[0]).flatten(1, 2), fine_rotations)
            mem = block.coarse(modulate(y, coarse_mods[0]).flatten(1, 2), coarse_rotations)
            fine, mem = attach_poses(fine, fine_where), attach_poses(mem, coarse_where)
            found = self._attend_fine(fine, mem, fine_where, marks, masks)
            x = block.finish(x, found, block.fine.out, fine_mods)
            recalled = geometric_attention(coarse_where, *mem, masks.coarse)
            y = block.finish(y, recalled, block.coarse.out, coarse_mods)
        motions = self.predict_motions(x[:, : marks[0]])
        block = self.blocks[-1]
        fine_mods, coarse_mods = block.adaln(fine_condition), block.adaln(coarse_condition)
        fine = block.fine(modulate(x, fine_mods[0]).flatten(1, 2), fine_rotations)
        mem = block.coarse(modulate(y, coarse_mods[0]).flatten(1, 2), coarse_rotations)
        fine, mem = attach_poses(fine, fine_where), attach_poses(mem, coarse_where)
        newest = -marks[2]
        modulation = tuple(Modulation(*(part[:, newest:] for part in mod)) for mod in fine_mods)
        k, v = torch.cat((mem.k, fine.k), 2), torch.cat((mem.v, fine.v), 2)
        tokens = slice(newest * cfg.network.fine_tokens, None)
        newest_where = fine_where.each(lambda part: part[:, tokens])
        attended = geometric_attention(newest_where, fine.q[:, :, tokens], k, v, masks.noisy)
        x = block.finish(x[:, newest:], attended, block.fine.out, modulation)
        return Prediction(self.predict(x, fine_condition[:, newest:]), motions)

    def _attend_fine(
        self, fine: QKV, mem: QKV, where: TokenPose, marks: list[int], masks: Masks
    ) -> Tensor:
        """Attention of [clean | keyframes | noisy] queries, each over what it may see."""
        s = self.cfg.network.fine_tokens
        edge = marks[0] * s
        noisy_edge = edge + marks[1] * s
        k, v = torch.cat((mem.k, fine.k), 2), torch.cat((mem.v, fine.v), 2)
        reach = mem.k.shape[2] + edge
        early = where.each(lambda part: part[:, :edge])
        late = where.each(lambda part: part[:, noisy_edge:])
        clean = geometric_attention(
            early, fine.q[:, :, :edge], k[:, :, :reach], v[:, :, :reach], masks.clean
        )
        noisy = geometric_attention(late, fine.q[:, :, noisy_edge:], k, v, masks.noisy)
        if not marks[1]:
            return torch.cat((clean, noisy), dim=1)
        own = [
            part[:, :, edge:noisy_edge].unflatten(2, (-1, s)).transpose(1, 2).flatten(0, 1)
            for part in fine
        ]
        at = where.each(lambda part: part[:, edge:noisy_edge].unflatten(1, (-1, s)).flatten(0, 1))
        keyframes = geometric_attention(at, *own, None).unflatten(0, (-1, marks[1])).flatten(1, 2)
        return torch.cat((clean, keyframes, noisy), dim=1)
