"""The loss of single frames: seen and unseen cells apart, context masks, shortcut targets."""

import pytest
import torch

from models.nn.flow_matching import euler_step, interpolate
from models.spatial.network import JUMPS, SHORTEST, FrameCondition
from models.training.spatial_chain import OwnFrames
from models.training.spatial_config import SpatialLossConfig
from models.training.spatial_loss import (
    SpatialLoss,
    Stage,
    balance_errors,
    encode_context,
    token_mask,
)
from models.training.spatial_samples import SampleConfig, SampleDrawer
from tests.support.room_walks import walk_room
from tests.support.spatial_worlds import SIZE, small_models, small_settings
from worldsim.actions import load_actions


@pytest.fixture(scope="module")
def models():
    return small_models(small_settings())


@pytest.fixture(scope="module")
def samples():
    cfg = SampleConfig(lengths=(6, 20), candidates=12, coarse=3)
    memory = small_settings().memory
    drawer = SampleDrawer([walk_room(30, SIZE, 0)], load_actions("dmlab"), memory, cfg, 30.0, 0)
    return drawer.draw(8)


def loss_of(models, seed=0, **changes) -> SpatialLoss:
    generator = torch.Generator().manual_seed(seed)
    cfg = SpatialLossConfig(**changes)
    parts = models.codec, models.decoder, models.depth
    own = OwnFrames(*parts, small_settings().memory, cfg.own_frames, generator)
    return SpatialLoss(cfg, models.codec, own, generator)


def condition(mask: torch.Tensor) -> FrameCondition:
    nothing = torch.zeros(0)
    return FrameCondition(nothing, mask, nothing, nothing, nothing, nothing)


def test_seen_and_unseen_cells_are_averaged_apart_by_hand():
    """Three seen cells of error 2 and one unseen of error 8; each mean counts one cell more."""
    mask = torch.ones(1, 64, 2, 2)
    mask[:, :, 1, 1] = 0
    mask[:, :6, 0, 0] = 0  # 58 of 64 pixels: more than nine tenths, so still seen
    error = torch.tensor([[[2.0, 2.0], [2.0, 8.0]]])
    assert balance_errors(error, condition(mask)).item() == pytest.approx(0.5 * 6 / 4 + 0.5 * 8 / 2)
    mask[:, :7, 0, 0] = 0  # 57 of 64: less
    expected = 0.5 * 4 / 3 + 0.5 * 10 / 3
    assert balance_errors(error, condition(mask)).item() == pytest.approx(expected)


def test_a_frame_sees_itself_and_the_context_that_there_is(samples):
    mask = token_mask(samples, 4, 2)
    group, row = len(samples.frames) // len(samples.fine), 3
    expected = [True] * 4
    for known in samples.fine_known[row].tolist():
        expected += [known] * 4
    for known in samples.coarse_known[row // group].tolist():
        expected += [known] * 2
    assert (mask[row, 0, 0] == 0).tolist() == expected
    assert mask.shape[1:3] == (1, 1)


@pytest.mark.parametrize("stage", [Stage(True), Stage(True, True), Stage(True, False, True)])
def test_it_falls_on_a_batch(models, samples, stage):
    torch.manual_seed(0)
    network = small_models(small_settings()).network
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    find, found = loss_of(models), []
    for _ in range(30):
        loss, measures = find(network, network, samples, stage)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.item())
    assert sum(found[-5:]) < 0.7 * sum(found[:5])
    assert set(measures) == {"unseen", "seen", "noisy"}
    assert find.residuals.shape == (8 * 30, *models.codec.latent_shape)


@torch.no_grad()
def test_shortcuts_ask_for_what_two_half_jumps_say(models, samples):
    """The target leads in one jump to where two half jumps of the average lead."""
    network, find = models.network, loss_of(models, shortcuts=1.0)
    tokens = network.cfg.fine_tokens, network.cfg.coarse_tokens
    inputs = find.prepare(samples, tokens, False)
    noise = torch.randn(inputs.clean.shape)
    t = torch.full((len(noise),), 0.5)
    noisy = interpolate(inputs.clean, noise, t[:, None, None, None])
    at, jumps, x, target = find._shortcuts(network, inputs, t, noisy, noise)
    context = encode_context(network, inputs)
    for row in range(len(x)):
        part = slice(row, row + 1)
        long, level, d = jumps[part], at[row].item(), JUMPS[int(jumps[row])]
        assert long < SHORTEST
        assert level / d == pytest.approx(round(level / d))  # a level that jumps of d pass through
        frame = FrameCondition(*(tensor[part] for tensor in inputs.frame))
        kv = type(context)(*([layer[part] for layer in side] for side in context))

        def predict(x, level, long=long, frame=frame, kv=kv, part=part):
            noise_level = torch.full((1,), level)
            return network(x, noise_level, long + 1, frame, kv, inputs.mask[part])

        halfway = euler_step(x[part], predict(x[part], level), level, d / 2)
        there = euler_step(halfway, predict(halfway, level - d / 2), level - d / 2, d / 2)
        told = euler_step(x[part], target[part], level, d)
        assert torch.allclose(told, there, atol=1e-3)


def test_noise_levels_have_the_shares_asked_for(models):
    levels = loss_of(models, pure=0.25)._levels(4000)
    assert (levels == 1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert levels.min() >= 0.02


def test_old_errors_damage_what_is_known_alone(models, samples):
    find = loss_of(models, residuals=1.0)
    find.residuals = torch.randn(4, *models.codec.latent_shape)
    damaged = find._add_residuals(samples.view).rgb
    view = samples.view
    seen = (view.mask | view.doubtful).unsqueeze(1).expand_as(damaged)
    assert torch.equal(damaged[~seen], samples.view.rgb[~seen])
    assert not torch.equal(damaged[seen], samples.view.rgb[seen])


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch looks, in passing
def test_the_pass_over_targets_is_one_graph(models, samples):
    """For torch.compile; its numbers are those of the pass as it is."""
    network = models.network
    inputs = loss_of(models).prepare(samples, (network.cfg.fine_tokens, 2), residuals=False)
    mask = token_mask(samples, network.cfg.fine_tokens, network.cfg.coarse_tokens)
    level, jumps = torch.full((8,), 0.5), torch.full((8,), SHORTEST)
    noisy = torch.randn(inputs.clean.shape, generator=torch.Generator().manual_seed(0))
    told = noisy, level, jumps, inputs.frame, encode_context(network, inputs), mask
    compiled = torch.compile(network, backend="eager", fullgraph=True, dynamic=False)
    torch.testing.assert_close(compiled(*told), network(*told))
