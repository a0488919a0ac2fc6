"""The environments: engines and dreams, all behind the Gymnasium contract."""

import os
import sys

if sys.platform == "linux":
    # MuJoCo reads it once, when it is first imported, which TorchRL does before the maze
    os.environ.setdefault("MUJOCO_GL", "egl")
