"""Playing a world: the session, who drives it, what watches it, and its recordings.

`session` decides what happens and knows no screen; only `window`, `screen` and `pads`
import pygame.
Out of scope: how a frame is made. A world is any Gymnasium environment with an `actions` table.
"""
