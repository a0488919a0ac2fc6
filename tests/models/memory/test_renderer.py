"""What memory shows of another pose, against a loop over pixels."""

import math

import numpy as np
import pytest
import torch

from models.memory.frame_bank import EMPTY
from models.memory.pinhole import half_width
from models.memory.renderer import (
    AGREEMENT,
    ALIKE,
    DENIAL,
    DOUBTFUL,
    MOST_SHIFT,
    NEARER,
    SHIFTED,
    render,
)
from tests.support.rooms import FOV, all_of, bank_of_looks, look

SIZE, FAR = 32, 30.0
ORIGIN = torch.tensor([[0.3, -0.2, 0.4, 0.1]])


def view_from(poses, target, **kwargs):
    return render(all_of(bank_of_looks(poses, SIZE, **kwargs)), target, FOV, FAR)


# ---- the slow twin: one pixel after another, in float64 ----


def to_space(depth, row, column, size, pose):
    x, y, heading, height = pose
    u, v = ((np.array([column, row]) + 0.5) / size * 2 - 1) * half_width(FOV)
    cos, sin = math.cos(heading), math.sin(heading)
    left, up = -u * depth, -v * depth
    return x + depth * cos - left * sin, y + depth * sin + left * cos, up + height


def to_picture(point, pose):
    x, y, heading, height = pose
    east, north = point[0] - x, point[1] - y
    depth = east * math.cos(heading) + north * math.sin(heading)
    left = north * math.cos(heading) - east * math.sin(heading)
    scale = 1 / (max(depth, 1e-3) * half_width(FOV))
    return -left * scale, (height - point[2]) * scale, depth


def neighbours(array, row, column):
    return array[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]


def splat_slowly(inverse, alpha, poses, target):
    """The mean of what lies nearest to each place, of points that are first-hand and not denied."""
    n = inverse.shape[-1]
    own = alpha.reshape(len(alpha), n, alpha.shape[-1] // n, n, -1).max(axis=(2, 4)) > 127
    found = {place: [] for place in np.ndindex(n, n)}
    for source, row, column in np.argwhere(own):
        depth = 1 / inverse[source, row, column]
        point = to_space(depth, row, column, n, poses[source])
        u, v, ahead = to_picture(point, target)
        if ahead <= 0.05 or is_denied(point, source, inverse, own, poses):
            continue
        across, down = (np.clip(x, -2, 2) * n / 2 + n / 2 - 0.5 for x in (u, v))
        left, top = math.floor(across), math.floor(down)
        for y, x in np.ndindex(2, 2):
            weight = (1 - abs(down - top - y)) * (1 - abs(across - left - x))
            if (top + y, left + x) in found:
                found[top + y, left + x].append((ahead, weight + 1e-3))
    nearest = np.full((n, n), np.inf)
    for place, points in found.items():
        least = min((ahead for ahead, _ in points), default=np.inf)
        alike = [(ahead, weight) for ahead, weight in points if ahead <= least * (1 + ALIKE)]
        if alike:
            total = sum(weight for _, weight in alike)
            nearest[place] = total / sum(weight / ahead for ahead, weight in alike)
    for _ in range(2):
        before = nearest.copy()
        for row, column in np.argwhere(np.isinf(before)):
            around = neighbours(before, row, column)
            if np.isfinite(around).sum() >= 3:
                nearest[row, column] = around[np.isfinite(around)].mean()
    return nearest


def is_denied(point, source, inverse, own, poses):
    """Whether more of the other sources see through a point than agree with it."""
    n, through, agree = inverse.shape[-1], 0, 0
    for other, pose in enumerate(poses):
        u, v, ahead = to_picture(point, pose)
        if other == source or not (abs(u) < 1 and abs(v) < 1 and ahead > 0.05):
            continue
        y, x = (min(int((place + 1) * n / 2), n - 1) for place in (v, u))
        if own[other, y, x]:
            through += 1 / neighbours(inverse[other], y, x).max() > ahead * (1 + DENIAL)
            agree += abs(1 / inverse[other, y, x] / ahead - 1) < DENIAL
    return through > agree


def upsample_slowly(inverse, known, size):
    n = len(inverse)
    filled = np.where(known, inverse, inverse[known].mean() if known.any() else 0.0)
    dense = np.zeros((size, size))
    for row, column in np.ndindex(size, size):
        y, x = (max((place + 0.5) * n / size - 0.5, 0) for place in (row, column))
        top, left = int(y), int(x)
        below, right = min(top + 1, n - 1), min(left + 1, n - 1)
        fy, fx = y - top, x - left
        dense[row, column] = (
            filled[top, left] * (1 - fy) * (1 - fx)
            + filled[top, right] * (1 - fy) * fx
            + filled[below, left] * fy * (1 - fx)
            + filled[below, right] * fy * fx
        )
    return np.maximum(dense, 1 / FAR)


def shift_slowly(inverse, row, column, way, size):
    """Pixels by which the step of inverse depth at a place moves it under a way of some length."""
    n, here = len(inverse), inverse[row, column]

    def bend(down, right):
        ends = [
            inverse[
                min(max(row + sign * down, 0), n - 1), min(max(column + sign * right, 0), n - 1)
            ]
            for sign in (-1, 1)
        ]
        return abs(sum(ends) - 2 * here)

    return max(bend(0, 1), bend(1, 0)) * way * size / 2 / half_width(FOV)


def render_slowly(bank, target):
    inverse = bank.inverse_depth[0].float().numpy().astype(np.float64).clip(1 / FAR)
    poses, target = bank.poses[0].double().numpy(), target[0].double().numpy()
    n, size = inverse.shape[-1], bank.rgba.shape[2]
    alpha = bank.rgba[0, ..., 3].numpy()
    nearest = splat_slowly(inverse, alpha, poses, target)
    known = np.isfinite(nearest)
    dense = upsample_slowly(np.where(known, 1 / nearest, 0), known, size)
    ways = np.linalg.norm((poses - target)[:, [0, 1, 3]], axis=1)
    rgb, mask = np.zeros((size, size, 3)), np.zeros((size, size), bool)
    doubtful, least = mask.copy(), np.full((size, size), np.inf)
    at_source = np.full((size, size), np.inf)
    for row, column in np.ndindex(size, size):
        if not known[row * n // size, column * n // size]:
            continue
        point = to_space(1 / dense[row, column], row, column, size, target)
        for source, pose in enumerate(poses):
            u, v, ahead = to_picture(point, pose)
            if not (abs(u) < 1 and abs(v) < 1 and ahead > 0.05):
                continue
            y, x = (min(int((place + 1) * size / 2), size - 1) for place in (v, u))
            place = y * n // size, x * n // size
            told = 1 / inverse[source][place]
            mismatch = 0 if min(ahead, told) > FAR / 2 else abs(ahead - told) / told
            pixel = bank.rgba[0, source, y, x].numpy()
            focal = size / 2 / half_width(FOV)
            shift = abs(1 / ahead - 1 / told) * ways[source] * focal if mismatch else 0
            if (mismatch >= AGREEMENT and shift >= MOST_SHIFT) or pixel[3] <= 127:
                continue
            risky = shift_slowly(inverse[source], *place, ways[source], size) > MOST_SHIFT
            risky |= shift > MOST_SHIFT
            cost = abs(math.log(ahead * dense[row, column])) + SHIFTED * shift
            cost += DOUBTFUL * risky
            if cost < least[row, column]:
                least[row, column], at_source[row, column] = cost, ahead
                mask[row, column], doubtful[row, column] = not risky, risky
                rgb[row, column] = pixel[:3] / 127.5 - 1
    for _ in range(2):
        old_mask, old_rgb, old_ahead = mask.copy(), rgb.copy(), at_source.copy()
        for row, column in np.argwhere(~old_mask):
            around = neighbours(old_mask, row, column)
            if around.sum() < 5:
                continue
            mask[row, column] = True
            if doubtful[row, column]:
                doubtful[row, column] = False
            else:
                rgb[row, column] = neighbours(old_rgb, row, column)[around].mean(axis=0)
                at_source[row, column] = neighbours(old_ahead, row, column)[around].mean()
    return rgb, mask, ~(mask | doubtful) | (at_source > NEARER / dense), doubtful


def test_it_agrees_with_a_loop_over_pixels():
    """Three looks, of which one is first-hand in its left half only, and a pose between them."""
    poses = torch.tensor([[0.3, -0.2, 0.4, 0.1], [-1.5, 0.5, 0.9, 0.0], [0.0, -1.0, 0.0, 0.2]])
    alpha = torch.ones(3, SIZE, SIZE, dtype=torch.bool)
    alpha[0, :, SIZE // 2 :] = False
    bank = all_of(bank_of_looks(poses, SIZE, alpha=alpha))
    target = torch.tensor([[0.5, 0.1, 0.7, 0.0]])
    view = render(bank, target, FOV, FAR)
    rgb, mask, first_hand, doubtful = render_slowly(bank, target)
    assert 0.2 < mask.mean() < 1  # some is seen, and not all
    assert 0 < first_hand.mean() < 1
    fast = view.mask[0].numpy()
    assert (fast == mask).mean() > 0.99  # a rounding at the edge of a pixel
    both = fast & mask
    same = np.abs(view.rgb[0].permute(1, 2, 0).numpy()[both] - rgb[both]).max(axis=-1) < 1e-4
    assert same.mean() > 0.99
    assert (view.first_hand[0].numpy() == first_hand).mean() > 0.99
    assert 0 < doubtful.mean() < 0.3
    assert (view.doubtful[0].numpy() == doubtful).mean() > 0.99


# ---- what it must show ----


def test_a_surface_that_is_seen_aslant_is_as_far_as_it_is():
    """Half a step ahead of a look along the floor: neither nearer nor farther in the mean."""
    size = 64
    there = ORIGIN + torch.tensor([[0.2, 0.05, 0.1, 0.0]])
    view = render(all_of(bank_of_looks(ORIGIN, size)), there, FOV, FAR)
    inverse = torch.from_numpy(1 / look(there[0], size // 2)[0]).float()
    wrong = (view.inverse_depth[0] / inverse - 1)[view.known_depth[0]]
    assert len(wrong) > 500
    assert wrong.abs().median() < 0.01
    assert abs(wrong.median()) < 0.003


def test_a_point_that_others_see_through_is_not_there():
    """A thing in the middle of the room, of which one look of three tells, and two see the wall."""
    poses = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 0.3, -0.1, 0.0], [0.0, -0.3, 0.1, 0.0]])
    bank = bank_of_looks(poses, SIZE)
    small = slice(SIZE // 4 - 1, SIZE // 4 + 1)
    bank.inverse_depth[0, 0, small, small] = 2.0
    target = torch.tensor([[0.1, 0.0, 0.0, 0.0]])
    alone = render(bank.rows(torch.tensor([0]), torch.tensor([[0]])), target, FOV, FAR)
    together = render(all_of(bank), target, FOV, FAR)
    middle = slice(SIZE // 4 - 3, SIZE // 4 + 3)
    assert alone.inverse_depth[0, middle, middle].max() > 1.5
    assert together.inverse_depth[0, middle, middle].max() < 0.5


def test_depth_that_was_rendered_from_memory_is_no_point():
    """What is not first-hand is no source of depth either."""
    alpha = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    alpha[:, :, : SIZE // 2] = False
    view = view_from(ORIGIN, ORIGIN, alpha=alpha)
    assert (view.inverse_depth[0, :, : SIZE // 4 - 2] == 0).all()


def test_a_camera_in_the_same_place_shows_the_same_pixels_whatever_the_depth():
    """Of two looks one stands where the view does, and its depth is wrong by a third."""
    poses = torch.cat((ORIGIN, ORIGIN + torch.tensor([[-0.2, 0.1, 0.0, 0.0]])))
    bank = bank_of_looks(poses, SIZE)
    bank.inverse_depth[0, 0] *= 0.7
    view = render(all_of(bank), ORIGIN, FOV, FAR)
    source = bank.rgba[0, 0, ..., :3].permute(2, 0, 1).float() / 127.5 - 1
    assert view.mask.float().mean() > 0.98
    assert (view.rgb[0] == source).all(dim=0).float().mean() > 0.9


def test_the_same_pose_gives_the_source_back():
    size = 64
    view = render(all_of(bank_of_looks(ORIGIN, size)), ORIGIN, FOV, FAR)
    source = torch.from_numpy(look(ORIGIN[0], size)[1]).permute(2, 0, 1).float() / 127.5 - 1
    assert view.mask.all()
    assert torch.equal(view.rgb[0], source)
    assert not view.first_hand.any()
    assert view.seen_share.tolist() == [1.0]
    inverse = torch.from_numpy(1 / look(ORIGIN[0], size // 2)[0]).float()
    # the mean of the points that are about as far: the place's own one, where no edge is
    assert ((view.inverse_depth[0] / inverse - 1).abs() < 0.01).float().mean() > 0.95
    assert view.known_depth.all()


def test_an_empty_bank_shows_nothing():
    bank = bank_of_looks(ORIGIN, SIZE, slots=20)
    bank.ids.fill_(EMPTY)
    view = render(all_of(bank), ORIGIN, FOV, FAR)
    assert not view.mask.any()
    assert (view.rgb == 0).all()
    assert (view.inverse_depth == 0).all()
    assert view.first_hand.all()


def test_what_was_behind_is_not_shown():
    turned = ORIGIN + torch.tensor([[0.0, 0.0, math.pi, 0.0]])
    assert view_from(ORIGIN, turned).seen_share.item() == 0


def test_a_near_thing_hides_what_lies_behind_it():
    """A red board a third of the way to the wall; from beside, the wall behind it is not shown in
    its place, nor the board twice.
    """
    bank = bank_of_looks(torch.zeros(1, 4), SIZE)
    middle = slice(SIZE // 2 - 4, SIZE // 2 + 4)
    bank.rgba[0, 0, middle, middle, :3] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    small = slice(SIZE // 4 - 2, SIZE // 4 + 2)
    bank.inverse_depth[0, 0, small, small] = 1.0
    view = render(all_of(bank), torch.tensor([[0.0, -0.3, 0.0, 0.0]]), FOV, FAR)
    red = view.mask[0] & (view.rgb[0, 0] > 0.99) & (view.rgb[0, 1] < -0.99)
    columns = torch.nonzero(red.any(dim=0)).flatten()
    # 0.3 to the left of the body at depth 1: 0.4 of the half width of the picture
    expected = SIZE / 2 * (1 - 0.3 / half_width(FOV))
    assert columns.float().mean().item() == pytest.approx(expected, abs=1.5)
    assert columns.max() - columns.min() <= 10
    shadow = ~view.mask[0, SIZE // 2]
    assert shadow.any()  # the wall that the board hid is not known


@pytest.mark.parametrize(("ahead", "new"), [(1.0, False), (1.3, True)])
def test_what_is_seen_much_nearer_is_first_hand_again(ahead, new):
    """From 3 away to 2 is 1.5 times as near, to 1.7 is 1.76 times: the rule is at 1.6."""
    assert (3 / (3 - ahead) > NEARER) == new
    view = view_from(torch.zeros(1, 4), torch.tensor([[ahead, 0.0, 0.0, 0.0]]))
    middle = slice(SIZE // 2 - 3, SIZE // 2 + 3)  # the wall ahead
    assert view.mask[0, middle, middle].all()
    assert (view.first_hand[0, middle, middle] == new).all()


def test_what_is_seen_much_nearer_is_a_hint_where_only_sharp_pixels_count():
    """The same views with `sharp`: the rule's pixels lose their mask, and keep their colours."""
    bank = all_of(bank_of_looks(torch.zeros(1, 4), SIZE))
    for ahead, near in ((1.0, False), (1.3, True)):
        target = torch.tensor([[ahead, 0.0, 0.0, 0.0]])
        old, new = (render(bank, target, FOV, FAR, sharp) for sharp in (False, True))
        middle = slice(SIZE // 2 - 3, SIZE // 2 + 3)
        assert (new.mask[0, middle, middle] != near).all()
        assert (new.doubtful[0, middle, middle] == near).all()
        assert torch.equal(new.mask, old.mask & ~old.first_hand)
        assert torch.equal(new.known, old.known)
        assert torch.equal(new.rgb, old.rgb)
        assert torch.equal(new.first_hand, old.first_hand)


def test_pixels_that_are_not_first_hand_are_never_copied():
    alpha = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
    alpha[:, :, : SIZE // 2] = False
    view = view_from(ORIGIN, ORIGIN, alpha=alpha)
    assert not view.mask[0, :, : SIZE // 2 - 2].any()
    assert view.mask[0, :, SIZE // 2 :].all()


def test_single_lost_pixels_are_closed_from_their_neighbours():
    size = 64
    alpha = torch.ones(1, size, size, dtype=torch.bool)
    alpha[:, 4::7, 4::7] = False
    view = render(all_of(bank_of_looks(ORIGIN, size, alpha=alpha)), ORIGIN, FOV, FAR)
    assert view.mask[0, 4::7, 4::7].all()
    rgb = torch.from_numpy(look(ORIGIN[0], size)[1]).float() / 127.5 - 1
    middle = rgb[31:34, 31:34].flatten(0, 1)
    mean = (middle.sum(0) - rgb[32, 32]) / 8
    assert torch.allclose(view.rgb[0, :, 32, 32], mean, atol=1e-5)


def test_rows_of_a_batch_are_what_they_are_alone():
    poses = torch.tensor([[0.3, -0.2, 0.4, 0.1], [-1.5, 0.5, 0.9, 0.0]])
    bank = bank_of_looks(poses, SIZE)
    slots = torch.tensor([[0, 1], [1, EMPTY], [EMPTY, EMPTY]])
    targets = torch.tensor([[0.1, 0.0, 0.5, 0.0], [-1.0, 0.4, 0.8, 0.1], [0.0, 0.0, 0.0, 0.0]])
    together = render(bank.rows(torch.zeros(3, dtype=torch.long), slots), targets, FOV, FAR)
    for row in range(3):
        alone = render(
            bank.rows(torch.tensor([0]), slots[row : row + 1]), targets[row : row + 1], FOV, FAR
        )
        for one, many in zip(alone, together, strict=True):
            assert torch.equal(one[0], many[row])
