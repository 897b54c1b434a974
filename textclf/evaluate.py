"""How good a classifier is on given rows: every number of metrics.json, and every prediction behind them."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.classifier import Classifier, Probabilities, decide, load_classifier
from textclf.config import Config, saved_config
from textclf.data import DataOptions, LabelReader, Labels
from textclf.errors import UserError
from textclf.files import file_digest, find_files
from textclf.material import Labelled
from textclf.report import write_report
from textclf.run import Run, read_json, write_csv, write_json
from textclf.text import Extent

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """n rows with the truth and what was predicted, in terms of `names`."""

    labels: Labels
    """The truth as the rows have it."""
    separator: str | None
    names: list[str]
    """The classifier's labels, then those that only the rows have."""
    truth: Array
    chosen: Array
    probabilities: Probabilities
    """Shape (n, names); 0 for a label that the classifier does not know."""

    def metrics(self) -> dict[str, float | None]:
        from textclf.metrics import compute_metrics  # scikit-learn takes seconds to import

        return compute_metrics(self.truth, self.chosen, self.probabilities)

    def with_probabilities(self, probabilities: Probabilities, *, threshold: float = 0.5) -> "Outcome":
        """The same rows as another model sees them, shape (n, the classifier's labels)."""
        chosen = decide(probabilities, self.separator, threshold)
        extra = ((0, 0), (0, len(self.names) - probabilities.shape[1]))
        if self.separator is not None:
            chosen = np.pad(chosen, extra)
        return replace(self, chosen=chosen, probabilities=np.pad(probabilities, extra))


def outcome(classifier: Classifier, labels: Labels, probabilities: Probabilities) -> Outcome:
    """The truth beside the predictions; labels that training never saw join the names, and count as wrong."""
    separator = classifier.description.label_separator
    unseen = [name for name in labels.names(separator) if name not in classifier.labels]
    names = classifier.labels + unseen
    truth = labels.targets(names, separator)
    found = Outcome(labels, separator, names, truth, truth, probabilities)
    return found.with_probabilities(probabilities, threshold=classifier.description.threshold)


def evaluate_rows(classifier: Classifier, labelled: Labelled) -> tuple[Outcome, dict[str, Any]]:
    """What was found, and the document of it for metrics.json; the texts are read as they are needed."""
    from textclf.metrics import bootstrap_intervals, confusion_matrix, label_metrics

    labels = LabelReader()

    def texts() -> Iterator[list[str]]:
        for rows in labelled.chunks():
            labels.add(rows.labels)
            yield rows.texts

    extent, probabilities = Extent(), []
    for token_ids, some in classifier.predict_stream(texts()):
        extent = extent.plus(token_ids)
        probabilities.append(some)
    found = outcome(classifier, labels.labels(), np.concatenate(probabilities))
    unseen = found.names[len(classifier.labels) :]
    if unseen:
        logger.warning("labels that training never saw, counted as wrong: %s", ", ".join(unseen))
    document = {
        "format": FORMAT,
        "data": labelled.describe(extent.rows),
        "metrics": found.metrics(),
        "labels": label_metrics(found.truth, found.chosen, found.names),
        "confusion_matrix": confusion_matrix(found.truth, found.chosen, len(found.names)).tolist(),
        "unseen_labels": unseen,
        "truncated": extent.truncation(),
        "unknown_words": extent.unknown_share(),
        "intervals": bootstrap_intervals(found.truth, found.chosen),
    }
    return found, document


def write_evaluation(run: Run, labelled: Labelled, found: Outcome, document: dict[str, Any], *, name: str) -> None:
    """predictions.csv, report.html and, last, metrics.json."""
    header = ["row", "truth", "prediction", *found.names]
    write_csv(run.predictions, header, _prediction_rows(labelled, found))
    write_report(run, document, name=name)
    write_json(run.metrics, document)


def _prediction_rows(labelled: Labelled, found: Outcome) -> Iterator[list[object]]:
    names = np.array(found.names, object)
    numbers = range(len(found.chosen)) if labelled.numbers is None else labelled.numbers
    for row, code, chosen, shares in zip(numbers, found.labels.codes, found.chosen, found.probabilities, strict=True):
        prediction = names[chosen] if found.separator is None else found.separator.join(names[chosen == 1])
        yield [int(row), found.labels.fields[code], prediction, *shares.tolist()]


def evaluate(run: Run, data: str | None) -> dict[str, Any]:
    """Metrics of a run on a file, or on what its training was measured on; the document of metrics.json.

    Writes them, with predictions and report, to `evaluations/NAME` for a file, unless the run is a bare model/ folder.

    Raises:
        UserError: the run or the data cannot be read, or the training data have changed since.
    """
    classifier = load_classifier(run.path)
    if data is None:
        return _evaluate_again(run, classifier)
    paths = find_files(data, key="DATA")
    options = _data_options(run, classifier)
    labelled = Labelled(paths, options, "all")
    found, document = evaluate_rows(classifier, labelled)
    if run.complete:
        target = _evaluation(run, document["data"]["file"])
        write_evaluation(target, labelled, found, document, name=f"{run.path.name}: {data}")
        logger.info("wrote %s", target.path)
    return document


def _evaluation(run: Run, files: str | list[str]) -> Run:
    """Where the evaluation goes: NAME of the file, or NAME-2 and so on where another file has that name."""
    stem = Path(files if isinstance(files, str) else files[0]).name.removesuffix(".gz")
    name = stem.rpartition(".")[0] or stem
    for number in itertools.count(1):
        found = run.evaluation(name if number == 1 else f"{name}-{number}")
        if not found.metrics.is_file() or read_json(found.metrics)["data"]["file"] == files:
            return found
    raise AssertionError("count has no end")


def _data_options(run: Run, classifier: Classifier) -> DataOptions:
    if run.config.is_file():
        return saved_config(run.config).data
    description = classifier.description
    return DataOptions(
        train="", text=description.column, label=description.label_column, label_separator=description.label_separator
    )


def _evaluate_again(run: Run, classifier: Classifier) -> dict[str, Any]:
    """The document of the run's own rows, measured anew; what only training knows is kept."""
    if not run.complete:
        raise UserError(
            f"{run.path} is no complete run, so it names no rows to evaluate on. Name a file: textclf evaluate DATA."
        )
    before = read_json(run.metrics)
    labelled = own_rows(run, saved_config(run.config))
    data = labelled.describe(before.get("data", {}).get("rows"))
    if data["sha256"] != before.get("data", {}).get("sha256"):
        raise UserError(
            f"{data['file']} has changed since {run.path} was trained. To measure on it as it is: "
            f"textclf evaluate {data['file']} --run {run.path}"
        )
    found, document = evaluate_rows(classifier, labelled)
    document |= {key: value for key, value in before.items() if key not in document}
    write_evaluation(run, labelled, found, document, name=run.path.name)
    return document


def own_rows(run: Run, config: Config) -> Labelled:
    """The rows that a run was measured on: its test file, else its validation file, else the rows held out.

    Raises:
        UserError: rows were held out, and the files that they are in have changed.
    """
    data = config.data
    for part in ("test", "validation"):
        if getattr(data, part):
            return Labelled(find_files(getattr(data, part), key=f"data.{part}"), data, part)
    held_out = read_json(run.split)
    paths = find_files(data.train, key="data.train")
    if [file_digest(path) for path in paths] != held_out.get("sha256"):
        raise UserError(
            f"{data.train} has changed since {run.path} was trained: its validation rows are no longer known."
        )
    return Labelled(paths, data, "validation", np.array(held_out["validation"], np.int64))
