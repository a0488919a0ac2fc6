"""`worldsim data actions`: unlabelled episodes get actions, labelled ones keep theirs."""

from types import SimpleNamespace

import numpy as np
import pytest

from models.own_video import command
from models.own_video.latent_actions import LatentActionModel
from models.training.codec import open_store
from tests.support.commands import refused
from tests.support.panoramas import turn_about
from worldsim.actions import load_actions
from worldsim.cli import main as cli
from worldsim.data.store import EpisodeStore


def write(folder, split: str, *episodes) -> None:
    for number, episode in enumerate(episodes):
        EpisodeStore(folder / split).append(episode, f"{split}{number}-0000")


@pytest.fixture
def walks(tmp_path):
    """A data folder of four labelled films and two unlabelled ones."""
    labelled = [turn_about(60, seed, video=f"film{seed}") for seed in range(4)]
    unknown = [turn_about(40, seed, known=False, video=f"film{seed}") for seed in (8, 9)]
    write(tmp_path / "walks", "train", *labelled, unknown[0])
    write(tmp_path / "walks", "heldout", unknown[1])
    return tmp_path / "walks"


def test_unknown_actions_are_inferred(walks, tmp_path, capsys):
    assert cli(["data", "actions", str(walks), str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "learnt from 180 steps of 3 labelled episodes; on 60 steps of 1 held-out videos" in said
    assert "6 episodes written" in said
    for split, seed, at in (("train", 8, 4), ("heldout", 9, 0)):
        told, true = EpisodeStore(tmp_path / "out" / split)[at], turn_about(40, seed)
        assert (told.actions == true.actions).mean() > 0.9
        assert told.meta.extra["actions"] == "inferred"
        assert told.meta.extra["actions_right"] > 0.9
        np.testing.assert_array_equal(told.frames, true.frames)
    kept, given = (EpisodeStore(folder / "train")[0] for folder in (tmp_path / "out", walks))
    np.testing.assert_array_equal(kept.actions, given.actions)
    assert kept.meta == given.meta


def test_where_nothing_was_recorded_codes_are_made_up(walks, tmp_path, capsys):
    options = ["--codes", "4", "--steps", "2"]
    assert cli(["data", "actions", str(walks), str(tmp_path / "out"), *options]) == 0
    said = capsys.readouterr().out
    assert "grey levels with the code" in said
    assert "held-out videos" in said
    for split, count in (("train", 5), ("heldout", 1)):
        store = EpisodeStore(tmp_path / "out" / split)
        assert len(store) == count
        assert {store.meta(i).action_set for i in range(count)} == {"codes4"}
        assert all(0 <= e.actions.min() <= e.actions.max() < 4 for e in store)
    # done already: the same codes, and nothing is learnt or written again
    assert cli(["data", "actions", str(walks), str(tmp_path / "out"), *options]) == 0
    assert "0 episodes written" in capsys.readouterr().out


@pytest.mark.parametrize("codes", [4, 8])
def test_there_is_an_action_set_for_every_number_of_codes(codes):
    assert len(load_actions(f"codes{codes}")) == codes
    model = LatentActionModel(command.LatentActionConfig(codes=codes))
    assert len(model.book) == codes


def test_a_training_refuses_unknown_actions(walks, tmp_path):
    """-1 would be learnt as an action that nobody can press."""

    def open_train(folder):
        data, codec = SimpleNamespace(train=str(folder / "train")), SimpleNamespace(frame_size=32)
        given = {"name": "x", "engine": "none", "action_set": "dmlab"}
        return open_store(SimpleNamespace(data=data, codec=codec, **given), "")

    with pytest.raises(ValueError, match="actions are not known: let `worldsim data actions`"):
        open_train(walks)
    write(tmp_path / "known", "train", turn_about(4, 0))
    assert len(open_train(tmp_path / "known")) == 1
    with pytest.raises(ValueError, match=r"make them with `worldsim data video VIDEOS .*none`"):
        open_train(tmp_path / "none")


def test_wrong_wishes_are_one_sentence(walks, tmp_path, capsys):
    def say(source, *options: str) -> str:
        return refused(capsys, "data", "actions", str(source), str(tmp_path / "out"), *options)

    none = tmp_path / "none"
    write(none, "train", turn_about(4, 0, known=False))
    assert "there is no folder" in say(tmp_path / "nowhere")
    assert "must hold episodes in train, heldout, tuning" in say(tmp_path)
    assert "must hold videos whose actions were recorded" in say(none)
    assert "labelled videos must be at least 2" in say(none, "--labelled", str(one_film(tmp_path)))
    assert "--codes must be given without --labelled" in say(
        walks, "--codes", "4", "--labelled", str(none)
    )
    same = refused(
        capsys, "data", "actions", str(walks), str(walks), "--codes", "4", "--steps", "1"
    )
    assert "the target must be another folder than the source" in same
    assert not (tmp_path / "out" / "train").exists()


def one_film(folder):
    write(folder / "one", "train", turn_about(4, 1))
    return folder / "one" / "train"
