"""Results as plain text for a terminal."""

from typing import Any

from textclf.report import MODEL_TITLES, metric_table, verdict

MOST_LABELS = 30  # labels that the terminal shows; metrics.json has them all


def metric_tables(document: dict[str, Any]) -> str:
    """Every headline number beside the baselines', then each label's."""
    models = [MODEL_TITLES["network"], *(MODEL_TITLES[name] for name in document.get("baselines", {}))]
    rows = [["", models[0], "95 % interval", *models[1:]]]
    for title, values, interval in metric_table(document):
        first, *others = ["-" if value is None else f"{value:.4f}" for value in values]
        rows.append([title, first, f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "", *others])
    labels = sorted(document["labels"].items(), key=lambda item: (-item[1]["support"], item[0]))
    label_rows = [["label", "precision", "recall", "F1", "rows"]]
    for name, row in labels[:MOST_LABELS]:
        numbers = [f"{row[key]:.4f}" for key in ("precision", "recall", "f1")]
        label_rows.append([name, *numbers, str(row["support"])])
    parts = [_measured_on(document), _table(rows), _table(label_rows)]
    if len(labels) > MOST_LABELS:
        parts.append(f"and {len(labels) - MOST_LABELS} labels more, all of them in metrics.json")
    if verdict(document):
        parts.append(verdict(document))
    return "\n\n".join(parts)


def _measured_on(document: dict[str, Any]) -> str:
    data = document["data"]
    files = data["file"] if isinstance(data["file"], str) else ", ".join(data["file"])
    return f"{data['rows']} rows ({data['part']}) of {files}"


def check_table(document: dict[str, Any]) -> str:
    """What check found in a config's data."""
    rows, tokens, cut = document["rows"], document["tokens"], document["truncated"]
    facts = [
        ["rows to train on", str(rows["train"])],
        ["rows to validate on", str(rows["validation"])],
        ["rows to measure on", str(rows["measured"])],
        ["tokens a text: median, 95 %, longest", f"{tokens['median']:.0f}, {tokens['p95']:.0f}, {tokens['longest']}"],
        ["texts without a token", str(document["empty_texts"])],
        ["words in the vocabulary", str(document["vocabulary"])],
        ["texts that are cut", f"{cut['rows']} ({100 * cut['share_of_rows']:.1f} %)"],
        ["tokens that are lost by it", f"{100 * cut['share_of_tokens']:.1f} %"],
        ["unknown words in validation", f"{100 * document['unknown_words']:.1f} %"],
    ]
    labels = [["label", "training rows"], *([name, str(count)] for name, count in document["labels"].items())]
    return "\n\n".join([_table(facts), _table(labels)])


def run_check_table(document: dict[str, Any]) -> str:
    """What check found in a saved model."""
    return _table(
        [
            ["labels", ", ".join(document["labels"])],
            ["words in the vocabulary", str(document["vocabulary"])],
            ["largest difference from when it was saved", f"{document['probe_difference']:.1e}"],
        ]
    )


def _table(rows: list[list[str]]) -> str:
    """Columns side by side, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
