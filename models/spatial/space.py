"""Where bodies are, and what is remembered of the space around them: pose and bank of a carry, read
and written by odometry, renderer and depth network. Knows no tokens: every dynamics with a memory
in space moves and looks by it.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from models.memory.alignment import align_motion
from models.memory.coverage import select_keyframes
from models.memory.depth_network import DepthNetwork
from models.memory.frame_bank import FrameBank, Insertion
from models.memory.motion_draw import draw_motion
from models.memory.odometry import (
    Odometry,
    climbs_of,
    compose_poses,
    motion_between,
)
from models.memory.renderer import MemoryView, render
from models.memory.stood import remember_places
from models.spatial.config import SpaceConfig
from worldsim.world.protocols import Controls

LEAST_NEW = 16  # first-hand pixels; a frame with fewer adds nothing to the bank


class SpaceCarry(Protocol):
    """What it reads and writes of a carry of B dreams: `bank` and `stood` `[B,PLACES,3]`; of the
    newest frames `pose` `[B,4]`, `climb` `[B]`, `newest` uint8 `[B,H,W,3]` and `inverse_depth`
    `[B,n,n]`; `frame` `[B]` the numbers of the next ones and `rows` `[B]` those of the dreams,
    which it only reads.
    """

    bank: FrameBank
    pose: Tensor
    climb: Tensor
    stood: Tensor
    newest: Tensor
    inverse_depth: Tensor

    @property
    def frame(self) -> Tensor:
        """Numbers of the next frames."""

    @property
    def rows(self) -> Tensor:
        """Numbers of the dreams."""


class SpaceMemory(nn.Module):
    """The networks that read space, and the rules by which it is remembered.

    Args:
        cfg: what is remembered.
        depth: reads depth off frames.
        odometry: how far actions carry.
    """

    def __init__(self, cfg: SpaceConfig, depth: DepthNetwork, odometry: Odometry):
        super().__init__()
        self.cfg, self.depth, self.odometry = cfg, depth, odometry

    @property
    def camera(self) -> tuple[float, float]:
        """Field of view in degrees, and the depth from which on everything is equally far."""
        return self.cfg.field_of_view, self.depth.cfg.far

    def empty_bank(self, batch: int, device: torch.device) -> FrameBank:
        """Of dreams that have seen nothing."""
        size = self.depth.cfg.frame_size
        return FrameBank.empty(batch, self.cfg.slots, size, self.depth.cfg.size, device)

    # ---- where bodies are ----

    def locate(
        self,
        carry: SpaceCarry,
        actions: Tensor,
        pictures: Tensor,
        controls: Controls | None = None,
    ) -> None:
        """Move bodies to where true pictures `[B,3,H,W]` were seen from, led by actions `[B]`, or
        by controls where these are not NaN.
        """
        logits, motions, turns = self._offer(carry, actions, controls)
        found = torch.zeros(len(actions), 3, device=pictures.device)
        for row in torch.nonzero(actions >= 0).flatten().tolist():
            bank = carry.bank.map(lambda part, _, i=row: part[i : i + 1])
            offered = logits[row], motions[row]
            found[row] = align_motion(
                bank, carry.pose[row], turns[row], *offered, pictures[row], self.camera
            )
        before, carry.pose = carry.pose, compose_poses(carry.pose, found, turns)
        carry.climb = climbs_of(found)
        self._stand(carry, before)

    def _offer(
        self, carry: SpaceCarry, actions: Tensor, controls: Controls | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits `[B,P]` and motions `[B,P,3]` to choose from, and the turns `[B]` after them."""
        around = self._scan(carry), carry.climb
        logits, motions = self.odometry(*around, actions.clamp(min=0))
        turns = self._turns(actions)
        if controls is None:
            return logits, motions, turns
        turns = torch.where(controls.turns.isfinite(), controls.turns, turns)
        strode, strides = controls.strides > 0, self.odometry.offer_strides(*around, controls)
        logits = torch.where(strode[:, None], strides[0], logits)
        return logits, torch.where(strode[:, None, None], strides[1], motions), turns

    def move(
        self,
        carry: SpaceCarry,
        actions: Tensor,
        chances: Tensor,
        poses: Tensor | None = None,
        controls: Controls | None = None,
    ) -> Tensor:
        """Move bodies to poses `[B,4]`; None: to where odometry thinks that controls lead, or
        without these actions `[B]`, drawn by chances `[B]` in [0, 1). The motions `[B,3]`.
        """
        before = carry.pose
        if poses is None:
            logits, offered, turns = self._offer(carry, actions, controls)
            motions = draw_motion(logits, offered, chances, self.odometry.cfg.least)
            if controls is None:
                motions = motions * (actions >= 0).unsqueeze(1)
            carry.pose = compose_poses(before, motions, turns)
        else:
            motions = motion_between(before, poses)
            carry.pose = poses.clone()
        carry.climb = climbs_of(motions)
        self._stand(carry, before)
        return motions

    def _stand(self, carry: SpaceCarry, before: Tensor) -> None:
        """Remember that bodies stand where they are, and went there from poses `[B,4]`."""
        radius = self.odometry.cfg.radius
        if radius:
            way, longest = (before, carry.pose), self.odometry.full_step
            carry.stood = remember_places(carry.stood, *way, carry.frame, radius / 2, longest)

    def _scan(self, carry: SpaceCarry) -> Tensor:
        """What stands around the bodies."""
        begun = (carry.frame > 0)[:, None, None]
        newest = torch.where(begun, carry.inverse_depth, 1 / self.depth.cfg.far)
        return self.odometry.scan(carry.bank, carry.pose, newest, carry.stood)

    def _turns(self, actions: Tensor) -> Tensor:
        return self.odometry.turns[actions.clamp(min=0)] * (actions >= 0)

    # ---- what they see ----

    def select(self, carry: SpaceCarry) -> Tensor:
        """Slots `[B,S]` of the frames that show most of what bodies look at."""
        return select_keyframes(carry.bank, carry.pose, self.cfg.sources, self.cfg.field_of_view)

    def render(self, carry: SpaceCarry, slots: Tensor) -> MemoryView:
        """What the frames in slots `[B,S]` show from where bodies are."""
        sources = carry.bank.rows(carry.rows, slots)
        return render(sources, carry.pose, *self.camera, self.cfg.sharp)

    def read_depth(self, pictures: Tensor, known: Tensor) -> Tensor:
        """Inverse depth `[B,n,n]` that the network reads off pictures `[B,3,H,W]`, told what memory
        knows, `[B,n,n]` (0: nothing).
        """
        return self.depth.inverse_depth(pictures, known)

    # ---- what is remembered ----

    def find_new(self, first_hand: Tensor) -> Tensor:
        """Which frames, of first-hand pixels bool `[B,H,W]`, show enough that is new, `[B]`."""
        return first_hand.flatten(1).sum(dim=1) >= LEAST_NEW

    def insert(self, carry: SpaceCarry, first_hand: Tensor, rows: Tensor, true: bool) -> None:
        """Write what the newest frames of dreams `rows` are the first to show to the bank.

        Args:
            carry: its bank is changed.
            first_hand: bool `[B,H,W]`.
            rows: numbers of the dreams.
            true: whether the frames were given, not generated.
        """
        if len(rows):
            entry = Insertion(carry.newest, carry.inverse_depth, carry.pose, first_hand)
            part = Insertion(*(tensor[rows] for tensor in entry))
            carry.bank.insert(part, rows, carry.frame[rows], true, self.cfg.field_of_view)


def pick_rows(rows: Tensor, flags: list[bool]) -> Tensor:
    """Those of the numbers `[B]` that are flagged. Without a copy to the device where all or none
    are, as of a single dream.
    """
    if all(flags):
        return rows
    if not any(flags):
        return rows[:0]
    return torch.tensor([i for i, flag in enumerate(flags) if flag], device=rows.device)
