"""report.html: one file that opens offline, drawn from metrics.json and history.csv and nothing else."""

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from textclf.run import Run, write_text

TEMPLATES = Path(__file__).parent / "templates"
MOST_IN_MATRIX = 30  # labels up to which a confusion matrix is readable as a table
MOST_CONFUSED = 20

TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1_macro": "F1, macro",
    "f1_micro": "F1, micro",
    "f1_weighted": "F1, weighted",
    "precision_macro": "Precision, macro",
    "recall_macro": "Recall, macro",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
    "matthews_corrcoef": "Matthews correlation",
    "hamming_loss": "Hamming loss",
    "log_loss": "Log loss",
    "brier_score_loss": "Brier score",
    "expected_calibration_error": "Expected calibration error",
}
MODEL_TITLES = {
    "network": "network",
    "majority": "majority class",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
}


def write_report(run: Run, document: dict[str, Any], *, name: str) -> None:
    """Draws the report of a document of metrics.json, with the run's learning curve where there is one."""
    history = pd.read_csv(run.history) if run.history.is_file() else None
    write_text(run.report, render(document, name, history))


def render(document: dict[str, Any], name: str, history: pd.DataFrame | None) -> str:
    """The report as HTML; every text in it is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("report.html").render(
        name=name,
        document=document,
        metric_table=metric_table(document),
        confused=most_confused(document) if _matrix_is_square(document) else [],
        show_matrix=_matrix_is_square(document) and len(document["labels"]) <= MOST_IN_MATRIX,
        history=[] if history is None else history.to_dict("records"),
        models=["network", *document.get("baselines", {})],
        model_titles=MODEL_TITLES,
        summary=summary(document),
    )


def metric_table(document: dict[str, Any]) -> list[tuple[str, list[float | None], list[float] | None]]:
    """Title, value of the network and of each baseline, and the network's interval, for each headline metric."""
    columns = [document["metrics"], *document.get("baselines", {}).values()]
    return [
        (title, [column.get(name) for column in columns], document["intervals"].get(name))
        for name, title in TITLES.items()
        if name in document["metrics"]
    ]


def most_confused(document: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Rows, truth and prediction of the most frequent confusions, most first."""
    names, matrix = list(document["labels"]), document["confusion_matrix"]
    pairs = [
        (rows, names[truth], names[chosen])
        for truth, line in enumerate(matrix)
        for chosen, rows in enumerate(line)
        if rows and truth != chosen
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:MOST_CONFUSED]


def _matrix_is_square(document: dict[str, Any]) -> bool:
    """Whether rows have one label each; with several there is a 2 x 2 matrix for each label."""
    matrix = document["confusion_matrix"]
    return not isinstance(matrix[0][0], list)


def summary(document: dict[str, Any]) -> str:
    """One paragraph in plain words."""
    rows, accuracy = document["data"]["rows"], document["metrics"]["accuracy"]
    low, high = document["intervals"]["accuracy"]
    right = "exactly their labels" if not _matrix_is_square(document) else "their right label"
    text = (
        f"The model gives {round(rows * accuracy):,} of {rows:,} texts {right} ({100 * accuracy:.1f} %). "
        f"On other texts of the same kind, expect {100 * low:.1f} to {100 * high:.1f} %."
    )
    return f"{text} {verdict(document)}".strip()


def verdict(document: dict[str, Any]) -> str:
    """How the network stands against the linear baseline, in one sentence; empty without one."""
    linear = document.get("baselines", {}).get("tfidf_logistic_regression")
    if linear is None:
        return ""
    difference = 100 * (document["metrics"]["accuracy"] - linear["accuracy"])
    if abs(difference) < 0.05:
        return "A simple linear model (TF-IDF + logistic regression) does as well."
    word = "better" if difference > 0 else "worse"
    return f"That is {abs(difference):.1f} points {word} than a simple linear model (TF-IDF + logistic regression)."
