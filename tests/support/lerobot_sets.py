"""Reads a set as LeRobot reads it: by the templates and features of info.json."""

import cv2
import numpy as np


def read_columns(parquet, root, info, number):
    """The columns of an episode by name; `parquet` is the module pyarrow.parquet."""
    path = info["data_path"].format(episode_chunk=0, episode_index=number)
    table = parquet.read_table(root / path)
    assert table.column_names == list(info["features"])
    return table.to_pydict()


def decode_pictures(columns):
    """The frames of an episode, uint8 `[H,W,3]` each."""
    return [
        cv2.imdecode(np.frombuffer(one["bytes"], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        for one in columns["observation.image"]
    ]
