"""A training in several processes, as a person starts it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def torchrun(*arguments: str, processes: int = 2, script: Path = ROOT / "train_world.py") -> None:
    """Run train_world.py with arguments, and see to it that it ends well."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(script), *arguments]
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=variables
    )
    assert done.returncode == 0, done.stderr[-8000:]
