"""A YAML file as plain values, with the place of every key, so that a message can point at it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from textclf.errors import UserError

Key = tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A config as it was written: values, and where each key stands."""

    path: str
    values: dict[str, Any]
    places: Mapping[Key, str]
    """`file:line:column` of each key, or `--set key`."""

    def place(self, key: Key) -> str:
        """Where a key stands, or, for one that is missing, the section that it is missing from."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, f"{self.path}:1:1")


def read_source(path: Path, overrides: Sequence[str] = ()) -> Source:
    """The values and places in a YAML file, with overrides.

    Raises:
        UserError: it cannot be read, is no YAML, or an override is no KEY=VALUE.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"no config '{path}' (looked in {Path.cwd()}). `textclf init DATA.csv` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text in UTF-8: {error}.") from None
    places: dict[Key, str] = {}
    values = _plain(_compose(text, str(path)), (), str(path), places)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UserError(f"{path}:1:1: should hold sections with keys, found {json.dumps(values)[:60]}")
    for override in overrides:
        _override(values, override, places)
    return Source(str(path), values, places)


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        node = yaml.compose(text, Loader=ConfigLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise UserError(f"{where}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{name}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise UserError(f"{name}: not a config: nested too deeply") from None
    return node


def _plain(node: yaml.Node | None, key: Key, name: str, places: dict[Key, str]) -> Any:
    """The node as plain values; notes the place of every key."""
    if node is None:
        return None
    where = f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
    places.setdefault(key, where)
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, key, name, places)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*key, str(i)), name, places) for i, item in enumerate(node.value)]
    return _scalar(node, where)


def _plain_mapping(node: yaml.MappingNode, key: Key, name: str, places: dict[Key, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name_node, value_node in node.value:
        where = f"{name}:{name_node.start_mark.line + 1}:{name_node.start_mark.column + 1}"
        if not isinstance(name_node, yaml.ScalarNode):
            raise UserError(f"{where}: a key should be a word")
        inner = (*key, name_node.value)
        if name_node.value in values:
            raise UserError(f"{where}: {'.'.join(inner)}: stands twice; the first is at {places[inner]}")
        places[inner] = where
        values[name_node.value] = _plain(value_node, inner, name, places)
    return values


def _scalar(node: yaml.Node, where: str) -> Any:
    if node.tag == _TAG + "str":
        return node.value
    if node.tag not in _SCALARS:
        raise UserError(f"{where}: the tag {node.tag} has no meaning here")
    return _SCALARS[node.tag](node.value)


def _override(values: dict[str, Any], override: str, places: dict[Key, str]) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise UserError(f"--set {override}: should be KEY=VALUE, such as model.units=128")
    place = f"--set {override}"
    *sections, last = key = tuple(dotted.split("."))
    for section in sections:
        inner = values.setdefault(section, {})
        values = inner if isinstance(inner, dict) else values.update({section: {}}) or values[section]
    values[last] = _plain(_compose(text, place), tuple(key), place, {})
    places[key] = place


_TAG = "tag:yaml.org,2002:"


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Any] = {
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": int,
    _TAG + "float": _float,
}


class ConfigLoader(yaml.SafeLoader):
    """YAML 1.2's core schema: `1e-3` is a number; `yes`, `no` and `1:30` are text; no dates, no aliases."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # a few lines of nested aliases can stand for gigabytes
            raise yaml.composer.ComposerError(None, None, "aliases have no use here", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


class ConfigDumper(yaml.SafeDumper):
    """Writes what ConfigLoader reads back as it was."""


_PATTERNS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"^[-+]?[0-9]+$", list("-+0123456789")),
    "float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
}
for _kind in (ConfigLoader, ConfigDumper):
    _kind.yaml_implicit_resolvers = {}
    for _name, (_pattern, _first) in _PATTERNS.items():
        _kind.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)
