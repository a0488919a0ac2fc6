"""A step of a dream as pure functions of tensors with fixed shapes, one ONNX graph each.

What is computed lies in the graphs: odometry, selection, rendering, the network, codec and depth.
What is kept lies outside: the bank, the cache of keys and values, and which frame goes where
(models/onnx_runtime/dynamics.py). Every graph is of one dream; of a batch each row is run alone.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.codec.patch_autoencoder import to_frames
from models.codec.view_decoder import Shown, paint_view
from models.memory.alignment import compare_views
from models.memory.coverage import select_keyframes
from models.memory.frame_bank import FrameBank, summarize
from models.memory.renderer import render
from models.memory.sizes import CANDIDATES, COARSE, SOURCES
from models.memory.stood import no_places
from models.spatial.condition import encode_view, shown_of
from models.spatial.dynamics import SpatialDynamics
from models.spatial.network import COARSE_KIND, FINE, KV, FrameCondition


class Graph(nn.Module):
    """A function of tensors, with the networks that it calls.

    Args:
        dynamics: whose networks.
        function: of tensors, to a tuple of tensors.
        inputs: an example of every input by its name, in order.
        outputs: their names.
    """

    def __init__(
        self,
        dynamics: SpatialDynamics,
        function: Callable[..., tuple[Tensor, ...]],
        inputs: dict[str, Tensor],
        outputs: tuple[str, ...],
    ):
        super().__init__()
        self.dynamics, self.function = dynamics, function
        self.inputs, self.outputs = inputs, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs of inputs in their order."""
        return self.function(*inputs)


class Shapes(NamedTuple):
    """Sizes of one dream: H pixels, n depths, C channels, h cells, N slots, S sources."""

    frame: int
    depth: int
    channels: int
    cells: int
    slots: int
    sources: int

    def sources_of(self, count: int) -> dict[str, Tensor]:
        """Examples of the inputs that frames of the bank are given as."""
        return {
            "rgba": torch.zeros(1, count, self.frame, self.frame, 4, dtype=torch.uint8),
            "inverse_depth": torch.full((1, count, self.depth, self.depth), 0.5),
            "poses": torch.zeros(1, count, 4),
            "ids": torch.zeros(1, count, dtype=torch.long),
        }

    @property
    def latents(self) -> Tensor:
        """An example of latents."""
        return torch.zeros(1, self.channels, self.cells, self.cells)

    @property
    def picture(self) -> Tensor:
        """An example of a picture."""
        return torch.zeros(1, 3, self.frame, self.frame)

    @property
    def pose(self) -> Tensor:
        """An example of a pose."""
        return torch.zeros(1, 4)


def shapes_of(dynamics: SpatialDynamics) -> Shapes:
    """The sizes of a world's tensors."""
    channels, cells, _ = dynamics.latent_shape
    memory = dynamics.memory
    sizes = dynamics.codec.frame_size, dynamics.depth.cfg.size
    return Shapes(*sizes, channels, cells, memory.slots, memory.sources)


def make_graphs(dynamics: SpatialDynamics) -> dict[str, Graph]:
    """Every graph of a world by its name."""
    makers = (_encode, _read_depth, _odometry, _select, _look, _compare)
    makers += (_context_fine, _context_coarse, _denoise, _finish)
    shapes = shapes_of(dynamics)
    return {make.__name__.removeprefix("_"): make(dynamics, shapes) for make in makers}


def _encode(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """Latents of a frame."""

    def encode(frame: Tensor) -> tuple[Tensor]:
        return (dynamics.codec.encode(frame),)

    return Graph(dynamics, encode, {"frame": _frame(shapes)}, ("latents",))


def _read_depth(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """Inverse depth of a true frame, of which nothing is known, and what the bank keeps of it."""
    view = dynamics.memory.field_of_view

    def read_depth(frame: Tensor, pose: Tensor) -> tuple[Tensor, ...]:
        inverse = dynamics.depth.inverse_depth(_to_picture(frame))
        everything = torch.ones_like(frame[..., 0], dtype=torch.bool)
        return inverse, *summarize(inverse, pose, everything, view)

    inputs = {"frame": _frame(shapes), "pose": shapes.pose}
    return Graph(dynamics, read_depth, inputs, ("inverse_depth", "points", "fresh"))


def _odometry(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """Logits and motions of an action where something stands around the body."""
    part = dynamics.odometry

    def odometry(
        points: Tensor,
        fresh: Tensor,
        ids: Tensor,
        pose: Tensor,
        newest: Tensor,
        action: Tensor,
        *others: Tensor,
    ) -> tuple[Tensor, ...]:
        told = dict(zip(more, others, strict=True))
        bank = bank_of(points=points, fresh=fresh, ids=ids)
        rising = told.get("climb", torch.zeros_like(pose[:, 0]))
        return part(part.scan(bank, pose, newest, told.get("stood")), rising, action)

    inputs = {"points": _points(shapes), "fresh": torch.ones(1, shapes.slots, COARSE**2)}
    inputs |= {"ids": _ids(shapes), "pose": shapes.pose}
    inputs |= {"newest": torch.full((1, shapes.depth, shapes.depth), 0.5)}
    inputs |= {"action": torch.zeros(1, dtype=torch.long)}
    more = {"climb": torch.zeros(1)} if part.cfg.inertia else {}
    if part.cfg.radius:
        more |= {"stood": no_places(1, shapes.pose.device)}
    return Graph(dynamics, odometry, inputs | more, ("logits", "motions"))


def _select(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """The slots of the bank that show most of a view, best first."""
    view = dynamics.memory.field_of_view

    def select(
        points: Tensor, fresh: Tensor, ids: Tensor, poses: Tensor, pose: Tensor
    ) -> tuple[Tensor]:
        bank = bank_of(points=points, fresh=fresh, ids=ids, poses=poses)
        return (select_keyframes(bank, pose, max(shapes.sources, SOURCES), view),)

    inputs = {"points": _points(shapes), "fresh": torch.ones(1, shapes.slots, COARSE**2)}
    inputs |= {"ids": _ids(shapes), "poses": torch.zeros(1, shapes.slots, 4), "pose": shapes.pose}
    return Graph(dynamics, select, inputs, ("slots",))


def _look(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """What memory shows of a view, and the view as the network sees it."""
    memory = dynamics.memory
    optics = memory.field_of_view, dynamics.depth.cfg.far, memory.sharp

    def look(
        rgba: Tensor, inverse_depth: Tensor, poses: Tensor, ids: Tensor, pose: Tensor
    ) -> tuple[Tensor, ...]:
        bank = bank_of(rgba=rgba, inverse_depth=inverse_depth, poses=poses, ids=ids)
        view = render(bank, pose, *optics)
        known = view.inverse_depth * view.known_depth
        pixels = view.first_hand, view.known_share, known
        return *shown_of(view), *pixels, *encode_view(dynamics.codec, view)

    outputs = ("rgb", "seen", "hint", "first_hand", "known_share", "known_depth")
    outputs += ("latents", "mask", "depth")
    inputs = {**shapes.sources_of(shapes.sources), "pose": shapes.pose}
    return Graph(dynamics, look, inputs, outputs)


def _compare(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """How unlike a true frame the views from several poses are."""
    optics = dynamics.memory.field_of_view, dynamics.depth.cfg.far

    def compare(
        rgba: Tensor,
        inverse_depth: Tensor,
        poses: Tensor,
        ids: Tensor,
        offered: Tensor,
        frame: Tensor,
    ) -> tuple[Tensor, ...]:
        bank = bank_of(rgba=rgba, inverse_depth=inverse_depth, poses=poses, ids=ids)
        every = {
            name: part.expand(CANDIDATES, *part.shape[1:]).contiguous()
            for name, part in bank.tensors().items()
        }
        view = render(FrameBank(**every), offered, *optics)
        picture = _to_picture(frame).expand(CANDIDATES, -1, -1, -1)
        return (compare_views(view, picture),)

    inputs = {**shapes.sources_of(SOURCES), "offered": torch.zeros(CANDIDATES, 4)}
    return Graph(dynamics, compare, inputs | {"frame": _frame(shapes)}, ("error",))


def _context_fine(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """Keys and values of a frame's fine tokens."""
    return _context(dynamics, shapes, FINE)


def _context_coarse(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """Keys and values of a frame's coarse tokens."""
    return _context(dynamics, shapes, COARSE_KIND)


def _context(dynamics: SpatialDynamics, shapes: Shapes, kind: int) -> Graph:
    def context(latents: Tensor, pose: Tensor) -> tuple[Tensor, ...]:
        kv = dynamics.network.encode_context(latents.unsqueeze(1), pose.unsqueeze(1), kind)
        return torch.stack(kv.k), torch.stack(kv.v)

    return Graph(dynamics, context, {"latents": shapes.latents, "pose": shapes.pose}, ("k", "v"))


def _denoise(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """The clean latents that the network sees in noisy ones."""
    cache = dynamics.initial(1).cache

    def denoise(
        noisy: Tensor, level: Tensor, jump: Tensor, k: Tensor, v: Tensor, visible: Tensor, *frame
    ) -> tuple[Tensor]:
        own = visible.new_ones(1, dynamics.cfg.fine_tokens)
        mask = torch.where(torch.cat((own, visible), dim=1), 0.0, -torch.inf)[:, None, None]
        context = KV(list(k.unbind()), list(v.unbind()))
        return (dynamics.network(noisy, level, jump, FrameCondition(*frame), context, mask),)

    cells = shapes.latents[:, :1]
    frame = {"view_latents": shapes.latents, "mask": cells.repeat(1, 64, 1, 1)}
    frame |= {"depth": cells.repeat(1, 16, 1, 1), "action": torch.zeros(1, dtype=torch.long)}
    frame |= {"motion": torch.zeros(1, 3), "pose": shapes.pose}
    inputs = {"noisy": shapes.latents, "level": torch.ones(1)}
    inputs |= {"jump": torch.zeros(1, dtype=torch.long), "k": cache.k, "v": cache.v}
    inputs |= {"visible": torch.ones(1, cache.k.shape[3], dtype=torch.bool)}
    return Graph(dynamics, denoise, inputs | frame, ("clean",))


def _finish(dynamics: SpatialDynamics, shapes: Shapes) -> Graph:
    """The frame of latents and of its view, what the codec keeps of it, its inverse depth, and what
    the bank keeps of that.
    """
    angle = dynamics.memory.field_of_view

    def finish(
        latents: Tensor,
        rgb: Tensor,
        seen: Tensor,
        hint: Tensor,
        known: Tensor,
        first_hand: Tensor,
        pose: Tensor,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        shown = Shown(rgb, seen, hint)
        spread = torch.zeros_like(latents) if noise is None else noise
        picture = paint_view(dynamics.codec, dynamics.decoder, latents, shown, spread)
        inverse = dynamics.depth.inverse_depth(picture, known)
        frame = to_frames(picture)
        kept = summarize(inverse, pose, first_hand, angle)
        return frame, dynamics.codec.encode(frame), inverse, *kept

    pixels = torch.ones(1, shapes.frame, shapes.frame, dtype=torch.bool)
    inputs = {"latents": shapes.latents, "rgb": shapes.picture, "seen": pixels}
    inputs |= {"hint": pixels.clone()}
    inputs |= {"known_depth": torch.ones(1, shapes.depth, shapes.depth)}
    inputs |= {"first_hand": pixels.clone(), "pose": shapes.pose}
    if dynamics.decoder.cfg.noise:
        inputs["noise"] = shapes.latents
    outputs = ("frame", "newest_latents", "inverse_depth", "points", "fresh")
    return Graph(dynamics, finish, inputs, outputs)


def bank_of(**parts: Tensor) -> FrameBank:
    """A bank of which a graph reads only some parts; any of them tells how many frames it has."""
    unread = dict.fromkeys(FrameBank.__annotations__, parts["ids"])
    return FrameBank(**unread | parts)


def _to_picture(frame: Tensor) -> Tensor:
    return frame.permute(0, 3, 1, 2).float() / 127.5 - 1


def _frame(shapes: Shapes) -> Tensor:
    return torch.zeros(1, shapes.frame, shapes.frame, 3, dtype=torch.uint8)


def _ids(shapes: Shapes) -> Tensor:
    return torch.zeros(1, shapes.slots, dtype=torch.long)


def _points(shapes: Shapes) -> Tensor:
    return torch.ones(1, shapes.slots, COARSE**2, 3)
