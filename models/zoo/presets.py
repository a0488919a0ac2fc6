"""Published FAR models as data: their configs read into ours, and the zoo of presets
(`assets/configs/zoo/`). Knows no weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.far_published.dynamics import ReferencePlay
from models.far_published.network import FARReferenceConfig
from worldsim.config import load_config, load_yaml
from worldsim.paths import asset

EVERYTHING = 2**31  # a window that no clip fills

KNOWN = {
    "num_layers",
    "attention_head_dim",
    "num_attention_heads",
    "short_term_ctx_winsize",
    "num_action_classes",
    "patch_size",
    "context_patch_size",
    "latent_channels",
    "in_channels",
    "out_channels",
    "axes_dims_rope",
    "slope_scale",
    "condition",
    "condition_cfg",
}


def far_config(published: Mapping[str, Any], latent_size: int = 8) -> FARReferenceConfig:
    """Our config of a published one: a released checkpoint's or a golden file's.

    Raises:
        ValueError: a setting that is missing, or that is not known here.
    """
    unknown = sorted(set(published) - KNOWN)
    if unknown:
        raise ValueError(f"the published config has {unknown[0]!r}, which is not known here")
    condition, classes = _condition(published)
    try:
        return FARReferenceConfig(
            width=published["attention_head_dim"] * published["num_attention_heads"],
            layers=published["num_layers"],
            head_size=published["attention_head_dim"],
            axes=tuple(published["axes_dims_rope"]),
            latent_channels=published.get("latent_channels") or published["in_channels"],
            latent_size=latent_size,
            patch=published["patch_size"],
            coarse_patch=published.get("context_patch_size"),
            window=published.get("short_term_ctx_winsize") or EVERYTHING,
            condition=condition,
            classes=classes,
            slope=float(published.get("slope_scale") or 0.0),
        )
    except KeyError as error:
        raise ValueError(f"the published config lacks {error}") from error


def _condition(published: Mapping[str, Any]) -> tuple[str, int]:
    """What is conditioned on, and how many classes of it there are."""
    said = published.get("condition") or published.get("condition_cfg")
    if said is None and published.get("num_action_classes"):
        said = {"type": "action", "num_action_classes": published["num_action_classes"]}
    if said is None:
        return "none", 0
    return said["type"], said.get("num_action_classes") or said["num_classes"]


@dataclass(frozen=True, kw_only=True)
class ZooEntry:
    """A published model, and the world that its weights make.

    Attributes:
        title: its name in the paper.
        parameters: of the network, counted.
        autoencoder: the file beside it that says which autoencoder it was trained on.
        network: the network's shape.
        play: how its world is played.
        action_set: the world's actions.
        fps: frames a second.
        steps: sampler steps a frame.
    """

    title: str
    parameters: int
    autoencoder: str
    network: FARReferenceConfig
    play: ReferencePlay
    action_set: str
    fps: float
    steps: int = 25


def zoo_names() -> list[str]:
    """The published models there are presets of."""
    return sorted(path.stem for path in asset("configs", "zoo").glob("far-*.yaml"))


def zoo_path(kind: str) -> Path:
    """The preset of a name, or of a path.

    Raises:
        ValueError: there is none.
    """
    given = Path(kind)
    path = given if given.suffix == ".yaml" else asset("configs", "zoo", f"{kind}.yaml")
    if not path.is_file():
        raise ValueError(f"no published model {kind!r}: there is {', '.join(zoo_names())}")
    return path


def zoo_entry(kind: str, overrides: tuple[str, ...] = ()) -> ZooEntry:
    """A preset of the zoo, by name or by the path of a YAML.

    Raises:
        ValueError: no such preset, or a wrong setting in it.
    """
    return load_config(zoo_path(kind), ZooEntry, overrides)


def autoencoder_config(kind: str, entry: ZooEntry) -> dict[str, Any]:
    """The published config of the autoencoder that an entry names."""
    return load_yaml(zoo_path(kind).parent / f"{entry.autoencoder}.yaml")
