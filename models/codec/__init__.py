"""Codecs between frames and latents, and what training one needs."""
