"""YAML as its version 1.2 means it, read safely into plain data.

PyYAML reads version 1.1, where `1e-4` is a word and `no` is false; here `1e-4` is a number and `no`
a word. Duplicate keys hide a setting, aliases can blow a small file up to gigabytes, tags name
Python types: all three are refused with one sentence that gives the line.
"""

import re
import typing
from pathlib import Path
from typing import Any

import yaml

from worldsim.reading import ReadError, read_text

MOST_BYTES = 4 << 20
_MOST_DIGITS = 20


class ConfigError(ReadError):
    """A configuration that cannot be used; the message is one sentence for the user."""


def load_yaml(path: str | Path) -> Any:
    """The plain data (dict, list, str, int, float, bool, None) in a YAML 1.2 file."""
    try:
        text = read_text(path, MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error}).") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Any:
    """The plain data in YAML 1.2 text; `source` names it in an error."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{source}{line}: {error.problem}.") from None
    except Exception as error:  # whatever the parser makes of it
        told = (str(error).strip().splitlines() or [""])[0] or type(error).__name__
        raise ConfigError(f"{source}: not readable YAML ({told:.120}).") from None


class _Loader(yaml.SafeLoader):
    # An own table, so that the rules of version 1.1 are not inherited.
    yaml_implicit_resolvers: typing.ClassVar[dict] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        for kind in ("anchor", "tag"):
            if getattr(event, kind, None):
                problem = f"{kind}s are not read ({getattr(event, kind)!r}): write the value out"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a name must be one word", problem_mark=key_node.start_mark
                )
            key = self.construct_object(key_node)
            if key in mapping:
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r} is set twice", problem_mark=key_node.start_mark
                )
            mapping[key] = self.construct_object(value_node, deep=deep)
        return mapping


def _whole_number(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a whole number must fit into 64 bits, got one of {len(text)} digits")
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(
        loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan")
    )


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
