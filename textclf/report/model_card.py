"""README.md of a run: a model card, with the metadata that model hubs read."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from textclf import __version__
from textclf.io.contract import MetricsDocument, defined
from textclf.io.sanitize import excerpt
from textclf.report.page import TEMPLATES, TITLES, compression_sentences, is_multilabel, metric_table, summary

MOST_LABELS = 50  # that are named

HUB_LOADERS = {".parquet": "parquet", ".jsonl": "json", ".ndjson": "json", ".json": "json"}
"""The loader that model hubs read a kind of file by; all other tables are CSV."""

HUB_TYPES = {
    "accuracy": "accuracy",
    "f1_macro": "f1",
    "roc_auc": "roc_auc",
    "matthews_corrcoef": "matthews_correlation",
}
"""Names by which model hubs know the metrics that they show."""


def render_card(
    document: MetricsDocument,
    *,
    name: str,
    files: Sequence[str],
    labels: Sequence[str],
    language: str | None,
    license: str | None,
) -> str:
    """Return the model card as Markdown, whose front matter has the metadata of Hugging Face's hub.

    Args:
        document: content of metrics.json.
        name: of the run.
        files: that it was trained on.
        labels: that the model knows.
        language: ISO 639-1 code; None: unknown.
        license: as the hub names it; None: not chosen yet.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=False, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"code": _code, "cell": _cell}
    train_labels = document["validation"]["train_labels"] if "validation" in document else {}
    values = metadata(document, name=name, language=language, license=license)
    return environment.get_template("card.md").render(
        metadata=yaml.safe_dump(values, sort_keys=False, allow_unicode=True),
        licensed=license is not None,
        name=name,
        version=__version__,
        document=document,
        summary=summary(document),
        compressed=compression_sentences(document),
        files=[Path(file).name for file in files],
        evaluated=_evaluated(document),
        labels=labels,
        most_labels=MOST_LABELS,
        multilabel=is_multilabel(document),
        training_rows=sum(train_labels.values()) if not is_multilabel(document) else 0,
        language=language,
        limits=[*limits(document)],
        metric_table=metric_table(document),
    )


def _evaluated(document: MetricsDocument) -> list[str]:
    """Return the names of the files that were evaluated, without their folders, which are nobody's business."""
    files = document["data"]["file"]
    return [Path(file).name for file in ([files] if isinstance(files, str) else files)]


def _dataset_type(file: str) -> str:
    """Return the name of the loader by which a hub reads a file."""
    suffixes = Path(file).suffixes
    return next((kind for suffix, kind in HUB_LOADERS.items() if suffix in suffixes), "csv")


def metadata(document: MetricsDocument, *, name: str, language: str | None, license: str | None) -> dict[str, Any]:
    """Return the metadata of a model card as Hugging Face's hub reads them, its metrics as a `model-index`."""
    metrics = [
        {"type": kind, "value": round(value, 4), "name": TITLES[key]}
        for key, kind in HUB_TYPES.items()
        if (value := document["metrics"].get(key)) is not None
    ]
    dataset = {
        "type": _dataset_type(_evaluated(document)[0]),
        "name": ", ".join(_evaluated(document)),
        "split": document["data"]["part"],
    }
    task = {"type": "text-classification", "name": "Text classification"}
    results = [{"task": task, "dataset": dataset, "metrics": metrics}]
    return {
        **({"license": license} if license else {}),
        **({"language": language} if language else {}),
        "library_name": "keras",
        "pipeline_tag": "text-classification",
        "tags": ["textclf", "text-classification", "onnx"],
        "model-index": [{"name": name, "results": results}],
    }


def limits(document: MetricsDocument) -> Iterator[str]:
    """Yield what a metrics.json knows of a model's limits, a sentence or two each."""
    if document["data"]["part"] == "validation":
        yield (
            "The scores are on validation rows, which also chose the best epoch and the thresholds: on other texts, "
            "expect a little less."
        )
    if without := document.get("without_seen"):
        yield (
            f"{document['data']['rows'] - without['rows']:,} of the rows evaluated have a text of the training rows. "
            f"Without them the accuracy is {defined(without['metrics'], 'accuracy'):.4f}."
        )
    cut, most = document["truncated"], document["lengths"]["max_length"]
    if cut["rows"]:
        yield (
            f"The network reads {most:,} tokens of a text: {_percent(cut['share_of_rows'])} of the rows evaluated are "
            f"longer, and {_percent(cut['share_of_tokens'])} of all tokens are not read."
        )
    yield f"{_percent(document['unknown_words'])} of the tokens of the rows evaluated are unknown to the network."
    known = {label: row for label, row in document["labels"].items() if row["support"]}
    if known:
        weakest = min(known, key=lambda label: (known[label]["f1"] or 0.0, label))
        yield (
            f"Weakest label: {_code(weakest)}, with precision {_score(known[weakest]['precision'])} and recall "
            f"{_score(known[weakest]['recall'])} on {known[weakest]['support']:,} rows."
        )
    else:
        yield "None of the rows evaluated has a label: no score says how well the labels are found."
    for sliced in document["slices"]:
        for group in sliced["slices"]:
            if group["name"] == sliced["worst"]:
                yield (
                    f"Weakest group by {_code(sliced['by'])}: {_code(group['name'])}, with accuracy "
                    f"{group['accuracy']:.4f} on {group['rows']:,} rows."
                )
    error = document["metrics"].get("expected_calibration_error")
    if error is not None:
        yield f"Its probabilities are off by {100 * error:.1f} points on average (expected calibration error)."
    for finding in document.get("checks", []):
        yield f"The checks of the data found, in {finding['part']}: {finding['check']}."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _code(text: str) -> str:
    """Return a stranger's text as Markdown code, in which no character has a meaning."""
    shown = excerpt(" ".join(text.split()))
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    blank = " " if "`" in shown or not shown else ""
    return f"{fence}{blank}{shown}{blank}{fence}"


def _cell(text: str) -> str:
    """Return a text for a cell of a Markdown table."""
    return re.sub(r"([\\|`*_<>\[\]&])", r"\\\1", text)
