"""Episodes as a data set in LeRobot's layout, version 2.1: `pip install 'worldsim[data]'`.

    meta/info.json              features, counts, path templates
    meta/tasks.jsonl            one task a line
    meta/episodes.jsonl         one episode a line
    meta/episodes_stats.jsonl   least, most, mean and deviation of every feature
    data/chunk-000/episode_000000.parquet

A row is what was seen, what was done then, and what came of it: T rows of T actions, so the last
frame of an episode is left out. Pictures are PNGs inside the rows, lossless. LeRobot itself is not
needed (its wheels want another torch); its own converter turns 2.1 into 3.0.
"""

import json
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from worldsim.actions import load_actions
from worldsim.controls import fill_controls
from worldsim.types import Episode

VERSION, CHUNK = "v2.1", 1000
DATA = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
PICTURE, STATE = "observation.image", "observation.state"
CONTROL = "action.control"  # turn in degrees and stride, beside the nearest action's id


def export(folder: Path, episodes: Iterable[Episode], task: str) -> int:
    """Write a data set; the folder appears whole or not at all.

    Args:
        folder: must not exist.
        episodes: of one frame size, action set and pace; all with poses, or all without;
            the same for continuous actions.
        task: what was to be done, in words; every row names it.

    Returns:
        The number of episodes.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: no episodes, ones that do not fit together, or the folder is there.
        OSError: it cannot be written.
    """
    _import_pyarrow()
    if folder.exists():
        raise ValueError(f"{folder} exists already: name a new folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as scratch:
        whole = Path(scratch) / "dataset"
        count = _write_all(whole, episodes, task)
        whole.replace(folder)
    return count


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(
            f"exporting to LeRobot needs pyarrow ({error}): pip install 'worldsim[data]'",
            name=error.name,
        ) from error


def _write_all(folder: Path, episodes: Iterable[Episode], task: str) -> int:
    (folder / "meta").mkdir(parents=True)
    features: dict[str, dict[str, Any]] = {}
    kind: dict[str, Any] = {}
    rows, listed, stats = 0, [], []
    for number, episode in enumerate(episodes):
        if not kind:
            kind, features = _describe_kind(episode), make_features(episode)
        if _describe_kind(episode) != kind:
            raise ValueError(
                f"episodes must be alike: the first is {kind}, number {number} is "
                f"{_describe_kind(episode)}."
            )
        columns = make_columns(episode, number, rows)
        _write_rows(folder / _name_file(number), columns, features)
        listed.append({"episode_index": number, "tasks": [task], "length": len(episode)})
        stats.append({"episode_index": number, "stats": summarise(columns, episode)})
        rows += len(episode)
    if not kind:
        raise ValueError("there are no episodes to export.")
    _write_lines(folder / "meta/tasks.jsonl", [{"task_index": 0, "task": task}])
    _write_lines(folder / "meta/episodes.jsonl", listed)
    _write_lines(folder / "meta/episodes_stats.jsonl", stats)
    info = _make_info(features, len(listed), rows, kind["fps"])
    (folder / "meta/info.json").write_text(json.dumps(info, indent=4), encoding="utf-8")
    return len(listed)


def _describe_kind(episode: Episode) -> dict[str, Any]:
    return {
        "frames": list(episode.frames.shape[1:]),
        "action_set": episode.meta.action_set,
        "fps": episode.meta.fps,
        "poses": episode.poses is not None,
        "controls": episode.controls is not None,
    }


def _name_file(number: int) -> str:
    return DATA.format(episode_chunk=number // CHUNK, episode_index=number)


def make_features(episode: Episode) -> dict[str, dict[str, Any]]:
    """What info.json says of every column."""
    names = list(load_actions(episode.meta.action_set).names)
    shape = list(episode.frames.shape[1:])
    features = {PICTURE: _feature("image", shape, ["height", "width", "channels"])}
    if episode.poses is not None:
        features[STATE] = _feature("float32", [3], ["x", "y", "heading"])
    features["action"] = _feature("int64", [1], None) | {"actions": names}
    if episode.controls is not None:
        features[CONTROL] = _feature("float32", [2], ["turn", "stride"])
    features["next.reward"] = _feature("float32", [1], None)
    features["next.done"] = _feature("bool", [1], None)
    features["timestamp"] = _feature("float32", [1], None)
    for name in ("frame_index", "episode_index", "index", "task_index"):
        features[name] = _feature("int64", [1], None)
    return features


def _feature(dtype: str, shape: list[int], names: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": names}


def make_columns(episode: Episode, number: int, first: int) -> dict[str, np.ndarray]:
    """The numbers of an episode's rows, all but the pictures; `[T]` or `[T,3]`.

    Args:
        episode: T actions.
        number: which episode of the set it is.
        first: rows of the set before it.
    """
    count = len(episode)
    steps, done = np.arange(count), np.zeros(count, bool)
    done[-1:] = episode.meta.terminated
    columns: dict[str, np.ndarray] = {PICTURE: episode.frames[:-1]}
    if episode.poses is not None:
        columns[STATE] = episode.poses[:-1]
    columns["action"] = episode.actions
    if episode.controls is not None:
        actions = load_actions(episode.meta.action_set)
        columns[CONTROL] = fill_controls(episode.actions, episode.controls, actions)
    return columns | {
        "next.reward": episode.rewards,
        "next.done": done,
        "timestamp": (steps / episode.meta.fps).astype(np.float32),
        "frame_index": steps,
        "episode_index": np.full(count, number),
        "index": first + steps,
        "task_index": np.zeros(count, np.int64),
    }


def _write_rows(path: Path, columns: dict[str, np.ndarray], features: dict) -> None:
    arrow, parquet = _import_pyarrow()
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: _to_arrow(arrow, name, values) for name, values in columns.items()}
    table = arrow.table(arrays)
    # What the library `datasets` reads the types from.
    described = {name: _describe_type(one) for name, one in features.items()}
    told = {"huggingface": json.dumps({"info": {"features": described}})}
    parquet.write_table(table.replace_schema_metadata(told), path)


def _to_arrow(arrow: Any, name: str, values: np.ndarray) -> Any:
    if name == PICTURE:
        shown = [{"bytes": _encode_png(frame), "path": None} for frame in values]
        return arrow.array(
            shown, type=arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
        )
    if values.ndim == 2:
        return arrow.FixedSizeListArray.from_arrays(arrow.array(values.ravel()), values.shape[1])
    return arrow.array(values)


def _encode_png(frame: np.ndarray) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))[1].tobytes()


def _describe_type(feature: dict[str, Any]) -> dict[str, Any]:
    if feature["dtype"] == "image":
        return {"_type": "Image"}
    value = {"dtype": feature["dtype"], "_type": "Value"}
    if feature["shape"] == [1]:
        return value
    return {"feature": value, "length": feature["shape"][0], "_type": "Sequence"}


def summarise(columns: dict[str, np.ndarray], episode: Episode) -> dict[str, dict[str, list]]:
    """Statistics of an episode's columns; of pictures by channel `[3,1,1]`, from 0 to 1."""
    stats = {name: _summarise_column(values) for name, values in columns.items() if name != PICTURE}
    pixels = columns[PICTURE].reshape(-1, 3) / 255
    picture = _summarise_column(pixels)
    stats[PICTURE] = {name: [[[one]] for one in values] for name, values in picture.items()}
    stats[PICTURE]["count"] = [len(episode)]
    return stats


def _summarise_column(values: np.ndarray) -> dict[str, list]:
    table = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": table.min(0), "max": table.max(0), "mean": table.mean(0), "std": table.std(0)}
    return {name: value.tolist() for name, value in found.items()} | {"count": [len(values)]}


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _make_info(features: dict, episodes: int, rows: int, fps: float) -> dict[str, Any]:
    return {
        "codebase_version": VERSION,
        "robot_type": "worldsim",
        "total_episodes": episodes,
        "total_frames": rows,
        "total_tasks": 1,
        "total_videos": 0,
        "total_chunks": -(-episodes // CHUNK),
        "chunks_size": CHUNK,
        "fps": fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": None,
        "features": features,
    }
