"""Blocks of transformers, positions, flow matching: arithmetic that knows no world."""
