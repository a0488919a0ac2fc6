"""The window: drawing, keys and gamepads. The only layer that imports pygame."""
