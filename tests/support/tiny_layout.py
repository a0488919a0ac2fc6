"""The preset of the smallest network of the published layout."""

PRESET = """
title: A tiny one
parameters: 0
autoencoder: none
network: {width: 32, layers: 2, head_size: 16, axes: [4, 6, 6], latent_channels: 3, latent_size: 4,
  coarse_patch: 2, window: 3, condition: action, classes: 4}
play: {classes: [0, 1, 2]}
action_set: dmlab-published
fps: 7.5
"""
