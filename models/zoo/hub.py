"""Released files from the Hugging Face hub. The only file that imports huggingface_hub."""

from pathlib import Path
from typing import NamedTuple

from worldsim.config import load_yaml
from worldsim.paths import asset


class Names(NamedTuple):
    """Of a network's and its autoencoder's file in a repository."""

    far: str
    autoencoder: str


def find_released_names(kind: str, far: str | None, autoencoder: str | None) -> Names:
    """The files of a kind, unless others are asked for.

    Raises:
        ValueError: it is not known which they are.
    """
    known = load_yaml(asset("configs", "zoo", "released.yaml"))
    ours = known.get(kind, {})
    names = Names(far or ours.get("far"), autoencoder or ours.get("autoencoder"))
    if None in names:
        raise ValueError(
            f"which of the hub's files {kind} is made of is not known here (it is for "
            f"{', '.join(known)}): name them with --far and --autoencoder"
        )
    return names


def fetch(repository: str, names: Names) -> list[Path]:
    """Local copies of the files; those fetched before are taken without a network.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: no network, no such repository, or no such file in it.
    """
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ImportError as error:
        raise ImportError(
            "--hub needs huggingface_hub: pip install 'worldsim[hub]'", name="huggingface_hub"
        ) from error
    paths = []
    for name in names:
        try:
            paths.append(Path(hf_hub_download(repository, name)))
        except LocalEntryNotFoundError as error:  # also an EntryNotFoundError: must come first
            raise ValueError(
                f"{name} of {repository} was never fetched, and the hub can't be reached: go "
                f"online, or give files of your own with --far and --autoencoder, without --hub"
            ) from error
        except EntryNotFoundError as error:
            raise ValueError(
                f"{repository} has no file {name}: look at "
                f"https://huggingface.co/{repository}/tree/main, and name it with --far or "
                f"--autoencoder"
            ) from error
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            said = str(error).strip().splitlines()[0]
            raise ValueError(f"{name} of {repository} can't be fetched: {said}") from error
    return paths
