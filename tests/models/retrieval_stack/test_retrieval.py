"""What is taken from memory instead of being dreamt: cells of frames, whole views, fine texture."""

import pytest
import torch

from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
from models.retrieval_stack.retrieval import retrieve_anywhere, retrieve_cells
from models.retrieval_stack.textures import TextureBook
from tests.support.far_dreams import FORWARD, LEFT, RIGHT, STAND, dreamt, walked
from tests.support.far_networks import changed, small


def one_by_one(latents, keyframes, known, channels):
    """The same as `retrieve_cells`, cell by cell."""
    out = latents.clone()
    for b, f, y, x in torch.cartesian_prod(*(torch.arange(latents.shape[i]) for i in (0, 1, 3, 4))):
        cells = keyframes[b, known[b]].permute(0, 2, 3, 1).flatten(0, 2)
        if len(cells):
            apart = (cells[:, :channels] - latents[b, f, :channels, y, x]).square().sum(dim=1)
            out[b, f, :, y, x] = cells[apart.argmin()]
    return out


@pytest.fixture
def frames():
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(3, 2, 5, 4, 4, generator=generator)
    keyframes = torch.randn(3, 6, 5, 4, 4, generator=generator)
    known = torch.tensor([[1, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]).bool()
    return latents, keyframes, known


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_every_cell_is_the_most_alike_of_the_known_ones(frames, channels):
    assert torch.equal(retrieve_cells(*frames, channels), one_by_one(*frames, channels))


def test_a_row_without_keyframes_stays_as_it_was(frames):
    assert torch.equal(retrieve_cells(*frames, 3)[1], frames[0][1])


def test_each_row_is_what_it_is_alone(frames):
    together = retrieve_cells(*frames, 3)
    for row in range(3):
        alone = retrieve_cells(*(part[row : row + 1] for part in frames), 3)
        assert torch.equal(together[row : row + 1], alone)


def test_a_dream_is_put_together_from_what_was_seen():
    dynamics, carry, newest = walked({"retrieval": 2})
    latents = dreamt(dynamics, carry, [LEFT])[0]
    remembered = torch.cat((carry.bank.latents[0].float(), newest), dim=0)
    cells = remembered.permute(0, 2, 3, 1).flatten(0, 2)
    for cell in latents[0].flatten(1).T:
        assert (cells - cell).abs().sum(dim=1).min() < 1e-6


def test_true_cells_are_at_hand_wherever_a_dream_has_led():
    dynamics, carry, _ = walked({"retrieval": 2, "keyframes": 1, "exemplars": 256})
    true = carry.bank.latents[0, carry.bank.true[0]].float()
    dreamt(dynamics, carry, [FORWARD] * 12)
    assert carry.bank.true.sum() == len(true) < (carry.bank.ids >= 0).sum()
    before, noise = carry.map(lambda part, _: part.clone()), torch.randn(1, *dynamics.latent_shape)
    _, finished = dynamics.imagine(carry, torch.tensor([FORWARD]), noise, 1)
    dynamics.cfg = changed(dynamics.cfg, retrieval=0)
    _, predicted = dynamics.imagine(before, torch.tensor([FORWARD]), noise, 1)
    cells = true.movedim(1, -1).flatten(0, 2)[:, :2]
    wanted, got = (part[0, :2].flatten(1).T for part in (predicted, finished))
    nearest = torch.cdist(wanted, cells).amin(dim=1)
    assert ((got - wanted).norm(dim=1) <= nearest + 1e-4).all()


def test_who_stands_still_sees_the_same():
    dynamics, carry, newest = walked({"still": 0.02})
    assert all(torch.equal(frame, newest) for frame in dreamt(dynamics, carry, [STAND] * 7))


def test_who_turns_there_and_back_sees_the_same():
    dynamics, carry, newest = walked({"still": 0.02})
    away, back, again, home = dreamt(dynamics, carry, [LEFT, RIGHT, LEFT, RIGHT])
    assert not torch.allclose(away, newest, atol=0.1)
    # The bank keeps float16.
    assert torch.allclose(back, newest, atol=2e-3)
    assert torch.allclose(home, newest, atol=2e-3)
    assert torch.allclose(again, away, atol=2e-2)


def test_without_it_standing_still_is_dreamt_too():
    dynamics, carry, newest = walked({})
    assert not torch.allclose(dreamt(dynamics, carry, [STAND])[0], newest, atol=0.1)


def test_a_number_of_channels_that_there_are_not_is_refused():
    with pytest.raises(ValueError, match=r"retrieval must be in \[0, \d+\] channels, got 4"):
        small(retrieval=4)


def test_a_codec_knows_the_patches_between_the_cells(codec, grass):
    latents = codec.encode(grass[:2])
    shown = codec.linear_decode(latents)
    patches = codec.anywhere(latents).unflatten(1, (29, 29))
    for y, x in ((0, 0), (8, 24), (2, 4), (56, 6)):
        moved = shown[:, :, y : y + 8, x : x + 8].permute(0, 2, 3, 1).flatten(1)
        expected = (moved - codec.mean) @ codec.basis / codec.spread
        assert torch.allclose(patches[:, y // 2, x // 2], expected, atol=1e-4)
    assert torch.allclose(patches[:, ::4, ::4], latents.movedim(1, -1), atol=1e-4)


def test_what_moved_by_half_a_cell_is_found_again(codec, grass):
    """Between the cells of the newest frames; older ones give whole cells."""
    remembered = codec.encode(grass[:4])
    shown = codec.linear_decode(remembered).roll(4, dims=3).permute(0, 2, 3, 1)
    errors = []
    for moved in shown.split(1):
        wanted = codec.encode((moved + 1) * 127.5)
        found = retrieve_anywhere(wanted, remembered, 12, codec.anywhere)
        errors.append(float((found - wanted)[..., 1:].square().mean()))  # the first column wraps
    assert max(errors[:2]) < 1e-6
    assert min(errors[2:]) > 1e-3


def test_without_memories_a_frame_stays_as_it_was(codec):
    latents = torch.randn(1, 12, 8, 8)
    assert torch.equal(retrieve_anywhere(latents, latents[:0], 4, codec.anywhere), latents)


@pytest.fixture(scope="module")
def codec(grass):
    """One that loses texture and keeps ramps."""
    codec = PatchAutoencoder(AutoencoderConfig(channels=12, width=16, blocks=1))
    codec.fit_encoder(grass)
    return codec


@pytest.fixture(scope="module")
def grass():
    """Pictures uint8 `[N,64,64,3]` of ramps under fine noise."""
    generator = torch.Generator().manual_seed(0)
    ramp = torch.linspace(40, 200, 64)[:, None, None]
    noise = 30 * torch.randn(24, 64, 64, 3, generator=generator)
    return (ramp + noise).clamp(0, 255).to(torch.uint8)


def roughness(pictures):
    """Mean difference of neighbouring pixels."""
    return pictures.float().diff(dim=2).abs().mean()


def test_textures_bring_back_what_few_latents_lose(grass):
    cfg = AutoencoderConfig(channels=12, width=16, blocks=1, textures=256, texture_strength=1.0)
    codec = PatchAutoencoder(cfg)
    codec.fit_encoder(grass)
    latents = codec.encode(grass)
    plain = codec.decode(latents)  # a book that was not filled adds nothing
    codec.fill_book(grass, torch.Generator().manual_seed(0))
    rough = codec.decode(latents)
    assert roughness(plain) < 0.5 * roughness(grass)
    assert 0.8 * roughness(grass) < roughness(rough) < 1.2 * roughness(grass)
    colour = rough.float().mean(dim=(1, 2)) - plain.float().mean(dim=(1, 2))
    assert colour.abs().max() < 3


def test_the_most_alike_texture_is_found(grass):
    generator = torch.Generator().manual_seed(0)
    book = TextureBook(50, 5, 7)
    book.fill(torch.randn(4, 5, 4, 4), torch.rand(4, 4, 4, 7), generator)
    latents = torch.randn(2, 5, 4, 4, generator=generator)
    found = book.find_textures(latents)
    for b, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(4)):
        key = torch.cat((latents[b, :, y, x], y.float().unsqueeze(0)))
        best = (book.keys - key).square().sum(dim=1).argmin()
        assert torch.equal(found[b, y, x], book.textures[best] / 127)
