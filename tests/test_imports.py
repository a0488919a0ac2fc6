"""The house's rules of who may import whom, read from the source without running it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("worldsim", "models", "envs")
SCRIPTS = ("play.py", "train_world.py")
# Whom a part may import; a lower floor never reaches up (it names what it needs by a string).
MAY_IMPORT = {
    "worldsim": {"worldsim"},
    "models": {"models", "worldsim"},
    "envs": {"envs", "worldsim"},
    "play": {"play", "envs", "models", "worldsim"},
    "train_world": {"train_world", "envs", "models", "worldsim"},
}
OURS = set(MAY_IMPORT)
# Heavy or delicate packages, each behind one door.
ONLY_IN = {
    "pygame": ("worldsim/runtime/window/screen.py", "worldsim/runtime/window/gamepad.py"),
    "mujoco": ("envs/maze/",),
    "labmaze": ("envs/maze/",),
    "diffusers": ("models/codec/dcae.py",),
}
SOURCES = sorted(
    [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    + [ROOT / script for script in SCRIPTS if (ROOT / script).exists()]
)


def ids(path):
    return str(path.relative_to(ROOT))


def imports(path):
    """The full names a file imports anywhere, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{ids(path)}:{node.lineno}: a relative import"
            yield node.module


def top(name):
    return name.partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_imports_run_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    reached = {top(name) for name in imports(path)} & OURS
    assert reached <= MAY_IMPORT[part]


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_delicate_packages_stay_behind_their_door(path):
    for name in imports(path):
        doors = ONLY_IN.get(top(name))
        assert doors is None or ids(path).startswith(doors), f"{name} outside {doors}"


def test_onnxruntime_is_imported_in_one_place_at_most():
    assert len([path for path in SOURCES if "onnxruntime" in map(top, imports(path))]) <= 1


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_file_is_a_drawer_for_everything(path):
    assert path.stem not in ("utils", "util", "helpers", "misc", "common")
    assert "utils" not in path.parts


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_no_file_edits_the_import_path(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        is_path = isinstance(node, ast.Attribute) and node.attr == "path"
        assert not (is_path and isinstance(node.value, ast.Name) and node.value.id == "sys")


def loaded_by(statement):
    """The top-level modules a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*sorted({{n.partition('.')[0] for n in sys.modules}}))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(run.stdout.split())


def test_importing_the_library_is_light():
    """`import worldsim` registers the environments; an engine or torch would take seconds."""
    heavy = {"torch", "pygame", "mujoco", "labmaze", "cv2", "gymnasium", "numpy", "envs", "models"}
    assert not loaded_by("import worldsim") & heavy


@pytest.mark.parametrize("order", ["worldsim, gymnasium", "gymnasium, worldsim"])
def test_the_environments_are_registered_in_either_order(order):
    check = "assert {'Maze-v0', 'FARDMLab-v0'} <= set(gymnasium.registry)"
    loaded = loaded_by(f"import {order}\n{check}")
    assert not loaded & {"torch", "pygame", "envs", "models"}


def test_looking_for_gymnasium_is_not_importing_it():
    """Libraries ask whether a package is there; the registration must survive the question."""
    looking = "import worldsim, importlib.util\nimportlib.util.find_spec('gymnasium')\n"
    loaded_by(looking + "import gymnasium\nassert 'Maze-v0' in gymnasium.registry")
    loaded_by(looking + "import gymnasium\nassert 'Registering' not in repr(gymnasium.__loader__)")


@pytest.mark.parametrize("name", ["models", "envs"])
def test_a_stray_package_of_our_name_is_noticed(name, tmp_path):
    """`models` and `envs` are common names; the wrong one gives baffling errors much later."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.path.append({str(ROOT)!r})\n"
        "from worldsim.cli import main; raise SystemExit(main(['doctor']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode != 0
    assert f"the package '{name}' is {tmp_path / name} and not ours" in run.stdout + run.stderr
    assert "Traceback" not in run.stderr


def test_the_names_are_ours_here():
    from worldsim.import_check import check_names

    check_names()
