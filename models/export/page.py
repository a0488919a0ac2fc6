"""From a world to a folder of static files: a page that plays the world in a browser by ONNX
Runtime Web. The page's own files lie in assets/browser; ONNX Runtime Web comes from npm.
"""

import gzip
import json
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from models.export.command import load_exporter
from models.memory.sizes import CHANCE_DIGITS, COARSE, EMPTY, KEPT_NEWEST, LEAP, PLACES
from models.onnx_runtime.pipeline import PIPELINE, WEIGHTS, Pipeline
from models.onnx_runtime.world import OnnxWorld, load_world
from models.spatial.levels import LevelSpan
from worldsim.paths import asset, asset_names
from worldsim.world.arrays import save_arrays
from worldsim.world.base import world_folder
from worldsim.world.description import describe_screen

VERSION = 5  # of page.json, which assets/browser/world.js reads
ONNX_RUNTIME_WEB = "1.30.0"  # which the page was tested with
PARTS = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
WEBGPU_BUILD = "ort-wasm-simd-threaded.asyncify"
WEBGPU_PARTS = ("ort.webgpu.min.mjs", f"{WEBGPU_BUILD}.mjs", f"{WEBGPU_BUILD}.wasm")
NOT_OPENED = ("read_depth", "compare")  # graphs of true frames, which a page takes in no more
NOT_READ = ("bank.true", "seen", "latents")  # of a start, by the page


def build_page(
    name: str | Path,
    out: Path,
    precision: str,
    starts: int,
    library: Path,
    tell: Callable[[str], None] = print,
    webgpu: bool = False,
) -> None:
    """Write the folder, whole or not at all.

    Args:
        name: of a bundled world, a world's folder, or one that `worldsim export` wrote.
        out: a folder that is not there yet, or is empty.
        precision: how weights are stored, where the world is exported for it.
        starts: how many of the world's starts can be chosen at most.
        library: the folder of npm's package onnxruntime-web.
        tell: is told what is done.
        webgpu: whether the larger build of ONNX Runtime Web, which knows WebGPU, lies there too.

    Raises:
        WorldError: no such world, or one that cannot be exported.
        ValueError: there is something in `out`, or no such package in `library`.
        ImportError: the world has to be exported, and what writes graphs is not installed.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: give a folder that is not there yet")
    files = find_library(library, PARTS + WEBGPU_PARTS if webgpu else PARTS)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".page-") as scratch:
        exported, site = Path(scratch) / "world", Path(scratch) / "site"
        if (world_folder(name) / PIPELINE).is_file():
            exported = world_folder(name)
        else:
            load_exporter()(name, exported, precision, tell)
        _copy_files(exported, files, site)
        world = load_world(exported)
        written = _write_starts(world, site, starts, tell)
        facts = describe_world(world) | {"starts": written, "files": pack_files(site)}
        (site / "page.json").write_text(json.dumps(facts) + "\n")
        if out.exists():
            out.rmdir()
        site.rename(out)


def find_library(folder: Path, parts: tuple[str, ...] = PARTS) -> list[Path]:
    """The files of ONNX Runtime Web that a page needs.

    Raises:
        ValueError: they are not in `folder`.
    """
    files = [folder / "dist" / part for part in parts]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise ValueError(
            f"there is no {missing[0]}: run `npm install onnxruntime-web@{ONNX_RUNTIME_WEB}` here, "
            f"or give the package's folder by --library"
        )
    return files


def pack_files(site: Path) -> dict[str, dict[str, Any]]:
    """Compress what the page fetches and can unpack by itself, on any host; what page.json says of
    each such file: its size, its checksum, and whether it lies there as NAME.gz.
    """
    wasm = site / "ort" / PARTS[-1]
    found = (*sorted(site.glob("*.onnx")), *sorted(site.glob("*.safetensors")), wasm)
    return {
        path.relative_to(site).as_posix(): _pack_file(path) for path in (site / WEIGHTS, *found)
    }


def _pack_file(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content, mtime=0))
    path.unlink()
    return {"bytes": len(content), "crc32": zlib.crc32(content), "packed": True}


def _copy_files(exported: Path, library: list[Path], site: Path) -> None:
    (site / "ort").mkdir(parents=True)
    for path in library:
        shutil.copyfile(path, site / "ort" / path.name)
    ours = [asset("browser", name) for name in asset_names("browser")]
    for path in (*ours, exported / WEIGHTS, *_played_graphs(exported)):
        shutil.copyfile(path, site / path.name)


def _played_graphs(exported: Path) -> list[Path]:
    return [path for path in exported.glob("*.onnx") if path.stem not in NOT_OPENED]


def _write_starts(
    world: OnnxWorld, site: Path, most: int, tell: Callable[[str], None]
) -> list[dict[str, str]]:
    """Write what dreams remember after the contexts of starts, so that a page need not take them
    in; names and files.
    """
    told = []
    for number, spawn in enumerate(world.spawns[:most]):
        tell(f"taking in {spawn.name}")
        state = world.reset(spawn.frames[None], spawn.actions[None], [0])
        file = f"start{number}.safetensors"
        save_arrays(site / file, trim_memory(state.carry.tensors()), {})
        told.append({"name": spawn.name, "file": file})
    return told


def trim_memory(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a page reads of a dream's memory: of the bank, the slots in use."""
    used = int((arrays["bank.ids"][0] != EMPTY).sum())
    return {
        name: part[:, :used] if name.startswith("bank.") else part
        for name, part in arrays.items()
        if name not in NOT_READ
    }


def describe_world(world: OnnxWorld) -> dict[str, Any]:
    """What a page has to know of a world, starts aside."""
    dynamics, card, pipeline = world.dynamics, world.card, world.dynamics.pipeline
    sampler = dynamics.sampler
    return {
        "version": VERSION,
        "identity": world.hash,
        **describe_screen(world),
        "steps": card.steps,
        "sampler": {
            "little": sampler.little,
            "some": sampler.some,
            "most": sampler.most,
            "order": sampler.order,
        },
        "stood": {
            "places": PLACES,
            "apart": dynamics.radius / 2,
            "longest": LEAP * pipeline.full_step,
        },
        "motion": {"digits": CHANCE_DIGITS, "least": dynamics.least},
        "sources": dynamics.memory.sources,
        "dilation": dynamics.memory.dilation,
        "spans": {name: _describe_span(span) for name, span in dynamics.spans.items()},
        "weights": WEIGHTS,
        **_describe_pipeline(pipeline, dynamics.memory.slots),
    }


def _describe_span(span: LevelSpan) -> dict[str, int]:
    start = {"slot": span.slots.start, "frame": span.frames.start}
    return start | {"count": span.count, "tokens": span.tokens}


def _describe_pipeline(pipeline: Pipeline, slots: int) -> dict[str, Any]:
    """Graphs, schedules, and the sizes that follow from what goes into graphs."""
    taken = {name: graph.inputs for name, graph in pipeline.graphs.items()}
    frame, depth = taken["encode"]["frame"].shape, taken["finish"]["known_depth"].shape
    sizes = {"slots": slots, "cells": COARSE * COARSE, "newest": KEPT_NEWEST}
    sizes |= {"pixels": frame[1] * frame[2], "depths": depth[1] * depth[2]}
    told = asdict(pipeline)
    told["graphs"] = {k: graph for k, graph in told["graphs"].items() if k not in NOT_OPENED}
    return {
        "sizes": sizes,
        "latents": int(np.prod(taken["denoise"]["noisy"].shape)),
        "cache_shape": taken["denoise"]["k"].shape,
        **{name: told[name] for name in ("latent_limit", "least_new", "schedules", "graphs")},
    }
