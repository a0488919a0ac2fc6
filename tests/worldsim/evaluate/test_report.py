"""Evaluating: a world that is the engine itself passes everything, one that is not is told apart.

The engine as a world is what proves the alignment: one action off by one, and it would not pass.
"""

import dataclasses
import json
import subprocess
import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from tests.support.browser import check_page
from tests.support.metric_weights import write_backbone
from worldsim import ground_truth
from worldsim.actions import load_actions
from worldsim.cli import main as cli
from worldsim.evaluate import action_following, inverse_dynamics, report, scripted_actions
from worldsim.evaluate.contact_sheet import GAP, GROUP_GAP, contact_sheet, write_picture
from worldsim.evaluate.loops import plan_loop
from worldsim.evaluate.open_loop import DreamError, dream, starts
from worldsim.evaluate.protocol import Protocol, quick
from worldsim.evaluate.thresholds import judge_if_enough, judge_report

ACTIONS = load_actions("dmlab")
LEFT, RIGHT, FORWARD, STAND = range(4)
CARD = {"name": "small", "title": "A small dream", "fps": 7.5, "frame_size": 64}
CARD |= {"action_set": "dmlab", "engine": "Maze-v0", "licence": "MIT", "builder": "far"}
VOXEL_CARD = CARD | {"fps": 20, "frame_size": 128, "action_set": "voxel", "engine": "Voxel-v0"}


class PixelCodec:
    """Latents are the pixels."""

    def encode(self, frames):
        return frames.float().movedim(-1, -3) / 255

    def decode(self, latents):
        return (latents.movedim(-3, -1) * 255).round().to(torch.uint8)


class TrueDream:
    """A dream that is the engine: rows of its states, stepped there."""

    def __init__(self, places, made=0):
        self.places, self.made, self.carry = places, made, None
        self.poses, self.seeds = None, [0] * len(places)

    @property
    def batch(self):
        return len(self.places)

    def fork(self, seeds=None):
        return TrueDream(list(self.places), self.made)

    def select(self, rows):
        return TrueDream([self.places[row] for row in rows], self.made)


class TrueWorld:
    """A world that makes no mistake, until it runs away."""

    takes_poses = False

    def __init__(self, env, card=CARD, runs_away_at=None):
        self.env, self.runs_away_at = env, runs_away_at
        self.card = SimpleNamespace(**card, steps=1)
        self.actions, self.codec, self.device = env.actions, PixelCodec(), torch.device("cpu")
        self.hash, self.context_noise = "0" * 64, None

    def reset(self, frames, actions, seeds):
        return TrueDream([self._seen(*row) for row in zip(frames, actions, seeds, strict=True)])

    def _seen(self, frames, actions, seed):
        frame, _ = self.env.reset(seed=seed)
        for action, true in zip([None, *actions], frames, strict=True):
            if action is not None:
                frame = self.env.step(int(action))[0]
            np.testing.assert_array_equal(frame, true, "the context is not what the actions led to")
        return self.env.clone_state()

    def step(self, state, actions, steps=None, context_noise=None):
        state.made += 1
        if state.made == self.runs_away_at:
            raise ValueError("the dream ran away to numbers that are not finite")
        frames = []
        for row, action in enumerate(actions):
            self.env.restore_state(state.places[row])
            frames.append(self.env.step(int(action))[0])
            state.places[row] = self.env.clone_state()
        return state, np.stack(frames)


@pytest.fixture
def env(engine):
    return ground_truth.open_engine(SimpleNamespace(**CARD))


# ---- the whole ----


def test_the_engine_itself_passes_everything(engine):
    world = TrueWorld(ground_truth.open_engine(SimpleNamespace(**CARD)))
    figures, sheets = passes_everything(world, quick())
    assert figures["walker"] == "goal"
    assert figures["following"]["dream"]["turns the right way"]["left"] > 0.7
    assert figures["fidelity"]["repeat last frame"]["psnr"]["mean"] < 30
    assert set(sheets) == {"visibility", "fidelity", "memory", "drift"}
    shown = figures["visibility"]
    assert shown["seen"]["dream"]["psnr"]["mean"] > 58
    assert shown["unseen"]["dream"]["psnr"]["16"] > 58
    assert shown["seen"]["bare warp"]["psnr"]["16"] > 20, "the judge sees what is not there"
    assert shown["two seeds"]["seen"] > 58
    assert shown["return"]["4"]["all"] > 58
    assert shown["return"]["4"]["other views"] < 30
    assert shown["real or dreamt"]["dream"]["auc"]["16"] == pytest.approx(0.5)
    assert shown["invented"]["first 20"]["sharpness"] == pytest.approx(1)


def test_the_engine_itself_comes_back_from_every_long_walk(engine):
    protocol = dataclasses.replace(quick(), walks=(16, 48), revisits=(100, 1000))
    world = TrueWorld(ground_truth.open_engine(SimpleNamespace(**CARD)))
    figures = report.evaluate(world, protocol, ("walks",)).report["walks"]
    ways = {name: one for name, one in figures.items() if isinstance(one, dict)}
    assert set(ways) == {"loop 16", "loop 48", "return 48", "revisit 100", "revisit 1000"}
    for name, one in ways.items():
        assert one["all"] > 58
        assert one["other views"] < 30
        assert one["moves"] <= int(name.split()[1])
    assert ways["revisit 100"]["moves"] == 100
    assert ways["revisit 1000"]["moves"] == 1000  # steps a little short of full ones would add up


def test_so_does_the_land_of_blocks(voxel_engine):
    """Other turns, other actions, uneven ground, frames of another size."""
    # One start, since this engine takes long to go from one place to another.
    protocol = dataclasses.replace(
        quick(), episodes=1, probe_episodes=2, forks=2, follow=8, long=24, block=12
    )
    world = TrueWorld(ground_truth.open_engine(SimpleNamespace(**VOXEL_CARD)), VOXEL_CARD)
    figures, _ = passes_everything(world, protocol)
    world.env.close()
    assert figures["walker"] == "published"
    assert figures["memory"]["turn"]["frames"] == 18


def passes_everything(world, protocol):
    figures, sheets, _ = report.evaluate(world, protocol)
    assert figures["fidelity"]["dream"]["psnr"]["mean"] > 58
    assert figures["fidelity"]["dream"]["ssim"]["16"] == pytest.approx(1, abs=1e-3)
    assert figures["following"]["dream"] == figures["following"]["engine"]
    for way in ("turn", "away"):
        assert figures["memory"][way]["dream"]["back vs before"] > 58
        assert figures["memory"][way]["dream"]["way vs engine"] > 58
        assert figures["memory"][way]["dream"]["elsewhere vs before"] < 30
    for kind in scripted_actions.KEYS:
        # The second half of a short run is not the whole of it, so only the whole is the same.
        series = figures["drift"][kind]["series"]
        assert [block["frame"] for block in series] == [0, protocol.block]
        assert figures["drift"][kind]["colour"] is not None
    judged = {verdict["asked"]: verdict["good"] for verdict in judge_report(figures)}
    assert judged["mean PSNR against best of context"]
    assert judged["turn: the place looks like itself"]
    json.dumps(figures, allow_nan=False)
    return figures, sheets


def test_a_dream_that_runs_away_is_written_down_and_the_rest_goes_on(env):
    """The fidelity runs are the shortest here; the long ones run away at their frame 20."""
    protocol = quick()
    world = TrueWorld(ground_truth.open_engine(SimpleNamespace(**CARD)), runs_away_at=20)
    figures, sheets, _ = report.evaluate(world, protocol, ("fidelity", "memory", "drift"))
    assert "failed" not in figures["fidelity"]
    assert "frame 20 of 32: the dream ran away" in figures["memory"]["failed"]
    assert "frame 20 of 40" in figures["drift"]["failed"]
    assert len(figures["drift"]["random"]["series"]) == 1
    assert "drift" in sheets


def test_the_command_writes_figures_and_pictures(small_world, browser, tmp_path, capsys):
    assert report.main([str(small_world), "--quick", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert set(written) >= {"world", "hash", "engine", "steps", "protocol", *report.PARTS}
    assert set(written["fidelity"]["dream"]) == {"psnr", "ssim", "sharpness", "off place"}
    assert set(written["memory"]["turn"]) >= {"engine", "dream", "dream without long memory"}
    for name in ("visibility", "fidelity", "memory", "drift"):
        assert cv2.imread(str(tmp_path / f"{name}.png")) is not None
    printed = capsys.readouterr().out
    for row in ("best of context", "first frame", "back vs before", "scripted"):
        assert row in printed
    assert written["verdicts"] == []  # two episodes are no ground for any
    assert printed.count("verdicts") == 1
    assert "no verdicts: they need at least 8 episodes" in printed
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".html", ".json"] + [".png"] * 4
    check_page(tmp_path / "evaluation.html")
    page = (tmp_path / "evaluation.html").read_text()
    assert "Verdicts" not in page
    for heading in ("By age", "Drift", "Speed", "Films", "Sheets", "All tables"):
        assert f"<h2>{heading}</h2>" in page
    assert "PSNR, dB" in page
    ages = {one["name"]: one for one in written["fidelity"]["by age"] if one["metric"] == "psnr"}
    low, mean, high = (np.array(ages["dream"][name]) for name in ("low", "mean", "high"))
    assert mean[15] == written["fidelity"]["dream"]["psnr"]["16"]
    assert (low <= mean).all()
    assert (mean <= high).all()
    assert set(written["fidelity"]["speed"]) == {"p50", "p90", "p99"}


def test_an_evaluation_that_was_killed_goes_on(small_world, tmp_path, monkeypatch, capsys):
    """What was measured before is not measured again, nor is what is of another protocol taken."""
    options = ["--quick", "--only", "fidelity", "--only", "following", "--out", str(tmp_path)]

    def killed(world, env, made, protocol):
        raise KeyboardInterrupt

    real = report._MEASURES["following"]
    monkeypatch.setitem(report._MEASURES, "following", killed)
    with pytest.raises(KeyboardInterrupt):
        report.main([str(small_world), *options])
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["fidelity.npz"]
    monkeypatch.setitem(report._MEASURES, "following", real)
    monkeypatch.setitem(report._MEASURES, "fidelity", killed)
    with pytest.raises(KeyboardInterrupt):
        report.main([str(small_world), *options, "--context", "11"])
    assert report.main([str(small_world), *options]) == 0
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["fidelity"]["dream"]["psnr"]["16"] > 0
    assert (tmp_path / "fidelity.png").is_file()
    assert not (tmp_path / "parts").exists()
    assert "to go" in capsys.readouterr().err


def test_lpips_is_measured_where_its_weights_are_given(small_world, tmp_path, capsys):
    backbone = write_backbone(tmp_path / "alex.pth", "alex")
    options = ["--quick", "--only", "visibility", "--only", "fidelity", "--out", str(tmp_path)]
    options += ["--lpips-backbone", str(backbone)]
    assert report.main([str(small_world), *options]) == 0
    written = json.loads((tmp_path / "evaluation.json").read_text())
    for part in (written["visibility"]["seen"], written["fidelity"]):
        assert part["codec"]["lpips"]["1"] < part["repeat last frame"]["lpips"]["16"]
    assert "LPIPS where the context shows it" in capsys.readouterr().out
    assert cli(["evaluate", str(small_world), "--quick", "--lpips-backbone", "none.pth"]) == 2
    assert "there is no file none.pth for LPIPS" in capsys.readouterr().err


def test_long_walks_are_measured_when_they_are_asked_for(small_world, tmp_path, capsys):
    options = ["--quick", "--only", "walks", "--out", str(tmp_path)]
    assert report.main([str(small_world), *options]) == 0
    printed = capsys.readouterr().out
    assert "walks: long loops, returns and revisits" in printed
    for way in ("loop 24", "return 24", "revisit 30"):
        assert way in printed


def test_dreams_are_shown_without_measuring(small_world, tmp_path):
    options = ["--quick", "--sheets", "2", "--length", "5", "--out", str(tmp_path)]
    assert report.main([str(small_world), *options]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["dreams.png"]
    picture = cv2.imread(str(tmp_path / "dreams.png"))
    assert picture.shape == (2 * (128 + GAP) + GROUP_GAP, 5 * (128 + GAP), 3)  # 0, 1, 2, 4, 5


def test_the_command_fails_when_a_dream_ran_away(small_world, tmp_path, monkeypatch):
    def runs_away(world, env, made, protocol):
        raise DreamError("frame 3 of 9: it ran away")

    monkeypatch.setitem(report._MEASURES, "fidelity", runs_away)
    options = ["--quick", "--only", "fidelity", "--out", str(tmp_path)]
    assert report.main([str(small_world), *options]) == 1
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert written["fidelity"]["failed"] == "frame 3 of 9: it ran away"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "there is no world 'nowhere'"),
        (["dmlab", "--episodes", "0"], "episodes must be >= 1, got 0"),
        (["dmlab", "--frames-long", "-1"], "long must be >= 1, got -1"),
        (["dmlab", "--steps", "3"], "--steps must be one of (1, 2, 4, 8), got 3"),
    ],
)
def test_what_cannot_be_had_gets_one_sentence(arguments, sentence, capsys):
    assert cli(["evaluate", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("module", ["report", "bench.command"])
def test_help_loads_no_torch(module):
    code = (
        f"import sys; from worldsim.evaluate.{module} import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'cv2', 'gymnasium'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "--frames" in run.stdout


def test_a_report_is_json_whatever_was_measured(tmp_path):
    """A mean of nothing is not a number, and JSON knows none of those."""
    figures = {"a": np.float32(1.23456), "b": [np.nan, np.int64(3)], 5: np.array([True])}
    report.write_report(tmp_path / "report.json", report.plain(figures))
    written = json.loads((tmp_path / "report.json").read_text())
    assert written == {"a": 1.2346, "b": [None, 3], "5": [True]}


def test_a_turn_that_was_never_taken_has_no_share():
    frames = np.zeros((1, 3, 64, 64, 3), np.uint8)
    shares = action_following._measure_turns(frames, np.array([[LEFT, FORWARD]]), ACTIONS)
    assert shares == {"left": 0.0, "right": None}


def test_enough_episodes_are_judged():
    figures = {"fidelity": {"failed": "ran away"}, "protocol": {"episodes": 8}}
    assert [one["good"] for one in judge_if_enough(figures)] == [False]
    assert judge_if_enough(figures | {"episodes": 7}) == []


def test_a_part_that_failed_or_was_skipped_is_judged_so():
    told = judge_report({"fidelity": {"failed": "ran away"}, "following": {"skipped": "no poses"}})
    assert [(verdict["asked"], verdict["good"]) for verdict in told] == [("fidelity", False)]


# ---- dreams ----


def test_a_start_can_be_dreamt_from_again(env, small_world):
    """A step uses its state up; were the start's own used, the second part would go on from it."""
    from worldsim.world.model import load_world

    world = load_world(small_world)
    start = starts(world, list(ground_truth.plays(env, 2, 12, "train", at=7)), context=8, batch=4)[
        0
    ]
    first, again = (
        np.stack(list(dream(world, start.state(), np.full((2, 3), FORWARD)))) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)


def test_starts_come_in_batches_of_the_given_size(env):
    world = TrueWorld(ground_truth.open_engine(SimpleNamespace(**CARD)))
    made = starts(world, list(ground_truth.plays(env, 3, 6, "train", at=3)), context=4, batch=2)
    assert [len(start.episodes) for start in made] == [2, 1]
    np.testing.assert_array_equal(made[1].last_frames()[0], made[1].episodes[0].frames[3])


# ---- ways ----


def test_a_full_turn_ends_where_it_began(env):
    _, poses = ground_truth.EngineReplay(env, 3, []).run(scripted_actions.plan_full_turn(ACTIONS))
    np.testing.assert_allclose(poses[-1], poses[0], atol=1e-5)
    assert len(poses) == 17
    assert len(scripted_actions.plan_full_turn(load_actions("voxel"))) == 18


def test_the_way_out_and_back_leads_out_and_back(env):
    ((episode, true),) = ground_truth.plays(env, 1, 40, "train", env.published_walker, at=20)
    way = scripted_actions.plan_out_and_back(
        env, true.start, scripted_actions.measure_full_step([episode]), 64
    )
    frames, poses = true.run(way)
    assert len(way) == 64
    np.testing.assert_allclose(poses[-1], poses[0], atol=1e-4)
    np.testing.assert_array_equal(frames[-1], frames[0])
    assert np.linalg.norm(poses[:, :2] - poses[0, :2], axis=1).max() > 1, "it went nowhere"


def test_a_loop_leads_back_without_turning_round(env):
    """Many laps of one parallelogram where the engine has space for it."""
    ((episode, true),) = ground_truth.plays(env, 1, 40, "train", env.published_walker, at=20)
    full = scripted_actions.measure_full_step([episode])
    lap = plan_loop(env, true.start, full, 40)
    frames, poses = true.run(lap)
    assert 16 < len(lap) <= 40
    np.testing.assert_allclose(poses[-1], poses[0], atol=1e-4)
    np.testing.assert_array_equal(frames[-1], frames[0])
    steps = np.diff(poses[:, :2], axis=0)
    moved = np.linalg.norm(steps, axis=1) > 1e-6
    assert np.linalg.norm(steps[moved], axis=1) == pytest.approx(full, abs=1e-3)
    assert moved.sum() >= 4
    places = {tuple(np.round(place, 3)) for place in poses[:, :2]}
    assert len(places) == moved.sum(), "a place was passed twice"
    laps = plan_loop(env, true.start, full, 160)
    assert 100 < len(laps) <= 160
    assert plan_loop(env, true.start, full, 15) is None
    assert plan_loop(env, true.start, 0.0, 40) is None


def test_a_step_down_is_not_walked_back():
    """From below, a ledge is a wall."""
    before = {"pose": np.array([0, 0, 0]), "height": 1.0}
    after = {"pose": np.array([0.2158, 0, 0]), "height": 0.9216}
    assert not scripted_actions.is_full(before, after, 0.2158)
    assert scripted_actions.is_full(before, after | {"height": 1.0}, 0.2158)


def test_no_way_back_without_restoring(env):
    assert (
        scripted_actions.plan_out_and_back(SimpleNamespace(actions=ACTIONS), None, 0.38, 64) is None
    )
    assert scripted_actions.plan_out_and_back(env, None, 0.0, 64) is None


def test_long_keys_are_what_they_are_called():
    held = [scripted_actions.plan_long_keys(ACTIONS, "held", row, 9) for row in range(4)]
    assert [set(keys) for keys in held] == [{LEFT}, {RIGHT}, {FORWARD}, {LEFT}]
    scripted = scripted_actions.plan_long_keys(ACTIONS, "scripted", 0, 20)
    assert scripted.tolist() == [FORWARD] * 6 + [LEFT] * 4 + [FORWARD] * 6 + [RIGHT] * 4
    ours, theirs = (scripted_actions.plan_long_keys(ACTIONS, "random", row, 50) for row in (0, 1))
    assert (ours != theirs).any()
    np.testing.assert_array_equal(ours, scripted_actions.plan_long_keys(ACTIONS, "random", 0, 50))


# ---- the probe ----


def test_only_what_can_be_seen_is_decidable():
    """A push against a wall looks like standing: no probe could tell them apart."""
    poses = np.zeros((6, 3), np.float32)
    poses[:, 0] = [0, 0.38, 0.38, 0.48, 0.48, 0.48]
    poses[:, 2] = [0, 0, 0, 0, 0, 2 * np.pi - 0.39]
    actions = np.array([FORWARD, FORWARD, FORWARD, STAND, RIGHT])
    told = inverse_dynamics.find_decidable(poses, actions, ACTIONS)
    assert told.tolist() == [True, False, False, True, True]


def moved_pairs(count, rng):
    """Strips of noise that move right under left, left under right, and stay under stand."""
    wide = rng.integers(0, 256, (count, 16, 40, 3)).astype(np.uint8)
    wide = wide.repeat(4, axis=1).repeat(4, axis=2)
    actions = rng.choice([LEFT, RIGHT, STAND], count)
    shift = np.array([-16, 16, 0, 0])[actions]
    after = np.stack([strip[:, 48 + s : 112 + s] for strip, s in zip(wide, shift, strict=True)])
    return inverse_dynamics.Pairs(wide[:, :, 48:112], after, actions)


def test_the_probe_learns_and_is_the_same_every_time():
    rng = np.random.default_rng(0)
    pairs, unseen = moved_pairs(240, rng), moved_pairs(60, rng)
    one, two = (inverse_dynamics.train_probe([pairs], 4, epochs=4) for _ in range(2))
    for ours, theirs in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    right = inverse_dynamics.guess(one, unseen.before, unseen.after) == unseen.actions
    assert right.mean() > 0.9


def test_a_mirrored_pair_has_the_other_turn():
    pairs = moved_pairs(8, np.random.default_rng(0))
    seen = inverse_dynamics.augment_pairs(pairs, ACTIONS, lambda frames: frames // 2)
    plain, coded, soft, mirrored = seen[:4]
    assert len(seen) == 6
    assert (plain.actions == pairs.actions).all()
    np.testing.assert_array_equal(coded.after, pairs.after[::2] // 2)
    np.testing.assert_array_equal(soft.before[0], pairs.before[1])
    assert soft.after.std() < 0.7 * pairs.after.std()
    np.testing.assert_array_equal(mirrored.before, pairs.before[:, :, ::-1])
    swap = {LEFT: RIGHT, RIGHT: LEFT, STAND: STAND}
    assert mirrored.actions.tolist() == [swap[action] for action in pairs.actions]


# ---- pictures ----


def test_a_contact_sheet_shows_every_frame_where_it_belongs(tmp_path):
    rows = [np.full((3, 4, 5, 3), level, np.uint8) for level in (10, 20, 30)]
    rows[1][2] = (200, 100, 0)
    sheet = contact_sheet(rows, group=2, zoom=2)
    tall, wide = 8 + GAP, 10 + GAP
    assert sheet.shape == (3 * tall + GROUP_GAP, 3 * wide, 3)
    assert (sheet[tall : tall + 8, 2 * wide : 2 * wide + 10] == (200, 100, 0)).all()
    write_picture(tmp_path / "deep" / "sheet.png", sheet)
    read = cv2.imread(str(tmp_path / "deep" / "sheet.png"))
    np.testing.assert_array_equal(read[:, :, ::-1], sheet)


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(OSError, match="could not be encoded"):
        write_picture(tmp_path / "sheet.png", np.zeros((4, 4, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_protocol_checks_itself():
    with pytest.raises(ValueError, match="batch must be >= 1"):
        Protocol(batch=0)


def test_recorded_episodes_can_stand_for_an_engine(tiny_world, tmp_path, capsys):
    """A world of published data has no engine to be compared with."""
    data = ["--data", str(tiny_world / "spawns"), "--out", str(tmp_path)]
    given = ["--context", "2", "--predicted", "2"]
    assert report.main([str(tiny_world), *data, *given]) == 0
    made = json.loads((tmp_path / "evaluation.json").read_text())
    assert made["episodes"] == 3
    assert set(made["fidelity"]) >= {"dream", "repeat last frame", "codec"}
    assert made["fidelity"]["dream"]["psnr"]["mean"] > 0
    assert "fidelity" in capsys.readouterr().out
    with pytest.raises(ValueError, match="16x16 pixels and 300 frames"):
        report.main([str(tiny_world), *data])
