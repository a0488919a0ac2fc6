"""Random tensors of one generator, on its device."""

import torch
from torch import Tensor


class Rng:
    """Wraps a torch.Generator so that a line of mathematics stays a line."""

    def __init__(self, generator: torch.Generator):
        self.generator = generator
        self.at = {"generator": generator, "device": generator.device}

    def uniform(self, *shape: int) -> Tensor:
        """Numbers from 0 to 1."""
        return torch.rand(shape, **self.at)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, **self.at)

    def integers(self, end: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to end - 1."""
        return torch.randint(0, end, shape, **self.at)

    def chance(self, probability: float, *shape: int) -> Tensor:
        """True with a probability."""
        return self.uniform(*shape) < probability
