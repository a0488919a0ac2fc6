"""Episodes as a Minari data set, which offline learners read. Needs `pip install 'worldsim[data]'`.

Frames are kept losslessly, in HDF5; poses are `infos["pose"]`, turns and strides of episodes with
continuous actions `infos["control"]` (actions are the nearest ids), and `recover_environment()`
makes the environment that the episodes came from. Minari puts the set below MINARI_DATASETS_PATH,
or ~/.minari.
"""

import copy
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from worldsim.actions import load_actions
from worldsim.controls import fill_controls
from worldsim.types import Episode


def check_minari(name: str) -> None:
    """Refuse at once what `export` would refuse at the end.

    Raises:
        ImportError: Minari is not installed.
        ValueError: the name is no id of Minari's, or is taken.
    """
    minari, _ = _import_libraries()
    try:
        parsed = import_module("minari.dataset.minari_dataset").parse_dataset_id(name)
        taken = name in minari.list_local_datasets()
    except (ValueError, AssertionError) as error:
        raise ValueError(f"Minari refuses {name!r:.80}: {error}") from error
    if parsed[-1] is None or taken:
        why = "it already exists" if taken else "give a version, as in dmlab/random-v0"
        raise ValueError(f"Minari refuses {name!r:.80}: {why}")


def _import_libraries() -> tuple[Any, Any]:
    """Minari, and its module of buffers."""
    try:
        import_module("h5py")
        return import_module("minari"), import_module("minari.data_collector.episode_buffer")
    except ImportError as error:
        raise ImportError(
            f"exporting to Minari needs it ({error}): pip install 'worldsim[data]'",
            name=error.name,
        ) from error


def export(
    name: str,
    episodes: Sequence[Episode],
    actions: int,
    environment: tuple[str, dict[str, Any]] | None = None,
) -> Any:
    """Write episodes as a new data set.

    Args:
        name: Minari's id of the set, e.g. "dmlab/random-v0".
        episodes: of one world and frame size, each at least one action long.
        actions: how many actions the world has.
        environment: the Gymnasium id and arguments that made them; None where none is known.

    Returns:
        The minari.MinariDataset.

    Raises:
        ImportError: Minari is not installed.
        ValueError: no episodes, or a name that is no id or is taken.
    """
    import gymnasium

    minari, buffers = _import_libraries()
    if not episodes:
        raise ValueError("there are no episodes to export.")
    spec = None
    if environment is not None:
        import worldsim  # noqa: F401  registers the environments

        spec = copy.deepcopy(gymnasium.spec(environment[0]))
        spec.kwargs.update(environment[1])
    try:
        return minari.create_dataset_from_buffers(
            name,
            [
                _make_buffer(buffers.EpisodeBuffer, number, one)
                for number, one in enumerate(episodes)
            ],
            env=spec,
            observation_space=gymnasium.spaces.Box(0, 255, episodes[0].frames.shape[1:], np.uint8),
            action_space=gymnasium.spaces.Discrete(actions),
            algorithm_name=str(episodes[0].meta.extra.get("policy", "unknown")),
            description=f"{episodes[0].meta.source} by worldsim",
            data_format="hdf5",
            jpeg_encoding=False,  # it would change the pixels
        )
    except (ValueError, AssertionError) as error:
        raise ValueError(f"Minari refuses {name!r}: {error}") from error


def _make_buffer(kind: type, number: int, episode: Episode) -> Any:
    infos = {} if episode.poses is None else {"pose": list(episode.poses)}
    if episode.controls is not None:  # beside the frame that each led to; to the first led none
        actions = load_actions(episode.meta.action_set)
        told = fill_controls(episode.actions, episode.controls, actions)
        infos["control"] = [np.full(2, np.nan, np.float32), *told]
    last = np.arange(len(episode)) == len(episode) - 1
    ended = last & episode.meta.terminated  # where a recording merely stops, the world goes on
    return kind(
        id=number,
        seed=episode.meta.seed,
        observations=list(episode.frames),
        actions=list(episode.actions),
        rewards=[float(reward) for reward in episode.rewards],
        terminations=ended.tolist(),
        truncations=(last & ~ended).tolist(),
        infos=infos or None,
    )
