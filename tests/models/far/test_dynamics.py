"""The network against itself: what the cache gives frame by frame is what one masked forward over
everything gives.
"""

import pytest
import torch

from models.far.config import FARConfig
from models.far.dynamics import FARDynamics
from models.far.network import JUMPS, NO_FRAME, NO_JUMP, FARNetwork, Frames
from tests.support.far_networks import TURNS, awake, small


class Diary:
    """Everything a dream went through, to be told again to the full forward."""

    def __init__(self):
        self.latents, self.poses, self.motions, self.actions = [], [], [], []
        self.seen, self.levels = [], []

    def note(self, latents, before, after, actions, noise=None, level=0.0):
        known = actions.clamp(min=0)
        rows = torch.arange(len(actions))
        motion = before.motions[rows, known] * (actions >= 0).unsqueeze(1)
        self.latents.append(latents)
        self.poses.append(after.poses)
        self.motions.append(motion)
        self.actions.append(actions)
        self.levels.append(torch.full((len(actions),), level))
        self.seen.append(latents if noise is None else (1 - level) * latents + level * noise)

    def window(self, ids: list[int]) -> Frames:
        """The frames as the short-term window keeps them."""
        seen = torch.stack([self.seen[i] for i in ids], dim=1)
        levels = torch.stack([self.levels[i] for i in ids], dim=1)
        return self.frames(ids)._replace(latents=seen, noise=levels)

    def frames(
        self, ids: list[int], noise: float = 0.0, jump: int = NO_JUMP, latents=None
    ) -> Frames:
        batch = len(self.actions[0])

        def rows(source):
            return torch.stack([source[i] for i in ids], dim=1)

        shown = rows(self.latents) if latents is None else latents.unsqueeze(1)
        shape = (batch, len(ids))
        id_rows = torch.tensor(ids).expand(shape)
        return Frames(
            shown,
            id_rows,
            rows(self.poses),
            torch.full(shape, noise),
            torch.full(shape, jump),
            rows(self.actions),
            rows(self.motions),
        )


def empty(frames: Frames) -> Frames:
    return frames._replace(ids=torch.full_like(frames.ids, NO_FRAME))


@pytest.mark.parametrize(("keyframes", "level"), [(0, 0.0), (2, 0.0), (2, 0.6)])
def test_cached_rollout_equals_full_forward(keyframes, level):
    """Every boundary: first frame, window full, first coarse frame, rings full, dilated level
    overwritten; two dreams that turn differently.
    """
    torch.manual_seed(0)
    cfg = small(keyframes=keyframes, context_noise=level)
    dynamics = FARDynamics(cfg, TURNS).eval()
    awake(dynamics.network)
    carry, diary = dynamics.initial(2), Diary()
    worst = 0.0
    for t in range(26):
        actions = torch.full((2,), -1) if t == 0 else torch.randint(0, 4, (2,))
        before = carry
        noise = torch.randn(2, *dynamics.latent_shape)
        if t < 2:
            carry = dynamics.observe(carry, noise, actions)
            diary.note(noise, before, carry, actions)
            continue
        carry, latents = dynamics.imagine(carry, actions, noise, steps=1)
        diary.note(latents, before, carry, actions, noise.flip(1), level)
        worst = max(
            worst,
            float((full_forward(dynamics.network, diary, carry, t, noise) - latents).abs().max()),
        )
    assert worst < 1e-4
    assert float(latents.std()) > 1e-3


def full_forward(network: FARNetwork, diary: Diary, carry, t: int, noise):
    past = list(range(t))
    keyframes = remembered(diary, carry, network.cfg)
    with torch.no_grad():
        return network(
            diary.frames(past),
            diary.window(past),
            keyframes,
            diary.frames([t], noise=1.0, jump=JUMPS.index(1.0), latents=noise),
        ).latents[:, 0]


def remembered(diary: Diary, carry, cfg: FARConfig) -> Frames:
    """The keyframes the cache holds, as frames; poses and latents looked up by their ids."""
    ids = carry.cache.level_ids("keyframes")
    everything = diary.frames(list(range(len(diary.latents))))
    rows = torch.arange(len(ids)).unsqueeze(1)

    def pick(source):
        return source[rows, ids.clamp(min=0)]

    nothing = torch.full(ids.shape, -1)
    kept = pick(everything.latents).half().float()
    zero = torch.zeros(ids.shape)
    return Frames(
        kept,
        ids.clone(),
        pick(everything.poses),
        zero,
        torch.full_like(ids, NO_JUMP),
        nothing,
        torch.zeros(*ids.shape, 2),
    )


def test_keyframes_are_recalled_and_matter():
    """With memories of places the dream differs from one without: the test above compares
    something.
    """
    outcomes = []
    for forget in (False, True):
        torch.manual_seed(0)
        dynamics = FARDynamics(small(), TURNS).eval()
        awake(dynamics.network)
        carry = dynamics.initial(1)
        for t in range(20):
            carry = dynamics.observe(
                carry, torch.randn(1, *dynamics.latent_shape), torch.tensor([t % 4])
            )
        if forget:
            carry.bank.ids.fill_(NO_FRAME)
        _, latents = dynamics.imagine(
            carry, torch.tensor([1]), torch.randn(1, *dynamics.latent_shape), 1
        )
        outcomes.append(latents)
    assert float((outcomes[0] - outcomes[1]).abs().max()) > 1e-3


def test_memory_is_bounded_and_long_dreams_stay_finite():
    """10,000 frames would cost what 300 do: no tensor of the carry grows."""
    torch.manual_seed(0)
    dynamics = FARDynamics(small(), TURNS).eval()
    carry = dynamics.initial(1)
    sizes = {name: tensor.shape for name, tensor in carry.tensors().items()}
    for t in range(300):
        carry, latents = dynamics.imagine(
            carry, torch.tensor([t % 4]), torch.randn(1, *dynamics.latent_shape), 2
        )
    assert sizes == {name: tensor.shape for name, tensor in carry.tensors().items()}
    assert bool(latents.isfinite().all())


def test_patchify_is_inverted():
    network = FARNetwork(small())
    latents = torch.randn(2, 3, 3, 4, 4)
    assert torch.equal(network.unpatchify(network.patchify(latents)), latents)


def test_bad_shapes_are_refused():
    with pytest.raises(ValueError, match="width must be a multiple of head_size"):
        small(width=70)
    with pytest.raises(ValueError, match="patch sides must divide latent_size"):
        small(patch=3)
