"""A YAML file as plain values, with the location of every key for messages."""

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from textclf.data.readers import is_table
from textclf.errors import UserError
from textclf.io.sanitize import is_encodable
from textclf.io.streams import check_content, missing_file

MAX_BYTES = 1 << 17  # of a config; a list of a thousand files takes half

MAX_DEPTH = 20  # of nested keys; the schema has two levels

Key = tuple[str, ...]
"""The names of the sections and the key itself, such as ("model", "units")."""

TEXT_KEYS: set[Key] = {("decision", "positive")}
"""Keys whose value is taken as written: a label may be 1.0 or True."""


@dataclass(frozen=True)
class YamlSource:
    """The values of a YAML file, or of a dictionary, and the location of each key."""

    path: str
    """Empty for a dictionary, which has no locations."""
    values: dict[str, Any]
    locations: Mapping[Key, str]
    """`file:line:column` of each key, or `--set key=value`."""

    def location(self, key: Key) -> str:
        """Return the location of a key, or of the section that it is missing from."""
        while key and key not in self.locations:
            key = key[:-1]
        return self.locations.get(key, f"{self.path}:1:1")

    def prefix(self, key: Key) -> str:
        """Return the beginning of a message on a key: its location, if there is one."""
        return f"{self.location(key)}: " if self.path else ""


def read_yaml(path: Path, overrides: Sequence[str] = ()) -> YamlSource:
    """Read the values and locations of a YAML file and apply `KEY=VALUE` overrides.

    Raises:
        UserError: the file cannot be read or is not YAML, or an override is not KEY=VALUE.
    """
    return parse_yaml(_read_text(path), str(path), overrides)


def parse_yaml(text: str, name: str, overrides: Sequence[str] = ()) -> YamlSource:
    """Parse the text of a YAML file as `read_yaml` does; `name` is its name for messages."""
    locations: dict[Key, str] = {}
    values = _to_values(_parse(text, name), (), name, locations)
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise UserError(f"{name}:1:1: should hold sections with keys, found {json.dumps(values)[:60]}")
    for override in overrides:
        _apply_override(values, override, locations)
    return YamlSource(name, values, locations)


def source_of(values: Mapping[str, Any]) -> YamlSource:
    """Return the values of a dictionary, with paths, tuples and NumPy's numbers as YAML has them.

    Raises:
        UserError: it holds what no YAML file does, such as a DataFrame.
    """
    return YamlSource("", _plain(values, ()), {})


def _plain(value: Any, key: Key) -> Any:
    """Return a value as it would be read from YAML."""
    if len(key) > MAX_DEPTH:
        raise UserError(f"{'.'.join(key[:2])}: not a config: nested too deeply")
    if isinstance(value, Mapping):
        return {str(name): _plain(item, (*key, str(name))) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*key, str(index))) for index, item in enumerate(value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if value is not None and key in TEXT_KEYS:
        value = str(value)
    if not isinstance(value, str | int | float | None):
        needed = "text, a number, true or false, None, a list or a dictionary"
        raise UserError(f"{'.'.join(key)}: should be {needed}, found an object of type {type(value).__name__}")
    if isinstance(value, str) and not is_encodable(value):
        raise UserError(f"{'.'.join(key)}: is not UTF-8")
    return value


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if is_table(path) and path.suffix.lower() != ".json":  # a config may be written in JSON
            raise UserError(
                f"{path} is a table, and this command takes a config. "
                f"Write one for it: textclf init {shlex.quote(str(path))}"
            )
        check_content(content, str(path))
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        if is_table(path):
            raise UserError(
                f"{missing_file(str(path))} This command takes a config, which `textclf init` writes for a table."
            ) from None
        raise UserError(
            f"no config '{path}' (looked in {Path.cwd()}). Write one for your table: textclf init DATA.csv"
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise UserError(f"{path}:{line}: byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8.") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"{path} is no config: it has more than {MAX_BYTES >> 10} KB.")
    return text


def _parse(text: str, name: str) -> yaml.Node | None:
    """Parse YAML text; `name` is the file or the override that messages name."""
    try:
        loader = ConfigLoader(text)
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        raise UserError(f"{name}:{line}:{column}: not YAML: a control character, U+{error.character:04X}") from None
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        location = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise UserError(f"{location}: not YAML: {', '.join(filter(None, (error.context, error.problem)))}") from None
    except (ValueError, OverflowError):  # PyYAML asks Python for the character of an escape such as \UFFFFFFFF
        location = f"{name}:{loader.line + 1}:{loader.column + 1}"
        raise UserError(f"{location}: not YAML: an escape that is no character") from None
    except RecursionError:
        raise UserError(f"{name}: not a config: nested too deeply") from None
    return node


def _to_values(node: yaml.Node | None, key: Key, name: str, locations: dict[Key, str]) -> Any:
    """Convert the node at `key` to plain values and add the location of every key in it to `locations`."""
    if node is None:
        return None
    location = _location(node, name)
    if len(key) > MAX_DEPTH:
        raise UserError(f"{location}: not a config: nested too deeply")
    locations.setdefault(key, location)
    if isinstance(node, yaml.MappingNode):
        return _to_dict(node, key, name, locations)
    if isinstance(node, yaml.SequenceNode):
        return [_to_values(item, (*key, str(index)), name, locations) for index, item in enumerate(node.value)]
    as_written = key in TEXT_KEYS and node.tag != _TAG + "null"
    return (str if as_written else _SCALARS[node.tag])(_scalar_text(node, location))


def _to_dict(node: yaml.MappingNode, key: Key, name: str, locations: dict[Key, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        location = _location(key_node, name)
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError(f"{location}: a key should be a word")
        word = _scalar_text(key_node, location)
        inner_key = (*key, word)
        if word in values:
            raise UserError(f"{location}: {'.'.join(inner_key)}: stands twice; the first is at {locations[inner_key]}")
        locations[inner_key] = location
        values[word] = _to_values(value_node, inner_key, name, locations)
    return values


def _location(node: yaml.Node, name: str) -> str:
    return f"{name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def _scalar_text(node: yaml.Node, location: str) -> str:
    text: str = node.value
    if not is_encodable(text):  # half of a surrogate pair
        raise UserError(f"{location}: an escape that is no character; write the character itself")
    return text


def _apply_override(values: dict[str, Any], override: str, locations: dict[Key, str]) -> None:
    """Set the key of a `KEY=VALUE` override in `values`, and its location."""
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise UserError(f"--set {override}: should be KEY=VALUE, such as model.units=128")
    location = f"--set {override}"
    *sections, last = key = tuple(dotted.split("."))
    if len(key) > MAX_DEPTH:
        raise UserError(f"{location}: not a config: nested too deeply")
    if not is_encodable(override):
        raise UserError(f"{location}: is not UTF-8")
    for depth, section in enumerate(sections, start=1):
        if not isinstance(values.get(section), dict):
            values[section] = {}
            locations[key[:depth]] = location
        values = values[section]
    # YAML would read a lone symbol, such as the label separator |, as the start of a block or a comment
    symbol = len(text) == 1 and not text.isalnum() and text != "~"
    values[last] = text if symbol else _to_values(_parse(text, location), key, location, {})
    locations[key] = location


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
    """A loader of YAML 1.2's core schema: `1e-3` is a number; `yes`, `no`, `1:30` are text; no dates, aliases, tags."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call] # the stubs of PyYAML lack its types
        # a few lines of nested aliases can expand to gigabytes; a tag can turn text into a number
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None) is not None:
            problem = "aliases and tags have no use here; quote a text that begins with * or !"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


class ConfigDumper(yaml.SafeDumper):
    """A dumper whose output ConfigLoader reads back unchanged."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # in other styles than double quotes PyYAML reads a next-line character, U+0085, back as a blank
    return dumper.represent_scalar(_TAG + "str", text, style='"' if "\x85" in text else None)


ConfigDumper.add_representer(str, _represent_text)


# name -> pattern, and the characters that it can start with
_PATTERNS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    # a longer number becomes a float: Python refuses to read thousands of digits
    "int": (r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    "float": (
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
}

for _class in (ConfigLoader, ConfigDumper):
    _class.yaml_implicit_resolvers = {}
    for _name, (_pattern, _first) in _PATTERNS.items():
        _class.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)
