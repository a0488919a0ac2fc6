"""What the network is told of a view, cell by cell, against loops."""

import torch

from models.memory.renderer import MemoryView
from models.spatial.condition import encode_view
from tests.support.spatial_worlds import SIZE, small_models, small_settings


def view_drawn() -> MemoryView:
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(2, SIZE, SIZE, generator=generator) < 0.6
    mask[0, :8, :8], mask[1, 8:16, 8:16] = False, True
    rgb = (torch.rand(2, 3, SIZE, SIZE, generator=generator) * 2 - 1) * mask.unsqueeze(1)
    inverse = torch.rand(2, SIZE // 2, SIZE // 2, generator=generator)
    doubtful = ~mask & (torch.rand(2, SIZE, SIZE, generator=generator) < 0.2)
    doubtful[0, :8, :8] = False
    rgb = torch.where(doubtful.unsqueeze(1), 0.5, rgb)
    return MemoryView(rgb, mask, inverse, ~mask, doubtful)


@torch.inference_mode()
def test_features_by_hand():
    codec, view = small_models(small_settings()).codec, view_drawn()
    told = encode_view(codec, view)
    filled = view.rgb.clone()
    for row, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(4)):
        pixels = slice(8 * y, 8 * y + 8), slice(8 * x, 8 * x + 8)
        seen, colours = view.mask[(row, *pixels)], view.rgb[(row, slice(None), *pixels)]
        if seen.any():
            mean = colours[:, seen].mean(dim=1)
            known = seen | view.doubtful[(row, *pixels)]
            filled[(row, slice(None), *pixels)] = torch.where(known, colours, mean[:, None, None])
        else:
            assert (told.latents[row, :, y, x] == 0).all()
        assert told.mask[row, :, y, x].tolist() == seen.flatten().float().tolist()
        depths = view.inverse_depth[row, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        assert torch.allclose(told.inverse_depth[row, :, y, x], depths.flatten().log1p())
    latents = codec.encode_pictures(filled)
    known = told.mask.any(dim=1, keepdim=True)
    assert torch.allclose(told.latents, latents * known, atol=1e-4)
    assert not known[0, 0, 0, 0]
    assert (told.mask[1, :, 1, 1] == 1).all()
