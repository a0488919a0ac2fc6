"""`worldsim publish`: a world as a repository of the Hugging Face hub, with a model card.

    worldsim publish dmlab --out published                     writes the folder, uses no network
    worldsim publish dmlab --out published --upload ME/MAZE    and uploads it

The repository is the world's folder as it is, and README.md: `worldsim zoo fetch ME/MAZE` takes it
back. Parses first and imports afterwards, so that --help is instant.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldsim.zoo import UNKNOWN

if TYPE_CHECKING:
    from worldsim.world.card import WorldCard

MODEL_CARD = "README.md"
PLACEHOLDER = "OWNER/NAME"
FIGURES = "What `worldsim evaluate` measured stands in `card.json`, under `figures`."
PLAIN_LICENCE = re.compile(r"mit|apache-2\.0|cc-by-4\.0|cc0-1\.0|bsd-3-clause", re.IGNORECASE)
ARXIV = {"far": "2503.19325", "far-spatial": "2503.19325", "far-reference": "2503.19325"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    args = parser().parse_args(argv)
    folder = write_repository(args.world, args.out, args.upload or PLACEHOLDER)
    print(f"{folder} is written")
    if args.upload:
        print(upload(folder, args.upload, args.private))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    top = argparse.ArgumentParser(description="A world as a repository of the hub.")
    top.add_argument("world", metavar="WORLD", help="a world's name or folder")
    top.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    top.add_argument("--upload", metavar="OWNER/NAME", help="upload it to the hub; log in before")
    top.add_argument("--private", action="store_true", help="for the owner's eyes only")
    return top


def write_repository(world: str, out: Path, repository: str = PLACEHOLDER) -> Path:
    """Write a world's files and its model card, which names the repository, into a new folder.

    Raises:
        WorldError: no such world, or one that is damaged.
        ValueError: the folder is not empty.
    """
    from worldsim.world.base import world_folder
    from worldsim.world.card import read_card
    from worldsim.world.checkpoint import CARD, MANIFEST, check_world, read_listed, write_manifest

    folder = world_folder(world)
    identity = check_world(folder)
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} exists and is not empty: give a new folder")
    for name in (MANIFEST, *read_listed(folder)):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, out / name)
    text = model_card(read_card(out / CARD), identity, repository)
    (out / MODEL_CARD).write_text(text, encoding="utf-8")
    write_manifest(out)
    check_world(out)
    return out


def model_card(card: "WorldCard", identity: str, repository: str) -> str:
    """The text of README.md: the hub's YAML head, and what the world's card says.

    Args:
        card: the world's.
        identity: its hash.
        repository: OWNER/NAME.
    """
    import yaml

    head = yaml.safe_dump(model_card_head(card), sort_keys=False, allow_unicode=True)
    return f"---\n{head}---\n\n{_body(card, identity, repository)}"


def model_card_head(card: "WorldCard") -> dict[str, Any]:
    """What the hub reads of a model. A licence that is more than a known name is `other`, and its
    text stands in the card.
    """
    known = PLAIN_LICENCE.fullmatch(card.licence.strip())
    licence: dict[str, Any] = {"license": known[0].lower() if known else "other"}
    if not known:
        licence |= {"license_name": "see-below"}
    tags = ["world-model", "worldsim", "reinforcement-learning", "video-prediction"]
    tags += [f"arxiv:{ARXIV[card.builder]}"] if card.builder in ARXIV else []
    return {**licence, "library_name": "worldsim", "tags": tags}


def _body(card: "WorldCard", identity: str, repository: str) -> str:
    rows = {
        "pictures": f"{card.frame_size} x {card.frame_size} pixels, {card.fps:g} a second",
        "actions": card.action_set,
        "sampler steps a frame": card.steps,
        "engine it was learnt from": card.engine or UNKNOWN,
        "builder": card.builder,
        "identity": f"`{identity}`",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    starts = ", ".join(card.starts.values())
    return f"""# {card.title}

A world that a network dreams, to be played with worldsim.

```bash
pip install 'worldsim[hub]'
worldsim zoo fetch {repository}
worldsim play --world {repository.replace("/", "--")}
```

| | |
|---|---|
{table}
{f"{chr(10)}Starts: {starts}.{chr(10)}" if starts else ""}
## Licence

{card.licence or UNKNOWN}

## Figures

{FIGURES if card.figures else "None were measured."}
"""


def upload(folder: Path, repository: str, private: bool) -> str:
    """Upload a folder to the hub; returns where it is.

    Raises:
        ImportError: huggingface_hub is not installed.
        WorldError: no network, no permission, or no such owner.
    """
    from models.zoo.hub import endpoint, hub_errors, import_hub

    api = import_hub("--upload").HfApi(endpoint=endpoint())
    with hub_errors(repository, " is not uploaded"):
        api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="A world, by worldsim publish"
        )
    return f"{api.endpoint}/{repository}"
