"""Write the generated parts of README.md and docs/: `python docs/generate.py`, or `make docs`.

A generated part stands between `<!-- NAME -->` and `<!-- /NAME -->`, where NAME is a key of PARTS. The text comes from
the commands, from the options of the config, and from the JSON files that the scripts in tests/benchmarks,
tests/reliability and tests/fuzz have written.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from textclf.cli.main import main as textclf
from textclf.config.load import json_schema
from textclf.config.schema import option_rows

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "tests" / "benchmarks"
RELIABILITY = ROOT / "tests" / "reliability"
SPARK_SCRIPT = ROOT / "tests" / "cluster" / "spark_score.py"
sys.path[:0] = [str(BENCHMARKS), str(RELIABILITY)]

import augment  # noqa: E402
import blend  # noqa: E402
import compress  # noqa: E402
import devices  # noqa: E402
import encoder  # noqa: E402
import explain  # noqa: E402
import extras  # noqa: E402
import gpu_check  # noqa: E402
import large_data  # noqa: E402
import newcomer  # noqa: E402
import phases  # noqa: E402
import predict_memory  # noqa: E402
import predict_speed  # noqa: E402
import promises  # noqa: E402
import scaling  # noqa: E402
import score  # noqa: E402
import score_kills  # noqa: E402
import scripts  # noqa: E402
import serve  # noqa: E402
import tools  # noqa: E402
import train_speed  # noqa: E402
import trust  # noqa: E402
import tune  # noqa: E402
from measuring import markdown  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PART = re.compile(r"<!-- (\w+) -->\n(?P<text>.*?)<!-- /\1 -->", re.DOTALL)
WIDTH = 100
"""Characters in a line of a command's help."""


def help_of_commands() -> str:
    """Return the help of textclf and of every command, each under a heading of its own."""
    settings: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    group = click.Context(textclf, info_name="textclf", **{**textclf.context_settings, **settings})
    contexts = [click.Context(command, group, name, **settings) for name, command in textclf.commands.items()]
    return "\n".join(
        f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n" for context in [group, *contexts]
    )


def options_by_section() -> str:
    """Return a table of the options of each section of the config: default, values and meaning."""
    schema = json_schema()
    tables: dict[str, list[Sequence[str]]] = {}
    for row in option_rows():
        section, _, name = row.key.partition(".")
        title = f"## {section}: {schema['properties'][section].get('description', '')}\n"
        if row.type:
            title = f"## {section}, `type: {row.type}`: {described_types(schema, section)[row.type]['description']}\n"
        values = values_of(described_types(schema, section)[row.type]["properties"][name])
        default = f"`{row.default}`" if row.default else "required"
        table = tables.setdefault(title, [("key", "default", "values", "meaning")])
        table.append((f"`{row.key}`", default, values, row.help))
    return "\n".join(f"{title}\n{markdown(rows)}" for title, rows in tables.items())


def described_types(schema: dict[str, Any], section: str) -> dict[str, Any]:
    """Return the JSON schema of a section for each of its types; most sections have one, named by an empty string."""
    described = schema["properties"][section]
    references = [each["$ref"] for each in described.get("oneOf", [described])]  # "mapping" is in another order
    types = [schema["$defs"][reference.rpartition("/")[2]] for reference in references]
    return {each["properties"].get("type", {}).get("const", ""): each for each in types}


def values_of(property: dict[str, Any]) -> str:
    """Return in a few words which values an option takes, from its JSON schema."""
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


def recipes() -> str:
    """Return what each config of configs/ reached when `make bench` last ran."""
    measured = read_json(BENCHMARKS / "accuracy.json")
    rows: list[Sequence[str]] = [
        (
            "config",
            "test rows",
            "accuracy",
            "95 % interval",
            "accuracy, network",
            "accuracy, linear",
            "macro F1",
            "macro F1, linear",
            "ahead of linear by (points)",
            "calibration error, before scaling",
            "whole process",
        )
    ]
    for name, result in measured["recipes"].items():
        model, network, linear = result["model"], result["network"], result["linear"]
        low, high = result["interval"]
        scores = [f"{model['accuracy']:.4f}", f"{low:.3f} to {high:.3f}"]
        scores += [f"{network['accuracy']:.4f}" if network else "-", f"{linear['accuracy']:.4f}"]
        scores += [f"{model['f1_macro']:.4f}", f"{linear['f1_macro']:.4f}"]
        against, calibration = result["against_linear"], result["calibration"]
        gap, low, high = (f"{100 * value:+.1f}" for value in (against["difference"], *against["interval"]))
        before = "-" if calibration["before"] is None else f"{calibration['before']:.3f}"
        scores += [f"{gap} ({low} to {high})", f"{calibration['after']:.3f}, {before}"]
        rows.append((f"`configs/{name}.yaml`", f"{result['rows']:,}", *scores, f"{result['seconds']:.0f} s"))
    notes = [
        f"A row of `configs/{name}.yaml` has several labels; accuracy counts rows with all of them right: micro F1 "
        f"{result['model']['f1_micro']:.4f}, linear {result['linear']['f1_micro']:.4f}.\n"
        for name, result in measured["recipes"].items()
        if result["model"]["f1_micro"] != result["model"]["accuracy"]
    ]
    return f"{markdown(rows)}\nMeasured by `make bench` on {measured['machine']}. {''.join(notes)}"


def table_of(script: Any) -> Callable[[], str]:
    """Return a function that returns the table of a script's last results, with the machine below it."""

    def table() -> str:
        path = Path(script.__file__).with_suffix(".json")
        if not path.is_file():
            return f"Not measured yet: `python {path.with_suffix('.py').relative_to(ROOT).as_posix()}`.\n"
        document = read_json(path)
        return f"{markdown(script.table(document['results']))}\nMeasured on {document['machine']}.\n"

    return table


def figures() -> str:
    """Return the six promises of the README, each with the figure that was measured last."""
    one_line = read_json(BENCHMARKS / "predict_speed.json")["results"]["1"]
    coverage = read_json(BENCHMARKS / "trust.json")["results"]["coverage"]
    load = read_json(RELIABILITY / "load.json")["results"]["background"]
    kills = read_json(RELIABILITY / "kills.json")["results"]
    killed = sum(kills["kills"].values())
    cases = read_json(RELIABILITY / "promises.json")["results"]["cases"]
    fuzzed = read_json(ROOT / "tests" / "fuzz" / "fuzz.json")["results"].values()
    rows = [
        ("promise", "figure", "measured by"),
        (
            "Row n out is row n in.",
            f"{load['lines']:,} lines predicted beside {load['trainings']} trainings: as many predictions, each the "
            "same as when predicting alone",
            "`make load`",
        ),
        (
            "The score is honest: every metric has a 95 % interval, and a linear model beside it on the same rows.",
            f"the interval of accuracy held the true value in {100 * coverage['held']['accuracy']:.1f} % of "
            f"{trust.RESAMPLES} resamples",
            "`make bench`",
        ),
        (
            "Prediction starts at once, without TensorFlow.",
            f"`configs/plain.yaml`: one line in {one_line['textclf']['seconds']:.2f} s and "
            f"{one_line['textclf']['peak_mb']:.0f} MB; the "
            f"same network in Keras {one_line['plain Keras script']['seconds']:.1f} s and "
            f"{one_line['plain Keras script']['peak_mb']:.0f} MB",
            "`make bench`",
        ),
        (
            "A training that was killed goes on, and ends with the same bits.",
            f"{killed - len(kills['faults'])} of {killed} kills at random moments",
            "`make kills`",
        ),
        (
            "Bad input ends with one clear message.",
            f"{sum(result['executions'] for result in fuzzed):,} mutated inputs, "
            f"{sum(len(result['findings']) for result in fuzzed)} crashes",
            "`make fuzz`",
        ),
        (
            "A model from a stranger is data, never code.",
            f"{cases['hostile_models']} tests with damaged, hostile and old `model/` folders: each is refused, or read "
            "without harm",
            "`make test`",
        ),
    ]
    return markdown(rows)


def others() -> str:
    """Return where another tool is ahead, with the figures that were measured last."""
    results = read_json(BENCHMARKS / "accuracy.json")["recipes"]
    alone = {name: result for name, result in results.items() if result["network"] is None}
    blends = {name: result for name, result in results.items() if result["network"]}
    groups = {"a network alone": alone, "network and linear model together": blends}
    standing = "; ".join(f"{_standing(group)} {of}" for of, group in groups.items() if group)
    training = read_json(BENCHMARKS / "train_speed.json")["results"]
    speed = read_json(BENCHMARKS / "predict_speed.json")["results"]["100000"]
    quick = training["imdb"]["textclf quick"]
    mr_linear, mr_quick = training["mr"]["scikit-learn TF-IDF"], training["mr"]["textclf quick"]
    fasttext, own = speed["fastText bigrams"], speed["textclf"]
    fasttext_imdb = training["imdb"]["fastText bigrams"]
    lines = [
        f"- **A linear model alone** trains sooner: {mr_linear['seconds']:.0f} s on mr, where `configs/quick.yaml` "
        f"takes {mr_quick['seconds']:.0f} s. On test rows it is, beyond chance, {standing}. textclf trains one beside "
        "every network, joins the two unless `model.blend` is null, and says what each scores alone.",
        f"- **fastText** trains on imdb in {fasttext_imdb['seconds']:.0f} s, quick in {quick['seconds']:.0f} s, and "
        f"labels 100,000 lines in {fasttext['seconds']:.1f} s, `configs/plain.yaml` in {own['seconds']:.1f} s.",
    ]
    return "\n".join(lines) + "\n"


def _standing(results: dict[str, Any]) -> str:
    """Return in how many configs the linear model is ahead of the model, and in how many behind, beyond chance."""
    intervals = {name: result["against_linear"]["interval"] for name, result in results.items()}
    ahead = [name for name, (_, high) in intervals.items() if high < 0]
    behind = [name for name, (low, _) in intervals.items() if low > 0]
    ahead_in, behind_in = (f"{len(names)} ({', '.join(names)})" if names else "none" for names in (ahead, behind))
    return f"ahead in {ahead_in} and behind in {behind_in} of {len(results)} configs with"


def spark_script() -> str:
    """Return the script that labels a table with Spark, less its first lines, which say what it is."""
    script = SPARK_SCRIPT.read_text(encoding="utf-8")
    return f"```python\n{script[script.index('import argparse') :]}```\n"


def encoder_results(table: str) -> Any:
    """Return one of the tables of the benchmark of encoders; it is empty where nothing has been measured yet."""
    return read_json(encoder.RESULTS).get(table, {}) if encoder.RESULTS.is_file() else {}


def read_json(path: Path) -> Any:
    """Return the document in a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


PARTS: dict[str, Callable[[], str]] = {
    "commands": help_of_commands,
    "options": options_by_section,
    "figures": figures,
    "others": others,
    "recipes": recipes,
    "promises": table_of(promises),
    "scripts": lambda: markdown(scripts.table()),
    "augment": table_of(augment),
    "blend": table_of(blend),
    "compress": table_of(compress),
    "devices": table_of(devices),
    "extras": lambda: markdown(extras.extras_table(read_json(extras.RESULTS)["extras"])),
    "encoder_accuracy": lambda: markdown(encoder.accuracy_table(encoder_results("trained"))),
    "encoder_students": lambda: markdown(encoder.student_table(encoder_results("students"))),
    "encoder_sizes": lambda: markdown(encoder.size_table(encoder_results("sizes"))),
    "explain": table_of(explain),
    "gpu_check": table_of(gpu_check),
    "large_data": table_of(large_data),
    "newcomer": table_of(newcomer),
    "phases": table_of(phases),
    "predict_memory": table_of(predict_memory),
    "predict_speed": table_of(predict_speed),
    "scaling": table_of(scaling),
    "score": table_of(score),
    "score_kills": table_of(score_kills),
    "spark_script": spark_script,
    "serve": table_of(serve),
    "tools": table_of(tools),
    "train_speed": table_of(train_speed),
    "trust": table_of(trust),
    "tune": table_of(tune),
}


def with_parts(page: str) -> str:
    """Return a page with its generated parts as they are today."""
    return PART.sub(lambda match: f"<!-- {match[1]} -->\n{PARTS[match[1]]()}<!-- /{match[1]} -->", page)


def part_names(page: str) -> list[str]:
    """Return the names of a page's generated parts."""
    return [match[1] for match in PART.finditer(page)]


if __name__ == "__main__":
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_parts(text), encoding="utf-8", newline="\n")
    if tools.RESULTS.is_file():
        tools.draw(read_json(tools.RESULTS)["results"], ROOT / "docs")
