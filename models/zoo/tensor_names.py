"""Tensor names of published FAR, and ours: a table, both ways. Knows no files.

The published network keeps query, key and value apart and the two halves of a block's modulation;
ours hold them in one matrix each, so one of our tensors can be several of theirs, side by side.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from models.far_published.network import FARReferenceConfig

OUTSIDE = {
    "embed.fine": ["x_embedder"],
    "embed_time.0": ["timestep_embedder.linear_1"],
    "embed_time.2": ["timestep_embedder.linear_2"],
    "out_modulation": ["norm_out.linear"],
    "out.fine": ["proj_out"],
}
OUTSIDE_COARSE = {"embed.coarse": ["context_embedder"], "out.coarse": ["context_proj_out"]}
BLOCK = {
    "adaln.linear": ["norm1.linear", "norm2.linear"],
    "fine.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
    "fine.out": ["attn.to_out.0"],
    "mlp.up": ["mlp.net.0.proj"],
    "mlp.down": ["mlp.net.2"],
}
BLOCK_COARSE = {
    "coarse.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
    "coarse.out": ["attn.to_add_out"],
}
NORMS = {"fine.norm_q": ["attn.norm_q"], "fine.norm_k": ["attn.norm_k"]}
NORMS_COARSE = {
    "coarse.norm_q": ["attn.norm_added_q"],
    "coarse.norm_k": ["attn.norm_added_k"],
}


def list_published_names(cfg: FARReferenceConfig) -> dict[str, list[str]]:
    """Our tensor's name -> the published tensors that lie in it, one above the other."""
    coarse = cfg.coarse_patch is not None
    names = _with(OUTSIDE | (OUTSIDE_COARSE if coarse else {}), ("weight", "bias"))
    if cfg.classes:
        names["embed_condition.weight"] = [f"{cfg.condition}_embedder.embedding_table.weight"]
    block = _with(BLOCK | (BLOCK_COARSE if coarse else {}), ("weight", "bias"))
    block |= _with(NORMS | (NORMS_COARSE if coarse else {}), ("weight",))
    for layer in range(cfg.layers):
        for ours, theirs in block.items():
            names[f"blocks.{layer}.{ours}"] = [f"transformer_blocks.{layer}.{t}" for t in theirs]
    if coarse:
        for end in ("weight", "bias"):
            del names[f"blocks.{cfg.layers - 1}.coarse.out.{end}"]
    return names


def _with(names: Mapping[str, list[str]], ends: tuple[str, ...]) -> dict[str, list[str]]:
    return {
        f"{ours}.{end}": [f"{name}.{end}" for name in theirs]
        for ours, theirs in names.items()
        for end in ends
    }


def from_published(weights: Mapping[str, Tensor], cfg: FARReferenceConfig) -> dict[str, Tensor]:
    """Our state_dict of the published one.

    Raises:
        KeyError: a tensor is missing.
    """
    return {
        ours: torch.cat([weights[name] for name in theirs])
        for ours, theirs in list_published_names(cfg).items()
    }


def to_published(weights: Mapping[str, Tensor], cfg: FARReferenceConfig) -> dict[str, Tensor]:
    """The published state_dict of ours."""
    return {
        name: part.clone()
        for ours, theirs in list_published_names(cfg).items()
        for name, part in zip(theirs, weights[ours].chunk(len(theirs)), strict=True)
    }
