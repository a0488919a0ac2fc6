"""A small network that reads off two frames how far a step carried.

It sees how unlike the frames are at every sideways shift, place by place, and the frame before.
Only actions that walk carry; how far an action turns stands in its action set.
"""

import torch
from torch import Tensor, nn

from models.own_video.latent_actions import PLACES, SHIFTS, SIDE, match_shifts
from worldsim.actions import ActionSet

LIMIT = 2.0  # strides that a step goes at most


class MotionNetwork(nn.Module):
    """Pictures `[B,3,SIDE,SIDE]` before and after, and actions, to motions `[B,3]`."""

    def __init__(self, actions: ActionSet, stride: float, width: int = 48):
        super().__init__()
        self.stride = stride
        walks = torch.zeros(len(actions))
        walks[list(actions.walks)] = 1
        self.register_buffer("walks", walks, persistent=False)
        self.look = nn.Conv2d(3, width, SIDE // PLACES, stride=SIDE // PLACES)
        self.match = nn.Conv2d(SHIFTS, width, 1)
        self.layers = nn.Sequential(
            *(nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1, stride=2), nn.ReLU(), nn.Flatten()),
        )
        self.action = nn.Embedding(len(actions), 16)
        self.out = nn.Sequential(
            nn.Linear(width * (PLACES // 2) ** 2 + 16, 64), nn.ReLU(), nn.Linear(64, 2)
        )
        nn.init.zeros_(self.out[-1].weight)
        nn.init.zeros_(self.out[-1].bias)

    def forward(self, before: Tensor, after: Tensor, actions: Tensor) -> Tensor:
        """How far ahead, left and up the steps carried, in the unit of poses; begins with a stride
        ahead for every action that walks.
        """
        x = self.layers(self.match(match_shifts(before, after)) + self.look(before))
        found = self.out(torch.cat((x, self.action(actions)), dim=1))
        ahead, left = (found + found.new_tensor([1.0, 0.0])).clamp(-LIMIT, LIMIT).unbind(1)
        moved = torch.stack((ahead, left, torch.zeros_like(left)), dim=1)
        return self.stride * moved * self.walks[actions].unsqueeze(1)
