"""A world: codec and dynamics behind one interface, its card, files and states."""
