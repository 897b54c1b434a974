"""Results as lines of plain text for a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from textclf.io.contract import DataDocument, FindingDocument, MetricsDocument
from textclf.io.tuning_contract import TuningDocument
from textclf.report.page import (
    TITLES,
    averages_sentence,
    compression_sentences,
    metric_table,
    metric_title,
    seed_rows,
    seed_sentences,
    threshold_sentence,
    verdict,
)

if TYPE_CHECKING:
    from textclf.evaluation.compare import RunComparisonDocument, RunsDocument
    from textclf.training.check import CheckDocument, RunCheckDocument, VerifyDocument

MAX_CHARACTERS = 90  # of an example's text

MAX_TRIALS = 10  # tuning.json has all

MAX_LABELS = 30  # metrics.json has all


def metric_tables(document: MetricsDocument) -> list[str]:
    """Return the metrics with those of the baselines, and the metrics of each label."""
    parts = [[_rows_of_files(document["data"])], _table(metric_table(document)), *_label_tables(document)]
    parts += [[sentence] for sentence in (averages_sentence(document), threshold_sentence(document)) if sentence]
    if "compression" in document:
        parts.append(compression_sentences(document))
    if "seeds" in document:
        parts += [_table(seed_rows(document)), seed_sentences(document)]
    if verdict(document):
        parts.append([verdict(document)])
    return _paragraphs(parts)


def _metric(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _label_tables(document: MetricsDocument) -> list[list[str]]:
    """Return the table of the most frequent labels, and a line with the number of others if there are any."""
    labels = sorted(document["labels"].items(), key=lambda item: (-item[1]["support"], item[0]))
    rows = [["label", "precision", "recall", "F1", "rows"]]
    for label, scores in labels[:MAX_LABELS]:
        values = map(_metric, (scores["precision"], scores["recall"], scores["f1"]))
        rows.append([label, *values, str(scores["support"])])
    hidden = len(labels) - MAX_LABELS
    return [_table(rows), *([[f"and {hidden} labels more, all of them in metrics.json"]] if hidden > 0 else [])]


def _rows_of_files(data: DataDocument) -> str:
    files = data["file"] if isinstance(data["file"], str) else ", ".join(data["file"])
    return f"{data['rows']} rows ({data['part']}) of {files}"


def check_table(document: CheckDocument) -> list[str]:
    """Return the statistics of the data, its labels and its problems."""
    rows, tokens, cut = document["rows"], document["tokens"], document["truncated"]
    figures = [
        ["rows to train on", str(rows["train"])],
        ["rows to validate on", str(rows["validation"])],
        ["rows to evaluate on", str(rows["measured"])],
        ["tokens per text: median, 95 %, longest", f"{tokens['median']:.0f}, {tokens['p95']:.0f}, {tokens['longest']}"],
        [f"{document['unit']} that the network knows", str(document["vocabulary"])],
        ["texts longer than the network reads", f"{cut['rows']} ({100 * cut['share_of_rows']:.1f} %)"],
        ["tokens that the network does not read", f"{100 * cut['share_of_tokens']:.1f} %"],
        *(
            [f"{document['unit']} unknown to the network, {part}", f"{100 * share:.1f} %"]
            for part, share in document["unknown_words"].items()
        ),
        *_markup_rows(document),
    ]
    counts = list(document["labels"].items())
    labels = [["label", "training rows"], *([label, str(count)] for label, count in counts[:MAX_LABELS])]
    parts = [_table(figures), _table(labels)]
    if len(counts) > MAX_LABELS:
        parts.append([f"and {len(counts) - MAX_LABELS:,} labels more"])
    parts += map(_finding_lines, document["findings"])
    if "suspects" in document:
        parts.append(["{rows} training rows are probably labelled wrong: {file}".format(**document["suspects"])])
    return _paragraphs(parts)


def _markup_rows(document: CheckDocument) -> list[list[str]]:
    """Return the rows on the HTML tags that cleaning drops; empty if it drops none."""
    html = document.get("html")
    if html is None or not html["texts"]:
        return []
    return [
        ["texts with HTML tags, which are dropped", f"{html['texts']} ({100 * html['share_of_texts']:.1f} %)"],
        ["characters dropped with them", f"{html['characters']} ({100 * html['share_of_characters']:.1f} %)"],
        ["most of them", ", ".join(f"{count} {name}" for name, count in html["tags"].items())],
    ]


def _finding_lines(finding: FindingDocument) -> list[str]:
    """Return a problem of the data, advice and examples."""
    return [
        f"{finding['check']} ({finding['part']}): {finding['what']}.",
        f"  {finding['advice']}",
        *(f"  row {row['row']}  {row['label']}  {_one_line(row['text'])}" for row in finding["examples"]),
    ]


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "\u2026"


def compare_tables(document: RunsDocument) -> list[str]:
    """Return the metrics of each run, its difference from the first, and the settings that differ."""
    runs = document["runs"]
    rows = [["", *runs]]
    for name in TITLES:
        values = [run["metrics"].get(name) for run in runs.values()]
        if any(value is not None for value in values):
            rows.append([metric_title(name, document["positive"]), *map(_metric, values)])
    first = next(iter(runs))
    comparisons = [_comparison_lines(name, first, other) for name, other in document["against_first"].items()]
    parts = [[_rows_of_files(document["data"])], _table(rows), *comparisons]
    if document["settings"]:
        settings = [["setting", *runs]]
        for key, values in document["settings"].items():
            settings.append([key, *(json.dumps(value, ensure_ascii=False) for value in values)])
        parts.append(_table(settings))
    return _paragraphs(parts)


def _comparison_lines(name: str, first: str, comparison: RunComparisonDocument) -> list[str]:
    """Return the difference of a run from the first one, with its interval and significance."""
    difference = 100 * comparison["difference"]["accuracy"]
    low, high = (100 * bound for bound in comparison["intervals"]["accuracy"])
    verdict = "significant" if low > 0 or high < 0 else "may be chance"
    return [
        f"{name} against {first}: accuracy {difference:+.2f} points (95 % interval {low:+.2f} to {high:+.2f}: "
        f"{verdict}); McNemar's exact p = {comparison['mcnemar']['p_value']:.2g}",
        f"  {comparison['turned_right']} rows turned right, {comparison['turned_wrong']} wrong; "
        f"{comparison['changed']} have another label",
    ]


def run_check_table(document: RunCheckDocument) -> list[str]:
    """Return the properties of a saved model, and that its probabilities are the saved ones."""
    rows = [
        ["labels", ", ".join(document["labels"])],
        ["words in the vocabulary", str(document["vocabulary"])],
        *([["pieces of words", str(document["pieces"])]] if "pieces" in document else []),
        ["largest difference of a probability", f"{document['probe_difference']:.1e}"],
    ]
    return [*_table(rows), "", "The model gives the probabilities that it gave when it was saved."]


def verify_table(document: VerifyDocument) -> list[str]:
    """Return the digests of the files that were equal in two trainings."""
    digests = [[name, digest] for name, digest in document["sha256"].items()]
    return ["two trainings of one epoch gave the same, to the bit", *_table([["", "sha256"], *digests])]


def tuning_tables(document: TuningDocument) -> list[str]:
    """Return the best trials, the best settings, and the scores of the run that was trained with them."""
    from textclf.tuning.results import settings_table, summary, trials_table  # much to import, for `tune` only

    parts = [_table(trials_table(document, MAX_TRIALS)), _table(settings_table(document)), summary(document)]
    hidden = len(document["trials"]) - MAX_TRIALS
    if hidden > 0:
        parts.insert(1, [f"and {hidden} trials more, all of them in tuning.json"])
    return _paragraphs(parts)


def _table(rows: list[list[str]]) -> list[str]:
    """Return the rows as lines of aligned columns, the first to the left and the others to the right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
    return [line.rstrip() for line in lines]


def _paragraphs(parts: list[list[str]]) -> list[str]:
    """Return the lines of all parts, with an empty line between two."""
    return [line for part in parts for line in ("", *part)][1:]
