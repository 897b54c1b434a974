"""Writes the generated tables of README.md between their markers: `python tests/readme_table.py`."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from textclf.config.load import json_schema
from textclf.config.schema import option_rows

TESTS = Path(__file__).parent
BENCHMARKS = TESTS / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(TESTS / "reliability")]

import augment  # noqa: E402
import compress  # noqa: E402
import large_data  # noqa: E402
import predict_memory  # noqa: E402
import predict_speed  # noqa: E402
import promises  # noqa: E402
import train_speed  # noqa: E402
import trust  # noqa: E402
import tune  # noqa: E402
from measuring import markdown  # noqa: E402

README = Path(__file__).parent.parent / "README.md"
SCRIPTS = (augment, compress, predict_speed, predict_memory, train_speed, large_data, trust, promises, tune)
ACCURACY = BENCHMARKS / "accuracy.json"


def options_table() -> str:
    """Key, default, values and meaning of every option, as a Markdown table."""
    schema = json_schema()
    rows = [("key", "default", "values", "meaning")]
    for row in option_rows():
        section, _, name = row.key.partition(".")
        values = values_of(definitions(schema, section)[row.type]["properties"][name])
        key = f"`{row.key}`" + (f" of {row.type}" if row.type and name != "type" else "")
        rows.append((key, f"`{row.default}`" if row.default else "required", values, row.help))
    return markdown(rows)


def definitions(schema: dict[str, Any], section: str) -> dict[str, Any]:
    """What the schema says of a section by its type; of most sections there is one, without a name."""
    described = schema["properties"][section]
    types = described.get("discriminator", {}).get("mapping", {"": described.get("$ref")})
    return {name: schema["$defs"][reference.rpartition("/")[2]] for name, reference in types.items()}


def values_of(property: dict[str, Any]) -> str:
    """What an option may be, in a few words."""
    if "anyOf" in property:
        return " or ".join(values_of(choice) for choice in property["anyOf"])
    if "enum" in property:
        return ", ".join(property["enum"])
    if "const" in property:
        return str(property["const"])
    if property["type"] == "array":
        return f"list of {values_of(property['items'])}"
    low = property.get("minimum", property.get("exclusiveMinimum"))
    high = property.get("maximum", property.get("exclusiveMaximum"))
    above = "above" if "exclusiveMinimum" in property else "from"
    below = "below" if "exclusiveMaximum" in property else "to"
    limits = "" if low is None else f" {above} {low}" + ("" if high is None else f" {below} {high}")
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "null": "null"}
    return names[property["type"]] + limits


def recipes_table() -> str:
    """What each recipe of configs/ reached when `make bench` last ran, as a Markdown table."""
    if not ACCURACY.is_file():
        return ""
    measured = json.loads(ACCURACY.read_text(encoding="utf-8"))
    header = (
        "config",
        "test rows",
        "accuracy",
        "95 % interval",
        "linear",
        "macro F1",
        "linear",
        "ahead of linear by",
        "calibration error, before scaling",
        "whole process",
    )
    rows: list[Sequence[str]] = [header]
    for name, found in measured["recipes"].items():
        network, linear, (low, high) = found["network"], found["linear"], found["interval"]
        scores = [f"{network['accuracy']:.4f}", f"{low:.3f} to {high:.3f}", f"{linear['accuracy']:.4f}"]
        scores += [f"{network['f1_macro']:.4f}", f"{linear['f1_macro']:.4f}"]
        against, calibration = found["against_linear"], found["calibration"]
        gap, low, high = (f"{100 * value:+.1f}" for value in (against["difference"], *against["interval"]))
        scores += [f"{gap} ({low} to {high})", f"{calibration['after']:.3f}, {calibration['before']:.3f}"]
        rows.append((f"`configs/{name}.yaml`", f"{found['rows']:,}", *scores, f"{found['seconds']:.0f} s"))
    notes = [
        f"A row of `configs/{name}.yaml` has several labels; accuracy counts rows with all of them right: micro F1 "
        f"{found['network']['f1_micro']:.4f}, linear {found['linear']['f1_micro']:.4f}.\n"
        for name, found in measured["recipes"].items()
        if found["network"]["f1_micro"] != found["network"]["accuracy"]
    ]
    return f"{markdown(rows)}\nMeasured by `make bench` on {measured['machine']}. {''.join(notes)}"


def benchmark_table(script: Any) -> Callable[[], str]:
    """A function that gives the table of what a script found when it ran last."""

    def table() -> str:
        path = Path(script.__file__).with_suffix(".json")
        if not path.is_file():
            return ""
        document = json.loads(path.read_text(encoding="utf-8"))
        return f"{markdown(script.table(document['results']))}\nMeasured on {document['machine']}.\n"

    return table


TABLES = {
    "options": options_table,
    "recipes": recipes_table,
    **{script.__name__: benchmark_table(script) for script in SCRIPTS},
}


def with_tables(readme: str) -> str:
    """The README with the current tables between their markers."""
    for name, table in TABLES.items():
        before, begin, rest = readme.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        assert end, f"README.md has no <!-- {name} --> before a <!-- /{name} -->"
        readme = before + begin + table() + end + after
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
