"""The training of the decoder: what the pool holds, that it learns, that it resumes."""

import dataclasses
import functools

import pytest
import torch

from models.codec.view_decoder import ViewDecoder
from models.training.spatial_chain import integrate_flow
from models.training.spatial_config import SpatialLossConfig
from models.training.spatial_loss import SpatialLoss
from models.training.spatial_samples import SampleConfig, SampleDrawer
from models.training.view_decoder_loss import faithful_loss
from models.training.view_decoder_run import (
    DecoderTraining,
    SamplePool,
    ViewDecoderTraining,
    milder,
)
from tests.support.room_walks import walk_room
from tests.support.spatial_worlds import SIZE, small_models, small_settings
from worldsim.actions import load_actions
from worldsim.world.checkpoint import load_training, save_training

FAR, CPU = 30.0, torch.device("cpu")
PLAN = DecoderTraining(steps=80, batch=8, lr=4e-3, pool=16, renew=40, critic_from=40)


class Walks:
    """Draws samples of one walk."""

    def __init__(self, seed: int = 0):
        cfg = milder(SampleConfig(lengths=(6, 20), candidates=12, coarse=3, ahead=2))
        memory, actions = small_settings().memory, load_actions("dmlab")
        walk = walk_room(30, SIZE, 0)
        self.drawer = SampleDrawer([walk], actions, memory, cfg, FAR, seed)

    def draw(self):
        return self.drawer.draw(8)


@pytest.fixture(scope="module")
def models():
    models = small_models(small_settings())
    frames = torch.from_numpy(walk_room(30, SIZE, 0).frames)
    models.codec.fit_encoder(frames)
    return models


def make_pool(models, size: int = 16, seed: int = 0) -> SamplePool:
    generator = torch.Generator().manual_seed(seed)
    loss = SpatialLoss(SpatialLossConfig(), models.codec, None, generator)
    predict_of = functools.partial(loss.make_predict, models.network)
    shape = models.codec.latent_shape
    return SamplePool(Walks(seed), predict_of, shape, size, generator, CPU, torch.float32)


def begin(models, path, plan: DecoderTraining = PLAN) -> ViewDecoderTraining:
    torch.manual_seed(0)
    codec = models.codec
    decoder = ViewDecoder(small_settings().decoder, codec.frame_size, codec.latent_shape)
    return ViewDecoderTraining(decoder, codec, plan, path, 0, torch.float32)


def test_the_pool_holds_what_the_network_samples(models, monkeypatch):
    monkeypatch.setattr("models.training.view_decoder_run.STEPS", (2,))
    pool = make_pool(models)
    pool.fill()
    assert sum(len(part.frames) for part in pool.parts) == 16
    part, samples = pool.parts[0], Walks().draw()
    assert torch.equal(part.frames, samples.frames.permute(0, 3, 1, 2))
    assert torch.equal(part.seen, samples.view.mask)
    assert not (part.seen & part.hint).any()
    with torch.no_grad():
        # drops other actions than the pool did; that is all the chance there is
        predict = pool.predict_of(samples)
        shape = len(part.frames), *models.codec.latent_shape
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        latents = integrate_flow(predict, noise, 2)
    assert (part.latents.float() - latents).abs().mean() < 0.2 * latents.abs().mean()


def test_renewing_replaces_the_oldest_in_turn(models):
    pool = make_pool(models)
    pool.fill()
    first, second = pool.parts
    pool.renew()
    assert pool.parts[0] is not first
    assert pool.parts[1] is second
    pool.renew()
    assert pool.parts[1] is not second
    drawn = pool.draw(5)
    assert drawn.frames.shape == (5, 3, SIZE, SIZE)


def test_it_learns_to_mend_what_it_is_shown(models, tmp_path, monkeypatch):
    """A memory whose pictures are too pale; with the critic at the end."""
    pool = make_pool(models)
    pool.fill()
    pool.parts = [part._replace(rgb=part.rgb // 2 + 64) for part in pool.parts]
    monkeypatch.setattr(pool, "renew", lambda: None)
    plan = dataclasses.replace(PLAN, steps=120, lr=2e-3, critic_from=90)
    training = begin(models, tmp_path / "decoder.pt", plan)
    rows = pool.draw(16)

    def error() -> float:
        training.generator.manual_seed(1)
        with torch.no_grad():
            return float(faithful_loss(*training._decode(rows)))

    before = error()
    training.run(pool)
    assert training.is_done
    assert error() < 0.9 * before


def test_soft_rows_have_the_latents_of_a_blurred_picture_and_are_told_nothing(models, tmp_path):
    plan = dataclasses.replace(PLAN, own=0.0, noise=0.0, soft=1.0)
    training = begin(models, tmp_path / "decoder.pt", plan)
    pool = make_pool(models)
    pool.fill()
    made, batch = training._decode(pool.draw(4))
    assert made.shape == batch.truth.shape
    assert (batch.own == 1).all()
    blurred, sharp = (
        float((picture - picture.mean(dim=(2, 3), keepdim=True)).square().mean())
        for picture in (batch.linear, batch.truth)
    )
    assert blurred < sharp


def test_it_resumes_where_it_was(models, tmp_path):
    path = tmp_path / "decoder.pt"
    training = begin(models, path)
    training.run(make_pool(models))
    again = begin(models, path)
    assert again.is_done
    for name, weight in training.average.state_dict().items():
        assert torch.equal(weight, again.average.state_dict()[name])
    assert again.opts[1].state_dict()["state"][0]["step"] > 20


def test_a_decoder_of_a_world_goes_on_with_a_new_critic(models, tmp_path):
    """A world's folder keeps the average alone; the critic learns before it is heard."""
    path = tmp_path / "decoder.pt"
    begin(models, path).run(make_pool(models))
    kept = load_training(path)
    save_training(path, {name: kept[name] for name in ("average", "step")})
    longer = DecoderTraining(steps=160, batch=8, pool=16, critic_from=40)
    again = begin(models, path, longer)
    assert again.step == 80
    assert again.critic_from == 120
    for name, weight in kept["average"].items():
        assert torch.equal(weight, again.decoder.state_dict()[name])


def test_memories_of_the_decoder_are_less_damaged():
    cfg = SampleConfig()
    mild = milder(cfg)
    assert mild.noisy < cfg.noisy
    assert mild.blank < cfg.blank
    assert mild.jitter == cfg.jitter
