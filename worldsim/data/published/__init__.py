"""The published data sets: formats, clip files, windows, latents."""
