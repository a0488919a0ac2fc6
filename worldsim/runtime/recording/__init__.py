"""Recordings and saves: written, read, exported, played again."""
