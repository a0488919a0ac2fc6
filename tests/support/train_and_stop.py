"""train_world.py, stopped before a step: what it leaves is its checkpoint of that step.

python tests/support/train_and_stop.py STEP CONFIG [OPTION ...]
"""

import sys

from models.training.loop import Run
from train_world import main


def stop_before(step: int) -> None:
    """Make every run save and end when it comes to a step."""
    go_on = Run.one_step

    def one_step(run: Run) -> dict:
        if run.step == step:
            run.save()
            run.close()
            sys.exit(0)
        return go_on(run)

    Run.one_step = one_step


if __name__ == "__main__":
    stop_before(int(sys.argv[1]))
    raise SystemExit(main(sys.argv[2:]))
