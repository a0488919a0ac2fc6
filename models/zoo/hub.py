"""Files of repositories on the Hugging Face hub. The only file that imports huggingface_hub.

What a file holds is compared with the sha256 that the hub lists for it, or, where it lists none,
with the digits that the file's name ends in. HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE are
huggingface_hub's own: another server, another folder, no network.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from worldsim.world.checkpoint import sha256
from worldsim.world.error import WorldError
from worldsim.zoo import read_released

SHA256 = re.compile(r"[0-9a-f]{64}")
NAMED_DIGITS = re.compile(r"-([0-9a-f]{8})\.\w+$")


class Names(NamedTuple):
    """Of a network's and its autoencoder's file in a repository."""

    far: str
    autoencoder: str


def find_released_names(kind: str, far: str | None, autoencoder: str | None) -> Names:
    """The files of a kind, unless others are asked for.

    Raises:
        ValueError: it is not known which they are.
    """
    known = {world.kind: world for world in reversed(read_released().values())}
    ours = known.get(kind)
    names = Names(far or (ours and ours.far), autoencoder or (ours and ours.autoencoder))
    if None in names:
        raise ValueError(
            f"which of the hub's files {kind} is made of is not known here (it is for "
            f"{', '.join(known)}): name them with --far and --autoencoder"
        )
    return names


def import_hub(purpose: str) -> ModuleType:
    """The module huggingface_hub.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs huggingface_hub: pip install 'worldsim[hub]'", name="huggingface_hub"
        ) from error
    return huggingface_hub


def fetch(repository: str, names: tuple[str, ...]) -> list[Path]:
    """Local copies of the files; those fetched before are taken without a network. A transfer that
    is cut goes on where it stopped.

    Raises:
        ImportError: huggingface_hub is not installed.
        ValueError: no network, no such repository, no such file in it, or one that is damaged.
    """
    hub = import_hub(f"fetching {repository}")
    paths = []
    for name in names:
        path = _find_fetched(repository, name)
        if path is None:
            with hub_errors(f"{name} of {repository}", " was never fetched"):
                # Asked once before: without a network, hf_hub_download tries for half a minute.
                url = hub.hf_hub_url(repository, name, endpoint=endpoint())
                hub.get_hf_file_metadata(url)
                path = Path(hub.hf_hub_download(repository, name, endpoint=endpoint()))
        check_digest(path, name)
        paths.append(path)
    return paths


def endpoint() -> str | None:
    """The hub's address where the environment names another."""
    return os.environ.get("HF_ENDPOINT") or None


def _find_fetched(repository: str, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    with contextlib.suppress(LocalEntryNotFoundError, HFValidationError):
        return Path(hf_hub_download(repository, name, local_files_only=True))
    return None


def check_digest(path: Path, name: str) -> None:
    """Refuse a file whose sha256 is another than what is listed; it is removed, so that the next
    try fetches it anew.

    Raises:
        WorldError: it is another.
    """
    blob = path.resolve()  # huggingface_hub names what it keeps by the digest that the hub lists
    named = NAMED_DIGITS.search(name)
    listed = blob.name if SHA256.fullmatch(blob.name) else named[1] if named else ""
    if not (found := sha256(blob)).startswith(listed):
        path.unlink()
        blob.unlink(missing_ok=True)
        raise WorldError(
            f"{name} is damaged: its sha256 must be {listed[:16]}, got {found[:16]}; it was "
            f"removed, fetch it again"
        )


@contextlib.contextmanager
def hub_errors(what: str, absent: str = "") -> Iterator[None]:
    """What fails on the way to the hub and back becomes one sentence.

    Args:
        what: a file or a repository.
        absent: why the hub is asked.

    Raises:
        WorldError: in place of huggingface_hub's errors.
    """
    from huggingface_hub import errors

    network = getattr(errors, "HTTPError", OSError)  # of its HTTP library, which differs by version
    try:
        yield
    except errors.LocalEntryNotFoundError as error:  # also an EntryNotFoundError: must come first
        raise _unreachable(what, absent) from error
    except errors.EntryNotFoundError as error:
        raise WorldError(
            f"the hub has no {what}: look at what the repository holds, and name it"
        ) from error
    except (errors.HfHubHTTPError, errors.HFValidationError) as error:
        raise _refused(what, error) from error
    except (ConnectionError, TimeoutError, network) as error:
        raise _unreachable(what, absent) from error
    except OSError as error:
        raise _refused(what, error) from error


def _unreachable(what: str, absent: str) -> WorldError:
    return WorldError(
        f"{what}{absent}: the hub can't be reached; go online (or unset HF_HUB_OFFLINE), or, for "
        f"files of your own, see `worldsim convert import --help`"
    )


def _refused(what: str, error: Exception) -> WorldError:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return WorldError(f"{what} can't be had from the hub: {said}")
