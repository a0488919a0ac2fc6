"""The published layout as a dynamics: its carry, late actions, and what it forgets. That its
numbers are right is the business of tests/models/zoo/test_golden.py.
"""

import pytest
import torch

from models.far_published.dynamics import FARReferenceDynamics, ReferencePlay
from models.far_published.network import FARReferenceConfig, FARReferenceNetwork
from models.nn.flow_matching import velocity_step
from models.nn.noise_schedule import published_sigmas
from models.zoo.slow_reference import Past, PublishedCache, Uncached

SHORT = {"width": 32, "layers": 2, "head_size": 16, "axes": (4, 6, 6), "latent_channels": 3}
SHORT |= {"latent_size": 4, "condition": "action", "classes": 4}
LONG = SHORT | {"coarse_patch": 2, "window": 3}


def dynamics(shape=LONG, **play):
    network = FARReferenceNetwork(FARReferenceConfig(**shape)).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    return FARReferenceDynamics(network, ReferencePlay(**{"classes": (0, 1, 2)} | play))


def frames(count, batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, batch, 3, 4, 4, generator=generator)


def seen(model, actions, latents):
    carry = model.initial(latents.shape[1])
    for latent, action in zip(latents, actions, strict=True):
        carry = model.observe(carry, latent, torch.full((len(latent),), action))
    return carry


def dreamt(model, carry, actions, noise):
    made = []
    for action, x in zip(actions, noise, strict=True):
        carry, latent = model.imagine(carry, torch.full((len(x),), action), x, 2)
        made.append(latent)
    return carry, torch.stack(made)


@pytest.mark.parametrize("shape", [SHORT, LONG])
@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_a_saved_and_a_forked_dream_go_on_alike(shape, guidance):
    model = dynamics(shape, guidance=guidance)
    carry = seen(model, [-1, 0, 1, 2, 0], frames(5))
    fork = carry.map(lambda tensor, dim: tensor.clone())
    saved = {name: tensor.clone() for name, tensor in carry.tensors().items()}
    _, first = dreamt(model, carry, [0, 1, 2], frames(3, seed=2))
    _, second = dreamt(model, fork, [0, 1, 2], frames(3, seed=2))
    _, third = dreamt(model, model.carry_from(saved), [0, 1, 2], frames(3, seed=2))
    assert torch.equal(first, second)
    assert torch.equal(first, third)


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_rows_do_not_see_each_other(guidance):
    """Guidance doubles the rows: a mixed-up order would let one dream guide another."""
    model = dynamics(guidance=guidance)
    carry = seen(model, [-1, 0, 1, 2, 0], frames(5))
    alone = carry.map(lambda tensor, dim: tensor.index_select(dim, torch.tensor([1])))
    _, both = dreamt(model, carry, [0, 1, 2], frames(3, seed=2))
    _, one = dreamt(model, alone, [0, 1, 2], frames(3, seed=2)[:, 1:])
    assert torch.allclose(both[:, 1:], one, atol=1e-5)


@pytest.mark.parametrize("shape", [SHORT, LONG])
def test_late_actions_go_to_the_frame_before(shape):
    """Published DMLab: a world with the delay, told what leads to each frame, sees what one
    without is told when each action stands a frame earlier and the newest frame has none.
    """
    late, plain = dynamics(shape, action_delay=1), dynamics(shape)
    latents, noise = frames(6), frames(1, seed=2)[0]
    carry = seen(late, [-1, 0, 1, 2, 0, 1], latents)
    _, ours = late.imagine(carry, torch.full((2,), 2), noise, 2)
    carry = seen(plain, [0, 1, 2, 0, 1, 2], latents)
    _, theirs = plain.imagine(carry, torch.full((2,), -1), noise, 2)
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("shape", [SHORT, LONG])
def test_an_action_matters(shape):
    model = dynamics(shape)
    carry, noise = seen(model, [-1, 0, 1], frames(3)), frames(1, seed=2)
    _, one = dreamt(model, carry, [0], noise)
    _, other = dreamt(model, carry, [2], noise)
    assert float((one - other).abs().max()) > 1e-3


TWINS = {
    "anew": Uncached,
    "published": lambda network: PublishedCache(network, cached=True),
    "published, no cache": lambda network: PublishedCache(network, cached=False),
}


@pytest.mark.parametrize(
    ("shape", "name"),
    [(SHORT, "anew"), *((LONG, name) for name in TWINS)],
    ids=["short", *TWINS],
)
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_what_is_played_is_what_slow_twins_compute(shape, name, slope):
    """Over a memory that had to grow: keys would be lost, or lie where others look."""
    model = dynamics(shape | {"slope": slope})
    latents, noise, twin = frames(70, batch=1), frames(3, 1, seed=2), TWINS[name](model.network)
    actions = [i % 3 for i in range(len(latents) + len(noise))]
    _, ours = dreamt(model, seen(model, actions[:70], latents), actions[70:], noise)
    past = Past(latents.transpose(0, 1), torch.tensor([actions]))
    for x, made in zip(noise, ours, strict=True):
        x, count = x.unsqueeze(1), past.latents.shape[1]
        now = past._replace(conditions=past.conditions[:, : count + 1])
        for step, (t, to) in enumerate(published_sigmas(2)):
            x = velocity_step(x, twin.velocity(now, x, 1000 * t, first=step == 0), t, to)
        assert float((x[:, 0] - made).abs().max()) < 1e-4
        past = past._replace(latents=torch.cat((past.latents, x), 1))


def test_bfloat16_is_near():
    """Angles must not be rounded: frame numbers above 256 would fall together."""
    latents, noise = frames(40), frames(1, seed=2)
    exact, near = (dynamics(precision=name) for name in ("float32", "bfloat16"))
    made = [dreamt(model, seen(model, [0] * 40, latents), [1], noise)[1] for model in (exact, near)]
    assert near.network.frequencies.dtype == torch.float64
    assert 0 < float((made[0] - made[1]).abs().mean()) < 0.05


@pytest.mark.parametrize("shape", [SHORT, LONG])
def test_memory_is_bounded(shape):
    model = dynamics(shape, memory=4)
    carry, _ = dreamt(model, seen(model, [-1], frames(1)), [0] * 9, frames(9, seed=2))
    sizes = {name: tensor.shape for name, tensor in carry.tensors().items()}
    carry, made = dreamt(model, carry, [1] * 9, frames(9, seed=3))
    assert sizes == {name: tensor.shape for name, tensor in carry.tensors().items()}
    assert bool(made.isfinite().all())


def test_a_class_the_network_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"class must be in .0, 3., got 4"):
        dynamics(classes=(0, 4))


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="add up to head_size"):
        FARReferenceConfig(**LONG | {"axes": (4, 4, 4)})
    with pytest.raises(ValueError, match="got 0 classes with condition"):
        FARReferenceConfig(**LONG | {"classes": 0})
