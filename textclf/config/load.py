"""Reading and writing configs; all problems of a config are reported at once, each with its location."""

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import pydantic
import yaml
from pydantic_core import ErrorDetails

from textclf.config.pretrained import pretrained_files, pretrained_problems
from textclf.config.schema import TUNE_SECTION, Config, option_rows, section_types
from textclf.config.yaml_source import ConfigDumper, Key, YamlSource, read_yaml, source_of
from textclf.data.readers import find_files
from textclf.data.rows import PARTS, data_problems
from textclf.errors import UserError
from textclf.io.run_folder import Run
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.registry import MODELS

MAX_SHOWN = 60  # characters of a wrong value in a message

_CONFIG = pydantic.TypeAdapter(Config)

_EMPTY: dict[Any, Any] = {str: "", str | list[str]: []}  # in the place of a required option that is missing

_TYPE = ("model", "type")  # the key that decides which options its section has

Problem = tuple[Key, str]
"""A key and what is wrong with it."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Load and check the config in a file, with `KEY=VALUE` overrides.

    Raises:
        UserError: all problems, one per line with its location; missing files and columns included.
    """
    source = read_config(path, overrides)
    config, problems = check_source(source)
    raise_problems(source, problems)
    return config


def make_config(values: Mapping[str, Any]) -> Config:
    """Check the values of a config and return it, as `load_config` does for a file.

    Raises:
        UserError: all problems, one per line with its key; missing files and columns included.
    """
    source = source_of(values)
    config, problems = check_source(source)
    raise_problems(source, problems)
    return config


def read_config(path: Path, overrides: Sequence[str] = ()) -> YamlSource:
    """Read a config without checking it; in one of an earlier run, options that are newer keep what was done then.

    Raises:
        UserError: the file cannot be read or is not YAML, or an override is not KEY=VALUE.
    """
    source = read_yaml(path, overrides)
    run = Run(path.parent)
    if path.name == run.config.name and run.description.is_file():
        _default_to_earlier_behaviour(source.values)
    return source


def load_saved_config(path: Path) -> Config:
    """Load the config of a run, whose data files need not exist any more.

    Raises:
        UserError: the config is damaged.
    """
    values = config_values(read_yaml(path))
    _default_to_earlier_behaviour(values)
    problems = schema_problems(values)
    if problems:
        key, message = problems[0]
        raise UserError(f"{path} is damaged: {'.'.join(key)}: {message}.")
    return parse_config(values)


def _default_to_earlier_behaviour(values: dict[str, Any]) -> None:
    """Set options that are newer than a complete config, which lacks them, to what textclf did before it had them."""
    for section, option, value in (("text", "rules", 1), ("model", "blend", None)):
        if isinstance(options := values.get(section), dict):
            options.setdefault(option, value)


def dump_config(config: Config) -> str:
    """Return the complete config as YAML, which loads as the same config."""
    return yaml.dump(dataclasses.asdict(config), Dumper=ConfigDumper, sort_keys=False, allow_unicode=True, width=100)


def input_files(config: Config) -> list[Path]:
    """Return the files of data, word vectors and encoder that a config names.

    Raises:
        UserError: a name or a glob matches no file.
    """
    patterns = {part: getattr(config.data, part) for part in PARTS}
    files = [file for part, names in patterns.items() if names for file in find_files(names, key=f"data.{part}")]
    return files + pretrained_files(config)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a Config."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_CONFIG.json_schema()}


# Checking


def check_source(source: YamlSource) -> tuple[Config, list[Problem]]:
    """Return the config, with defaults for wrong values, and all problems outside the section `tune`."""
    values = config_values(source)
    problems = schema_problems(values)
    # the options of a section whose type is wrong cannot be checked
    wrong = [key[:-1] if key == _TYPE else key for key, _ in problems]
    valid = _without(values, wrong)
    config = parse_config(_with_required(valid))
    folder = Path(source.path).parent
    file_problems = data_problems(config.data, config.report.slices, config_folder=folder)
    for dotted, message in [*file_problems, *pretrained_problems(config, config_folder=folder)]:
        key = tuple(dotted.split("."))
        if not any(overlaps(key, wrong_key) for wrong_key in wrong):
            problems.append((key, message))
    return config, problems


def _with_required(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values with an empty one in the place of each required one that is missing."""
    filled = {}
    for field in dataclasses.fields(Config):
        given = values.get(field.name) or {}
        types = section_types(field.name)
        options = types.get("") or types[given.get("type", BilstmOptions.type)]
        filled[field.name] = {**_empty_required(options), **given}
    return {**values, **filled}


def _empty_required(options: type[Any]) -> dict[str, Any]:
    """Return an empty value for each required option of an options class that names files."""
    types = get_type_hints(options)
    required = [
        field.name for field in dataclasses.fields(options)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    return {name: _EMPTY[types[name]] for name in required if types[name] in _EMPTY}


def config_values(source: YamlSource) -> dict[str, Any]:
    """Return the values that belong to a Config: all but the section `tune`."""
    return {name: value for name, value in source.values.items() if name != TUNE_SECTION}


def raise_problems(source: YamlSource, problems: Sequence[Problem]) -> None:
    """Raise a UserError with a line for each problem, if there are any."""
    if problems:
        lines = [f"{source.prefix(key)}{'.'.join(key)}: {message}" for key, message in problems]
        raise UserError(*dict.fromkeys(lines))


def schema_problems(values: Mapping[str, object]) -> list[Problem]:
    """Return the problems of the values by the schema alone, without reading any file."""
    try:
        parse_config({"data": {}, **values})
    except pydantic.ValidationError as error:
        problems = [
            (_key(details), _message(details))
            for details in error.errors(include_url=False)
            # a wrong item of a list of files is a problem of the item only
            if not (_union_branch(details["loc"]) == "str" and isinstance(details["input"], list))
        ]
        return list(dict(reversed(problems)).items())[::-1]  # the first of each key
    return []


def parse_config(values: Mapping[str, Any]) -> Config:
    """Return the Config of values without `schema_problems`."""
    # a section whose keys are all commented out reads as null
    filled = {name: {} if value is None else value for name, value in values.items()}
    section, name = _TYPE
    if isinstance(filled.get(section), dict):
        filled[section] = {name: BilstmOptions.type, **filled[section]}
    return _CONFIG.validate_json(json.dumps(filled), strict=True)


def overlaps(key: Key, other: Key) -> bool:
    """Return True if the keys are equal or one is in the section that the other names."""
    return all(part == other_part for part, other_part in zip(key, other, strict=False))


def _without(values: dict[str, Any], keys: list[Key]) -> dict[str, Any]:
    """Return the values without those at the keys; a list with one of them is removed as a whole."""
    kept = {}
    for name, value in values.items():
        inner_keys = [key[1:] for key in keys if key and key[0] == str(name)]
        if () in inner_keys or (inner_keys and isinstance(value, list)):
            continue
        kept[name] = _without(value, inner_keys) if isinstance(value, dict) else value
    return kept


# The problems that pydantic finds, as keys and messages


def _key(details: ErrorDetails) -> Key:
    """Return the key in the YAML file: `loc` without the section types and union branches that pydantic adds."""
    loc = details["loc"]
    if details["type"] == "union_tag_invalid":
        return _TYPE
    added = 1 if _section_type(loc) else 2 if _union_branch(loc) else len(loc)
    return tuple(str(part) for part in loc[:added] + loc[added + 1 :])


def _section_type(loc: tuple[int | str, ...]) -> str:
    """Return the type that pydantic adds after a section that has types, else an empty string."""
    return str(loc[1]) if loc[:1] == _TYPE[:1] and len(loc) > 1 else ""


def _union_branch(loc: tuple[int | str, ...]) -> str | None:
    """Return the branch, `str` or `list[str]`, that pydantic adds to the key of an option that may be either."""
    return str(loc[2]) if len(loc) > 2 and not _section_type(loc) and loc[2] in ("str", "list[str]") else None


_PLAIN_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
}


def _message(details: ErrorDetails) -> str:
    key, kind = _key(details), details["type"]
    if kind == "unexpected_keyword_argument":
        return _unknown_key_message(key, _section_type(details["loc"]))
    if kind == "missing":
        meaning = {row.key: row.help for row in option_rows()}
        return f"is missing; it names {meaning['.'.join(key)]}"
    if kind in ("string_too_short", "too_short"):
        return "is empty" + ("; put a mark such as | in quotes" if key[-1] == "label_separator" else "")
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind == "union_tag_invalid":
        return _wrong_type_message(details["input"][key[-1]])
    expected = details["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    expected = _PLAIN_TYPES.get(expected, expected)
    if kind in ("dataclass_type", "dict_type"):
        expected = "a section with keys"
    elif kind == "string_pattern_mismatch":
        expected = f"such as {', '.join(_examples('.'.join(key)))}"
    return f"should be {expected}, found {short_json(details['input'])}"


def short_json(value: object) -> str:
    """Return a value as JSON for a message, cut to MAX_SHOWN characters."""
    return json.dumps(value, ensure_ascii=False)[:MAX_SHOWN]


def _examples(dotted: str) -> list[str]:
    """Return the examples of values that the option with this key has."""
    section, _, name = dotted.partition(".")
    classes = section_types(section).values()
    [field] = [field for options in classes for field in dataclasses.fields(options) if field.name == name]
    return list(field.metadata["examples"])


def _wrong_type_message(value: object) -> str:
    close = difflib.get_close_matches(str(value), MODELS, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"should be {' or '.join(map(repr, MODELS))}, found {short_json(value)}{hint}"


def _unknown_key_message(key: Key, section_type: str) -> str:
    types = [row.type for row in option_rows() if tuple(row.key.split(".")) == key]
    if types:
        return f"belongs to type {' and '.join(types)}; the type here is {section_type}"
    return f"unknown key; {_unknown_key_hint(key, section_type)}"


def _unknown_key_hint(key: Key, section_type: str) -> str:
    """Return the key that was probably meant, or the known keys."""
    rows = list(option_rows())
    dotted_keys = [row.key for row in rows]
    section, name = ".".join(key[:-1]), key[-1]
    if name in dotted_keys:  # a dotted key, as --set has it
        section, _, option = name.partition(".")
        return f"write '{option}' in the section '{section}'"
    of_section = [row for row in rows if row.key.rpartition(".")[0] == section and row.type == section_type]
    sections = [*(field.name for field in dataclasses.fields(Config)), TUNE_SECTION]
    known = [row.key.rpartition(".")[2] for row in of_section] or sections
    names = {dotted.rpartition(".")[2]: dotted for dotted in dotted_keys}
    close = (
        difflib.get_close_matches(name, known, n=1)
        or [dotted for dotted in dotted_keys if dotted.endswith(f".{name}")]
        or [names[close] for close in difflib.get_close_matches(name, names, n=1, cutoff=0.75)]
    )
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
