"""Released weights: presets, import, golden files, benchmark."""
