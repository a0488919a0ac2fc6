"""One frame through the network while a dream runs: what all passes over it share, and the pass.

A frame is passed over several times: once for every sampler step, then clean and coarse to be
remembered. What depends only on its action, place and number is worked out once for all of them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from models.far.attention_mask import coarse_attends_coarse, frame_to_token_mask, to_additive
from models.far.kv_cache import KV, MultiLevelKVCache
from models.far.network import KEYFRAME, FARNetwork, Frames
from models.nn.blocks import QKV, Modulation, modulate
from models.nn.geometric_attention import attach_poses, geometric_attention
from models.nn.relative_pose import TokenPose
from worldsim.world.batch_invariant import attention

BlockModulation = tuple[Modulation, Modulation]
Visible = tuple[Tensor, Tensor, Tensor | None]
Attend = Callable[[int, QKV], Visible]


class BlockInput(NamedTuple):
    """Tokens `[B,1,S,D]` about to pass, AdaLN's numbers a layer, rotations and places."""

    x: Tensor
    modulation: Sequence[BlockModulation]
    rotations: Tensor
    where: TokenPose


class FrameCondition(NamedTuple):
    """A frame a row, before it is seen: numbers ids `[B]`, poses `[B,3]`, conditions `[B,P,D]` of
    its P passes, AdaLN's numbers `[B,P-1,L,6,1,D]` of all but the last, which waits for other
    frames; rotations and places of its fine tokens.
    """

    ids: Tensor
    poses: Tensor
    condition: Tensor
    modulations: Tensor
    fine: tuple[Tensor, TokenPose]

    def modulation(self, turn: int, rows: Tensor | slice = slice(None)) -> list[BlockModulation]:
        """AdaLN's numbers a layer of one pass, of some rows."""
        turn %= self.condition.shape[1]
        layers = self.modulations[rows, turn : turn + 1].unbind(2)
        parts = [layer.unbind(2) for layer in layers]
        return [(Modulation(*part[:3]), Modulation(*part[3:])) for part in parts]

    def block_input(self, x: Tensor, turn: int) -> BlockInput:
        """Fine tokens `[B,1,S,D]` for one of the passes."""
        return BlockInput(x, self.modulation(turn), *self.fine)


def condition_frame(
    net: FARNetwork,
    ids: Tensor,
    poses: Tensor,
    actions: Tensor,
    motions: Tensor,
    passes: Sequence[tuple[int, float, int]],
) -> FrameCondition:
    """What the passes `(kind, noise, jump index)` over frames share. Keyframes among them are other
    frames: no action led there.
    """
    kinds, noise, jumps = (
        torch.tensor(part, device=ids.device) for part in zip(*passes, strict=True)
    )
    shape = (len(ids), len(passes))
    led = kinds != KEYFRAME
    at = ids.unsqueeze(1), poses.unsqueeze(1)
    frames = Frames(
        poses.new_empty(0),
        *at,
        noise.expand(shape),
        jumps.expand(shape),
        torch.where(led, actions.unsqueeze(1), -1),
        motions.unsqueeze(1) * led.unsqueeze(-1),
    )
    condition = net.condition(frames, kinds)
    return FrameCondition(
        ids,
        poses,
        condition,
        torch.stack([block.adaln.numbers(condition[:, :-1]) for block in net.blocks], dim=2),
        (net.rotations(*at), net.token_poses(at[1])),
    )


def run_blocks(
    net: FARNetwork,
    block_input: BlockInput,
    attend: Attend,
    *,
    coarse: bool = False,
    to_the_end: bool = False,
) -> tuple[Tensor, KV]:
    """Tokens `[B,1,S,D]` after the blocks, and the keys and values of all layers.

    Without `to_the_end` the last block gives keys and values only. `attend` says, for a layer and
    its own queries, keys and values, which queries, keys, values and mask attention gets.
    """
    x, modulations, rotations, where = block_input
    kv, last = [], len(net.blocks) - 1
    for layer, (block, modulation) in enumerate(zip(net.blocks, modulations, strict=True)):
        projections = block.coarse if coarse else block.fine
        qkv = attach_poses(projections(modulate(x, modulation[0]).flatten(1, 2), rotations), where)
        kv.append((qkv.k, qkv.v))
        if layer == last and not to_the_end:
            break
        k, v, mask = attend(layer, qkv)
        found = geometric_attention(where, qkv.q, k, v, mask, attention)
        x = block.finish(x, found, projections.out, modulation)
    return x, KV(*(torch.stack(part) for part in zip(*kv, strict=True)))


def attend_self(layer: int, qkv: QKV) -> Visible:
    """A frame that sees itself alone."""
    return qkv.k, qkv.v, None


def attend_cache(cache: MultiLevelKVCache, ids: Tensor, with_keyframes: bool) -> Attend:
    """Fine frames `ids` `[B]` that see the cache, themselves in its `own` slots."""
    own = cache.slots("own")
    mask = to_additive(cache.visible(ids, with_keyframes).unsqueeze(1))

    def attend(layer: int, qkv: QKV) -> Visible:
        cache.k[layer][:, :, own], cache.v[layer][:, :, own] = qkv.k, qkv.v
        return cache.k[layer], cache.v[layer], mask

    return attend


def attend_dilated(cache: MultiLevelKVCache, rows: Tensor, frames: Tensor) -> Attend:
    """Coarse frames `[R,F]` of dreams `rows` `[R]` that see the dilated level and themselves."""
    past, tokens = cache.slots("dilated"), cache.cfg.network.coarse_tokens
    then = cache.level_ids("dilated")[rows].unsqueeze(1)
    seen = coarse_attends_coarse(frames.unsqueeze(2), then, cache.cfg.memory)
    own = torch.eye(frames.shape[1], dtype=torch.bool, device=frames.device).expand(
        len(rows), -1, -1
    )
    mask = to_additive(frame_to_token_mask(torch.cat((seen, own), dim=2), tokens, tokens))

    def attend(layer: int, qkv: QKV) -> Visible:
        k = torch.cat((cache.k[layer][:, :, past][rows], qkv.k), 2)
        return k, torch.cat((cache.v[layer][:, :, past][rows], qkv.v), 2), mask

    return attend
