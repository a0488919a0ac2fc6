"""Gives a frame that is a mean of what may come the variety of a true one.

Where nobody has been, the error is least for fog: a mean of walls and sky has less contrast than
either. A critic that knows true frames teaches a small network to add what is missing (Goodfellow
et al., arXiv 1406.2661), near to the mean, so that little is lost (Blau and Michaeli,
arXiv 1711.06077). Only colours and edges, the coarsest channels, are judged: texture comes from
memory (models/retrieval_stack/retrieval.py).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from models.retrieval_stack.fusion import Views

JUDGED = 8  # coarsest channels
DICE = 8  # channels of the noise that the painter sees
BLOCKS = 4
SCALE = 3.0  # of the critic's judgement, whose layers cannot grow


class Painter(nn.Module):
    """A change of fused frames that leaves their mean; none at first.

    Args:
        channels: C of the latents.
        width: numbers inside.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        inputs = 4 * channels + 5 + min(DICE, channels)
        self.inlet = _over(inputs, width)
        self.first = nn.ModuleList(_over(width, width) for _ in range(BLOCKS))
        self.second = nn.ModuleList(_over(width, width) for _ in range(BLOCKS))
        self.outlet = _over(width, channels)
        for layer in (*self.second, self.outlet):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, made: Tensor, fused: Tensor, views: Views, noise: Tensor) -> Tensor:
        """Frames `[B,C,h,w]` of predictions, of what became of them beside the views, and of the
        noise that they were made of, each of that shape.
        """
        newest = (views.newest - fused) * views.newest_seen
        old = (views.keyframes - fused) * views.keyframes_seen
        cells = views.newest_seen
        rows, columns = places(cells)
        away = views.away[:, None, None, None].expand_as(cells)
        latents = (part / 2 for part in (fused, made - fused, newest, old))
        seen = (views.newest_seen, views.keyframes_seen, away / 4, rows, columns)
        x = torch.cat((*latents, *seen, noise[:, :DICE]), dim=1)
        if torch.is_grad_enabled() or x.device.type != "cpu":
            return fused + self._change(x)
        # One by one, as each would be alone (worldsim/world/batch_invariant.py).
        return fused + torch.cat([self._change(one) for one in x.split(1)])

    def _change(self, x: Tensor) -> Tensor:
        x = self.inlet(x)
        for first, second in zip(self.first, self.second, strict=True):
            x = x + second(F.silu(first(F.silu(x))))
        change = self.outlet(F.silu(x))
        # Contrast and not colour: what shifts every frame a little shifts long dreams far.
        return change - change.mean(dim=(2, 3), keepdim=True)


def _over(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Critic(nn.Module):
    """Whether the coarsest channels of a frame look true, here and there and as a whole.

    Args:
        spread: `[JUDGED]`, standard deviations of true ones.
        size: cells a side.
        width: channels inside.
    """

    def __init__(self, spread: Tensor, size: int, width: int = 128):
        super().__init__()
        self.register_buffer("spread", spread[:, None, None].clone())
        layers, inputs = [], len(spread) + 2
        for kernel, stride in ((3, 1), (3, 1), (4, 2), (3, 1)):
            layers += [nn.Conv2d(inputs, width, kernel, stride, 1), nn.LeakyReLU(0.2)]
            inputs = width
        self.body = nn.Sequential(
            *(spectral_norm(x) if isinstance(x, nn.Conv2d) else x for x in layers)
        )
        self.here = spectral_norm(nn.Conv2d(width, 1, 1))
        self.whole = spectral_norm(nn.Linear(width * (size // 2) ** 2, 1))

    def forward(self, latents: Tensor) -> Tensor:
        """Judgements `[B,N]` of latents `[B,C,h,w]`, high where they look true."""
        x = latents[:, : len(self.spread)] / self.spread
        x = self.body(torch.cat((x, *places(x[:, :1])), dim=1))
        whole = (x.shape[2] * x.shape[3]) ** 0.5 * self.whole(x.flatten(1))
        return SCALE * torch.cat((self.here(x).flatten(1), whole), dim=1)


def places(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns, -1 to 1, of cells `[B,1,h,w]`."""
    at = {"device": cells.device, "dtype": cells.dtype}
    rows = torch.linspace(-1, 1, cells.shape[2], **at)[:, None].expand_as(cells)
    return rows, torch.linspace(-1, 1, cells.shape[3], **at).expand_as(cells)
