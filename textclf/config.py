"""The YAML schema, composed of the options of the parts: read, checked all at once, and written out complete."""

import dataclasses
import difflib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from textclf.calibration import DecisionOptions
from textclf.data import DataOptions, data_problems
from textclf.errors import UserError
from textclf.models import BilstmOptions
from textclf.options import option, options
from textclf.source import ConfigDumper, Key, read_source
from textclf.streams import is_file
from textclf.tokens import TextOptions
from textclf.training import TrainingOptions


@options
class ReportOptions:
    """What is measured beside the network."""

    baseline: bool = option(default=True, help="majority class, and TF-IDF with logistic regression, on the same rows")
    texts: bool = option(default=True, help="false: no text of the data in any file of the run")
    slices: list[str] = option(default=list, help="columns of the measured rows by which the score is shown too")
    suspects: bool = option(
        default=False, help="write suspects.csv: training rows that are probably labelled wrong (needs textclf[labels])"
    )


@options
class Config:
    """Everything that a training run depends on, besides the data and this program."""

    data: DataOptions = option(help="the rows")
    text: TextOptions = option(default=TextOptions, help="texts to token ids")
    model: BilstmOptions = option(default=BilstmOptions, help="the network")
    training: TrainingOptions = option(default=TrainingOptions, help="how it learns")
    decision: DecisionOptions = option(default=DecisionOptions, help="from probabilities to labels")
    report: ReportOptions = option(default=ReportOptions, help="what is measured beside it")


_CONFIG = pydantic.TypeAdapter(Config)


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config in a file, with `KEY=VALUE` overrides.

    Raises:
        UserError: every problem with its place, each on a line of its own, missing files and columns included.
    """
    source = read_source(path, overrides)
    problems = schema_problems(source.values)
    wrong = [key for key, _ in problems]
    sound = _without(source.values, wrong)
    config = _parse({**sound, "data": {"train": [], **(sound.get("data") or {})}})
    for dotted, message in _outside_problems(config):
        key = tuple(dotted.split("."))
        if not any(_one_in_the_other(key, known) for known in wrong):
            problems.append((key, message))
    if problems:
        lines = [f"{source.place(key)}: {'.'.join(key)}: {message}" for key, message in problems]
        raise UserError(*dict.fromkeys(lines))
    return config


def saved_config(path: Path) -> Config:
    """The config of a run, its data files perhaps gone.

    Raises:
        UserError: it is damaged.
    """
    source = read_source(path)
    problems = schema_problems(source.values)
    if problems:
        key, message = problems[0]
        raise UserError(f"{path} is damaged: {'.'.join(key)}: {message}.")
    return _parse(source.values)


def dump_config(config: Config) -> str:
    """The complete config as YAML, which loads as the same config."""
    return yaml.dump(dataclasses.asdict(config), Dumper=ConfigDumper, sort_keys=False, allow_unicode=True, width=100)


def option_values(config: Config) -> dict[str, Any]:
    """Every option's value by its dotted key."""
    sections = dataclasses.asdict(config)
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def json_schema() -> dict[str, Any]:
    """The JSON schema of the config, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_CONFIG.json_schema()}


def option_rows() -> Iterator[tuple[str, str, str]]:
    """Dotted key, default as YAML and help of every option, in order."""
    for section in dataclasses.fields(Config):
        section_type: Any = section.type
        for field in dataclasses.fields(section_type):
            yield f"{section.name}.{field.name}", _default_text(field), field.metadata["description"]


def _default_text(field: Any) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return json.dumps(field.default_factory())
    return "" if field.default is dataclasses.MISSING else json.dumps(field.default)


# Checking


def schema_problems(values: Any) -> list[tuple[Key, str]]:
    """What the schema says against the values, as (key, message) pairs."""
    try:
        _parse({"data": {}, **values})
    except pydantic.ValidationError as error:
        found = [
            (_key(problem["loc"]), _message(problem))
            for problem in error.errors(include_url=False)
            if not (_branch(problem["loc"]) == "str" and isinstance(problem["input"], list))
        ]
        return list(dict(reversed(found)).items())[::-1]
    return []


def _parse(values: Any) -> Config:
    # a section whose keys are all commented out reads as null
    filled = {name: {} if value is None else value for name, value in values.items()}
    return _CONFIG.validate_json(json.dumps(filled), strict=True)


def _outside_problems(config: Config) -> list[tuple[str, str]]:
    problems = data_problems(config.data, config.report.slices)
    pretrained = config.model.pretrained
    if pretrained is not None and not is_file(pretrained):
        problems.append(("model.pretrained", f"no file '{pretrained}' (looked in {Path.cwd()})."))
    return problems


def _one_in_the_other(key: Key, other: Key) -> bool:
    return all(a == b for a, b in zip(key, other, strict=False))


def _key(loc: tuple[int | str, ...]) -> Key:
    """The key in the YAML file."""
    return tuple(str(part) for part in (loc[:2] + loc[3:] if _branch(loc) else loc))


def _branch(loc: tuple[int | str, ...]) -> str | None:
    """The branch of a union that pydantic adds to the key of an option, such as 'str' or 'list[str]'."""
    return str(loc[2]) if len(loc) > 2 and loc[2] in ("str", "list[str]") else None


def _message(problem: Any) -> str:
    key = _key(problem["loc"])
    if problem["type"] == "unexpected_keyword_argument":
        return f"unknown key{_nearest(key)}"
    if problem["type"] == "missing":
        meaning = {name: text for name, _, text in option_rows()}
        return f"is missing; it names {meaning['.'.join(key)]}"
    if problem["type"] == "string_too_short":
        return "is empty" + ("; put a mark such as | in quotes" if key[-1] == "label_separator" else "")
    found = json.dumps(problem["input"], ensure_ascii=False)
    if problem["type"] == "dataclass_type":
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
    fields: dict[str, Any] = Config.__dataclass_fields__
    return list(fields[section].type.__dataclass_fields__[name].metadata["examples"])


def _nearest(key: Key) -> str:
    known = [name for name, _, _ in option_rows()]
    section = ".".join(key[:-1])
    here = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == section] or _sections()
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
    return [field.name for field in dataclasses.fields(Config)]


def _without(values: dict[str, Any], keys: list[Key]) -> dict[str, Any]:
    """The values less those at the keys, a list with one of them left out whole."""
    left = {}
    for name, value in values.items():
        below = [key[1:] for key in keys if key and key[0] == str(name)]
        if () in below or (below and isinstance(value, list)):
            continue
        left[name] = _without(value, below) if isinstance(value, dict) else value
    return left
