"""A process that starts a display and the engine, and never outlives whoever started it.

It ends both and removes their folder when its input closes: when the environment is closed, and
also when the interpreter ends, crashes or is killed. Should the keeper itself be killed, the kernel
ends its children. It runs by itself, on the standard library only::

    python -I -S keeper.py FOLDER DISPLAY-COMMAND ENGINE-COMMAND      (commands and variables: JSON)

It says one line of JSON when both run, `{"engine": PID}`, and one when either ends,
`{"ended": NAME}`.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY = 0.25  # seconds


def main(folder: str, display: str, engine: str) -> None:
    """Start both, wait for the end of anything, clean up."""
    parent = os.getppid()
    running = {}
    try:
        running["Xvfb"], number = start_display(json.loads(display))
        if not number:
            say(ended="Xvfb")
            return
        command, variables = json.loads(engine)
        running["minetest"] = start(command, {**variables, "DISPLAY": f":{number}"})
        say(engine=running["minetest"].pid)
        while os.getppid() == parent and not wait_for_input_end():
            ended = [name for name, process in running.items() if process.poll() is not None]
            if ended:
                say(ended=ended[0])
                break
    finally:
        for process in running.values():
            process.kill()  # reaches a process that is stopped too
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def start_display(command: list[str]) -> tuple[subprocess.Popen, str]:
    """Start Xvfb; its process and the number of the display, once it takes clients."""
    reading, writing = os.pipe()
    process = start([*command, "-displayfd", str(writing)], {}, pass_fds=[writing])
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return process, pipe.readline().strip()


def start(command: list[str], variables: dict[str, str], **options: object) -> subprocess.Popen:
    """Start a program that the kernel ends together with this process."""
    libc = ctypes.CDLL(None)  # not in the child, between fork and exec
    return subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        **options,
    )


def wait_for_input_end() -> bool:
    """Wait a moment for the input to end; nothing is ever written to it."""
    ready, _, _ = select.select([sys.stdin], [], [], _LOOK_EVERY)
    return bool(ready)


def say(**words: object) -> None:
    """Tell one fact; that nobody listens any more is noticed elsewhere."""
    try:
        print(json.dumps(words), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # through the finally
    main(*sys.argv[1:])
