"""How a world is opened: a first picture at once, the world itself in stages.

Stages run on the session's thread, one a tick, while the window shows the picture and the progress.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from worldsim.actions import ActionSet, load_actions
from worldsim.data.store import read_episode
from worldsim.paths import asset
from worldsim.registration import DREAM
from worldsim.runtime.core.bindings import Bindings
from worldsim.runtime.core.loading_stage import LoadingStage
from worldsim.runtime.core.moves import Move, Start
from worldsim.runtime.core.playable_env import PlayableEnv, choose_spawn
from worldsim.told import tell
from worldsim.world.card import read_card
from worldsim.world.opening import choose_device, library_of
from worldsim.zoo import find_cached

SIZE = (64, 64)
AUTO = "auto"  # the device is chosen once the runtime is there


class WorldLoader:
    """Opens an environment by its Gymnasium id.

    Args:
        environment: the id.
        kwargs: for `gymnasium.make`, JSON values only.
        title: what to call the world.
        actions: its action table, where it is known before the world is loaded.
        preview: uint8 `[H,W,3]`, the first picture, where it is known before.
        libraries: modules that take long to import.
        bindings: the player's keys.

    Attributes:
        file: a picture, a clip or an episode to begin with, instead of the seed's start.
        fit: how its pictures are fitted, "crop" or "letterbox".
        settle: whether the number of threads that is fastest here is found on the way.
        device_choice: which device was chosen and why, where "auto" was asked for.
        place: the opened environment, after the last stage.
    """

    def __init__(
        self,
        environment: str,
        kwargs: dict[str, Any] | None = None,
        *,
        title: str = "",
        actions: ActionSet | None = None,
        preview: np.ndarray | None = None,
        libraries: tuple[str, ...] = (),
        bindings: Bindings | None = None,
    ) -> None:
        self.bindings = bindings or Bindings()
        self.environment = environment
        self.kwargs = kwargs or {}
        self.title = title or environment
        self.actions = None if actions is None else self.bindings.of(actions)
        self.preview = preview
        self.libraries = ("worldsim", *libraries)  # importing worldsim registers the ids
        self.place: PlayableEnv | None = None
        self.file: Path | None = None
        self._from_file: tuple[Start, str] | None = None
        self.fit = "crop"
        self.settle = False
        self.device_choice = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, or a guess while they are not known."""
        return SIZE if self.preview is None else self.preview.shape[1::-1]

    def first_start(self, seed: int, spawn: int | None) -> tuple[Start, str]:
        """Where play begins once the place is open, and what there is to say about it.

        Raises:
            ValueError: no such spawn, or a file that nothing can start from.
        """
        if self.file is None:
            return self.place.start(seed, spawn), ""
        if self._from_file is None:
            from worldsim.runtime.recording.start_from_file import start_from

            self._from_file = start_from(self.file, self.place, seed, self.fit)
        return self._from_file

    def stages(self, seed: int, spawn: int | None) -> Iterator[LoadingStage]:
        """Open it, one piece an item; a stage is named before it is done.

        Args:
            seed: of the first start, which the world is warmed up with.
            spawn: of the first start; None lets the seed choose.
        """
        yield LoadingStage(tell("loading the libraries"), 0.1)
        for name in self.libraries:
            importlib.import_module(name)
        if self.kwargs.get("device") == AUTO:
            chosen = choose_device(self.kwargs.get("runtime", "torch"))
            self.kwargs["device"], self.device_choice = chosen
            yield LoadingStage(self.device_choice, 0.3)
        import gymnasium

        yield LoadingStage(tell("loading {title}", title=tell(self.title)), 0.4)
        env = gymnasium.make(self.environment, disable_env_checker=True, **self.kwargs)
        self.place = PlayableEnv(env, self.environment, self.kwargs)
        self.actions = self.place.actions = self.bindings.of(self.place.actions)
        yield LoadingStage(tell("going to the start"), 0.6)
        self.place.reset(self.first_start(seed, spawn)[0])
        yield LoadingStage(tell("making the first frames"), 0.8)
        self.place.step(Move(0, self.place.steps, self.place.noise))
        on_torch = self.kwargs.get("runtime", "torch") == "torch"
        if self.settle and on_torch and self.kwargs.get("device") == "cpu":
            from worldsim.threads import settle_threads

            yield LoadingStage(tell("finding the best number of threads"), 0.9)
            settle_threads(lambda: self.place.step(Move(0, self.place.steps, self.place.noise)))


class LoadedWorld(WorldLoader):
    """A place that is open already.

    Args:
        place: the place.
        bindings: the player's keys.
        title: what to call it; empty for the environment's id.
    """

    def __init__(
        self, place: PlayableEnv, bindings: Bindings | None = None, title: str = ""
    ) -> None:
        identity = place.identity
        super().__init__(identity.environment, identity.kwargs, title=title, bindings=bindings)
        self.place = place
        if bindings is not None:
            place.actions = bindings.of(place.actions)
        self.actions = place.actions

    def stages(self, seed: int, spawn: int | None) -> Iterator[LoadingStage]:
        """Nothing is left to do."""
        return iter(())


def open_engine(environment: str, bindings: Bindings | None = None) -> WorldLoader:
    """Opens an environment by its id; all it is like is known once it is open."""
    return WorldLoader(environment, bindings=bindings)


def open_world(
    world: str,
    seed: int,
    spawn: int | None = None,
    steps: int | None = None,
    device: str = "cpu",
    bindings: Bindings | None = None,
    context_noise: float | None = None,
    runtime: str = "torch",
) -> WorldLoader:
    """Opens a world that a network dreams.

    Its card and the start's last picture are read at once, the network in stages.

    Args:
        world: the name of a bundled or fetched world, or a world's folder.
        seed: chooses the start, as `PlayableEnv.start` does.
        spawn: the start, chosen by hand.
        steps: sampler steps a frame; None for the world's own number.
        device: where the network runs.
        bindings: the player's keys.
        context_noise: noise that frames are remembered with, 0 to below 1; None for the world's.
        runtime: what computes it, "torch" or "onnx".

    Raises:
        ValueError: its keys collide with the table of intents.
    """
    is_folder = (Path(world) / "card.json").is_file()
    kwargs = {"world": str(Path(world).resolve()) if is_folder else world}
    kwargs |= {"steps": steps, "device": device}
    if context_noise is not None:
        kwargs |= {"context_noise": context_noise}
    if runtime != "torch":  # which recordings need not say
        kwargs |= {"runtime": runtime}
    libraries = (library_of(runtime),)
    try:
        folder = Path(world) if is_folder else find_cached(world) or asset("worlds", world)
        card = read_card(folder / "card.json")
        actions, title = load_actions(card.action_set), card.title
        spawns = sorted((folder / "spawns").glob("[!.]*.npz"))
        number = choose_spawn(seed, len(spawns)) if spawn is None else spawn
        preview = read_episode(spawns[number]).frames[-1]
    except (OSError, ValueError, IndexError):
        # What is wrong with it is said by the loader, which looks at all of it.
        return WorldLoader(DREAM, kwargs, title=world, libraries=libraries, bindings=bindings)
    return WorldLoader(
        DREAM,
        kwargs,
        title=title,
        actions=actions,
        preview=preview,
        libraries=libraries,
        bindings=bindings,
    )
