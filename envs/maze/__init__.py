"""Maze-v0: a maze that looks like the published DMLab data, drawn by MuJoCo."""
