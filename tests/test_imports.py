"""The house's rules of who may import whom, read from the source without running it."""

import ast
import functools
import subprocess
import sys
import tomllib
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
# Folders from low to high: a file imports from its own folder and from those of lower floors.
# Folders of one floor do not know each other.
FLOORS = {
    "models": (
        ("nn",),
        ("codec",),
        ("memory", "far_published", "heads"),
        ("far", "spatial", "videoar"),
        ("videoar_spatial",),
        ("onnx_runtime", "build"),
        ("export",),
        ("zoo",),
        ("training",),
        ("own_video",),
    ),
    "worldsim/runtime": (
        ("core",),
        ("recording",),
        ("panels",),
        ("session",),
        ("window",),
        ("cli",),
    ),
}
OURS = set(MAY_IMPORT)
# Heavy or delicate packages, each behind one door.
ONLY_IN = {
    "pygame": ("worldsim/runtime/window/screen.py", "worldsim/runtime/window/gamepad.py"),
    "mujoco": ("envs/maze/",),
    "ray": ("worldsim/data/ray_crew.py",),
    "diffusers": ("models/codec/dcae.py",),
    "onnxruntime": ("models/onnx_runtime/devices.py", "worldsim/doctor.py"),
    "onnx": ("models/export/",),
    "aiohttp": ("worldsim/serve/", "worldsim/evaluate/bench/serve.py"),
}
SOURCES = sorted(
    [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    + [ROOT / script for script in SCRIPTS if (ROOT / script).exists()]
)


def ids(path):
    return str(path.relative_to(ROOT))


@functools.cache
def nodes(path):
    """Every node of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@functools.cache
def imports(path):
    """The full names a file imports anywhere, inside functions too."""
    names = []
    for node in nodes(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{ids(path)}:{node.lineno}: a relative import"
            names.append(node.module)
    return names


def top(name):
    return name.partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_imports_run_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    reached = {top(name) for name in imports(path)} & OURS
    assert reached <= MAY_IMPORT[part]


@functools.cache
def names_in(path):
    """Every name that a file defines or imports, anywhere in it."""
    names = set()
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_what_is_imported_from_our_files_is_there(path):
    """Imports inside functions fail late, in a command that nobody tried."""
    for node in nodes(path):
        if not isinstance(node, ast.ImportFrom) or top(node.module) not in OURS:
            continue
        source = ROOT / node.module.replace(".", "/")
        for alias in node.names:
            if source.is_dir():
                part = source / alias.name
                assert part.with_suffix(".py").is_file() or alias.name in names_in(
                    source / "__init__.py"
                )
            else:
                assert alias.name in names_in(source.with_suffix(".py")), f"line {node.lineno}"


def floors_below(place, folder):
    """The folders that a folder may import from, its own among them."""
    floors = FLOORS[place]
    own = next(number for number, floor in enumerate(floors) if folder in floor)
    return {folder, *(name for floor in floors[:own] for name in floor)}


@pytest.mark.parametrize("place", FLOORS)
def test_every_folder_has_its_floor(place):
    folders = {path.parent.name for path in (ROOT / place).glob("*/__init__.py")}
    assert folders <= {name for floor in FLOORS[place] for name in floor}


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_floors_import_downwards(path):
    for place in FLOORS:
        parts = path.relative_to(ROOT).parent.as_posix().removeprefix(place).strip("/").split("/")
        if not path.is_relative_to(ROOT / place) or not parts[0]:
            continue
        prefix = place.replace("/", ".") + "."
        reached = {
            n.removeprefix(prefix).partition(".")[0] for n in imports(path) if n.startswith(prefix)
        }
        assert reached <= floors_below(place, parts[0])


def test_every_package_is_shipped():
    """A folder that setuptools does not find is missing from what is installed."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = tool["packages"]["find"]["include"]
    assert patterns == [name for top in (*FOLDERS, "assets") for name in (top, f"{top}.*")]
    code = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    assert not [folder for folder in code if not (folder / "__init__.py").is_file()]


TESTS = sorted(path for path in (ROOT / "tests").rglob("test_*.py"))
# Tests of what is no single file or folder, or of what the project promises as a whole.
AT_LARGE = {
    "test_imports.py",
    "test_layout.py",
    "test_frozen.py",
    "test_readme.py",
    "test_play_in_window.py",
    "test_first_minute.py",
}


@pytest.mark.parametrize("path", TESTS, ids=ids)
def test_tests_lie_where_what_they_test_lies(path):
    """tests/models/far/test_loss.py tests models/far/loss.py, tests/envs/test_maze.py a folder."""
    inside = path.relative_to(ROOT / "tests")
    if inside.parts[0] == "contracts" or inside.name in AT_LARGE:
        return
    tested = ROOT / inside.parent / path.stem.removeprefix("test_")
    assert tested.is_dir() or list(tested.parent.glob(f"{tested.name}.*")), f"no {tested}"


@pytest.mark.parametrize("path", TESTS, ids=ids)
def test_no_test_imports_another(path):
    """What several tests share lies in tests/support."""
    for name in imports(path):
        assert not name.startswith("tests.") or name.startswith("tests.support")


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
    for node in nodes(path):
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
    heavy = {"torch", "pygame", "mujoco", "cv2", "gymnasium", "numpy", "envs", "models"}
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
