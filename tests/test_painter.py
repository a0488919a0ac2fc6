"""The decoder's last schooling: dreams of the training data, and a painter that resumes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.autoencoder import AutoencoderConfig, PatchAutoencoder
from models.dreamt import ALWAYS, Dreams, dream_on
from models.far import FARConfig
from models.far_dynamics import FARDynamics
from models.train_painter import Painter, paint, painted
from models.training import PaintingTraining
from worldsim.actions import load_actions
from worldsim.data.latents import cached_latents
from worldsim.data.store import EpisodeStore
from worldsim.types import Episode, EpisodeMeta

PLAN = PaintingTraining(steps=4, batch=2, rollouts=1, rows=2, adversarial=0.5)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    codec = PatchAutoencoder(AutoencoderConfig(frame_size=32, channels=8, width=8, blocks=1))
    codec.fit_encoder(torch.randint(0, 256, (50, 32, 32, 3), dtype=torch.uint8))
    return codec


@pytest.fixture
def store(tmp_path):
    store, rng = EpisodeStore(tmp_path / "episodes"), np.random.default_rng(0)
    meta = EpisodeMeta(source="test", action_set="dmlab", fps=7.5, seed=0)
    for seed, length in enumerate((60, 70, 20)):
        store.append(
            Episode(
                frames=rng.integers(0, 256, (length, 32, 32, 3), dtype=np.uint8),
                actions=rng.integers(0, 4, length - 1),
                rewards=np.zeros(length - 1, np.float32),
                poses=np.zeros((length, 3), np.float32),
                meta=replace(meta, seed=seed),
            ),
            str(seed),
        )
    return store


def dynamics():
    torch.manual_seed(0)
    cfg = FARConfig(
        actions=4, latent_channels=8, latent_size=4, coarse_patch=(4, 4), width=32, layers=2,
        head_size=16,
    )  # fmt: skip
    return FARDynamics(cfg, load_actions("dmlab").turns).eval()


def test_dreams_lie_beside_the_frames_that_were_really_there(codec, store, tmp_path):
    cache = cached_latents(store, codec, codec.encoder_hash(), tmp_path / "latents")
    dreams = dream_on(dynamics(), cache, store, PLAN, seed=0, steps=1)
    again = dream_on(dynamics(), cache, store, PLAN, seed=0, steps=1)
    assert dreams.latents.shape[1:] == (8, 4, 4)
    assert dreams.frames.shape == (len(dreams.ages), 32, 32, 3)
    assert all(torch.equal(a, b) for a, b in zip(dreams, again, strict=True))
    assert dreams.ages[: 2 * ALWAYS].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    frames = np.concatenate([np.asarray(episode.frames) for episode in store])
    found = [np.flatnonzero((frames == f.numpy()).all(axis=(1, 2, 3))) for f in dreams.frames]
    assert all(len(places) == 1 for places in found)
    first, after = (int(found[i][0]) for i in (0, 2))
    assert after == first + 1


def test_short_episodes_are_told_in_one_sentence(codec, store, tmp_path):
    for path in store.paths()[:2]:
        path.unlink()
    store = EpisodeStore(store.folder)
    cache = cached_latents(store, codec, codec.encoder_hash(), tmp_path / "latents")
    with pytest.raises(ValueError, match="painting needs episodes of more than 44 frames"):
        dream_on(dynamics(), cache, store, PLAN, seed=0, steps=1)


def some_dreams(count=12):
    rng = torch.Generator().manual_seed(1)
    return Dreams(
        torch.randn(count, 8, 4, 4, generator=rng).half(),
        torch.randint(0, 256, (count, 32, 32, 3), generator=rng, dtype=torch.uint8),
        torch.arange(count),
    )


def copy(codec):
    twin = PatchAutoencoder(codec.cfg)
    twin.load_state_dict(codec.state_dict())
    return twin


def test_the_painter_changes_the_decoder_alone(codec, tmp_path):
    out = paint(Painter(copy(codec), some_dreams(), PLAN, tmp_path / "p.pt", CPU), dreamt_at=7)
    assert out.encoder_hash() == codec.encoder_hash()
    assert not torch.equal(out.outlet[1].weight, codec.outlet[1].weight)
    saved = painted(copy(codec), tmp_path / "p.pt")
    assert torch.equal(saved.outlet[1].weight, out.outlet[1].weight)


def test_a_stopped_painter_goes_on_alike(codec, tmp_path):
    def painter(name):
        return Painter(copy(codec), some_dreams(), PLAN, tmp_path / f"{name}.pt", CPU)

    whole = paint(painter("whole"), dreamt_at=7)
    begun = painter("parts")
    begun.one_step()
    begun.one_step()
    begun.save(dreamt_at=7)
    rest = paint(painter("parts"), dreamt_at=7)
    assert torch.equal(rest.outlet[1].weight, whole.outlet[1].weight)
    other = painter("parts")
    other.resume(dreamt_at=8)
    assert other.step == 0


def test_it_learns_to_paint_what_was_there(codec, tmp_path):
    """Without a judge the error falls: latents of random numbers, each with its own picture."""
    plan = replace(PLAN, steps=120, batch=8, adversarial=0.0, lr=3e-3, faithful=1e6)
    painter = Painter(copy(codec), some_dreams(8), plan, tmp_path / "p.pt", CPU)
    before = painter.scores(8)["dreams_db"]
    paint(painter, dreamt_at=0)
    assert painter.scores(8)["dreams_db"] > before + 0.3
