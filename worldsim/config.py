"""YAML to frozen dataclasses, and nothing silently ignored.

A configuration is a frozen keyword-only dataclass that lives beside the class that eats it and
checks itself in `__post_init__`. This file turns a YAML file into one, or says in one sentence
which setting is wrong. It knows no setting by name.

    config = load_config("assets/configs/dmlab-far.yaml", TrainConfig, ["training.batch=8"])
"""

import dataclasses
import difflib
import types
import typing
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from worldsim.upgrades import upgrade_override, upgrade_settings
from worldsim.yaml12 import ConfigError, load_yaml, parse_yaml

__all__ = [
    "ConfigError",
    "from_dict",
    "load_config",
    "load_yaml",
    "nearest",
    "override_setting",
    "to_dict",
]

Config = TypeVar("Config")
MOST_NESTED = 16


def load_config(path: str | Path, cls: type[Config], overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file into a dataclass.

    Args:
        path: the YAML file.
        cls: a dataclass; nested dataclasses, tuples, Optional and Literal are understood.
        overrides: settings such as `training.batch=8`, applied in order over the file.

    Raises:
        ConfigError: the file cannot be read, or a setting is unknown, missing or of a wrong type.
    """
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be settings (name: value), got {_describe(data)}.")
    try:
        data, notes = upgrade_settings(data)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    for override in overrides:
        override, told = upgrade_override(override)
        data, notes = override_setting(data, override), notes + told
    for note in notes:
        warnings.warn(f"{path}: {note}", FutureWarning, stacklevel=2)
    try:
        return from_dict(cls, data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def override_setting(data: Mapping[str, Any], override: str) -> dict[str, Any]:
    """A copy of `data` in which one setting is replaced.

    Args:
        data: plain data, as `load_yaml` returns it.
        override: `a.b=value`, the value written as in YAML.
    """
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys) or len(keys) > MOST_NESTED:
        raise ConfigError(
            f"a setting must be name=value, such as training.batch=8, got {override!r:.100}."
        )
    return _replace_setting(data, keys, parse_yaml(text, f"the setting {override!r}"), name)


def from_dict(cls: type[Config], data: Mapping[str, Any], path: str = "") -> Config:
    """Build a dataclass from plain data, checking every name and type.

    Args:
        cls: a dataclass.
        data: plain data, as `load_yaml` or `to_dict` returns it.
        path: where `data` lies in the whole configuration, to name it in an error: `dynamics`.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{path or 'the configuration'} must be settings (name: value), got {_describe(data)}."
        )
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    _check_names(fields, data, path)
    hints = typing.get_type_hints(cls)
    values = {name: _convert(hints[name], value, _join(path, name)) for name, value in data.items()}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except ValueError as error:  # the dataclass checks itself in __post_init__
        raise ConfigError(f"{path}: {error}" if path else str(error)) from None


def to_dict(config: Any) -> Any:
    """The plain data of a dataclass: JSON and YAML can hold it, `from_dict` reads it back."""
    if dataclasses.is_dataclass(config):
        return {
            f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init
        }
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_dict(value) for value in config]
    return str(config) if isinstance(config, Path) else config


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name a misspelt one probably meant, or None where none is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return close[0] if close else None


# ---- names ----


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else str(name)


def _check_names(
    fields: Mapping[str, dataclasses.Field], data: Mapping[str, Any], path: str
) -> None:
    for name in data:
        if name not in fields:
            close = nearest(str(name), fields)
            known = (
                f"did you mean {_join(path, close)}?"
                if close
                else f"known here: {', '.join(fields)}."
            )
            raise ConfigError(f"{_join(path, name)} is not a setting; {known}")
    for name, field in fields.items():
        if name not in data and not _has_default(field):
            raise ConfigError(f"{_join(path, name)} is missing.")


def _has_default(field: dataclasses.Field) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _replace_setting(data: Any, keys: Sequence[str], value: Any, name: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"the setting {name} goes through {_describe(data)}, which has no settings inside."
        )
    first, rest = keys[0], keys[1:]
    inside = (
        _replace_setting(data.get(first) if data.get(first) is not None else {}, rest, value, name)
        if rest
        else value
    )
    return {**data, first: inside}


# ---- values ----


def _convert(hint: Any, value: Any, path: str) -> Any:
    """`value` as the type `hint` asks for: 1 may be 1.0, a list a tuple; nothing else is bent."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, path)
    if origin in (Union, types.UnionType):
        return _one_of(hint, value, path)
    if origin is Literal:
        return _choice(typing.get_args(hint), value, path)
    if origin in (tuple, list) and isinstance(value, (list, tuple)):
        return _items(hint, origin, value, path)
    if origin is dict and isinstance(value, Mapping):
        item = typing.get_args(hint)[1]
        return {key: _convert(item, inside, _join(path, key)) for key, inside in value.items()}
    if hint is float and type(value) is int and abs(value) < 2**64:
        return float(value)
    if hint is Path and isinstance(value, (str, Path)):
        return Path(value)
    if hint is tuple and isinstance(value, list):
        return tuple(value)
    if (
        isinstance(hint, type)
        and isinstance(value, hint)
        and not (hint is int and isinstance(value, bool))
    ):
        return value
    raise ConfigError(f"{path} must be {_type_name(hint)}, got {_describe(value)}.")


def _one_of(hint: Any, value: Any, path: str) -> Any:
    members = typing.get_args(hint)
    if value is None and type(None) in members:
        return None
    members = [member for member in members if member is not type(None)]
    exact = [member for member in members if type(value) is member]  # 1 stays an int in int | float
    if len(members) == 1:
        return _convert(members[0], value, path)
    for member in exact or members:
        try:
            return _convert(member, value, path)
        except ConfigError:
            continue
    raise ConfigError(f"{path} must be {_type_name(hint)}, got {_describe(value)}.")


def _choice(choices: Sequence[Any], value: Any, path: str) -> Any:
    for choice in choices:
        if choice == value and type(choice) is type(value):
            return choice
    close = nearest(str(value), [str(choice) for choice in choices])
    hint = f"; did you mean {close}?" if close else "."
    raise ConfigError(
        f"{path} must be one of {', '.join(map(str, choices))}, got {_describe(value)}{hint}"
    )


def _items(hint: Any, kind: type, values: Sequence[Any], path: str) -> Any:
    items = typing.get_args(hint)
    if kind is list or (len(items) == 2 and items[1] is Ellipsis):
        items = (items[0],) * len(values)
    elif items == ((),):
        items = ()
    if len(items) != len(values):
        raise ConfigError(
            f"{path} must have {len(items)} values, got {len(values)}: {_describe(values)}."
        )
    return kind(
        _convert(item, value, f"{path}[{i}]")
        for i, (item, value) in enumerate(zip(items, values, strict=True))
    )


_TYPE_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_type_name(member) for member in typing.get_args(hint))
    if typing.get_origin(hint) in (tuple, list) or hint in (tuple, list):
        return "a list"
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is dict or hint is dict or dataclasses.is_dataclass(hint):
        return "settings (name: value)"
    return _TYPE_NAMES.get(hint) or getattr(hint, "__name__", str(hint))


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
