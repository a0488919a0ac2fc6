"""Published protocols, each in its quick form: tiny worlds, synthetic clips as published."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from tests.support.commands import refused
from tests.support.metric_weights import write_backbone, write_detector
from tests.support.published_clips import published_tree, write_dmlab
from tests.support.published_worlds import write_published_world
from worldsim.actions import load_actions
from worldsim.data.published.clip_files import ClipFile
from worldsim.evaluate import report
from worldsim.evaluate.published import units
from worldsim.evaluate.published.clips import Clip, balance, choose_clips, read_clip
from worldsim.evaluate.published.dreaming import dream_clips, dream_seed, prepare
from worldsim.evaluate.published.film import encode_and_decode_film
from worldsim.evaluate.published.protocols import SETTINGS, find_setting, quick, read_paper_rows
from worldsim.evaluate.published.summary import best_of, figures
from worldsim.world.model import load_world

TECO = find_setting("teco", "dmlab", False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    backbone = write_backbone(folder / "alex.pth", "alex")
    detector = write_detector(folder / "i3d.pt")
    return ["--lpips-backbone", str(backbone), "--i3d", str(detector)]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory, diffusers):
    """Folders of worlds by kind, made when they are asked for."""
    folder = tmp_path_factory.mktemp("worlds")
    made = {}

    def world(kind):
        if kind not in made:
            made[kind] = str(write_published_world(folder / kind, kind))
        return made[kind]

    return world


# ---- every protocol, all the way ----


@pytest.mark.parametrize(
    ("protocol", "layout", "kind", "columns", "paper"),
    [
        ("teco", "dmlab", "dmlab", {"psnr", "ssim", "lpips", "mse"}, "FAR-B-Long"),
        ("teco", "minecraft", "minecraft", {"psnr", "ssim", "lpips", "mse"}, "FAR-M-Long"),
        ("teco-fvd", "dmlab", "dmlab", {"fvd"}, "TECO"),
        ("teco-fvd", "minecraft", "minecraft", {"fvd"}, "TECO"),
        ("mcvd", "ucf101", "uncond", {"psnr", "ssim", "lpips", "fvd", "mse"}, None),
        ("mcvd", "bair", "uncond", {"psnr", "ssim", "lpips", "fvd", "mse"}, None),
        ("latte", "ucf101", "uncond", {"fvd"}, "FAR-XL, 256 px"),
        ("latte", "ucf101", "label", {"fvd"}, "FAR-XL, 256 px"),
    ],
)
def test_one_command_a_table(
    protocol, layout, kind, columns, paper, worlds, weights, tmp_path, capsys
):
    data = published_tree(tmp_path, layout)["heldout"]
    out = ["--quick", "--data", data, "--layout", layout, "--out", str(tmp_path / "out")]
    assert report.main([worlds(kind), "--protocol", protocol, *out, *weights]) == 0
    told = json.loads((tmp_path / "out" / f"{protocol}.json").read_text())
    for table in told["tables"].values():
        assert set(table["dream"]) == columns
        assert all(
            len(f["seeds"]) == len(told["setting"]["seeds"]) for f in table["dream"].values()
        )
        assert set(table["beside"]["codec"]) == columns
        assert ("repeat last frame" in table["beside"]) == (protocol != "latte")
        assert paper is None or paper in table["paper"]
    printed = capsys.readouterr().out
    assert f"tiny-{kind}" in printed
    assert "no published figure" in printed
    picture = cv2.imread(str(tmp_path / "out" / f"{protocol}.png"))
    assert picture is not None
    if layout == "bair":
        assert list(told["tables"]) == ["8", "10"]


def test_our_own_worlds_are_measured_too(tiny_world, tmp_path, capsys):
    """They have no guidance, and the table says so; weights are left out, and it says that too."""
    write_dmlab(tmp_path / "clips")
    options = ["--quick", "--data", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]
    assert report.main([str(tiny_world), "--protocol", "teco", *options]) == 0
    printed = capsys.readouterr().out
    assert "tiny has no guidance: it is given the actions" in printed
    assert "LPIPS is left out" in printed


def test_as_published_repeats_the_references_ways(worlds, weights, tmp_path, capsys):
    write_dmlab(tmp_path / "clips")
    found = []
    for name, extra in (("ours", []), ("theirs", ["--as-published"])):
        options = ["--quick", "--data", str(tmp_path / "clips"), "--out", str(tmp_path / name)]
        assert report.main([worlds("dmlab"), "--protocol", "teco", *options, *weights, *extra]) == 0
        told = json.loads((tmp_path / name / "teco.json").read_text())
        found.append({m: f["mean"] for m, f in told["tables"]["8"]["dream"].items()})
    assert all(found[0][metric] != found[1][metric] for metric in found[0])


# ---- killed, shared out ----


def test_a_run_that_was_killed_goes_on_and_another_is_refused(
    worlds, tmp_path, capsys, monkeypatch
):
    write_dmlab(tmp_path / "clips")
    options = ["--quick", "--data", str(tmp_path / "clips"), "--out", str(tmp_path / "out")]
    command = [worlds("dmlab"), "--protocol", "teco", *options, "--batch", "1"]
    assert report.main(command) == 0
    whole = (tmp_path / "out" / "teco.json").read_text()
    files = sorted((tmp_path / "out" / "units").glob("*.npz"))
    assert len(files) == 2 * (1 + 2)
    files[0].unlink()
    files[4].unlink()
    written, real = [], units.write_unit
    monkeypatch.setattr(units, "write_unit", lambda path, a: (written.append(path), real(path, a)))
    capsys.readouterr()
    assert report.main(command) == 0
    assert sorted(written) == [files[0], files[4]]
    assert (tmp_path / "out" / "teco.json").read_text() == whole
    said = capsys.readouterr().err
    assert "4 of 6 clips are there already" in said
    assert "6 of 6 clips, 0 s to go" in said
    sentence = refused(capsys, "evaluate", *command, "--steps", "3")
    assert "holds a run with another steps: give another --out" in sentence


@pytest.mark.slow
def test_workers_and_shards_make_the_same_table(worlds, tmp_path, monkeypatch):
    """The shard of a second process is done first, as torchrun would; the first gathers."""
    write_dmlab(tmp_path / "clips")
    written = []
    for name, extra in (("one", []), ("two", ["--workers", "2"]), ("shards", [])):
        options = ["--quick", "--data", str(tmp_path / "clips"), "--out", str(tmp_path / name)]
        command = [worlds("dmlab"), "--protocol", "teco", *options, "--batch", "1", *extra]
        if name == "shards":
            monkeypatch.setenv("WORLD_SIZE", "2")
            monkeypatch.setenv("RANK", "1")
            assert report.main(command) == 0
            assert not (tmp_path / name / "teco.json").exists()
            assert len(list((tmp_path / name / "units").glob("*.npz"))) == 3
            monkeypatch.setenv("RANK", "0")
        assert report.main(command) == 0
        written.append((tmp_path / name / "teco.json").read_text())
    assert written[0] == written[1] == written[2]


def test_what_cannot_be_had_gets_one_sentence(worlds, tmp_path, capsys):
    write_dmlab(tmp_path / "clips")
    base = ["evaluate", worlds("dmlab"), "--protocol", "teco", "--data", str(tmp_path / "clips")]
    base += ["--out", str(tmp_path / "out")]
    for extra, sentence in (
        ([], "gives 2 clips, teco takes 256: give the whole list, or --clips 2"),
        (["--clips", "2"], "has 14 frames, the protocol takes 300"),
        (["--clips", "0"], "--clips must be at least 1, got 0"),
        (["--layout", "bair"], "teco is of dmlab and minecraft, not of bair"),
        (["--quick", "--lpips-backbone", "none.pth"], "there is no file none.pth for LPIPS"),
        (["--quick", "--data", str(tmp_path / "no")], "there is no"),
    ):
        assert sentence in refused(capsys, *base, *extra)
    i3d = ["--protocol", "teco-fvd", "--quick", "--i3d", "none.pt"]
    assert "there is no file none.pt for FVD" in refused(capsys, *base, *i3d)


# ---- what they are made of ----


def test_the_settings_are_the_papers():
    assert (TECO.given, TECO.predicted, TECO.clips, TECO.seeds) == (144, 156, 256, (0, 2, 4, 6))
    fvd = find_setting("teco-fvd", "dmlab", False)
    assert (fvd.given, fvd.predicted, fvd.null) == (36, 264, True)
    latte = [find_setting("latte", "ucf101", labelled) for labelled in (False, True)]
    assert [(one.clips, one.guidance) for one in latte] == [(2048, 1.0), (10_000, 2.0)]
    for setting in SETTINGS:
        for span in setting.spans:
            assert read_paper_rows(setting, span)
        assert quick(setting).predicted <= 12


def test_the_best_of_n_is_the_best_clip_by_clip():
    """On constructed clips: of each the best trajectory by its mean over the frames."""
    ones = {
        "psnr": np.array([[10.0, 20], [30, 2], [1, 1]]),
        "lpips": np.array([[3.0, 1], [1, 1], [9, 9]]),
    }
    others = {
        "psnr": np.array([[5.0, 5], [1, 1], [7, 9]]),
        "lpips": np.array([[4.0, 4], [6, 6], [5, 5]]),
    }
    told = figures([ones, others], 2, ("psnr", "lpips"), False)
    assert told == {"psnr": (16 + 8) / 2, "lpips": (1 + 4) / 2}
    assert figures([ones, others], 1, ("psnr",), False) == {"psnr": (30 + 7) / 2}
    assert best_of("mse", np.array([1.0, 3])) == 1
    assert best_of("mse", np.array([1.0, 3]), as_published=True) == 3


def test_fvd_is_the_mean_over_the_trajectories():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(6, 1, 4))
    both = [{"dream 2": np.concatenate((t, t + 3)), "true 2": t} for t in true]
    assert figures(both, 2, ("fvd",), False)["fvd"] == pytest.approx(4 * 3**2 / 2)


def test_clips_are_those_of_the_protocol(tmp_path):
    data = published_tree(tmp_path, "ucf101")["heldout"]
    setting = dataclasses.replace(find_setting("latte", "ucf101", True), clips=2)
    assert sorted(clip.label for clip in choose_clips(setting, data)) == [0, 1]
    many = [ClipFile(name=str(n), label=n % 3) for n in range(30)]
    balanced = balance(many, 12)
    assert np.bincount([clip.label for clip in balanced]).tolist() == [4, 4, 4]
    short = dataclasses.replace(setting, spans=(5,), interval=3)
    (first, _) = choose_clips(short, data)
    clip = read_clip(short, first, 64, load_actions("watch"))
    dense = dataclasses.replace(short, spans=(13,), interval=1)
    every = read_clip(dense, first, 64, load_actions("watch"))
    np.testing.assert_array_equal(clip.frames, every.frames[::3])
    assert clip.frames.shape == (5, 64, 64, 3)


def test_a_dream_has_the_protocols_guidance_actions_and_label(worlds):
    world = load_world(worlds("label"))
    latte = find_setting("latte", "ucf101", True)
    assert prepare(world, latte, 3) == []
    play = world.dynamics.play
    assert (play.classes, play.first, play.guidance) == ((3,), 3, 2.0)
    clip = Clip(np.zeros((3, 64, 64, 3), np.uint8), np.zeros(2, np.int64), 3)
    setting = dataclasses.replace(latte, spans=(3,))
    first = dream_clips(world, setting, [clip, clip], [1, 2], 2)
    assert first.shape == (2, 3, 64, 64, 3)
    assert (first[0] != first[1]).any()
    prepare(world, latte, 4)
    assert (dream_clips(world, setting, [clip, clip], [1, 2], 2) != first).any()
    world = load_world(worlds("dmlab"))
    prepare(world, find_setting("teco-fvd", "dmlab", False))
    assert world.dynamics.play.classes == (-1, -1, -1)
    prepare(load_world(worlds("uncond")), latte)


def test_every_dream_has_a_seed_of_its_own():
    seeds = {dream_seed(s, c, t) for s in (0, 2) for c in range(9) for t in range(9)}
    assert len(seeds) == 2 * 9 * 9


def test_a_film_is_lossy_and_keeps_its_places():
    frames = np.zeros((6, 64, 64, 3), np.uint8)
    frames[:, 20:40, 20:40] = np.linspace(0, 250, 6)[:, None, None, None]
    before, context, dream, truth = encode_and_decode_film(
        frames[:2], frames[:2] // 2, frames[2:], frames[2:] // 2
    )
    assert (len(before), len(context), len(dream), len(truth)) == (2, 2, 4, 4)
    assert dream.shape == (4, 64, 64, 3)
    assert abs(dream[-1, 30, 30].astype(int) - 250).max() < 20
    assert abs(truth[-1, 30, 30].astype(int) - 125).max() < 20
    assert (dream != frames[2:]).any()
