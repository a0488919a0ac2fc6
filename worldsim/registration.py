"""Our Gymnasium ids, known to Gymnasium whichever of the two packages is imported first.

Gymnasium takes a third of a second to import and finds no plug-ins by itself. So that
`worldsim --help` is instant, `import worldsim` does not import it, but waits for it: the ids are
registered the moment somebody does.
"""

import importlib.util
import sys
from collections.abc import Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from worldsim.paths import asset
from worldsim.reading import check_text

DREAM = "FARDMLab-v0"  # the id to make a dream of any world by
ENVIRONMENTS = {
    "Maze-v0": ("envs.maze.engine:MazeEnv", {}),
    "Voxel-v0": ("envs.voxel.engine:VoxelEnv", {}),
    "Paired-v0": ("worldsim.paired:PairedEnv", {}),
    DREAM: ("envs.world_model:WorldModelEnv", {"world": "dmlab"}),
    "FARMinecraft-v0": ("envs.world_model:WorldModelEnv", {"world": "minecraft"}),
}
# What makes many of an entry point's environments in one batch.
VECTORS = {"envs.world_model:WorldModelEnv": "envs.vector:DreamVectorEnv"}


def environments() -> dict[str, tuple[str, dict[str, Any]]]:
    """Entry point and arguments by id; a world that is not bundled has no id."""
    return {
        name: made
        for name, made in ENVIRONMENTS.items()
        if name == DREAM
        or "world" not in made[1]
        or asset("worlds", made[1]["world"], "card.json").is_file()
    }


# What a file may say about how its environment is made: numbers and names, no window, no wrapper.
ARGUMENTS = {"world", "steps", "device", "runtime", "context_noise", "uncertainty", "context"}
ARGUMENTS |= {"size", "biome", "continuous"}
MOST_TEXT = 4096
TEXTS = {"world", "device", "runtime", "biome"}


def make_named(name: object, source: str, kwargs: Mapping[str, Any] | None = None) -> Any:
    """The environment that a file names. A file's data chooses among our ids and runs no code:
    Gymnasium would import a module for `module:Id-v0`, and knows other packages' ids.

    Args:
        name: what the file says.
        source: what names it, for the error, e.g. "the card of dmlab".
        kwargs: the environment's arguments that the file says, or the caller chose.

    Raises:
        ValueError: it is none of our ids, or an argument that a file must not choose.
    """
    import gymnasium

    check_environment(name, source)
    given = dict(kwargs or {})
    strange = [key for key in given if key not in ARGUMENTS]
    if strange:
        raise ValueError(
            f"{source} gives {name} the argument {str(strange[0])[:40]!r}: "
            f"it must be one of {', '.join(sorted(ARGUMENTS))}"
        )
    for key in TEXTS & set(given):
        if given[key] is not None:
            check_text(given[key], f"the {key} that {source} names", MOST_TEXT)
    register_environments()
    try:
        return gymnasium.make(name, disable_env_checker=True, **given)
    except TypeError as error:
        raise ValueError(f"{source}: {name} can't be made with {given} ({error})") from error


def check_environment(name: object, source: str) -> str:
    """The name, if it is one of our ids.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(name, str) or name not in environments():
        shown = f"{name!r:.60}" if name else "none"
        raise ValueError(
            f"{source} names the environment {shown}: it must be one of {', '.join(environments())}"
        )
    return name


def list_bundled_dreams() -> dict[str, str]:
    """The worlds that are bundled, by the id of their environment."""
    made = environments().items()
    return {name: kwargs["world"] for name, (_, kwargs) in made if "world" in kwargs}


def register_environments() -> None:
    """Register every id that Gymnasium does not know yet."""
    import gymnasium

    for name, (entry_point, kwargs) in environments().items():
        if name not in gymnasium.registry:
            together = VECTORS.get(entry_point)
            gymnasium.register(
                name, entry_point=entry_point, vector_entry_point=together, kwargs=kwargs
            )


def register_with_gymnasium() -> None:
    """Register now if Gymnasium is imported, else as soon as it is."""
    if "gymnasium" in sys.modules:
        register_environments()
    elif not any(isinstance(finder, _GymnasiumFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _GymnasiumFinder())


class _GymnasiumFinder(MetaPathFinder):
    """Finds Gymnasium as everyone does, and has its loader register our ids afterwards."""

    def __init__(self):
        self.asking_others = False

    def find_spec(self, fullname, path=None, target=None) -> ModuleSpec | None:
        if fullname != "gymnasium" or self.asking_others:
            return None
        self.asking_others = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self.asking_others = False
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(Loader):
    def __init__(self, loader: Loader):
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Resources and tracebacks ask a module for its own loader.
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        register_environments()
