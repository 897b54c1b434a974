"""The search space: the section `tune` of a config, checked like the options that it names."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

from textclf.config.load import (
    Problem,
    check_source,
    config_values,
    overlaps,
    parse_config,
    raise_problems,
    read_config,
    schema_problems,
    short_json,
)
from textclf.config.load import json_schema as config_schema
from textclf.config.pretrained import pretrained_problems
from textclf.config.schema import TUNE_SECTION, Config, option_values
from textclf.config.yaml_source import Key, YamlSource
from textclf.errors import UserError
from textclf.io.tuning_contract import Settings
from textclf.models.registry import MODELS


@dataclass(frozen=True)
class Choice:
    """A list of values of an option."""

    values: list[Any]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def as_config(self) -> list[Any]:
        """Return the candidates as they are written in a config."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A range of values of an option, ends included."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    """Sample on a logarithmic scale."""
    integer: bool = False

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    def as_config(self) -> dict[str, Any]:
        """Return the candidates as they are written in a config."""
        optional = {"step": self.step, "log": self.log or None}
        given = {name: value for name, value in optional.items() if value is not None}
        return {"low": self.low, "high": self.high} | given


Space = Mapping[str, Choice | Range]
"""Candidates of each option, by dotted key."""

TRAINING_SPACE = {
    "learning_rate": {"low": 0.0003, "high": 0.01, "log": True},
    "batch_size": [16, 32, 64],
}
"""Default candidates of the options of `training`."""

_UNTUNED = {
    "data": "trials on other rows could not be compared",
    "decision": "it is chosen when training has ended",
    "report": "no network depends on it",
    "text.rules": "the newest is meant to be the best",
    "model.type": "tune each type by itself",
    "training.monitor": "it is what trials are compared by",
    "training.seed": "a luckier seed is no better setting",
    "training.seeds": "each trial trains one network",
    "training.ensemble": "each trial trains one network",
    "training.device": "no network should depend on it",
    "training.strategy": "no network should depend on it",
    "training.checkpoint_minutes": "no network depends on it",
}
"""Reason why a section or an option cannot be tuned, by its key."""

_RANGE_KEYS = ("low", "high", "step", "log")


def load_space(path: Path, overrides: Sequence[str] = ()) -> tuple[Config, Space]:
    """Read a config and its search space, or the default space of its model if it has none.

    Raises:
        UserError: all problems of both with their locations, each on a line of its own.
    """
    source = read_config(path, overrides)
    config, problems = check_source(source)
    space, of_space = _read_space(source, config)
    raise_problems(source, [*problems, *of_space])
    raise_problems(source, list(_pretrained_problems(config, space)))
    return config, space or default_space(config)


def default_space(config: Config) -> Space:
    """Return the space of the model's architecture and of training."""
    given = {f"model.{name}": candidates for name, candidates in MODELS[config.model.type].space.items()}
    given |= {f"training.{name}": candidates for name, candidates in TRAINING_SPACE.items()}
    return {key: _parse_candidates(candidates, _number_types(config, key)) for key, candidates in given.items()}


def baseline_settings(config: Config, space: Space) -> Settings:
    """Return the config's own values of the options in the space."""
    values = option_values(config)
    return {key: values[key] for key in space}


def with_settings(config: Config, settings: Settings) -> Config:
    """Return the config with other values of some options, given by dotted key.

    Raises:
        UserError: the values do not go together.
    """
    values = asdict(config)
    for key, value in settings.items():
        section, _, name = key.partition(".")
        values[section][name] = value
    if problems := schema_problems(values):
        named = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        raise UserError(f"{named}: {problems[0][1]}.")
    return parse_config(values)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a config file with a search space, for editors."""
    schema = config_schema()
    range_ = {
        "type": "object",
        "properties": {name: {"type": "number"} for name in ("low", "high", "step")} | {"log": {"type": "boolean"}},
        "required": ["low", "high"],
        "additionalProperties": False,
    }
    schema["properties"][TUNE_SECTION] = {
        "type": "object",
        "description": "what `textclf tune` tries: by dotted key the values of an option, or low and high of them",
        "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, range_]},
    }
    return schema


def _parse_candidates(given: Any, number_types: set[type]) -> Choice | Range:
    """Parse the candidates of an option, which have been checked."""
    if isinstance(given, list):
        values = [float(value) if number_types == {float} and type(value) is int else value for value in given]
        return Choice([json.loads(text) for text in dict.fromkeys(map(json.dumps, values))])
    integer = float not in number_types
    number = int if integer else float
    low, high, step = number(given["low"]), number(given["high"]), given.get("step")
    if step is not None:  # the last step ends at or before `high`
        step = number(step)
        high = number(round(low + math.floor((high - low) / step + 1e-9) * step, 10))
    return Range(low, high, step, bool(given.get("log")), integer)


def _number_types(config: Config, key: str) -> set[type]:
    """Return the numeric types, int and float, that the option accepts."""
    section, _, name = key.partition(".")
    if section not in {field.name for field in fields(config)}:
        return set()
    annotation = get_type_hints(type(getattr(config, section))).get(name)
    return {int, float} & {annotation, *get_args(annotation)}


# Checking

ValueCheck = Callable[[str, Any], list[str]]
"""Returns the problems that the schema finds in a value of the option with this dotted key."""


def _read_space(source: YamlSource, config: Config) -> tuple[Space, list[Problem]]:
    section = source.values.get(TUNE_SECTION)
    if section is None:
        return {}, []
    if not isinstance(section, dict):
        return {}, [((TUNE_SECTION,), f"should be a section with keys, found {short_json(section)}")]
    base = config_values(source)
    check = partial(_value_problems, base, set(schema_problems(base)))
    space: dict[str, Choice | Range] = {}
    problems: list[Problem] = []
    for location, key, given in _entries(section):
        of_option = list(_option_problems(check, config, key, given))
        problems += [((*location, *inner), message) for inner, message in of_option]
        if not of_option and key in option_values(config):  # else the option's section has a problem of its own
            space[key] = _parse_candidates(given, _number_types(config, key))
    return space, problems


def _entries(section: dict[str, Any]) -> Iterator[tuple[Key, str, Any]]:
    """Yield the location, the dotted key and the candidates of each option; options may be grouped by section."""
    for name, value in section.items():
        if "." not in name and isinstance(value, dict):
            yield from (((TUNE_SECTION, name, inner), f"{name}.{inner}", given) for inner, given in value.items())
        else:
            yield (TUNE_SECTION, name), name, value


def _option_problems(check: ValueCheck, config: Config, key: str, given: Any) -> Iterator[Problem]:
    """Yield the problems of an option's candidates, located relative to the option."""
    reason = _UNTUNED.get(key) or _UNTUNED.get(key.partition(".")[0])
    if reason:
        yield (), f"is not tuned: {reason}"
    elif key not in option_values(config):
        yield from (((), message) for message in check(key, None)[:1])
    elif isinstance(given, list):
        if not given:
            yield (), "is an empty list; give the values to try"
        for index, value in enumerate(given):
            yield from (((str(index),), message) for message in check(key, value))
    elif isinstance(given, dict):
        bounds = list(_bound_problems(check, key, given))
        yield from bounds or _range_problems(given, _number_types(config, key))
    else:
        yield (), f"should be a list of values, or low and high, found {short_json(given)}"


def _value_problems(base: dict[str, Any], known: set[Problem], key: str, value: Any) -> list[str]:
    """Return the schema's problems with a value of the option, without those that the config has already."""
    section, _, name = key.partition(".")
    if not name:
        return [f"should be the dotted key of an option, such as model.units, found {short_json(key)}"]
    options = base.get(section) or {}
    changed = {**base, section: {**(options if isinstance(options, dict) else {}), name: value}}
    return [
        message for location, message in schema_problems(changed)
        if overlaps(location, (section, name)) and (location, message) not in known
    ]  # fmt: skip


def _bound_problems(check: ValueCheck, key: str, given: dict[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a range's keys, and those of low and high as values of the option."""
    for name in given:
        if name not in _RANGE_KEYS:
            yield (name,), f"unknown key; known: {', '.join(_RANGE_KEYS)}"
    for name in ("low", "high"):
        if name in given:
            yield from (((name,), message) for message in check(key, given[name]))
        else:
            yield (), f"has no {name}; give low and high, or a list of values"


def _range_problems(given: dict[str, Any], number_types: set[type]) -> Iterator[Problem]:
    """Yield the problems of a range whose low and high are valid values."""
    low, high, step, log = (given.get(name) for name in _RANGE_KEYS)
    if not number_types or low is None or high is None:
        yield (), "is no number; give a list of values"
        return
    if not low < high:
        yield (), f"low should be below high, found {short_json(low)} and {short_json(high)}"
    if step is not None and not (type(step) in number_types | {int} and step > 0):
        number = "a number" if float in number_types else "a whole number"
        yield ("step",), f"should be {number} above 0, found {short_json(step)}"
    elif step is not None and step > high - low:
        yield ("step",), f"should be at most the way from low to high, found {short_json(step)}"
    if log not in (None, True, False):
        yield ("log",), f"should be true or false, found {short_json(log)}"
    if log and step is not None:
        yield (), "has a step and log; choose one"
    if log and low <= 0:
        yield ("low",), f"should be above 0 for log, found {short_json(low)}"


def _pretrained_problems(config: Config, space: Space) -> Iterator[Problem]:
    """Yield the problems of pretrained files in the space, and of options in it that do not fit them."""
    for key, candidates in space.items():
        values = candidates.values if isinstance(candidates, Choice) else [candidates.high]
        for value in values:
            for location, message in pretrained_problems(with_settings(config, {key: value})):
                if location == key:
                    yield (TUNE_SECTION, key), message
