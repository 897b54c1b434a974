"""The YAML schema, composed of the options of the parts: read, checked all at once, and written out complete."""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from textclf.config.schema import (
    TUNE_SECTION,
    Config,
    _variants,
    option_rows,
)
from textclf.config.yaml_source import ConfigDumper, Key, YamlSource, read_yaml
from textclf.data.rows import data_problems
from textclf.errors import UserError
from textclf.io.streams import is_file
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.registry import MODELS

_CONFIG = pydantic.TypeAdapter(Config)

_TYPE = ("model", "type")  # the key that says which options its section has

Problem = tuple[Key, str]
"""Where something is wrong, and what."""


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config in a file, with `KEY=VALUE` overrides.

    Raises:
        UserError: every problem with its place, each on a line of its own, missing files and columns included.
    """
    source = read_yaml(path, overrides)
    config, problems = check_source(source)
    raise_problems(source, problems)
    return config


def check_source(source: YamlSource) -> tuple[Config, list[Problem]]:
    """The config that the values make, its space left aside, and all that is wrong with it; one in which something is
    wrong has defaults there."""
    values = config_values(source)
    problems = schema_problems(values)
    # nothing can be said of a section whose type is wrong
    wrong = [key[:-1] if key == _TYPE else key for key, _ in problems]
    sound = _without(values, wrong)
    config = parse_config({**sound, "data": {"train": [], **(sound.get("data") or {})}})
    for dotted, message in _outside_problems(config):
        key = tuple(dotted.split("."))
        if not any(overlaps(key, known) for known in wrong):
            problems.append((key, message))
    return config, problems


def config_values(source: YamlSource) -> dict[str, Any]:
    """The values that are part of a Config."""
    return {name: value for name, value in source.values.items() if name != TUNE_SECTION}


def raise_problems(source: YamlSource, problems: Sequence[Problem]) -> None:
    """Raises a UserError of the problems, each with its place, if there are any."""
    if problems:
        lines = [f"{source.location(key)}: {'.'.join(key)}: {message}" for key, message in problems]
        raise UserError(*dict.fromkeys(lines))


def load_saved_config(path: Path) -> Config:
    """The config of a run, its data files perhaps gone.

    Raises:
        UserError: it is damaged.
    """
    values = config_values(read_yaml(path))
    problems = schema_problems(values)
    if problems:
        key, message = problems[0]
        raise UserError(f"{path} is damaged: {'.'.join(key)}: {message}.")
    return parse_config(values)


def dump_config(config: Config) -> str:
    """The complete config as YAML, which loads as the same config."""
    return yaml.dump(dataclasses.asdict(config), Dumper=ConfigDumper, sort_keys=False, allow_unicode=True, width=100)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a Config."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_CONFIG.json_schema()}


# Checking


def schema_problems(values: Any) -> list[Problem]:
    """What the schema says against the values, as (key, message) pairs."""
    try:
        parse_config({"data": {}, **values})
    except pydantic.ValidationError as error:
        found = [
            (_key(problem), _message(problem))
            for problem in error.errors(include_url=False)
            if not (_branch(problem["loc"]) == "str" and isinstance(problem["input"], list))
        ]
        return list(dict(reversed(found)).items())[::-1]
    return []


def parse_config(values: Any) -> Config:
    """The config that the values make, which have no `schema_problems`."""
    # a section whose keys are all commented out reads as null
    filled = {name: {} if value is None else value for name, value in values.items()}
    section, name = _TYPE
    if isinstance(filled.get(section), dict):
        filled[section] = {name: BilstmOptions.type, **filled[section]}
    return _CONFIG.validate_json(json.dumps(filled), strict=True)


def _outside_problems(config: Config) -> list[tuple[str, str]]:
    return [*data_problems(config.data, config.report.slices), *vector_problems(config)]


def vector_problems(config: Config) -> list[tuple[str, str]]:
    """What is wrong with the word vectors that a config names, or does not, as (dotted key, message) pairs."""
    problems = []
    pretrained = config.model.pretrained
    if pretrained is not None and not is_file(pretrained):
        problems.append(("model.pretrained", f"no file '{pretrained}' (looked in {Path.cwd()})."))
    if config.augment.synonyms and pretrained is None:
        problems.append(("augment.synonyms", "needs word vectors, whose neighbours they are. Set model.pretrained."))
    return problems


def overlaps(key: Key, other: Key) -> bool:
    """Whether one of the keys is, or is in, the other's section."""
    return all(a == b for a, b in zip(key, other, strict=False))


def _key(problem: Any) -> Key:
    """The key in the YAML file."""
    loc = problem["loc"]
    if problem["type"] == "union_tag_invalid":
        return _TYPE
    added = 1 if _type(loc) else 2 if _branch(loc) else len(loc)
    return tuple(str(part) for part in loc[:added] + loc[added + 1 :])


def _type(loc: tuple[int | str, ...]) -> str:
    """The type that pydantic adds behind the name of a section that has several, else nothing."""
    return str(loc[1]) if loc[:1] == _TYPE[:1] and len(loc) > 1 else ""


def _branch(loc: tuple[int | str, ...]) -> str | None:
    """The branch of a union that pydantic adds to the key of an option, such as 'str' or 'list[str]'."""
    return str(loc[2]) if len(loc) > 2 and not _type(loc) and loc[2] in ("str", "list[str]") else None


def _message(problem: Any) -> str:
    key = _key(problem)
    if problem["type"] == "unexpected_keyword_argument":
        return _unknown(key, _type(problem["loc"]))
    if problem["type"] == "missing":
        meaning = {row.key: row.help for row in option_rows()}
        return f"is missing; it names {meaning['.'.join(key)]}"
    if problem["type"] == "string_too_short":
        return "is empty" + ("; put a mark such as | in quotes" if key[-1] == "label_separator" else "")
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    found = json.dumps(problem["input"], ensure_ascii=False)
    if problem["type"] == "union_tag_invalid":
        return _wrong_type(problem["input"][key[-1]])
    if problem["type"] in ("dataclass_type", "dict_type"):
        return f"should be a section with keys, found {found[:60]}"
    if problem["type"] == "string_pattern_mismatch":
        return f"should be such as {', '.join(_examples('.'.join(key)))}, found {found[:60]}"
    wanted = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    plain = {
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "array": "a list",
    }
    return f"should be {plain.get(wanted, wanted)}, found {found[:60]}"


def _examples(dotted: str) -> list[str]:
    """What the option with this key says that it may be."""
    section, _, name = dotted.partition(".")
    variants = _variants(section).values()
    [field] = [field for each in variants for field in dataclasses.fields(each) if field.name == name]
    return list(field.metadata["examples"])


def _wrong_type(found: Any) -> str:
    close = difflib.get_close_matches(str(found), MODELS, n=1)
    meant = f"; did you mean '{close[0]}'?" if close else ""
    return f"should be {' or '.join(map(repr, MODELS))}, found {json.dumps(found, ensure_ascii=False)[:60]}{meant}"


def _unknown(key: Key, type_: str) -> str:
    """What is wrong with a key that its section, of this type, does not have."""
    elsewhere = [row.type for row in option_rows() if tuple(row.key.split(".")) == key]
    if elsewhere:
        return f"belongs to type {' and '.join(elsewhere)}; the type here is {type_}"
    return f"unknown key{_nearest(key, type_)}"


def _nearest(key: Key, type_: str) -> str:
    rows = list(option_rows())
    known = [row.key for row in rows]
    section = ".".join(key[:-1])
    in_section = [row for row in rows if row.key.rpartition(".")[0] == section and row.type == type_]
    here = [row.key.rpartition(".")[2] for row in in_section] or _sections()
    if key[-1] in known:  # a dotted key, as --set has it
        return f"; write '{key[-1].partition('.')[2]}' in the section '{key[-1].partition('.')[0]}'"
    close = difflib.get_close_matches(key[-1], here if section else _sections(), n=1)
    elsewhere = [name for name in known if name.endswith(f".{key[-1]}")]
    if not close and not elsewhere:
        leaves = {name.rpartition(".")[2]: name for name in known}
        elsewhere = [leaves[leaf] for leaf in difflib.get_close_matches(key[-1], leaves, n=1, cutoff=0.75)]
    found = close or elsewhere
    return f"; did you mean '{found[0]}'?" if found else f"; known: {', '.join(here)}"


def _sections() -> list[str]:
    return [*(field.name for field in dataclasses.fields(Config)), TUNE_SECTION]


def _without(values: dict[str, Any], keys: list[Key]) -> dict[str, Any]:
    """The values less those at the keys, a list with one of them left out whole."""
    left = {}
    for name, value in values.items():
        below = [key[1:] for key in keys if key and key[0] == str(name)]
        if () in below or (below and isinstance(value, list)):
            continue
        left[name] = _without(value, below) if isinstance(value, dict) else value
    return left
