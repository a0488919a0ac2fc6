"""The transformer: sizes as published, and what reaches what."""

import pytest
import torch

from models.codec.multiscale_quantizer import QuantizerConfig
from models.videoar.attention_mask import frame_mask
from models.videoar.config import NetworkConfig
from models.videoar.levels import level_grids
from models.videoar.loss import clip_logits
from models.videoar.network import LevelTokens, VideoARNetwork, initialise, to_tokens, to_unit
from tests.support.videoar_worlds import small_network, small_quantizer

UCF = QuantizerConfig(kind="bits", channels=48, scales=tuple((n, n) for n in (1, 2, 3, 4, 6, 8)))
SHAPES = {"L": (24, 1536, 128), "XL": (32, 2048, 128), "4B": (36, 2560, 80)}


@pytest.mark.parametrize(
    ("size", "block", "adaln", "millions"),
    [
        ("L", "cross-gelu", True, 926.0),
        ("L", "swiglu", True, 925.6),
        ("L", "swiglu", False, 906.6),
        ("XL", "cross-gelu", True, 2182.8),
        ("XL", "swiglu", True, 2182.2),
        ("XL", "swiglu", False, 2148.4),
        ("4B", "cross-gelu", True, 3829.7),
        ("4B", "swiglu", True, 3828.8),
        ("4B", "swiglu", False, 3776.0),
    ],
)
def test_published_sizes(size, block, adaln, millions):
    """What docs/videoar.md counts for each reading of the paper, to 0.02 %."""
    layers, width, head = SHAPES[size]
    shape = {"layers": layers, "width": width, "head_size": head, "context": "scales"}
    with torch.device("meta"):
        cfg = NetworkConfig(conditions=101, block=block, adaln=adaln, **shape)
        made = VideoARNetwork(cfg, UCF)
    count = sum(weight.numel() for weight in made.parameters())
    assert count / 1e6 == pytest.approx(millions, rel=2e-4)


def test_queries_and_keys_have_length_one():
    torch.testing.assert_close(to_unit(torch.randn(5, 16)).norm(dim=-1), torch.ones(5))


@pytest.fixture(params=[("scales", 1), ("whole", 1), ("scales", 2), ("whole", 2)])
def network(request):
    context, patch = request.param
    return small_network(small_quantizer().cfg, context=context, window=2, patch=patch)


def some_inputs(network, frames=4):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, frames, 8, *size, generator=generator).requires_grad_()
        for size in level_grids(network.cfg, network.quantizer)
    ]


def reach(network, inputs, frame, scale, kept=None):
    """Which inputs' gradients of one scale's logits are not zero, `{(frame, level)}`."""
    actions = torch.tensor([[-1, 0, 1, 2]])
    seen = frame_mask(4, network.cfg.window, kept)
    logits = clip_logits(network, inputs, actions, seen)[scale][:, frame]
    pulls = torch.autograd.grad(logits.square().sum(), inputs, allow_unused=True)
    return {
        (t, level)
        for level, pull in enumerate(pulls)
        for t in range(4)
        if pull is not None and bool((pull[:, t] != 0).any())
    }


def test_logits_see_exactly_what_they_may(network):
    """Nothing of later frames and scales; of past frames in reach only what is remembered; the
    first frame's first level has no features.
    """
    inputs = some_inputs(network)
    remembered = {3} if network.cfg.context == "whole" else {0, 1, 2}
    for frame in range(4):
        for scale in range(3):
            found = reach(network, inputs, frame, scale)
            own = {(frame, level) for level in range(scale + 1)}
            # Two layers, each of which looks back two frames.
            past = {(t, level) for t in range(max(frame - 4, 0), frame) for level in remembered}
            assert found == (own | past) - {(0, 0)}


def test_a_masked_frame_is_not_seen(network):
    inputs, kept = some_inputs(network), torch.ones(1, 4, 4, dtype=torch.bool)
    kept[:, 3, 2] = False
    kept[:, :3] = False
    found = reach(network, inputs, 3, 2, kept)
    assert {t for t, _ in found} == {1, 3}


@pytest.mark.parametrize("block", ["swiglu", "cross-gelu"])
def test_an_action_reaches_its_own_frame_and_none_before(block):
    network = small_network(small_quantizer().cfg, block=block)
    inputs, seen = some_inputs(network), frame_mask(4, 3)
    one, other = torch.tensor([[-1, 0, 1, 2]]), torch.tensor([[-1, 0, 3, 2]])
    pairs = zip(*(clip_logits(network, inputs, a, seen) for a in (one, other)), strict=True)
    for before, after in pairs:
        assert torch.equal(before[:, :2], after[:, :2])
        assert not torch.equal(before[:, 2], after[:, 2])


def test_levels_are_told_apart(network):
    """Scales of the same cells differ by their embedding."""
    features = torch.randn(1, 1, 8, 4, 4)
    frames, actions = torch.tensor([[3]]), torch.tensor([[0]])
    if network.cfg.context == "scales":
        network.sizes = (*network.sizes, network.sizes[-1])
        network.patches = (*network.patches, network.patches[-1])
        network.cells = [*network.cells, network.cells[-1]]
        network.levels = torch.nn.Parameter(torch.randn(4, 32))
    outputs = [network(LevelTokens([features], k, frames, actions)).hidden for k in (2, 3)]
    assert not torch.allclose(*outputs)


def test_a_new_network_is_unsure():
    """All labels are about equally likely before the first step."""
    torch.manual_seed(0)
    cfg = NetworkConfig(conditions=4, width=32, layers=2, head_size=16)
    network = VideoARNetwork(cfg, small_quantizer().cfg)
    initialise(network)
    inputs = some_inputs(network)
    for logits in clip_logits(network, inputs, torch.tensor([[-1, 0, 1, 2]]), frame_mask(4, 8)):
        assert logits.abs().max() < 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 30}, "multiple of head_size"),
        ({"head_size": 4}, "head_size must be even"),
        ({"window": 0}, "window must be >= 1"),
    ],
)
def test_bad_settings_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        NetworkConfig(**{"conditions": 4, "width": 32, "head_size": 16} | changes)


def test_keys_and_values_alone_are_those_of_a_whole_pass(network):
    """What only hidden states need is left out, and nothing else."""
    inputs, actions = some_inputs(network), torch.tensor([[-1, 0, 1, 2]])
    tokens = LevelTokens(inputs[:2], 0, torch.arange(4).unsqueeze(0), actions)
    whole, alone = network(tokens).kv, network.encode(tokens)
    assert len(alone) == len(whole) == network.cfg.layers
    for mine, theirs in zip(alone, whole, strict=True):
        assert torch.equal(mine.k, theirs.k)
        assert torch.equal(mine.v, theirs.v)


def test_a_token_stands_for_the_cells_of_its_patch():
    cells = torch.arange(16.0).view(1, 1, 1, 4, 4)
    tokens = to_tokens(cells, 2)
    assert tokens[0, 0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


@pytest.mark.parametrize("cell", [0, 6, 9, 15])
def test_a_cell_is_predicted_from_its_own_token(cell):
    """And from no other; cells come row by row."""
    network = small_network(small_quantizer().cfg, patch=2)
    assert network.sizes == ((1, 1), (2, 2), (2, 2), (2, 2))
    tokens = torch.randn(1, 1, 4, 32).requires_grad_()
    logits = network._predict_scale(tokens, 2)
    assert logits.shape == (1, 1, 16, network.quantizer.labels, network.quantizer.choices)
    (pull,) = torch.autograd.grad(logits[0, 0, cell].square().sum(), tokens)
    row, column = divmod(cell, 4)
    assert [i for i, part in enumerate(pull[0, 0]) if part.any()] == [row // 2 * 2 + column // 2]
    weights = network.out_patch.weight.unflatten(0, (2, 2, -1))[row % 2, column % 2]
    bias = network.out_patch.bias.unflatten(0, (2, 2, -1))[row % 2, column % 2]
    alone = tokens[0, 0, row // 2 * 2 + column // 2] @ weights.T + bias
    torch.testing.assert_close(logits[0, 0, cell].flatten(), alone)


def test_patches_must_divide_the_grid():
    with pytest.raises(ValueError, match=r"patch must divide the finest grid, \(4, 4\), got 3"):
        small_network(small_quantizer().cfg, patch=3)
