"""Memory in space: what a picture shows is found again from elsewhere, and tells where one is."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.codec.patch_autoencoder import AutoencoderConfig, PatchAutoencoder
from models.far.dynamics import FARDynamics
from models.memory.camera import project, unproject
from models.memory.warp import warp
from models.retrieval_stack.fusion import Fusion, Views
from models.retrieval_stack.geometry import SEEN, Geometry, GeometryConfig, candidates
from models.retrieval_stack.train_geometry import GeometryTraining, train_geometry
from tests.support.far_networks import TURNS, awake, small
from worldsim.data.latents import LatentCache

FOV = 73.0
SIDE = 64
WALL, FLOOR = 3.0, -0.5  # the wall at x = 3, the floor half a unit under the camera


def scene(pose, side=SIDE):
    """A wall and a floor with smooth patterns, pixel by pixel: picture `[1,3,S,S]`, distances."""
    edge = math.tan(math.radians(FOV / 2))
    x, y, heading = (float(part) for part in pose)
    picture, distances = torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side)
    for row in range(side):
        for column in range(side):
            right, down = ((2 * (place + 0.5) / side - 1) * edge for place in (column, row))
            # The ray of this pixel, one unit along the view.
            east = math.cos(heading) + right * math.sin(heading)
            north = math.sin(heading) - right * math.cos(heading)
            far = (WALL - x) / east if east > 1e-6 else math.inf
            if down > 0:
                far = min(far, -FLOOR / down)
            far = min(far, 50.0)
            at = (x + far * east, y + far * north, -far * down)
            picture[0, :, row, column] = torch.tensor([math.sin(2 * part) for part in at])
            distances[0, 0, row, column] = far
    return picture, distances


@pytest.mark.parametrize(
    "pose", [(0.4, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.2), (-0.3, 0.2, -0.15), (0.0, 0.0, 0.0)]
)
def test_a_view_is_what_one_would_see(pose):
    """The fast way by whole pictures against the scene drawn ray by ray."""
    here, there = torch.tensor([0.0, 0.0, 0.0]), torch.tensor(pose)
    picture, distances = scene(here)
    view, seen = warp(picture, F.avg_pool2d(distances, 2), here.unsqueeze(0), there, FOV)
    truth = scene(there)[0][0]
    error = (view - truth).abs().mean(dim=0)
    assert seen.float().mean() > 0.6
    assert error[seen].median() < 0.06
    assert error[seen].mean() < (picture[0] - truth).abs().mean() / 2 + 0.02


def test_what_was_out_of_the_picture_is_not_seen():
    here, turned = torch.zeros(3), torch.tensor([0.0, 0.0, math.radians(40)])
    picture, distances = scene(here)
    _, seen = warp(picture, distances, here.unsqueeze(0), turned, FOV)
    # Turned to the left by more than half of the view: what is left of the middle is new.
    assert not seen[:, : SIDE // 3].any()
    assert seen[: SIDE // 2, -SIDE // 3 :].float().mean() > 0.95


def test_what_hides_is_seen_and_not_what_is_hidden():
    """Of two things in one direction the nearer one is shown."""
    near, far = torch.full((1, 1, 32, 32), 1.0), torch.full((1, 1, 32, 32), 4.0)
    pictures = torch.stack((torch.full((3, SIDE, SIDE), 0.2), torch.full((3, SIDE, SIDE), 0.9)))
    poses = torch.zeros(2, 3)
    for order in ([0, 1], [1, 0]):
        distances = torch.cat((near, far))[order]
        view, seen = warp(pictures[order], distances, poses, torch.zeros(3), FOV)
        assert seen.all()
        assert torch.allclose(view, torch.full_like(view, 0.2))


def test_points_come_back_to_their_pixels():
    generator = torch.Generator().manual_seed(0)
    distances = 1 + torch.rand(3, 1, 8, 8, generator=generator)
    poses = torch.randn(3, 3, generator=generator)
    places, ahead = project(unproject(distances, poses, FOV), poses, FOV)
    grid = (torch.arange(8) + 0.5) / 8 * 2 - 1
    assert torch.allclose(ahead, distances[:, 0], atol=1e-5)
    assert torch.allclose(places[..., 0], grid.expand(3, 8, 8), atol=1e-5)
    assert torch.allclose(places[..., 1], grid[:, None].expand(3, 8, 8), atol=1e-5)


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    codec = PatchAutoencoder(AutoencoderConfig(channels=24, width=16, blocks=1))
    frames = torch.rand(40, 8, 8, 3).repeat_interleave(8, 1).repeat_interleave(8, 2)
    frames = F.interpolate(frames.permute(0, 3, 1, 2), scale_factor=1.0).permute(0, 2, 3, 1)
    smooth = F.avg_pool2d(frames.permute(0, 3, 1, 2), 9, 1, 4).permute(0, 2, 3, 1)
    codec.fit_encoder((smooth * 255).to(torch.uint8))
    return codec


class Measured(torch.nn.Module):
    """Distances as the scene has them, of the latents it was shown."""

    def __init__(self, known):
        super().__init__()
        self.known = known

    def forward(self, latents):
        which = [min(self.known, key=lambda k: float((k[0] - one).abs().sum())) for one in latents]
        return torch.cat([F.avg_pool2d(distances, 2) for _, distances in which])


def test_a_true_frame_tells_where_it_was_seen_from(codec):
    geometry = Geometry(GeometryConfig(near=0.1, far=50, surprise=0.0), codec, FOV)
    here, true = torch.zeros(3), torch.tensor([0.3, 0.0, 0.0])
    drawn = [scene(pose) for pose in (here, true)]
    known = [(codec.read_small(picture)[0], distances) for picture, distances in drawn]
    geometry.depth = Measured(known)
    other, frame = (latents.unsqueeze(0) for latents, _ in known)
    told = torch.tensor([0.2, 0.0, 0.0])
    found = geometry.refine_pose(frame, told, other, here.unsqueeze(0))
    assert (found - true).norm() < (told - true).norm() / 2
    cautious = Geometry(GeometryConfig(near=0.1, far=50, surprise=1.0), codec, FOV)
    cautious.depth = geometry.depth
    assert torch.equal(cautious.refine_pose(frame, told, other, here.unsqueeze(0)), told)


def views_of(made, seen):
    generator = torch.Generator().manual_seed(1)
    newest, old = (torch.randn(made.shape, generator=generator) for _ in range(2))
    share = torch.full((len(made), 1, *made.shape[2:]), seen)
    return Views(newest, share, old, share.clone(), torch.zeros(len(made)))


def test_where_nothing_is_seen_the_prediction_stays():
    fusion, made = Fusion(24, 16), torch.randn(2, 24, 8, 8)
    torch.nn.init.normal_(fusion.outlet.weight)
    assert torch.equal(fusion(made, views_of(made, 0.0)), made)


def test_weights_are_a_mean_and_one_for_each_band():
    fusion, made = Fusion(24, 16), torch.randn(2, 24, 8, 8)
    views = views_of(made, 1.0)
    mean = (made + views.newest + views.keyframes) / 3
    assert torch.allclose(fusion(made, views), mean, atol=1e-5)
    with torch.no_grad():  # the newest frame alone, in the second band
        fusion.outlet.bias[2] = 50.0
    fused = fusion(made, views)
    assert torch.allclose(fused[:, 3:8], views.newest[:, 3:8], atol=1e-5)
    assert torch.allclose(fused[:, 8:], mean[:, 8:], atol=1e-5)


def test_only_cells_that_were_seen_may_be_taken_over():
    made = torch.randn(1, 24, 8, 8)
    views = views_of(made, 1.0)
    views.newest_seen[0, 0, 2:] = SEEN / 2
    views.keyframes_seen[0, 0, :, 1:] = 0
    assert len(candidates(views)) == 2 * 8 + 8


@pytest.fixture(scope="module")
def dreamer():
    """FAR with a geometry, all of it at random."""
    torch.manual_seed(0)
    codec = PatchAutoencoder(AutoencoderConfig(frame_size=32, channels=3, width=16, blocks=1))
    codec.fit_encoder((torch.rand(20, 32, 32, 3) * 255).to(torch.uint8))
    geometry = Geometry(GeometryConfig(near=0.1, far=12), codec, FOV)
    dynamics = FARDynamics(small(retrieval=2, still=0.02), TURNS, codec.anywhere, geometry).eval()
    awake(dynamics.network)
    return dynamics


def walked(dynamics, rows, frames=12, dreamt=4):
    """Dreams of some rows of one set of latents, actions and noise."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(frames, 3, *dynamics.latent_shape, generator=generator)[:, rows]
    actions = torch.randint(4, (frames + dreamt, 3), generator=generator)[:, rows]
    noise = torch.randn(dreamt, 3, *dynamics.latent_shape, generator=generator)[:, rows]
    carry, found = dynamics.initial(len(rows)), []
    for t in range(frames):
        carry = dynamics.observe(
            carry, latents[t], actions[t] if t else -torch.ones_like(actions[t])
        )
    for t in range(dreamt):
        carry, made = dynamics.imagine(carry, actions[frames + t], noise[t], 1)
        found.append(made)
    return torch.stack(found, dim=1), carry


def test_each_dream_is_what_it_is_alone(dreamer):
    together, carry = walked(dreamer, [0, 1, 2])
    for row in range(3):
        alone, own = walked(dreamer, [row])
        assert torch.allclose(together[row], alone[0], atol=1e-4)
        assert torch.allclose(carry.poses[row], own.poses[0], atol=1e-5)


def test_without_long_term_memory_only_the_newest_frame_is_seen(dreamer):
    _, carry = walked(dreamer, [0, 1, 2])
    carry.forget_coarse()
    noise = torch.randn(3, *dreamer.latent_shape)
    _, made = dreamer.imagine(carry, torch.tensor([2, 0, 1]), noise, 1)
    assert made.isfinite().all()


def test_a_dream_from_nothing_needs_no_view(dreamer):
    carry = dreamer.initial(2)
    noise = torch.randn(2, *dreamer.latent_shape)
    _, made = dreamer.imagine(carry, torch.tensor([-1, -1]), noise, 1)
    assert made.isfinite().all()


@pytest.fixture(scope="module")
def walks():
    """Latents of the scene from many places, a codec that fits them, and the true distances."""
    generator, drawn, poses = torch.Generator().manual_seed(5), [], []
    for _ in range(3):
        begin = torch.tensor([-0.5, 0.0, 0.0])
        for step in range(14):
            turn = 0.3 * (torch.rand(1, generator=generator) - 0.5)
            poses.append(begin + torch.cat((torch.tensor([0.12 * step, 0.05 * step]), turn)))
            drawn.append(scene(poses[-1]))
    pictures, distances = (torch.cat(part) for part in zip(*drawn, strict=True))
    codec = PatchAutoencoder(AutoencoderConfig(channels=24, width=16, blocks=1))
    frames = ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1)
    codec.fit_encoder(frames)
    cache = LatentCache(
        latents=codec.encode(frames).half().numpy(),
        actions=np.tile([-1] + [2] * 13, 3),
        poses=torch.stack(poses).numpy(),
        posed=np.array([True, True, True]),
        bounds=np.array([0, 14, 28, 42]),
    )
    return codec, cache, distances


def test_distances_and_weights_are_learnt_from_walks(walks, tmp_path):
    codec, cache, distances = walks
    torch.manual_seed(0)
    geometry = Geometry(GeometryConfig(near=0.3, far=20, width=32), codec, FOV)
    shape = small(latent_channels=24, latent_size=8, coarse_patch=(8, 4), retrieval=4)
    dynamics = FARDynamics(shape, TURNS, codec.anywhere, geometry).eval()
    plan = GeometryTraining(
        steps=250, dreams=4, together=2, frames=4, context=8, fusion_steps=60, fusion_batch=8
    )
    latents = torch.from_numpy(cache.latents).float()
    near = distances < 5

    def wrong():
        with torch.no_grad():
            told = F.interpolate(geometry.depth(latents), size=SIDE, mode="bilinear")
        return float((told / distances).log().abs()[near].mean())

    before = wrong()
    arguments = (dynamics, cache, plan, codec.mirror, tmp_path / "geometry.pt", 0)
    told = train_geometry(geometry, *arguments)
    assert wrong() < min(before / 2, 0.35)
    # The network knows nothing yet, and views of true frames do.
    assert told["weighed"] < 0.7 * told["predicted"]
    again = Geometry(geometry.cfg, codec, FOV)
    assert train_geometry(again, *arguments) == told
    for name, tensor in geometry.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


def test_bounds_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"near must be in \(0, far\), got 3 with far 2"):
        GeometryConfig(near=3, far=2)
