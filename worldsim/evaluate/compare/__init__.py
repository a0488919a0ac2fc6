"""Worlds, settings and ways of running them side by side, on the same episodes."""
