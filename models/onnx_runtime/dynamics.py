"""A dream with a memory in space, played by graphs: initial / observe / imagine over arrays.

What is computed lies in the graphs (models/export/graphs.py), from the same code that torch runs.
Here is what is kept and where it goes, the twin of models/spatial/dynamics.py; each dream of a
batch is run alone.
"""

from typing import NamedTuple

import numpy as np

from models.memory.sizes import COARSE, EMPTY, PLACES
from models.onnx_runtime.alignment import align_motion
from models.onnx_runtime.carry import Carry, carry_from, empty_carry
from models.onnx_runtime.pipeline import JumpSpec, Pipeline
from models.onnx_runtime.poses import (
    compose_pose,
    draw_chance,
    draw_motion,
    motion_between,
    remember_places,
    shorten_motion,
)
from models.onnx_runtime.sessions import Graphs
from models.spatial.config import MemoryConfig, NetworkConfig, SamplerConfig
from models.spatial.levels import LevelSpan, level_spans
from worldsim.types import NULL_ACTION
from worldsim.world.protocols import Controls


class Settings(NamedTuple):
    """What a card says of its dynamics; far: depth in the unit of poses beyond which all is equally
    far; radius: of the body, where nothing else stands, 0: it is not told; least: see
    OdometryConfig.
    """

    network: NetworkConfig
    memory: MemoryConfig
    sampler: SamplerConfig
    far: float
    radius: float
    least: float


class Step(NamedTuple):
    """What memory shows of a frame before it is made: as the graph `look` gives it, and where from.

    rgb `[1,3,H,W]`, seen, hint and first_hand `[1,H,W]`, known_share `[1]`, known_depth `[1,n,n]`;
    latents, mask and depth `[1,C or 64 or 16,h,w]` of the view; action `[1]`, motion `[1,3]`, pose
    `[1,4]`.
    """

    rgb: np.ndarray
    seen: np.ndarray
    hint: np.ndarray
    first_hand: np.ndarray
    known_share: np.ndarray
    known_depth: np.ndarray
    latents: np.ndarray
    mask: np.ndarray
    depth: np.ndarray
    action: np.ndarray
    motion: np.ndarray
    pose: np.ndarray


class OnnxDynamics:
    """The graphs run one frame at a time.

    Args:
        graphs: of a world.
        pipeline: of the same.
        settings: of its card.
        turns: radians per action.
    """

    takes_frames = True  # `observe` wants the frames beside their latents
    takes_poses = takes_controls = True

    def __init__(
        self, graphs: Graphs, pipeline: Pipeline, settings: Settings, turns: tuple[float, ...]
    ):
        self.graphs, self.pipeline = graphs, pipeline
        self.cfg, self.memory, self.sampler, self.far, self.radius, self.least = settings
        self.turns = np.array(turns, np.float32)
        self.spans = level_spans(self.cfg, self.memory)

    @property
    def field_of_view(self) -> float:
        """Degrees, of the width and of the height of a picture."""
        return self.memory.field_of_view

    def initial(self, batch: int) -> Carry:
        """Dreams that have seen nothing."""
        return empty_carry(self._shapes(), batch, self.far)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The arrays of one dream, from what goes into the graphs."""
        taken = {name: graph.inputs for name, graph in self.pipeline.graphs.items()}
        slots, cells = self.memory.slots, COARSE * COARSE
        size = taken["encode"]["frame"].shape[1]
        depth = taken["finish"]["known_depth"].shape
        frames = sum(span.count for span in self.spans.values())
        return {
            "bank.rgba": (1, slots, size, size, 4),
            "bank.inverse_depth": (1, slots, *depth[1:]),
            "bank.poses": (1, slots, 4),
            "bank.points": (1, slots, cells, 3),
            "bank.fresh": (1, slots, cells),
            "bank.ids": (1, slots),
            "bank.true": (1, slots),
            "cache.k": taken["denoise"]["k"].shape,
            "cache.v": taken["denoise"]["v"].shape,
            "cache.ids": (1, frames),
            "frame": (1,),
            "pose": (1, 4),
            "climb": (1,),
            "stood": (1, PLACES, 3),
            "newest": (1, size, size, 3),
            "seen": (1, size, size),
            "latents": taken["denoise"]["noisy"].shape,
            "inverse_depth": depth,
        }

    def carry_from(self, arrays: dict[str, np.ndarray]) -> Carry:
        """Inverse of `Carry.tensors`."""
        return carry_from(arrays)

    def newest_frames(self, carry: Carry) -> np.ndarray:
        """The newest frames uint8 `[B,H,W,3]`."""
        return carry.newest

    def reconstruct(self, frame: np.ndarray) -> np.ndarray:
        """What the codec keeps of a frame uint8 `[1,H,W,3]`: finished with a view of nothing."""
        (latents,) = self.graphs.encode(frame)
        nothing = {
            name: np.zeros(spec.shape, spec.dtype)
            for name, spec in self.pipeline.graphs["finish"].inputs.items()
        }
        return self.graphs.finish(*(nothing | {"latents": latents}).values())[0]

    # ---- true frames ----

    def observe(
        self,
        carry: Carry,
        actions: np.ndarray,
        frames: np.ndarray,
        controls: Controls | None = None,
    ) -> Carry:
        """Take in true frames uint8 `[B,H,W,3]`, which actions `[B]` led to (-1: none), or controls
        where these are not NaN.
        """
        for row in carry.rows:
            frame = frames[row : row + 1]
            self._locate(carry, row, int(actions[row]), frame, pick_control(controls, row))
            pose = carry.pose[row : row + 1]
            inverse, points, fresh = self.graphs.read_depth(frame, pose)
            (carry.latents[row : row + 1],) = self.graphs.encode(frame)
            carry.newest[row], carry.inverse_depth[row], carry.seen[row] = (
                frame[0],
                inverse[0],
                True,
            )
            self._bank(carry, row, carry.seen[row], points[0], fresh[0], true=True)
            self._remember(carry, row)
        return carry

    def _locate(
        self, carry: Carry, row: int, action: int, frame: np.ndarray, control: Controls | None
    ) -> None:
        """Move the body to where a true frame was seen from."""
        before = carry.pose[row].copy()
        if action < 0:
            carry.climb[row] = 0
            self._stand(carry, row, before)
            return
        logits, motions, turn = self._offer(carry, row, action, control)
        bank = carry.bank

        def select(pose: np.ndarray) -> np.ndarray:
            return self._select(carry, row, pose[None])

        def compare(slots: np.ndarray, poses: np.ndarray) -> list[np.ndarray]:
            return self.graphs.compare(*bank.sources(row, slots), poses, frame)

        motion = align_motion(carry.pose[row], turn, logits, motions, select, compare)
        carry.pose[row], carry.climb[row] = compose_pose(before, motion, turn), motion[2]
        self._stand(carry, row, before)

    # ---- generated frames ----

    def imagine(
        self,
        carry: Carry,
        actions: np.ndarray,
        noise: np.ndarray,
        steps: int,
        poses: np.ndarray | None = None,
        controls: Controls | None = None,
    ) -> tuple[Carry, np.ndarray]:
        """Generate and take in the next frames.

        Args:
            carry: changed, and given back.
            actions: `[B]`.
            noise: `[B,C,h,w]`.
            steps: sampler steps at most; frames that memory shows take fewer.
            poses: `[B,4]` where the bodies go; None: where odometry leads them.
            controls: what they do, in numbers; `actions` are the nearest then.
        """
        sampled = np.empty_like(noise)
        for row in carry.rows:
            action, control = int(actions[row]), pick_control(controls, row)
            led = None if poses is None else poses[row]
            chance = draw_chance(noise[row])
            motion = self._move(carry, row, action, chance, led, control)
            told = action if control is None or control.named else NULL_ACTION
            step = self._look(carry, row, told, motion)
            latents = self._sample(carry, row, step, noise[row : row + 1], steps)
            sampled[row] = latents[0]
            told = [step.rgb, step.seen, step.hint, step.known_depth, step.first_hand, step.pose]
            if "noise" in self.pipeline.graphs["finish"].inputs:
                told.append(noise[row : row + 1])
            frame, kept, inverse, points, fresh = self.graphs.finish(latents, *told)
            carry.newest[row], carry.inverse_depth[row] = frame[0], inverse[0]
            carry.seen[row], carry.latents[row] = step.seen[0], kept[0]
            if step.first_hand.sum() >= self.pipeline.least_new:
                self._bank(carry, row, step.first_hand[0], points[0], fresh[0], true=False)
            self._remember(carry, row)
        return carry, sampled

    def _move(
        self,
        carry: Carry,
        row: int,
        action: int,
        chance: float,
        led: np.ndarray | None,
        control: Controls | None,
    ) -> np.ndarray:
        """Move the body, to the pose `led` where there is one; its motion `[3]`."""
        before = carry.pose[row].copy()
        if led is not None:
            motion, carry.pose[row] = motion_between(before, led), led
        else:
            logits, offered, turn = self._offer(carry, row, action, control)
            motion = draw_motion(logits, offered, chance, self.least)
            carry.pose[row] = compose_pose(before, motion, turn)
        carry.climb[row] = motion[2]
        self._stand(carry, row, before)
        return motion

    def _stand(self, carry: Carry, row: int, before: np.ndarray) -> None:
        """Remember that a body stands where it is, and went there from a pose `[4]`."""
        if self.radius:
            way = before, carry.pose[row], int(carry.frame[row])
            remember_places(carry.stood[row], *way, self.radius / 2, self.pipeline.full_step)

    def _offer(
        self, carry: Carry, row: int, action: int, control: Controls | None
    ) -> tuple[np.ndarray, np.ndarray, np.float32]:
        """Logits `[P]` and motions `[P,3]` to choose from, and the turn after them."""
        if control is None:
            return *self._read_odometry(carry, row, action), self.turns[action]
        if not control.strides > 0:
            return *self._read_odometry(carry, row, action), control.turns
        logits, motions = self._read_odometry(carry, row, int(control.walks))
        full = self.pipeline.full_step
        parts = [shorten_motion(motion, control.strides, full) for motion in motions]
        return logits, np.stack(parts), control.turns

    def _look(self, carry: Carry, row: int, action: int, motion: np.ndarray) -> Step:
        """Look what memory shows where the body is now."""
        pose = carry.pose[row : row + 1].copy()
        slots = self._select(carry, row, pose)[: self.memory.sources]
        shown = self.graphs.look(*carry.bank.sources(row, slots), pose)
        self._cache_keyframes(carry, row, slots)
        return Step(*shown, np.array([action]), motion[None], pose)

    def _read_odometry(self, carry: Carry, row: int, action: int) -> tuple[np.ndarray, np.ndarray]:
        """Logits `[P]` and motions `[P,3]` of an action."""
        newest = carry.inverse_depth[row : row + 1]
        if not carry.frame[row]:
            newest = np.full_like(newest, 1 / self.far)
        bank, at = carry.bank, slice(row, row + 1)
        told = [bank.points[at], bank.fresh[at], bank.ids[at], carry.pose[at], newest]
        told.append(np.array([action]))
        inputs = self.pipeline.graphs["odometry"].inputs
        if "climb" in inputs:
            told.append(carry.climb[at])
        if "stood" in inputs:
            told.append(carry.stood[at])
        logits, motions = self.graphs.odometry(*told)
        return logits[0], motions[0]

    def _select(self, carry: Carry, row: int, pose: np.ndarray) -> np.ndarray:
        """Slots (EMPTY: none) that show most of the view from a pose `[1,4]`."""
        bank, at = carry.bank, slice(row, row + 1)
        told = bank.points[at], bank.fresh[at], bank.ids[at], bank.poses[at]
        return self.graphs.select(*told, pose)[0][0]

    def _cache_keyframes(self, carry: Carry, row: int, slots: np.ndarray) -> None:
        """Encode the frames that show most of the view, those in the window left out."""
        span, bank, cache = self.spans["keyframes"], carry.bank, carry.cache
        oldest = carry.frame[row] - self.memory.window
        chosen = [slot for slot in slots if slot >= 0 and 0 <= bank.ids[row, slot] < oldest]
        held = cache.ids[row, span.frames]  # a view: written to
        wanted = np.full(span.count, EMPTY)
        for place, slot in enumerate(chosen[: span.count]):
            wanted[place] = bank.ids[row, slot]
        held[held != wanted] = EMPTY
        for place, slot in enumerate(chosen[: span.count]):
            if held[place] == EMPTY:
                frame = np.ascontiguousarray(bank.rgba[row, slot, None, ..., :3])
                (latents,) = self.graphs.encode(frame)
                context = self.graphs.context_fine(latents, bank.poses[row, slot, None])
                cache.write(span, row, place, context, wanted[place])

    def _sample(self, carry: Carry, row: int, step: Step, x: np.ndarray, steps: int) -> np.ndarray:
        """Latents `[1,C,h,w]`, in the sampler steps that the view asks for."""
        count = min(steps, self.sampler.steps(1 - float(step.known_share[0])))
        cache, limit = carry.cache, self.pipeline.latent_limit
        context = cache.k[:, row : row + 1], cache.v[:, row : row + 1]
        visible = cache.visible(self.spans, row)
        frame = step.latents, step.mask, step.depth, step.action, step.motion, step.pose
        before = None
        for jump in self.pipeline.schedules[str(count)]:
            level, told = np.array([jump.level], np.float32), np.array([jump.told])
            (clean,) = self.graphs.denoise(x, level, told, *context, visible, *frame)
            x, before = take_step(self.sampler.order, x, clean, before, jump)
            x = x.clip(-limit, limit)
        return x

    # ---- memory ----

    def _bank(
        self,
        carry: Carry,
        row: int,
        first_hand: np.ndarray,
        points: np.ndarray,
        fresh: np.ndarray,
        true: bool,
    ) -> None:
        """Write the newest frame to the bank."""
        bank, number = carry.bank, int(carry.frame[row])
        at = row, bank.free_slot(row, number)
        bank.rgba[at][..., :3] = carry.newest[row]
        bank.rgba[at][..., 3] = first_hand * np.uint8(255)
        bank.inverse_depth[at], bank.poses[at] = carry.inverse_depth[row], carry.pose[row]
        bank.points[at], bank.fresh[at] = points, fresh
        bank.ids[at], bank.true[at] = number, true

    def _remember(self, carry: Carry, row: int) -> None:
        """Encode the newest frame, fine for the window and now and then coarse."""
        number, at = int(carry.frame[row]), slice(row, row + 1)
        fine = self.graphs.context_fine(carry.latents[at], carry.pose[at])
        self._write(carry, row, "window", number % self.memory.window, fine)
        if number % self.memory.dilation == 0:
            coarse = self.graphs.context_coarse(carry.latents[at], carry.pose[at])
            place = number // self.memory.dilation % self.memory.coarse
            self._write(carry, row, "coarse", place, coarse)
        carry.frame[row] += 1

    def _write(
        self, carry: Carry, row: int, level: str, place: int, context: list[np.ndarray]
    ) -> None:
        span: LevelSpan = self.spans[level]
        carry.cache.write(span, row, place, context, int(carry.frame[row]))


def take_step(
    order: int, x: np.ndarray, clean: np.ndarray, before: np.ndarray | None, jump: JumpSpec
) -> tuple[np.ndarray, np.ndarray | None]:
    """The next latents, and the velocity that the next step is given; as
    models/nn/flow_matching.py, `sampler_step`.
    """
    if order == 1:
        return x - np.float32(jump.length / jump.level) * (x - clean), None
    velocity = (x - clean) / np.float32(jump.level)
    half = np.float32(0.5)
    mean = velocity if before is None else np.float32(1.5) * velocity - half * before
    return x - np.float32(jump.length) * mean, velocity


def pick_control(controls: Controls | None, row: int) -> Controls | None:
    """What a dream is told in numbers; None where that is nothing."""
    if controls is None or np.isnan(controls.turns[row]):
        return None
    return Controls(*(part[row] for part in controls))
