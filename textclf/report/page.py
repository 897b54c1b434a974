"""report.html: one file that opens offline, made from metrics.json and drawn figures."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from textclf.io.contract import (
    LINEAR_BASELINE,
    NETWORK_ALONE,
    ComparisonDocument,
    DifferenceDocument,
    Interval,
    MetricsDocument,
    SamplesDocument,
    defined,
)
from textclf.io.sanitize import excerpt, join_names, printable

TEMPLATES = Path(__file__).parent / "templates"

MOST_CONFUSED = 20  # pairs of labels

MIN_P_VALUE = 0.0001  # smaller ones are shown as p < 0.0001

# Metrics in the report and in the tables of the commands, in their order; a metric without a title is not shown.
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

OF_POSITIVE = ("roc_auc", "average_precision")  # metrics of the positive one of two labels

SEED_METRICS = ("accuracy", "f1_macro", "log_loss", "expected_calibration_error")  # shown for each seed

NETWORK, BLEND = "network", "blend"
"""Titles of the model itself: a network, or its blend with a linear model."""

OTHER_TITLES = {
    "majority": "majority class",
    NETWORK_ALONE: "network alone",
    LINEAR_BASELINE: "TF-IDF + logistic regression",
    "original": "the original",
}
"""Titles of the models that it is compared with, in the order of the table of metrics."""

SECTIONS = {
    "good": "How good is it?",
    "small": "What does it cost to be small?",
    "data": "Are the data sound?",
    "labels": "Which labels does it know?",
    "probabilities": "Can the probabilities be believed?",
    "threshold": "Which threshold, and what if unsure rows are left out?",
    "ranking": "Does it rank well?",
    "weak": "Where is it weak?",
    "texts": "What did it see of the texts?",
    "rows": "Which rows are worth a look?",
    "seeds": "What does another seed give?",
    "training": "How did training go?",
}


@cache
def page_environment() -> jinja2.Environment:
    """Return the templates' environment, which escapes values; its filter `shown` replaces unprintable characters."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = lambda text: printable(" ".join(str(text).split()))
    return environment


def render(
    document: MetricsDocument,
    *,
    name: str,
    figures: dict[str, str],
    coverage: str,
    history: list[dict[str, float]],
    samples: SamplesDocument | None,
    throughput: dict[str, float] | None,
) -> str:
    """Return the report as HTML.

    Args:
        document: content of metrics.json.
        figures: SVG by name.
        coverage: a sentence on the accuracy without the least confident rows.
        history: rows of history.csv.
        samples: content of samples.json; None: the report shows no texts.
        throughput: rows per second by model, where it was measured.
    """
    present = {
        "data": "checks" in document,
        "rows": samples is not None,
        "small": "compression" in document,
        "seeds": "seeds" in document,
        "training": bool(history),
    }
    page = page_environment().get_template("report.html")
    return page.render(
        name=name,
        document={"decision": None, "threshold": None, "without_seen": None, **document},
        summary=summary(document),
        sections={key: title for key, title in SECTIONS.items() if present.get(key, True)},
        metric_rows=metric_rows(document),
        models=model_titles(document),
        averages_sentence=averages_sentence(document),
        comparisons=comparison_sentences(document),
        confused=[] if is_multilabel(document) else most_confused(document),
        threshold_sentence=threshold_sentence(document),
        coverage_sentence=coverage,
        compression_sentences=compression_sentences(document, throughput),
        seed_rows=seed_rows(document),
        seed_sentences=seed_sentences(document, throughput),
        figures=figures,
        history=history,
        samples=samples,
    )


def is_multilabel(document: MetricsDocument) -> bool:
    """Return True if a row may have several labels, which gives a confusion matrix for each label."""
    return isinstance(document["confusion_matrix"][0][0], list)


class MetricRow(NamedTuple):
    """A metric of the model and of the models that it is compared with."""

    title: str
    value: float | None
    interval: Interval | None
    others: list[float | None]
    gap: float | None
    """Difference from the last of the others."""
    gap_interval: Interval | None


def metric_rows(document: MetricsDocument) -> list[MetricRow]:
    """Return the rows of the table of metrics."""
    others = {name: document["baselines"][name] for name in _others(document)}
    nothing: DifferenceDocument = {"difference": {}, "intervals": {}}
    against = document.get("comparisons", {}).get(list(others)[-1], nothing) if others else nothing
    return [
        MetricRow(
            metric_title(name, None if document["unseen_labels"] else document.get("positive")),
            document["metrics"][name],
            document["intervals"].get(name),
            [metrics.get(name) for metrics in others.values()],
            against["difference"].get(name),
            against["intervals"].get(name),
        )
        for name in TITLES
        if name in document["metrics"]
    ]


def metric_table(document: MetricsDocument) -> list[list[str]]:
    """Return the metrics of the model, with their intervals, and those of the others; the first row is the header."""
    models = model_titles(document)
    header = ["", models[0], "95 % interval", *models[1:]]
    rows = metric_rows(document)
    intervals = [f"{row.interval[0]:.4f} to {row.interval[1]:.4f}" if row.interval else "" for row in rows]
    return [header] + [
        [row.title, _number(row.value), interval, *map(_number, row.others)]
        for row, interval in zip(rows, intervals, strict=True)
    ]


def metric_title(name: str, positive: str | None) -> str:
    """Return the title of a metric, with the positive one of two labels if the metric is of that label alone."""
    return f"{TITLES[name]} of {excerpt(positive, longest=30)}" if positive and name in OF_POSITIVE else TITLES[name]


def most_confused(document: MetricsDocument) -> list[tuple[int, str, str]]:
    """Return number of rows, true label and predicted label of the most frequent confusions, most frequent first."""
    names, matrix = list(document["labels"]), np.array(document["confusion_matrix"])
    pairs = [
        (int(matrix[truth, predicted]), names[truth], names[predicted])
        for truth, predicted in np.argwhere(matrix).tolist()
        if truth != predicted
    ]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:MOST_CONFUSED]


def seed_rows(document: MetricsDocument) -> list[list[str]]:
    """Return header and rows of the table of networks with different seeds; empty if there is only one network."""
    if "seeds" not in document:
        return []
    seeds = document["seeds"]
    names = [name for name in SEED_METRICS if name in document["metrics"]]
    rows = [["seed", "best epoch", "validation loss", "validation accuracy", *(TITLES[name] for name in names)]]
    for member in seeds["members"]:
        title = f"{member['seed']}, the best" if member["seed"] == seeds["best"] else str(member["seed"])
        validation = [str(member["best_epoch"]), _number(member["loss"]), _number(member["accuracy"])]
        rows.append([title, *validation, *(_number(member["metrics"][name]) for name in names)])
    summaries = {"mean": seeds["mean"], "standard deviation": seeds["standard_deviation"]}
    if seeds["ensemble"]:
        summaries["ensemble"] = document["metrics"]
    rows += [[title, "", "", "", *(_number(metrics[name]) for name in names)] for title, metrics in summaries.items()]
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


# Sentences


def summary(document: MetricsDocument) -> str:
    """Return the summary of the report: one paragraph."""
    rows, accuracy = document["data"]["rows"], defined(document["metrics"], "accuracy")
    low, high = document["intervals"]["accuracy"]
    labels = "exactly their labels" if is_multilabel(document) else "their right label"
    sentences = [
        f"The model gives {round(rows * accuracy):,} of {rows:,} texts {labels} ({100 * accuracy:.1f} %).",
        f"On other texts of the same kind, expect {100 * low:.1f} to {100 * high:.1f} %.",
    ]
    majority = document.get("baselines", {}).get("majority")
    if majority:
        percent = 100 * defined(majority, "accuracy")
        sentences.append(f"Always giving the most frequent label would be right in {percent:.1f} %.")
    without = document.get("without_seen")
    if without:
        percent = 100 * defined(without["metrics"], "accuracy")
        sentences.append(
            f"{rows - without['rows']:,} of the texts were also seen in training; without them it is right in "
            f"{percent:.1f} %."
        )
    return " ".join([*sentences, verdict(document)]).strip()


def threshold_sentence(document: MetricsDocument) -> str:
    """Return a sentence on the probability from which a label is predicted; empty where no threshold decides."""
    if "threshold" not in document:
        return ""
    positive, decision = document.get("positive"), document.get("decision")
    value = document["threshold"]["value"]
    if isinstance(value, dict):
        low, high = f"{min(value.values()):.3f}", f"{max(value.values()):.3f}"
        of_its_own = f"of its own, {low} to {high}" if low != high else f"of {low}"
        sentence = f"Each label is predicted from a probability {of_its_own}"
    else:
        label = "A label" if positive is None else f"The positive label, {positive},"
        sentence = f"{label} is predicted from a probability of {value:.3f}"
    if decision and decision["aim"]:
        unreached = "" if decision["reached"] else " (which no threshold reaches there)"
        of = "" if positive is None else f" of {positive}"
        sentence += f", chosen on the validation rows for {decision['aim']}{of}{unreached}"
    return f"{sentence}."


def common_threshold(document: MetricsDocument) -> float | None:
    """Return the threshold of all labels; None if each has one of its own."""
    value = document["threshold"]["value"]
    return None if isinstance(value, dict) else value


def model_titles(document: MetricsDocument) -> list[str]:
    """Return the titles of the model and of the models that it is compared with."""
    others = _others(document)
    return [BLEND if NETWORK_ALONE in others else NETWORK, *(OTHER_TITLES[name] for name in others)]


def _others(document: MetricsDocument) -> list[str]:
    """Return the names of the models that the model is compared with, in the order of the table."""
    return [name for name in OTHER_TITLES if name in document.get("baselines", {})]


def averages_sentence(document: MetricsDocument) -> str:
    """Return a sentence on the labels that macro averages leave out; empty if they go over all labels."""
    without = [label for label, scores in document["labels"].items() if not scores["support"]]
    return f"Macro averages leave out the labels without rows: {join_names(without)}." if without else ""


def verdict(document: MetricsDocument) -> str:
    """Return a sentence that compares the model with the linear baseline, a blend with its parts; or an empty one."""
    comparisons = document.get("comparisons", {})
    if LINEAR_BASELINE not in comparisons:
        return ""
    linear = comparisons[LINEAR_BASELINE]
    if NETWORK_ALONE not in comparisons:
        return f"It {_standing('a simple linear model (TF-IDF + logistic regression)', linear)}."
    over_network = _standing("the network alone", comparisons[NETWORK_ALONE])
    return f"The blend of network and linear model {over_network}, and {_standing('the linear model alone', linear)}."


def _standing(other: str, comparison: ComparisonDocument) -> str:
    """Return how the accuracy stands to that of another model, as the end of a sentence."""
    gap, (low, high) = comparison["difference"]["accuracy"], comparison["intervals"]["accuracy"]
    if gap == 0:
        return f"does as well as {other}"
    points = f"by {abs(100 * gap):.1f} points"
    if low > 0:
        return f"beats {other} {points}"
    if high < 0:
        return f"is behind {other} {points}, more than by chance"
    return f"is {'ahead of' if gap > 0 else 'behind'} {other} {points}, which may be chance"


def comparison_sentences(document: MetricsDocument) -> list[str]:
    """Return a sentence for each other model, on McNemar's test against it."""
    sentences = []
    comparisons = document.get("comparisons", {})
    for name in filter(comparisons.__contains__, OTHER_TITLES):
        test = comparisons[name]["mcnemar"]
        p_value = f"p = {test['p_value']:.2g}" if test["p_value"] >= MIN_P_VALUE else f"p < {MIN_P_VALUE}"
        sentences.append(
            f"Against {OTHER_TITLES[name]}: rows that only this model has right: {test['only_this_right']:,}; "
            f"only the other: {test['only_other_right']:,}. If both were equally good, a difference this large would "
            f"arise by chance with {p_value} (McNemar's exact test)."
        )
    return sentences


def compression_sentences(document: MetricsDocument, throughput: dict[str, float] | None = None) -> list[str]:
    """Return sentences on how a run was compressed, its size, and the change in accuracy and speed."""
    compression = document.get("compression")
    if compression is None:
        return []
    other_keys = ("method", "of", "bytes")
    settings = ", ".join(f"{name} {value}" for name, value in compression.items() if name not in other_keys)
    size, against = compression["bytes"], document["comparisons"]["original"]
    sentences = [
        f"Made of {compression['of']} by {compression['method']}{f' ({settings})' if settings else ''}: model/ has "
        f"{size['compressed']:,} bytes instead of {size['original']:,}, {size['compressed'] / size['original']:.1%}.",
        f"Against the original: accuracy {_points(against)}, McNemar's exact p = {against['mcnemar']['p_value']:.2g}.",
    ]
    if throughput:
        sentences.append(
            f"It labels {throughput['compressed']:,.0f} rows per second, the original {throughput['original']:,.0f}, "
            "both on the rows evaluated and with tokenizing."
        )
    return sentences


def seed_sentences(document: MetricsDocument, throughput: dict[str, float] | None = None) -> list[str]:
    """Return sentences on the network that the run keeps, or on the gain and the cost of an ensemble."""
    seeds = document.get("seeds")
    if seeds is None:
        return []
    count = len(seeds["members"])
    ensemble = seeds["ensemble"]
    if not ensemble:
        return [f"Of {count} networks the run keeps that of seed {seeds['best']}, the best on the validation rows."]
    over_best, over_mean = ensemble["over_best"], ensemble["over_mean"]
    sentences = [
        f"The run keeps all {count} networks as one. Against that of seed {seeds['best']}, the best on the validation "
        f"rows: accuracy {_points(over_best)}, McNemar's exact p = {over_best['mcnemar']['p_value']:.2g}.",
        f"Against the mean of all: accuracy {_points(over_mean)}.",
        f"It costs {ensemble['bytes']:,} bytes instead of {ensemble['bytes_of_best']:,}.",
    ]
    if throughput:
        speed, before = throughput["ensemble"], throughput["best"]
        sentences.append(f"It labels {speed:,.0f} rows per second instead of {before:,.0f}.")
    return sentences


def _points(against: DifferenceDocument) -> str:
    low, high = (100 * edge for edge in against["intervals"]["accuracy"])
    return f"{100 * against['difference']['accuracy']:+.2f} points (95 % interval {low:+.2f} to {high:+.2f})"
