"""Moves, environments, time and input: what every other layer of the runtime needs."""
