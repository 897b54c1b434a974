"""The parameters of the estimator: the options of the config by their names, which no two sections share."""

import difflib
import inspect
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from textclf.config.schema import Config, option_rows, option_values

LEFT_OUT = (
    "data.train", "data.validation", "data.test", "data.text", "data.label", "data.label_separator",
    "report.slices", "report.suspects",
)  # fmt: skip
"""Options of files and columns, in whose place the estimator has X and y."""


class Parameter(NamedTuple):
    """A parameter of the estimator."""

    key: str
    """The dotted key of its option."""
    default: Any
    """None where the option has another default for each type of model, or none."""
    help: str


def _parameters() -> dict[str, Parameter]:
    """Return every parameter by its name, in the order of the config."""
    rows = [row for row in option_rows() if row.key not in LEFT_OUT]
    defaults: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        defaults[row.key] |= {row.default} - {""}
    parameters: dict[str, Parameter] = {}
    for row in rows:
        name = row.key.partition(".")[2]
        parameters.setdefault(name, Parameter(row.key, _only(defaults[row.key]), row.help))
    return parameters


def _only(defaults: set[str]) -> Any:
    """Return the only default, of those given as JSON, as an immutable value; None if there are several or none."""
    default = json.loads(*defaults) if len(defaults) == 1 else None
    return tuple(default) if isinstance(default, list) else default


PARAMETERS = _parameters()
"""Every parameter by its name, in the order of the config."""


def signature() -> inspect.Signature:
    """Return the signature of the estimator's `__init__`, from which scikit-learn takes the names of its parameters."""
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=parameter.default)
        for name, parameter in PARAMETERS.items()
    ]
    return inspect.Signature([own, *keywords])


def args_docstring() -> str:
    """Return the section of a docstring that lists the parameters with their help."""
    return "\n".join(["    Args:", *(f"        {name}: {each.help}" for name, each in PARAMETERS.items())])


def check_names(names: Mapping[str, Any]) -> None:
    """Refuse arguments that are no parameters, with the nearest name.

    Raises:
        TypeError: one is not.
    """
    for name in names:
        if name not in PARAMETERS:
            option = name.replace("__", ".").rpartition(".")[2]  # model.units and model__units mean units
            close = [option] if option in PARAMETERS else difflib.get_close_matches(name, PARAMETERS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"TextClassifier has no parameter {name!r}{hint}")


def config_values(params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sections of a config with the parameters that are not the default."""
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, parameter in PARAMETERS.items():
        if not _equal(params[name], parameter.default):
            section, _, option = parameter.key.partition(".")
            values[section][option] = params[name]
    return dict(values)


def params_of(config: Config) -> dict[str, Any]:
    """Return the parameters that give a config; `config_values` undoes it."""
    values = option_values(config)
    given = {name: values[parameter.key] for name, parameter in PARAMETERS.items() if parameter.key in values}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _equal(value: Any, default: Any) -> bool:
    """Return True if a value is the default, of the same kind: True is not 1, and a list is as good as a tuple."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list):
        value = tuple(value)
    return type(value) is type(default) and bool(value == default)
