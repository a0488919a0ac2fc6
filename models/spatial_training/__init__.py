"""The training of a dynamics with a memory in space."""
