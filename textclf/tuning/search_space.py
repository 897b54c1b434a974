"""What `textclf tune` tries: the section `tune` of a config, checked like the options that it names."""

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
    schema_problems,
    vector_problems,
)
from textclf.config.load import json_schema as config_schema
from textclf.config.schema import TUNE_SECTION, Config, option_values
from textclf.config.yaml_source import Key, YamlSource, read_yaml
from textclf.errors import UserError
from textclf.models.registry import MODELS


@dataclass(frozen=True)
class Choice:
    """Some values of an option."""

    values: list[Any]

    def __contains__(self, value: Any) -> bool:
        return value in self.values

    def document(self) -> Any:
        """As a config has it."""
        return self.values


@dataclass(frozen=True)
class Range:
    """All values of an option from `low` to `high`."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    """Whether factors are what counts: 0.001 is as far from 0.01 as from 0.0001."""
    whole: bool = False

    def __contains__(self, value: Any) -> bool:
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    def document(self) -> Any:
        """As a config has it."""
        more = {"step": self.step, "log": self.log or None}
        return {"low": self.low, "high": self.high} | {name: value for name, value in more.items() if value is not None}


Space = Mapping[str, Choice | Range]
"""Candidates by an option's dotted key."""

TRAINING_SPACE = {
    "learning_rate": {"low": 0.0003, "high": 0.01, "log": True},
    "batch_size": [16, 32, 64],
}
"""What is tried of the options of `training` where a config does not say."""

_UNTUNED = {
    "data": "trials on other rows could not be compared",
    "decision": "it is chosen when training has ended",
    "report": "no network depends on it",
    "model.type": "tune each type by itself",
    "training.monitor": "it is what trials are compared by",
    "training.seed": "a luckier seed is no better setting",
    "training.seeds": "each trial trains one network",
    "training.ensemble": "each trial trains one network",
    "training.device": "no network should depend on it",
    "training.checkpoint_minutes": "no network depends on it",
}
"""What cannot be tuned, by the section or the dotted key, and why."""

_RANGE = ("low", "high", "step", "log")


def load_space(path: Path, overrides: Sequence[str] = ()) -> tuple[Config, Space]:
    """The config in a file and what is to be tried of it, that of its model's type where the file does not say.

    Raises:
        UserError: every problem of either with its place, each on a line of its own.
    """
    source = read_yaml(path, overrides)
    config, problems = check_source(source)
    space, further = _read_space(source, config)
    raise_problems(source, [*problems, *further])
    raise_problems(source, list(_vector_problems(config, space)))
    return config, space or default_space(config)


def default_space(config: Config) -> Space:
    """What is tried where a config does not say."""
    architecture = MODELS[config.model.type]
    candidates = {f"model.{name}": each for name, each in architecture.space.items()}
    candidates |= {f"training.{name}": each for name, each in TRAINING_SPACE.items()}
    return {dotted: _candidates(each, _numbers(config, dotted)) for dotted, each in candidates.items()}


def baseline_settings(config: Config, space: Space) -> dict[str, Any]:
    """What the config as it stands says of the options in the space."""
    values = option_values(config)
    return {dotted: values[dotted] for dotted in space}


def with_settings(config: Config, settings: Mapping[str, Any]) -> Config:
    """The config with other values of some options, by their dotted keys.

    Raises:
        UserError: they do not go together.
    """
    values = asdict(config)
    for dotted, value in settings.items():
        section, _, name = dotted.partition(".")
        values[section][name] = value
    if problems := schema_problems(values):
        said = ", ".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        raise UserError(f"{said}: {problems[0][1]}.")
    return parse_config(values)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config file, for editors."""
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


def _candidates(given: Any, numbers: set[type]) -> Choice | Range:
    if isinstance(given, list):
        values = [float(value) if numbers == {float} and type(value) is int else value for value in given]
        return Choice([json.loads(text) for text in dict.fromkeys(map(json.dumps, values))])
    whole = float not in numbers
    kind = int if whole else float
    low, high, step = kind(given["low"]), kind(given["high"]), given.get("step")
    if step is not None:  # the last step ends at or before `high`
        step = kind(step)
        high = kind(round(low + math.floor((high - low) / step + 1e-9) * step, 10))
    return Range(low, high, step, bool(given.get("log")), whole)


def _numbers(config: Config, dotted: str) -> set[type]:
    """int or float or both, where the option may be such a number."""
    section, _, name = dotted.partition(".")
    if section not in {field.name for field in fields(config)}:
        return set()
    kind = get_type_hints(type(getattr(config, section))).get(name)
    return {int, float} & {kind, *get_args(kind)}


# Checking

Check = Callable[[str, Any], list[str]]
"""What the schema says against a value of the option with this dotted key."""


def _read_space(source: YamlSource, config: Config) -> tuple[Space, list[Problem]]:
    given = source.values.get(TUNE_SECTION)
    if given is None:
        return {}, []
    if not isinstance(given, dict):
        return {}, [((TUNE_SECTION,), f"should be a section with keys, found {_shown(given)}")]
    base = config_values(source)
    check = partial(_value_problems, base, set(schema_problems(base)))
    space: dict[str, Choice | Range] = {}
    problems: list[Problem] = []
    for key, dotted, candidates in _entries(given):
        found = list(_problems(check, config, dotted, candidates))
        problems += [((*key, *inner), message) for inner, message in found]
        if not found and dotted in option_values(config):  # else its section is of a wrong type, which is said
            space[dotted] = _candidates(candidates, _numbers(config, dotted))
    return space, problems


def _entries(given: dict[str, Any]) -> Iterator[tuple[Key, str, Any]]:
    """Where each option stands, its dotted key, and its candidates; options may stand within their section too."""
    for name, value in given.items():
        if "." not in name and isinstance(value, dict):
            yield from (((TUNE_SECTION, name, inner), f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield (TUNE_SECTION, name), name, value


def _problems(check: Check, config: Config, dotted: str, candidates: Any) -> Iterator[Problem]:
    """What is wrong with the candidates of an option, and where below it."""
    reason = _UNTUNED.get(dotted) or _UNTUNED.get(dotted.partition(".")[0])
    if reason:
        yield (), f"is not tuned: {reason}"
    elif dotted not in option_values(config):
        yield from (((), message) for message in check(dotted, None)[:1])
    elif isinstance(candidates, list):
        if not candidates:
            yield (), "is an empty list; give the values to try"
        for place, value in enumerate(candidates):
            yield from (((str(place),), message) for message in check(dotted, value))
    elif isinstance(candidates, dict):
        yield from _range_problems(check, dotted, candidates, _numbers(config, dotted))
    else:
        yield (), f"should be a list of values, or low and high, found {_shown(candidates)}"


def _vector_problems(config: Config, space: Space) -> Iterator[Problem]:
    """What is wrong with word vectors in the space, or without any."""
    for dotted, candidates in space.items():
        values = candidates.values if isinstance(candidates, Choice) else [candidates.high]
        for value in values:
            for where, message in vector_problems(with_settings(config, {dotted: value})):
                if where == dotted:
                    yield (TUNE_SECTION, dotted), message


def _value_problems(base: dict[str, Any], known: set[Problem], dotted: str, value: Any) -> list[str]:
    """What the schema says against one value of the option, and not against the config as it stands."""
    section, _, name = dotted.partition(".")
    if not name:
        return [f"should be the dotted key of an option, such as model.units, found {_shown(dotted)}"]
    inside = base.get(section) or {}
    changed = {**base, section: {**(inside if isinstance(inside, dict) else {}), name: value}}
    key = (section, name)
    return [
        message for where, message in schema_problems(changed)
        if overlaps(where, key) and (where, message) not in known
    ]  # fmt: skip


def _range_problems(check: Check, dotted: str, given: dict[str, Any], numbers: set[type]) -> Iterator[Problem]:
    found: list[Problem] = [
        ((name,), f"unknown key; known: {', '.join(_RANGE)}") for name in given if name not in _RANGE
    ]
    for name in ("low", "high"):
        if name in given:
            found += [((name,), message) for message in check(dotted, given[name])]
        else:
            found.append(((), f"has no {name}; give low and high, or a list of values"))
    yield from found
    if found:
        return
    low, high, step, log = (given.get(name) for name in _RANGE)
    if not numbers or low is None or high is None:
        yield (), "is no number; give a list of values"
        return
    if not low < high:
        yield (), f"low should be below high, found {_shown(low)} and {_shown(high)}"
    if step is not None and not (type(step) in numbers | {int} and step > 0):
        kind = "a number" if float in numbers else "a whole number"
        yield ("step",), f"should be {kind} above 0, found {_shown(step)}"
    elif step is not None and step > high - low:
        yield ("step",), f"should be at most the way from low to high, found {_shown(step)}"
    if log not in (None, True, False):
        yield ("log",), f"should be true or false, found {_shown(log)}"
    if log and step is not None:
        yield (), "has a step and log; choose one"
    if log and low <= 0:
        yield ("low",), f"should be above 0 for log, found {_shown(low)}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:60]
