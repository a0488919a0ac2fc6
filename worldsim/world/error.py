"""What is wrong with a world or a checkpoint. A file of its own, so that a card is read without
waiting for torch.
"""

from worldsim.reading import ReadError


class WorldError(ReadError):
    """A world folder or checkpoint that cannot be used; the message says what to do."""
