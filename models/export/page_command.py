"""`worldsim page`: a world as static files that a browser plays, as in
`worldsim page dmlab --out site`.
"""

import argparse
from pathlib import Path

from models.export.command import add_weights_option

LIBRARY = Path("node_modules/onnxruntime-web")
STARTS = 4


def main(argv: list[str] | None = None) -> int:
    """Build a page.

    Returns:
        The exit status.

    Raises:
        ValueError: no such world, no ONNX Runtime Web, or a folder that is not empty.
        ImportError: what writes graphs is not installed.
    """
    options = parse(argv)
    from models.export.page import build_page

    told = (options.world, options.out, options.weights, options.starts, options.library)
    build_page(*told, webgpu=options.webgpu)
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(f"{options.out}: {size / 1e6:.1f} MB; put it on a web server, or try it with")
    print(f"python -m http.server --bind 127.0.0.1 --directory {options.out}")
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line as options."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "world", metavar="WORLD", help="a bundled world, a world's folder, or an exported one"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")
    add_weights_option(parser, "int8")
    parser.add_argument(
        "--starts",
        type=int,
        choices=range(1, 65),
        default=STARTS,
        metavar="N",
        help="how many starts, 1 to 64 (default: %(default)s)",
    )
    parser.add_argument(
        "--library",
        type=Path,
        default=LIBRARY,
        metavar="DIR",
        help="npm's package onnxruntime-web (default: %(default)s)",
    )
    parser.add_argument(
        "--webgpu",
        action="store_true",
        help="add what ?provider=webgpu in the page's address needs: 27 MB, fetched only then",
    )
    return parser.parse_args(argv)
