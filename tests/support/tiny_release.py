"""Files like FAR's released ones, tiny, with the golden files' weights, and their preset."""

import json
from pathlib import Path

import torch

from models.zoo.golden import read_golden

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
PRESET = """
title: A tiny one
parameters: 0
autoencoder: tiny-dcae
network: {width: 64, layers: 2, head_size: 32, axes: [8, 12, 12], coarse_patch: 4, window: 4,
  condition: action, classes: 4}
play: {classes: [0, 1, 2], action_delay: 1, guidance: 1.5}
action_set: dmlab-published
fps: 7.5
steps: 3
"""


def write_tiny_release(folder: Path) -> None:
    """Write `far.pth`, `dcae.pth`, and the preset `tiny.yaml` with what it names."""
    far, dcae = (read_golden(GOLDEN / f"{n}.safetensors") for n in ("far_long", "dcae_8x"))
    plain = {name: torch.zeros_like(tensor) for name, tensor in far.weights.items()}
    ema = {f"module.{name}": tensor for name, tensor in far.weights.items()}
    torch.save({"model": plain, "ema": ema, "step": 7}, folder / "far.pth")
    torch.save(dcae.weights, folder / "dcae.pth")
    (folder / "tiny.yaml").write_text(PRESET)
    (folder / "tiny-dcae.yaml").write_text(json.dumps(dcae.meta["config"]))
