"""What a stranger looks for by the field's word is found by the name of a file or folder alone."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Look-up -> the file that answers it: a word of the look-up stands in its folder or name.
LOOK_UPS = {
    "network": "models/far/network.py",
    "training loss": "models/far/loss.py",
    "training loop": "models/training/loop.py",
    "sampler": "models/far/sampler.py",
    "noise schedule": "models/nn/noise_schedule.py",
    "KV cache": "models/far/kv_cache.py",
    "attention mask": "models/far/attention_mask.py",
    "geometric attention": "models/nn/geometric_attention.py",
    "camera pose": "models/memory/pose.py",
    "odometry": "models/memory/odometry.py",
    "depth network": "models/memory/depth_network.py",
    "renderer": "models/memory/renderer.py",
    "keyframe selection": "models/memory/keyframes.py",
    "residual quantizer": "models/codec/multiscale_quantizer.py",
    "causal convolution": "models/codec/causal_autoencoder.py",
    "tokenizer": "models/codec/multiscale_tokenizer.py",
    "inflation": "models/codec/inflation.py",
    "view decoder": "models/codec/view_decoder.py",
    "critic": "models/codec/view_critic.py",
    "VideoAR": "models/videoar/network.py",
    "memory in space": "models/spatial/space.py",
    "VideoAR with a memory in space": "models/videoar_spatial/dynamics.py",
    "streaming": "models/videoar/streaming.py",
    "error correction": "models/videoar/error_correction.py",
    "classifier-free guidance": "models/videoar/guidance.py",
    "EMA": "models/training/ema.py",
    "reward head": "models/heads/reward.py",
    "command dispatch": "worldsim/runtime/session/commands.py",
    "presenter": "worldsim/runtime/session/presenter.py",
    "env adapter": "worldsim/runtime/core/playable_env.py",
    "action preview": "worldsim/runtime/panels/action_preview.py",
    "ground-truth comparison": "worldsim/runtime/panels/ground_truth.py",
    "journal": "worldsim/runtime/recording/journal.py",
    "state history": "worldsim/runtime/core/state_history.py",
    "step governor": "worldsim/runtime/core/step_governor.py",
    "vector env": "envs/vector.py",
    "serve over WebSocket": "worldsim/serve/app.py",
    "wire protocol": "worldsim/serve/protocol.py",
    "uncertainty": "envs/uncertainty.py",
    "atomic write": "worldsim/atomic.py",
    "model zoo": "worldsim/zoo.py",
    "fetch a world": "models/zoo/fetch_world.py",
    "sound": "worldsim/runtime/window/sound.py",
    "click to walk": "worldsim/runtime/core/click_walk.py",
    "language": "worldsim/runtime/core/language.py",
    "touch pad": "worldsim/runtime/core/touch_pad.py",
    "publish": "models/zoo/publish.py",
    "inverse dynamics": "models/own_video/inverse_dynamics.py",
    "latent actions": "models/own_video/latent_actions.py",
    "photometric loss": "models/own_video/photometric.py",
    "plane sweep": "models/own_video/plane_sweep.py",
    "poses of videos": "models/own_video/learn_poses.py",
    "import a folder of videos": "worldsim/data/video_folder.py",
}

# Names of an older version, which nothing but the upgrade tables and the log may use.
OLD_NAMES = re.findall(
    r"\w+",
    "masks_of fine_sees_coarse attend_from whereabouts displace seen_at in_sight _gathered look_up "
    "keep_place truly_seen Arrival MultiLevelCache own_context move_average "
    "EverythingAnew AsPublished write_whole rows_alone EngineTruth Teller fulfil wishes "
    "FILM_INTENTS renumbered checked_device held_bytes named_function cached_latents "
    "train_painter "
    "step_with_others _TELLERS _JUDGES dream_doubt dream_start dream_state recollection",
)
MAY_NAME_THEM = ("worldsim/upgrades.py", "docs/LOG.md", "docs/log/")
SEARCHED = ("worldsim", "models", "envs", "examples", "assets/configs", "docs")


@pytest.mark.parametrize(("sought", "path"), LOOK_UPS.items())
def test_a_look_up_is_answered_by_a_file_name(sought, path):
    assert (ROOT / path).is_file()
    named = " ".join(Path(path).with_suffix("").parts[-2:]).replace("_", " ").lower()
    words = sought.lower().replace("-", " ").split()
    assert any(word in named for word in words), f"{sought} is not named by {path}"


def test_no_old_name_is_left():
    files = [path for folder in SEARCHED for path in (ROOT / folder).rglob("*.*")]
    files = [path for path in files if path.suffix in (".py", ".md", ".yaml")]
    assert len(files) > 100
    pattern, found = re.compile(rf"\b({'|'.join(OLD_NAMES)})\b"), []
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(MAY_NAME_THEM):
            old = sorted(set(pattern.findall(path.read_text(encoding="utf-8"))))
            found += [f"{name}: {', '.join(old)}"] if old else []
    assert not found


# A text that says what was got says first what must hold: `x must be in [a, b], got y`.
OLD_FORMS = re.compile(
    r"(?<![Tt]here )\b(?:is|are) no (?:\w|\{)|\bshould\b|\bexpected\b|\bdoes not divide\b"
    r"|\bis none of\b|\bNobody\b|^(?!.*\bmust\b).*\bgot \{"
)


def message(node: ast.expr) -> str:
    """The text of an expression, `{...}` where a value is put in; empty if it has none."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(message(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{...}"
    return message(node.left) + message(node.right) if isinstance(node, ast.BinOp) else ""


def raised(source: str) -> list[str]:
    """The texts of the errors that a module raises."""
    calls = (node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise))
    return [message(call.args[0]) for call in calls if isinstance(call, ast.Call) and call.args]


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("patch {p} does not divide size {s}: choose a divisor", True),
        ("album {a} is no number of frames: give 0 or more", True),
        ("{what} has no options, got {given}", True),
        ("steps is {steps}: expected 1, 2, 4 or 8", True),
        ("there is no file {path}", False),
        ("patch must divide size {s}, got {p}", False),
    ],
)
def test_an_old_form_is_told(text, old):
    found = raised(f"raise ValueError(f{text!r})")
    assert len(found) == 1
    assert bool(OLD_FORMS.search(found[0])) == old


def test_errors_say_what_must_hold():
    folders = ("worldsim", "models", "envs", "examples")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "play.py", ROOT / "train_world.py"]
    texts = [(path.relative_to(ROOT), text) for path in files for text in raised(path.read_text())]
    assert len(texts) > 300
    assert [f"{path}: {text}" for path, text in texts if OLD_FORMS.search(text)] == []
