"""Results as lines of plain text for a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from textclf.io.contract import DataDocument, FindingDocument, MetricsDocument, TuningDocument
from textclf.report.page import (
    MODEL_TITLES,
    TITLES,
    compression_sentences,
    metric_rows,
    seed_rows,
    seed_sentences,
    verdict,
)
from textclf.tuning.results import sentences as tuning_sentences
from textclf.tuning.results import settings_rows, trial_rows

if TYPE_CHECKING:
    from textclf.evaluation.compare import RunComparisonDocument, RunsDocument
    from textclf.training.check import CheckDocument, RunCheckDocument, VerifyDocument

MOST_CHARACTERS = 90  # of an example's text

MOST_TRIALS = 10  # trials that the terminal shows; tuning.json has them all

MOST_LABELS = 30  # labels that the terminal shows; metrics.json has them all


def metric_tables(document: MetricsDocument) -> list[str]:
    """Every headline number beside the baselines', then each label's."""
    models = [MODEL_TITLES["network"], *(MODEL_TITLES[name] for name in document.get("baselines", {}))]
    rows = [["", models[0], "95 % interval", *models[1:]]]
    for row in metric_rows(document):
        value, *others = ["-" if value is None else f"{value:.4f}" for value in (row.value, *row.others)]
        edges = row.interval
        rows.append([row.title, value, f"{edges[0]:.4f} to {edges[1]:.4f}" if edges else "", *others])
    labels = sorted(document["labels"].items(), key=lambda item: (-item[1]["support"], item[0]))
    label_rows = [["label", "precision", "recall", "F1", "rows"]]
    for name, scores in labels[:MOST_LABELS]:
        values = [f"{score:.4f}" for score in (scores["precision"], scores["recall"], scores["f1"])]
        label_rows.append([name, *values, str(scores["support"])])
    parts = [[_measured_on(document["data"])], _table(rows), _table(label_rows)]
    if len(labels) > MOST_LABELS:
        parts.append([f"and {len(labels) - MOST_LABELS} labels more, all of them in metrics.json"])
    if "compression" in document:
        parts.append(compression_sentences(document))
    if "seeds" in document:
        parts += [_table(seed_rows(document)), seed_sentences(document)]
    if verdict(document):
        parts.append([verdict(document)])
    return _paragraphs(parts)


def _measured_on(data: DataDocument) -> str:
    files = data["file"] if isinstance(data["file"], str) else ", ".join(data["file"])
    return f"{data['rows']} rows ({data['part']}) of {files}"


def check_table(document: CheckDocument) -> list[str]:
    """What check found in a config's data."""
    rows, tokens, cut = document["rows"], document["tokens"], document["truncated"]
    facts = [
        ["rows to train on", str(rows["train"])],
        ["rows to validate on", str(rows["validation"])],
        ["rows to measure on", str(rows["measured"])],
        ["tokens a text: median, 95 %, longest", f"{tokens['median']:.0f}, {tokens['p95']:.0f}, {tokens['longest']}"],
        ["words in the vocabulary", str(document["vocabulary"])],
        ["texts that are cut", f"{cut['rows']} ({100 * cut['share_of_rows']:.1f} %)"],
        ["tokens that are lost by it", f"{100 * cut['share_of_tokens']:.1f} %"],
        *([f"unknown words, {part}", f"{100 * share:.1f} %"] for part, share in document["unknown_words"].items()),
    ]
    counts = list(document["labels"].items())
    labels = [["label", "training rows"], *([name, str(count)] for name, count in counts[:MOST_LABELS])]
    parts = [_table(facts), _table(labels)]
    if len(counts) > MOST_LABELS:
        parts.append([f"and {len(counts) - MOST_LABELS:,} labels more"])
    parts += map(_finding, document["findings"])
    if "suspects" in document:
        parts.append(["{rows} training rows are probably labelled wrong: {file}".format(**document["suspects"])])
    return _paragraphs(parts)


def _finding(finding: FindingDocument) -> list[str]:
    """What was found, what to do about it, and examples."""
    lines = [f"{finding['check']} ({finding['part']}): {finding['what']}.", f"  {finding['advice']}"]
    return lines + [f"  row {each['row']}  {each['label']}  {_shortened(each['text'])}" for each in finding["examples"]]


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "\u2026"


def compare_tables(document: RunsDocument) -> list[str]:
    """The headline numbers of each run, how far each is from the first, and what differs in their configs."""
    runs = document["runs"]
    rows = [["", *runs]]
    for name, title in TITLES.items():
        values = [run["metrics"].get(name) for run in runs.values()]
        if any(value is not None for value in values):
            rows.append([title, *("-" if value is None else f"{value:.4f}" for value in values)])
    parts = [[_measured_on(document["data"])], _table(rows)]
    first = next(iter(runs))
    for name, against in document["against_first"].items():
        parts.append(_against(name, first, against))
    if document["settings"]:
        settings = [["setting", *runs]]
        settings += [
            [key, *(json.dumps(v, ensure_ascii=False) for v in vs)] for key, vs in document["settings"].items()
        ]
        parts.append(_table(settings))
    return _paragraphs(parts)


def _against(name: str, first: str, against: RunComparisonDocument) -> list[str]:
    gap, (low, high) = 100 * against["difference"]["accuracy"], (100 * v for v in against["intervals"]["accuracy"])
    p, sure = against["mcnemar"]["p_value"], "no chance effect" if low > 0 or high < 0 else "may be chance"
    return [
        f"{name} against {first}: accuracy {gap:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}: {sure}); "
        f"McNemar's exact p = {p:.2g}",
        f"  {against['turned_right']} rows turned right, {against['turned_wrong']} wrong; "
        f"{against['changed']} have another label",
    ]


def run_check_table(document: RunCheckDocument) -> list[str]:
    """What check found in a saved model."""
    return _table(
        [
            ["labels", ", ".join(document["labels"])],
            ["words in the vocabulary", str(document["vocabulary"])],
            ["largest difference from when it was saved", f"{document['probe_difference']:.1e}"],
        ]
    )


def verify_table(document: VerifyDocument) -> list[str]:
    """What two trainings have in common."""
    digests = [[name, digest] for name, digest in document["sha256"].items()]
    return ["two trainings of one epoch gave the same, to the bit", *_table([["", "sha256"], *digests])]


def tuning_tables(document: TuningDocument) -> list[str]:
    """The best trials, the best settings, and what they gave."""
    trials, total = trial_rows(document, MOST_TRIALS), len(document["trials"])
    parts = [_table(trials), _table(settings_rows(document)), tuning_sentences(document)]
    if total > MOST_TRIALS:
        parts.insert(1, [f"and {total - MOST_TRIALS} trials more, all of them in tuning.json"])
    return _paragraphs(parts)


def _table(rows: list[list[str]]) -> list[str]:
    """Columns side by side, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return [line.rstrip() for line in lines]


def _paragraphs(parts: list[list[str]]) -> list[str]:
    """The lines of all parts, an empty one between two."""
    return [line for number, part in enumerate(parts) for line in (["", *part] if number else part)]
