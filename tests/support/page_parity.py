"""How alike the dreams of a page and of Python are, and how fast the page is: a long walk in a
headless Chromium beside ONNX Runtime in Python, of one exported world.

    python -m tests.support.page_parity exported/dmlab --frames 200
    python -m tests.support.page_parity exported/dmlab --frames 4 --provider webgpu

Apart: both begin alike and go on by themselves. Together: every few frames the page is given what
Python remembers, so that the error of a single frame is seen. Prints a table and JSON. WebGPU is
Chromium's adapter in software (SwiftShader): its frames say something, its speed nothing.
"""

import argparse
import base64
import json
import tempfile
from pathlib import Path

import numpy as np

from models.export.compare import compare_frames, draw_moves
from models.export.page import build_page, trim_memory
from models.onnx_runtime.world import load_world
from tests.support.devtools import NO_GPU, SOFTWARE_WEBGPU, open_browser, serve
from worldsim.evaluate.table import grid
from worldsim.world.arrays import save_arrays

LIBRARY = Path("node_modules/onnxruntime-web")
SEED = 5
WARM_UP = 5  # frames that do not count
EVERY = 10  # frames between two at which the page is given Python's memory

OPEN = """(async () => {
  const { openWorld } = await import("./world.js");
  const { Dream } = await import("./dream.js");
  const { readArrays } = await import("./arrays.js");
  const { readFile } = await import("./files.js");
  const base = new URL("./", location.href);
  const world = await openWorld(base, () => {}, %s, %d);
  const write = (frame) => {
    let text = "";
    for (let i = 0; i < frame.length; i += 8192) {
      text += String.fromCharCode(...frame.subarray(i, i + 8192));
    }
    return btoa(text);
  };
  const step = async (dream, move) => {
    const begun = performance.now();
    const frame = await dream.step(move);
    return { frame: write(frame), ms: performance.now() - begun };
  };
  window.dream = await world.begin(0, %d);
  window.walk = (move) => step(window.dream, move);
  window.jump = async (moves, move) => {
    const arrays = readArrays(await readFile(base, "given.safetensors"));
    return step(new Dream(world.facts, world.graphs, arrays, { start: 0, seed: %d, moves }), move);
  };
})()"""


def main(argv=None):
    """The command."""
    args = parse(argv)
    with tempfile.TemporaryDirectory(prefix="worldsim-page-") as scratch:
        site = Path(scratch) / "site"
        webgpu = args.provider == "webgpu"
        build_page(args.exported, site, "float32", 1, LIBRARY, lambda _: None, webgpu)
        world, moves = load_world(args.exported), []
        graphics = SOFTWARE_WEBGPU if webgpu else NO_GPU
        profile = Path(scratch) / "profile"
        with serve(site) as address, open_browser(profile, graphics) as tab:
            # The first visit leaves the service worker there, without which there are no threads.
            tab.open(f"{address}/?threads={args.threads}")
            tab.wait_for("['ready', 'failed'].includes(document.body?.dataset.state)")
            tab.evaluate(OPEN % (json.dumps(args.provider), args.threads, SEED, SEED))
            moves = draw_moves(len(world.actions), args.frames)
            report = walk(world, tab, site, moves)
    report |= {"world": world.card.name, "threads": args.threads, "provider": args.provider}
    print("\n".join(write_lines(report)))
    print(json.dumps(report))
    return 0


def parse(argv):
    """The command line as options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("exported", type=Path, help="a folder that `worldsim export` wrote")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--provider", choices=("wasm", "webgpu"), default="wasm")
    return parser.parse_args(argv)


def walk(world, tab, site, moves):
    """Frames of both, compared, and milliseconds of the page's, of the clock and of processors."""
    spawn, size = world.spawns[0], world.card.frame_size
    state = world.reset(spawn.frames[None], spawn.actions[None], [SEED])
    frames = {name: [] for name in ("python", "page", "together", "beside")}
    spent = []

    def read(told):
        frame = np.frombuffer(base64.b64decode(told["frame"]), np.uint8)
        return frame.reshape(size, size, 3)

    for number, move in enumerate(moves):
        if number % EVERY == 0:
            save_arrays(site / "given.safetensors", trim_memory(state.carry.tensors()), {})
            told = tab.evaluate(f"jump({json.dumps(moves[:number])}, {move})")
            frames["together"].append(read(told))
        state, made = world.step(state, [move])
        frames["python"].append(made[0])
        if number % EVERY == 0:
            frames["beside"].append(made[0])
        begun = tab.cpu_seconds()
        told = tab.evaluate(f"walk({move})")
        frames["page"].append(read(told))
        spent.append((told["ms"], 1000 * (tab.cpu_seconds() - begun)))
    made = {name: np.stack(part) for name, part in frames.items()}
    waited, worked = np.array(spent[min(WARM_UP, len(spent) - 1) :]).T
    return {
        "speed": {
            "p50_ms": round(float(np.median(waited)), 1),
            "cpu_ms": round(float(worked.mean()), 1),
        },
        "apart": compare_frames(made["page"], made["python"]),
        "together": compare_frames(made["together"], made["beside"]),
    }


def write_lines(report):
    """The report as a table."""
    rows = []
    for name in ("together", "apart"):
        found = report[name]
        rows.append([name, found["within_1"]["worst"], found["within_2"]["worst"]])
        rows[-1] += [found["mean_error"], json.dumps(found["error"])]
    head = ["frames", "within 1", "within 2", "mean", "by frame"]
    return [f"{report['world']}: {report['speed']}", *grid(head, rows)]


if __name__ == "__main__":
    raise SystemExit(main())
