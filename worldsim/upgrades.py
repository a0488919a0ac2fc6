"""Names that settings and saved tensors once had, for worlds, configurations and saves of older
versions.

One table; everything that reads settings goes through `upgrade_settings`. A name stays here for one
version after it changed.
"""

from collections.abc import Mapping
from typing import Any

DYNAMICS_GROUPS = {
    "network": "actions latent_channels latent_size patch coarse_patch width layers head_size "
    "mlp_ratio refiner",
    "memory": "window recent_coarse dilation dilated keyframes field_of_view stride",
    "sampler": "shortcuts context_noise retrieval kept shifted exemplars inpaint inpaint_old "
    "contrast trust album ripens steepness still",
}
"""Groups of the dynamics' settings, which once lay side by side."""

RENAMED = {
    f"dynamics.{name}": f"dynamics.{group}.{name}"
    for group, names in DYNAMICS_GROUPS.items()
    for name in names.split()
} | {
    "dynamics.ring": "dynamics.memory.recent_coarse",
    "dynamics.landmarks": "dynamics.memory.keyframes",
    "loss.blind": "loss.drop_window",
    "loss.drop_landmarks": "loss.drop_keyframes",
    "loss.own_context": "loss.self_forcing",
    "training.residuals_from": "training.error_injection_from",
    "training.own_context_from": "training.self_forcing_from",
}
"""Path of a setting once -> path of it now."""

_OF_RETRIEVAL = "kept shifted exemplars inpaint inpaint_old contrast trust ripens steepness"
REMOVED: dict[str, Any] = {
    "codec.textures": 0,
    "codec.texture_strength": None,
    "dynamics.network.refiner": 0,
    "dynamics.sampler.retrieval": 0,
    "dynamics.sampler.album": 0,
    "dynamics.sampler.still": 0,
    **{f"dynamics.sampler.{name}": None for name in _OF_RETRIEVAL.split()},
}
"""Path of a setting that is gone -> the value that does what is done now; None: any does, since it
only said how another one worked.
"""

RENAMED_INTENTS = {"fan": "action_preview", "ghost": "ground_truth", "take": "comparison"}
"""Name of an intent in a file of keys once -> its name now."""

RENAMED_TENSORS = {f"bank_{name}": f"bank.{name}" for name in ("latents", "poses", "ids", "true")}
"""Name of a tensor in a saved state once -> its name now."""

REMOVED_TENSORS = ("bank.true",)
"""Names of tensors that states once had, of worlds that do without them now."""

ADDED_TENSORS = ("climb", "stood")
"""Names of tensors that states with a `pose` `[B,4]` once did not have; they are then as at the
beginning of a dream."""


def upgrade_settings(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Settings under their names of today, and one sentence for every name that was an old one.

    Args:
        settings: plain data: name -> value or section.

    Raises:
        ValueError: a setting is there under both names.
    """
    upgraded, notes = dict(settings), []
    for path, new in RENAMED.items():
        section, old = path.split(".")
        inside = upgraded.get(section)
        if not isinstance(inside, Mapping) or old not in inside:
            continue
        rest = {name: value for name, value in inside.items() if name != old}
        upgraded[section] = _put(
            rest, new.split(".")[1:], inside[old], f"{path} is now called {new}"
        )
        notes.append(_note(path, new))
    return upgraded, notes


def drop_removed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings under their names of today, without those that are gone. A card keeps them, as part
    of what a world's identity is made of.

    Raises:
        ValueError: one has a value that nothing does any more.
    """
    kept = dict(settings)
    for path, value in REMOVED.items():
        kept = _drop(kept, path.split("."), path, value)
    return kept


def _drop(section: dict[str, Any], names: list[str], path: str, value: Any) -> dict[str, Any]:
    """The section without the setting that `names` lead to."""
    name, *deeper = names
    if name not in section:
        return section
    inside = section[name]
    if deeper:
        is_section = isinstance(inside, Mapping)
        return section | {name: _drop(dict(inside), deeper, path, value)} if is_section else section
    if value is not None and inside != value:
        raise ValueError(f"{path} is gone: it must be {value}, got {inside!r:.40}")
    return {other: kept for other, kept in section.items() if other != name}


def upgrade_names(
    given: Mapping[str, Any], renamed: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """Values under their names of today, and one sentence for every name that was an old one.

    Raises:
        ValueError: a value is there under both names.
    """
    old = [name for name in given if name in renamed]
    for name in old:
        if renamed[name] in given:
            raise ValueError(f"{name} is now called {renamed[name]}: give one of them, not both")
    upgraded = {renamed.get(name, name): value for name, value in given.items()}
    return upgraded, [_note(name, renamed[name]) for name in old]


def upgrade_override(override: str) -> tuple[str, list[str]]:
    """`name=value` under the name of today, and a sentence if it was an old one."""
    name, equals, text = override.partition("=")
    new = RENAMED.get(name.strip())
    if new is None:
        return override, []
    return f"{new}{equals}{text}", [_note(name.strip(), new)]


def _note(old: str, new: str) -> str:
    return f"{old} is now called {new}; the old name goes in the next version"


def _put(section: dict[str, Any], path: list[str], value: Any, told: str) -> dict[str, Any]:
    """The section with a value at a path inside it."""
    name, *deeper = path
    if not deeper and name in section:
        raise ValueError(f"{told}: give one of them, not both")
    if deeper:
        inside = section.get(name, {})
        if not isinstance(inside, Mapping):
            raise ValueError(f"{told}, but {name} has no settings inside")
        value = _put(dict(inside), deeper, value, told)
    return section | {name: value}


def upgrade_tensors(tensors: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors of a saved state under their names of today, with those that did not exist yet, and
    without those that are gone; `expected` are those of a dream that has seen nothing.
    """
    named = {RENAMED_TENSORS.get(name, name): tensor for name, tensor in tensors.items()}
    for name in REMOVED_TENSORS:
        if name not in expected:
            named.pop(name, None)
    for name in ADDED_TENSORS:
        if name in expected and name not in named and "pose" in named:
            rows = named["pose"][:, 0].reshape(-1, *[1] * (expected[name].ndim - 1))
            named[name] = rows * 0 + expected[name]
    return named


def flatten_groups(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Upgraded settings with the groups of the dynamics side by side, as a world's identity has
    them: saves and recordings from before there were groups are of the same world.
    """
    dynamics = settings.get("dynamics")
    if not isinstance(dynamics, Mapping):
        return dict(settings)
    flat: dict[str, Any] = {}
    for name, value in dynamics.items():
        grouped = name in DYNAMICS_GROUPS and isinstance(value, Mapping)
        flat |= value if grouped else {name: value}
    return {**settings, "dynamics": flat}
