"""Measuring a world by published protocols: what they are, their clips, their tables."""
