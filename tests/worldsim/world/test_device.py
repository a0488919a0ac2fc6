"""The device that is chosen when nobody says, and why."""

import pytest
import torch

from worldsim.world.device import choose_device


@pytest.mark.parametrize(
    ("cuda", "mps", "name"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_a_gpu_comes_first_and_the_line_says_why(cuda, mps, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    choice = choose_device()
    assert choice.name == name
    assert choice.why.startswith(f"device: {name}, since torch ")


def test_auto_is_settled_before_the_world_is_made(tiny_world):
    """What is recorded names the device that the frames came from."""
    from worldsim.runtime.session.loading import open_world

    opening = open_world(str(tiny_world), 0, device="auto")
    told = [stage.doing for stage in opening.stages(0, None)]
    assert opening.place.identity.kwargs["device"] == choose_device().name
    assert opening.device_choice in told
    opening.place.close()
