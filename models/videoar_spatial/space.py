"""Where bodies are, and what is remembered of the space around them: pose and bank of a carry, read
and written by odometry, renderer and depth network. Knows no tokens.

The parts and the order of a step are those of FAR with a memory in space (models/spatial).
"""

import torch
from torch import Tensor, nn

from models.memory.alignment import align_motion
from models.memory.coverage import select_keyframes
from models.memory.depth_network import DepthNetwork
from models.memory.frame_bank import FrameBank, Insertion
from models.memory.odometry import Odometry, climbs_of, compose_poses, motion_between
from models.memory.renderer import MemoryView, render
from models.spatial.dynamics import LEAST_NEW, pick_rows
from models.videoar_spatial.carry import VideoARSpatialCarry as Carry
from models.videoar_spatial.config import SpaceConfig
from worldsim.world.batch_invariant import apply_row_by_row


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

    def locate(self, carry: Carry, actions: Tensor, pictures: Tensor) -> None:
        """Move bodies to where true pictures `[B,3,H,W]` were seen from, led by actions `[B]`."""
        logits, motions = self.odometry(self._scan(carry), carry.climb, actions.clamp(min=0))
        turns = self._turns(actions)
        found = torch.zeros(len(actions), 3, device=pictures.device)
        for row in torch.nonzero(actions >= 0).flatten().tolist():
            bank = carry.bank.map(lambda part, _, i=row: part[i : i + 1])
            offered = logits[row], motions[row]
            found[row] = align_motion(
                bank, carry.pose[row], turns[row], *offered, pictures[row], self.camera
            )
        carry.pose, carry.climb = compose_poses(carry.pose, found, turns), climbs_of(found)

    def move(self, carry: Carry, actions: Tensor) -> None:
        """Move bodies to where odometry thinks that actions `[B]` lead."""
        motions = self.odometry.predict_motion(self._scan(carry), carry.climb, actions)
        carry.pose = compose_poses(carry.pose, motions, self._turns(actions))
        carry.climb = climbs_of(motions)

    def lead(self, carry: Carry, poses: Tensor) -> None:
        """Move bodies to poses `[B,4]`."""
        carry.climb = climbs_of(motion_between(carry.pose, poses))
        carry.pose = poses.clone()

    def _scan(self, carry: Carry) -> Tensor:
        begun = (carry.frame > 0)[:, None, None]
        newest = torch.where(begun, carry.inverse_depth, 1 / self.depth.cfg.far)
        return self.odometry.scan(carry.bank, carry.pose, newest)

    def _turns(self, actions: Tensor) -> Tensor:
        return self.odometry.turns[actions.clamp(min=0)] * (actions >= 0)

    # ---- what they see ----

    def look(self, carry: Carry) -> MemoryView:
        """What memory shows from where bodies are."""
        slots = select_keyframes(carry.bank, carry.pose, self.cfg.sources, self.cfg.field_of_view)
        sources = carry.bank.rows(carry.rows, slots)
        return render(sources, carry.pose, *self.camera, self.cfg.sharp)

    def read_depth(self, pictures: Tensor, known: Tensor) -> Tensor:
        """Inverse depth `[B,n,n]` of pictures `[B,3,H,W]`: that which is known (not 0), `[B,n,n]`,
        and elsewhere what the network reads.
        """
        told = apply_row_by_row(self.depth.inverse_depth, pictures, known)
        return torch.where(known > 0, known, told)

    # ---- what is remembered ----

    def remember_true(self, carry: Carry) -> None:
        """Write the newest frames, which were given."""
        self._insert(carry, torch.ones_like(carry.seen), carry.rows, True)

    def remember_generated(self, carry: Carry, first_hand: Tensor) -> None:
        """Write what the newest frames are the first to show, `first_hand` bool `[B,H,W]`; nothing
        of a frame that shows next to nothing new.
        """
        new = (first_hand.flatten(1).sum(dim=1) >= LEAST_NEW).tolist()
        self._insert(carry, first_hand, pick_rows(carry.rows, new), False)

    def _insert(self, carry: Carry, first_hand: Tensor, rows: Tensor, true: bool) -> None:
        if len(rows):
            entry = Insertion(carry.newest, carry.inverse_depth, carry.pose, first_hand)
            part = Insertion(*(tensor[rows] for tensor in entry))
            carry.bank.insert(part, rows, carry.frame[rows], true, self.cfg.field_of_view)
