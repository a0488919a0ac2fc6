"""Configuration: every setting is read as meant, or refused by name."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldsim.config import (
    ConfigError,
    from_dict,
    load_config,
    load_yaml,
    override_setting,
    to_dict,
)
from worldsim.yaml12 import parse_yaml


@dataclass(frozen=True, kw_only=True)
class Model:
    width: int
    depth: int = 4
    dropout: float = 0.0

    def __post_init__(self):
        if self.width % 8:
            raise ValueError(f"width must divide by 8, got {self.width}.")


@dataclass(frozen=True, kw_only=True)
class Train:
    model: Model
    rate: float = 1e-3
    name: str = "no name"
    betas: tuple[float, float] = (0.9, 0.99)
    sizes: tuple[int, ...] = ()
    device: Literal["cpu", "cuda"] = "cpu"
    seed: int | None = None
    compiled: bool = False
    folder: Path = Path("runs")
    layers: tuple[Model, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_becomes_a_dataclass(tmp_path):
    path = write(
        tmp_path,
        "model: {width: 64, dropout: 0}\nrate: 1e-4\nbetas: [0.9, 1]\nsizes: [1, 2, 3]\n"
        "device: cuda\nseed: 7\ncompiled: true\nfolder: out/a\nlayers: [{width: 8}, {width: 16}]\n",
    )
    config = load_config(path, Train)
    assert config == Train(
        model=Model(width=64),
        rate=1e-4,
        betas=(0.9, 1.0),
        sizes=(1, 2, 3),
        device="cuda",
        seed=7,
        compiled=True,
        folder=Path("out/a"),
        layers=(Model(width=8), Model(width=16)),
    )
    assert type(config.model.dropout) is float
    assert type(config.betas[1]) is float


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("no", "no"),
        ("off", "off"),
        ("y", "y"),
        ("True", True),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("~", None),
        ("", None),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    """PyYAML's own rules read `1e-4` as text, `no` as false and `010` as eight."""
    got = parse_yaml(text, "test")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is set twice"),
        ("a: {b: 1, b: 2}", "'b' is set twice"),
        ("a: &x [1]\nb: *x", "line 1: anchors are not read"),
        ("a: *x", "anchors are not read"),
        ("a: !!python/object/apply:os.system [ls]", "tags are not read"),
        ("a: !!int x", "tags are not read"),
        ("? [1]\n: 2", "a name must be one word"),
        ("a: [1", "line 1"),
        ("a: b: c", "line 1"),
        ("[" * 5000, "not readable YAML"),
        ("\x00", "not readable YAML"),
        ("9" * 5000, "not readable YAML"),
    ],
)
def test_dangerous_yaml_is_one_sentence(text, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        parse_yaml(text, "here.yaml")
    assert str(caught.value).startswith("here.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rate: 1", "model is missing"),
        ("model: {}", "model.width is missing"),
        ("model: {widht: 8}", "model.widht is not a setting; did you mean model.width?"),
        ("model: {width: 8}\nzzz: 1", "zzz is not a setting; known here: model, rate"),
        ("model: {width: 8}\n1: 1", "1 is not a setting"),
        ("model: 8", "model must be settings .name: value., got int 8"),
        ("model: {width: 8.0}", "model.width must be a whole number, got float 8.0"),
        ("model: {width: true}", "model.width must be a whole number, got bool True"),
        ("model: {width: 9}", "model: width must divide by 8, got 9"),
        ("model: {width: 8}\nrate: fast", "rate must be a number, got str 'fast'"),
        ("model: {width: 8}\nrate:", "rate must be a number, got nothing"),
        ("model: {width: 8}\nrate: true", "rate must be a number, got bool True"),
        ("model: {width: 8}\nname: 3", "name must be text, got int 3"),
        ("model: {width: 8}\nbetas: [1]", "betas must have 2 values, got 1"),
        ("model: {width: 8}\nbetas: 1", "betas must be a list, got int 1"),
        ("model: {width: 8}\nsizes: [1, x]", r"sizes\[1\] must be a whole number"),
        ("model: {width: 8}\nlayers: [{widht: 8}]", r"layers\[0\].widht is not a setting"),
        ("model: {width: 8}\ndevice: cud", "one of cpu, cuda, got str 'cud'; did you mean cuda"),
        ("model: {width: 8}\nseed: x", "seed must be a whole number, got str 'x'"),
        ("model: {width: 8}\ncompiled: no", "compiled must be true or false, got str 'no'"),
        ("- 1", "must be settings .name: value., got list"),
        ("", "must be settings .name: value., got nothing"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, text, sentence):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=sentence) as caught:
        load_config(path, Train)
    assert str(caught.value).startswith(str(path))


def test_unreadable_files_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        load_yaml(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        load_yaml(tmp_path / "binary.yaml")


def test_overrides_apply_in_order(tmp_path):
    path = write(tmp_path, "model: {width: 8}\nextra:\n")
    overrides = ["model.width=16", "model.width=24", "betas=[0.5, 0.6]", "extra={}", "seed="]
    config = load_config(path, Train, overrides)
    assert config.model.width == 24
    assert config.betas == (0.5, 0.6)
    assert config.seed is None


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.width", "a setting must be name=value"),
        ("=3", "a setting must be name=value"),
        ("a..b=3", "a setting must be name=value"),
        ("model.widht=8", "did you mean model.width"),
        ("rate.fast=8", "rate.fast goes through float 0.1"),
        ("rate=[", "the setting 'rate=\\['"),
    ],
)
def test_wrong_overrides_are_refused(tmp_path, override, sentence):
    path = write(tmp_path, "model: {width: 8}\nrate: 0.1\n")
    with pytest.raises(ConfigError, match=sentence):
        load_config(path, Train, [override])


def test_an_override_of_endless_depth_is_one_sentence():
    with pytest.raises(ConfigError, match="a setting must be name=value") as caught:
        override_setting({}, "a." * 3000 + "b=1")
    assert len(str(caught.value)) < 300


def test_an_override_leaves_its_input_alone():
    """A sweep applies several overrides to one file that was read once."""
    data = {"a": {"b": 1, "c": 2}}
    assert override_setting(data, "a.b=3") == {"a": {"b": 3, "c": 2}}
    assert data == {"a": {"b": 1, "c": 2}}


finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-(2**63), 2**63 - 1)  # longer ones are refused when they are read
model = st.builds(Model, width=st.integers(1, 64).map(lambda n: 8 * n), depth=whole, dropout=finite)
configs = st.builds(
    Train,
    model=model,
    rate=finite,
    name=st.text(),
    betas=st.tuples(finite, finite),
    sizes=st.lists(whole).map(tuple),
    device=st.sampled_from(["cpu", "cuda"]),
    seed=st.none() | whole,
    compiled=st.booleans(),
    folder=st.sampled_from([Path("."), Path("a/b")]),
    layers=st.lists(model, max_size=2).map(tuple),
    extra=st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3),
)


@given(configs)
def test_a_config_survives_json(config):
    """A checkpoint keeps its configuration as JSON; what is read back must build the same."""
    assert from_dict(Train, json.loads(json.dumps(to_dict(config)))) == config


@given(configs)
def test_json_is_yaml(config):
    """A configuration saved beside a run as JSON can be given back as the YAML file."""
    config = dataclasses.replace(config, name="plain", extra={})
    assert from_dict(Train, parse_yaml(json.dumps(to_dict(config)), "json")) == config
