"""A YAML file as plain values, with the place of every key, so that a message can point at it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from textclf.errors import UserError
from textclf.io.sanitize import is_whole

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
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"no config '{path}' (looked in {Path.cwd()}). The shortest says: data: {{train: DATA.csv}}"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise UserError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8.") from None
    if len(content) > LARGEST:
        raise UserError(f"{path} is no config: it has more than {LARGEST >> 10} KB.")
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
        loader = ConfigLoader(text)
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        raise UserError(f"{name}:{line}:{column}: not YAML: a control character, U+{error.character:04X}") from None
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise UserError(f"{where}: not YAML: {', '.join(filter(None, (error.context, error.problem)))}") from None
    except (ValueError, OverflowError):  # PyYAML asks Python for the character of an escape such as \UFFFFFFFF
        where = f"{name}:{loader.line + 1}:{loader.column + 1}"
        raise UserError(f"{where}: not YAML: an escape that is no character") from None
    except RecursionError:
        raise UserError(f"{name}: not a config: nested too deeply") from None
    return node


def _plain(node: yaml.Node | None, key: Key, name: str, places: dict[Key, str]) -> Any:
    """The node as plain values; notes the place of every key."""
    if node is None:
        return None
    where = _where(node, name)
    if len(key) > DEEPEST:
        raise UserError(f"{where}: not a config: nested too deeply")
    places.setdefault(key, where)
    if isinstance(node, yaml.MappingNode):
        return _plain_mapping(node, key, name, places)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*key, str(i)), name, places) for i, item in enumerate(node.value)]
    return _SCALARS[node.tag](_text(node, where))


def _plain_mapping(node: yaml.MappingNode, key: Key, name: str, places: dict[Key, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name_node, value_node in node.value:
        where = _where(name_node, name)
        if not isinstance(name_node, yaml.ScalarNode):
            raise UserError(f"{where}: a key should be a word")
        word = _text(name_node, where)
        inner = (*key, word)
        if word in values:
            raise UserError(f"{where}: {'.'.join(inner)}: stands twice; the first is at {places[inner]}")
        places[inner] = where
        values[word] = _plain(value_node, inner, name, places)
    return values


def _where(node: yaml.Node, name: str) -> str:
    return f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _text(node: yaml.Node, where: str) -> str:
    """What a scalar says; an escape in it may stand for half a character, which no file can hold."""
    text: str = node.value
    if not is_whole(text):
        raise UserError(f"{where}: an escape that is no character; write the character itself")
    return text


def _override(values: dict[str, Any], override: str, places: dict[Key, str]) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise UserError(f"--set {override}: should be KEY=VALUE, such as model.units=128")
    place = f"--set {override}"
    *sections, last = key = tuple(dotted.split("."))
    if len(key) > DEEPEST:
        raise UserError(f"{place}: not a config: nested too deeply")
    if not is_whole(override):
        raise UserError(f"{place}: is not UTF-8")
    for depth, section in enumerate(sections, start=1):
        if not isinstance(values.get(section), dict):
            values[section] = {}
            places[key[:depth]] = place
        values = values[section]
    # a lone mark, such as the label separator |, is text; YAML would see the begin of a block or a comment
    mark = len(text) == 1 and not text.isalnum() and text != "~"
    values[last] = text if mark else _plain(_compose(text, place), key, place, {})
    places[key] = place


LARGEST = 1 << 17  # bytes of a config; a list of a thousand files takes half

DEEPEST = 20  # keys one below the other; the schema has two

_TAG = "tag:yaml.org,2002:"


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    _TAG + "str": str,
    _TAG + "null": lambda _: None,
    _TAG + "bool": lambda text: text.lower() == "true",
    _TAG + "int": int,
    _TAG + "float": _float,
}


class ConfigLoader(yaml.SafeLoader):
    """YAML 1.2's core schema: `1e-3` is a number; `yes`, `no` and `1:30` are text; no dates, aliases, tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs of PyYAML lack its types
        # a few lines of nested aliases can stand for gigabytes; a tag can call text a number
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            problem = "aliases and tags have no use here; quote a text that begins with * or !"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


class ConfigDumper(yaml.SafeDumper):
    """Writes what ConfigLoader reads back as it was."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # in other styles than double quotes PyYAML reads a next-line character, U+0085, back as a blank
    return dumper.represent_scalar(_TAG + "str", text, style='"' if "\x85" in text else None)


ConfigDumper.add_representer(str, _represent_text)


_PATTERNS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    # what is longer becomes a float: Python refuses to read thousands of digits
    "int": (r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    "float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
}

for _kind in (ConfigLoader, ConfigDumper):
    _kind.yaml_implicit_resolvers = {}
    for _name, (_pattern, _first) in _PATTERNS.items():
        _kind.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)
