"""`worldsim export`: a world with a memory in space as a folder that ONNX Runtime plays, as in
`worldsim export runs/dmlab/world --out exported/dmlab`.
"""

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

WRITERS = ("torch", "onnx", "onnxscript")
PRECISIONS = {
    "float32": "as computed",
    "float16": "half the size",
    "int8": "a quarter of it for the network's matrices, the rest in float16",
}


def main(argv: list[str] | None = None) -> int:
    """Export a world.

    Returns:
        The exit status.

    Raises:
        ValueError: no such world, or a folder that is not empty.
        ImportError: what writes graphs is not installed.
    """
    options = parse(argv)
    load_exporter()(options.world, options.out, options.weights)
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB")
    return 0


def load_exporter() -> Callable[..., None]:
    """The function `export_world`, which takes seconds to import.

    Raises:
        ImportError: what writes graphs is not installed.
    """
    missing = [name for name in WRITERS if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"writing graphs needs {' and '.join(missing)}: pip install 'worldsim[export]'"
        )
    from models.export.export import export_world

    return export_world


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("world", metavar="WORLD", help="a bundled world, or a world's folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")
    add_weights_option(parser)
    return parser.parse_args(argv)


def add_weights_option(parser: argparse.ArgumentParser, default: str = "float16") -> None:
    """Let a command line say how weights are stored."""
    told = "; ".join(f"{name}: {what}" for name, what in PRECISIONS.items())
    parser.add_argument(
        "--weights",
        choices=tuple(PRECISIONS),
        default=default,
        help=f"how weights are stored (default: %(default)s). {told}",
    )
