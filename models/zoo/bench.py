"""`worldsim bench --reference-layout`: how fast published FAR-Long is played here, against slow
twins with the same weights, context, noise and outputs.

    worldsim bench --reference-layout
    worldsim bench --reference-layout --precision bfloat16 --layers 2 --context 40

Weights and context are random: neither changes how long a frame takes. Prints a table; the last
line is the same as JSON.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

TOLERANCE = 1e-4
WAYS = {
    "ours": "cached, as a world plays it",
    "uncached": "our own twin: everything anew for every sampler step",
    "published": "as the published implementation does it, with its cache",
    "published-uncached": "the same without its cache",
}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 1 where float32 outputs differ.

    Raises:
        ValueError: an option out of range.
    """
    args = parser().parse_args(argv)
    import torch

    with torch.inference_mode():
        report = heading(args) | {"runs": list(measured(args))}
    if args.decode:
        report["decode_ms"] = decode_ms(args)
    print("\n".join(lines(report)), flush=True)
    print(json.dumps(report, allow_nan=False))
    return int(any(run.get("agrees") is False for run in report["runs"]))


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(
        prog="worldsim bench --reference-layout",
        description="Measure published FAR-Long's layout against slow twins; last line JSON.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="ways:\n" + "\n".join(f"  {name:<20}{what}" for name, what in WAYS.items()),
    )
    add = top.add_argument
    add("--kind", default="far-b-long", help="a preset of the zoo, a long one (%(default)s)")
    add("--context", default="40,144", help="true frames given (%(default)s)")
    add("--precision", default="float32,bfloat16", help="what to compute in (%(default)s)")
    add("--ways", default=",".join(WAYS), help="what to measure (%(default)s)")
    add("--steps", type=int, default=4, help="sampler steps a frame (%(default)s)")
    add("--frames", type=int, default=4, help="made; the first does not count (%(default)s)")
    add(
        "--layers",
        type=int,
        help="fewer blocks than the preset has: quicker; the last one is cheaper",
    )
    add("--limit", type=float, default=900, help="skip what would take longer, s (%(default)s)")
    add("--decode", action="store_true", help="also the autoencoder's decoding of one frame")
    add("--device", default="cpu", help="cpu or cuda")
    return top


class Clip(NamedTuple):
    """What all ways are given: latents `[1,T,C,h,w]`, conditions `[1,T+F]`, noise `[F,1,C,h,w]`."""

    latents: Any
    conditions: Any
    noise: Any


class Timed(NamedTuple):
    """Frames `[F,C,h,w]` and how long each took: seconds of the clock, and of all processors."""

    made: Any
    wall: list[float]
    cpu: list[float]


def measured(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for every precision, context and way.

    Raises:
        ValueError: an option out of range.
    """
    import torch

    contexts, ways = _numbers(args.context), args.ways.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        raise ValueError(f"--ways must be among {', '.join(WAYS)}, got {unknown[0]!r}")
    if args.frames < 2 or args.steps < 1:
        raise ValueError(
            f"--frames must be >= 2 and --steps >= 1, got {args.frames} and {args.steps}"
        )
    for name in args.precision.split(","):
        if name not in ("float32", "bfloat16"):
            raise ValueError(f"--precision must be float32 or bfloat16, got {name!r}")
        network = random_network(args)
        if min(contexts) <= network.cfg.window:
            raise ValueError(
                f"--context must be > {network.cfg.window} (the window's frames), "
                f"got {min(contexts)}"
            )
        network.to(args.device)
        for weight in network.parameters():
            weight.data = weight.data.to(getattr(torch, name))
        speed = operations_a_second(getattr(torch, name), args.device)
        for context in contexts:
            yield from _compare(args, network, name, context, ways, speed)


def _compare(args, network, precision, context, ways, speed) -> Iterator[dict[str, Any]]:
    clip, ours = clip_for(network, context, args), None
    for way in ways:
        row = {"way": way, "precision": precision, "context": context}
        guess = operations(network.cfg, context, args.steps, way) * args.frames / speed
        if guess > args.limit:
            why = f"some {guess:.0f} s at {speed / 1e9:.1f} GFLOP/s, more than --limit"
            yield row | {"skipped": why}
            continue
        print(f"{precision}, {context} frames, {way}: some {guess:.0f} s", file=sys.stderr)
        timed = (
            run_ours(network, clip, args) if way == "ours" else run_twin(network, clip, args, way)
        )
        row |= {"first_ms": _ms(timed.wall[:1]), "ms": _ms(timed.wall[1:])}
        row |= {"cpu_ms": _ms(timed.cpu[1:])}
        print(f"  {row['ms']} ms a frame ({row['cpu_ms']} of processors)", file=sys.stderr)
        ours = timed.made if way == "ours" else ours
        if way != "ours" and ours is not None:
            row["difference"] = float((timed.made - ours).abs().max())
            row["agrees"] = row["difference"] < TOLERANCE if precision == "float32" else None
        yield row


def random_network(args: argparse.Namespace) -> Any:
    """A preset's network whose every part has an effect.

    Raises:
        ValueError: the preset has no coarse frames.
    """
    import torch

    from models.far_published.network import FARReferenceNetwork
    from models.zoo.presets import zoo_entry

    cfg = zoo_entry(args.kind).network
    if cfg.memory_level == "fine":
        raise ValueError(f"{args.kind} has no long-term frames: give a long kind, far-b-long")
    network = FARReferenceNetwork(replace(cfg, layers=args.layers or cfg.layers)).eval()
    generator = torch.Generator().manual_seed(0)
    for weight in network.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.5 * weight.shape[1] ** -0.5, generator=generator)
    return network.requires_grad_(False)


def clip_for(network: Any, context: int, args: argparse.Namespace) -> Clip:
    """Random context and noise."""
    import torch

    cfg, generator = network.cfg, torch.Generator().manual_seed(1)
    shape = (cfg.latent_channels, cfg.latent_size, cfg.latent_size)
    latents = torch.randn(1, context, *shape, generator=generator)
    conditions = torch.randint(0, cfg.classes, (1, context + args.frames), generator=generator)
    noise = torch.randn(args.frames, 1, *shape, generator=generator)
    return Clip(*(part.to(args.device) for part in (latents, conditions, noise)))


def run_ours(network: Any, clip: Clip, args: argparse.Namespace) -> Timed:
    """Frames as a world makes them."""
    import torch

    from models.far_published.dynamics import FARReferenceDynamics, ReferencePlay

    weight = str(network.out_modulation.weight.dtype).removeprefix("torch.")
    play = ReferencePlay(classes=tuple(range(network.cfg.classes)), precision=weight)
    dynamics = FARReferenceDynamics(network, play).to(args.device)
    carry, context = dynamics.initial(1), clip.latents.shape[1]
    for t in range(context):
        carry = dynamics.observe(carry, clip.latents[:, t], clip.conditions[:, t])
    timed = Timed([], [], [])
    for t, x in enumerate(clip.noise, context):
        with Stopwatch(timed, args.device):
            carry, made = dynamics.imagine(carry, clip.conditions[:, t], x, args.steps)
        timed.made.append(made[0])
    return timed._replace(made=torch.stack(timed.made))


def run_twin(network: Any, clip: Clip, args: argparse.Namespace, way: str) -> Timed:
    """The same frames, slowly."""
    import torch

    from models.nn.flow_matching import velocity_step
    from models.nn.noise_schedule import published_sigmas
    from models.zoo.slow_reference import Past, PublishedCache, Uncached

    twin = Uncached(network) if way == "uncached" else PublishedCache(network, way == "published")
    latents, timed = clip.latents, Timed([], [], [])
    for x in clip.noise.unsqueeze(1):
        past = Past(latents, clip.conditions[:, : latents.shape[1] + 1])
        with Stopwatch(timed, args.device):
            for step, (t, to) in enumerate(published_sigmas(args.steps)):
                x = velocity_step(x, twin.velocity(past, x, 1000 * t, step == 0).float(), t, to)
        latents = torch.cat((latents, x), 1)
        timed.made.append(x[0, 0])
    return timed._replace(made=torch.stack(timed.made))


class Stopwatch:
    """Adds to `timed` what the block of its `with` took."""

    def __init__(self, timed: Timed, device: str):
        self.timed, self.cuda = timed, device.startswith("cuda")

    def __enter__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def __exit__(self, *error: Any) -> None:
        if self.cuda:
            import torch

            torch.cuda.synchronize()
        self.timed.wall.append(time.perf_counter() - self.began[0])
        self.timed.cpu.append(time.process_time() - self.began[1])


def operations(cfg: Any, context: int, steps: int, way: str) -> float:
    """Floating-point operations of a frame, roughly."""
    fine, coarse = cfg.latent_size**2, (cfg.latent_size // cfg.coarse_patch) ** 2
    window, old = cfg.window * fine, (context + 1 - cfg.window) * coarse
    tokens = window + old if way.endswith("uncached") else window
    once = tokens * steps if way.endswith("uncached") else tokens + (steps - 1) * fine
    linear = 36 if way.startswith("published") else 24
    return once * cfg.layers * (linear * cfg.width**2 + 4 * cfg.width * (window + old))


def operations_a_second(dtype: Any, device: str) -> float:
    """What a matrix product of this size reaches here."""
    import torch

    from worldsim.machine_speed import matmul_seconds

    return 2 * 512**3 / matmul_seconds(dtype, torch.device(device), size=512, repeats=3)


def decode_ms(args: argparse.Namespace) -> float:
    """Milliseconds to decode one frame, the best of three."""
    import torch

    from models.codec.dcae import DCAECodec, empty_autoencoder
    from models.zoo.presets import autoencoder_config, zoo_entry

    entry = zoo_entry(args.kind)
    model = empty_autoencoder(autoencoder_config(args.kind, entry)).eval().to(args.device)
    codec = DCAECodec(model, entry.network.latent_size)
    latents = torch.randn(1, *codec.latent_shape, device=args.device)
    timed = Timed([], [], [])
    for _ in range(3):
        with Stopwatch(timed, args.device):
            codec.decode(latents)
    return round(1000 * min(timed.wall), 1)


def heading(args: argparse.Namespace) -> dict[str, Any]:
    """What was measured, and on what."""
    import torch

    return {
        "kind": args.kind,
        "layers": args.layers,
        "steps": args.steps,
        "guidance": 1,
        "device": args.device,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "torch": torch.__version__,
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report as a table."""
    from worldsim.evaluate.table import grid

    head = ["way", "precision", "context", "first ms", "ms a frame", "cpu ms", "difference"]
    rows, notes = [], []
    for run in report["runs"]:
        name = [run["way"], run["precision"], run["context"]]
        if "skipped" in run:
            notes.append(f"  skipped: {', '.join(map(str, name))}: {run['skipped']}")
        else:
            figures = [run["first_ms"], run["ms"], run["cpu_ms"]]
            rows.append([*name, *figures, _exponent(run.get("difference"))])
    title = f"{report['kind']}, {report['steps']} steps, {report['threads']} threads"
    return [title, *(grid(head, rows) if rows else []), *notes]


def _exponent(difference: float | None) -> str:
    return "" if difference is None else f"{difference:.1e}"


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"--context must be numbers like 40,144, got {text!r}") from error


def _ms(seconds: Sequence[float]) -> float:
    """The median, in milliseconds."""
    middle = sorted(seconds)[len(seconds) // 2]
    return round(1000 * middle, 1)
