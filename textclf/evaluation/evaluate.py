"""How good a classifier is on given rows: every number of metrics.json, and every prediction behind them."""

import itertools
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.load import load_saved_config
from textclf.config.schema import Config
from textclf.data.readers import file_format
from textclf.data.rows import DataOptions, LabelBuilder, check_labels
from textclf.data.source import SourceFile, SourceRows, source_files, unchanged
from textclf.errors import UserError
from textclf.evaluation.calibration import needs_threshold
from textclf.evaluation.curves import length_histogram
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.predictions import Predictions, outcome, read_predictions, write_predictions
from textclf.evaluation.slices import by_column, by_length, by_unknown_words
from textclf.inference.classifier import Classifier, Probabilities, load_classifier
from textclf.io.contract import MetricsDocument, SplitDocument
from textclf.io.files import read_json, write_json
from textclf.io.run_folder import Run, replacing_files
from textclf.io.sanitize import join_names
from textclf.io.staging import recover
from textclf.io.streams import OpenData
from textclf.text.encoding import Truncation

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

FORMAT = 1


def evaluate_rows(
    classifier: Classifier, source: SourceRows, *, slices: Sequence[str] = ()
) -> tuple[Predictions, MetricsDocument]:
    """What was found, and the document of it for metrics.json; the texts are read as they are needed.

    Args:
        slices: columns of the files by which the rows are grouped too.

    Raises:
        UserError: a file is at fault, or changed since it was first looked at.
    """
    with unchanged(source.files):
        return _evaluate_rows(classifier, source, slices)


def _evaluate_rows(
    classifier: Classifier, source: SourceRows, slices: Sequence[str]
) -> tuple[Predictions, MetricsDocument]:
    from textclf.evaluation.bootstrap import LEVEL, intervals
    from textclf.evaluation.metrics import confusion_matrix, label_metrics

    labels = LabelBuilder()

    def texts() -> Iterator[list[str]]:
        for rows in source.chunks():
            labels.add(rows.labels)
            yield rows.texts

    extent, probabilities, tokens, unknown = Truncation(), [], [], []
    for token_ids, some in classifier.predict_stream(texts()):
        extent = extent.add(token_ids)
        probabilities.append(some)
        tokens.append(token_ids.token_counts)
        unknown.append(token_ids.unknown_fractions())
    rows = np.arange(extent.rows) if source.row_ids is None else source.row_ids
    check_labels(labels.labels(), classifier.description.label_separator, source.paths)
    found = outcome(classifier, labels.labels(), np.concatenate(probabilities), rows)
    unseen = found.names[len(classifier.labels) :]
    if unseen:
        logger.warning("labels that training never saw, counted as wrong: %s", join_names(unseen))
    lengths = np.concatenate(tokens)
    counts, edges = length_histogram(lengths)
    document: MetricsDocument = {
        "format": FORMAT,
        "data": source.describe(extent.rows),
        "metrics": found.metrics(),
        "labels": label_metrics(found.y_true, found.y_pred, found.names),
        "confusion_matrix": confusion_matrix(found.y_true, found.y_pred, len(found.names)).tolist(),
        "unseen_labels": unseen,
        "truncated": extent.summary(),
        "unknown_words": extent.unknown_fraction(),
        "intervals": intervals(found.resampled),
        "bootstrap": {"level": LEVEL, "resamples": len(found.resampled["accuracy"])},
        "slices": [
            by_length(found, lengths),
            by_unknown_words(found, np.concatenate(unknown)),
            *(by_column(found, name, source.column(name, key="report.slices")) for name in slices),
        ],
        "lengths": {
            "counts": counts.tolist(),
            "edges": edges.tolist(),
            "max_length": classifier.description.text.max_length,
        },
    }
    if needs_threshold(len(classifier.labels), multilabel=found.separator is not None):
        at_half = found.with_probabilities(found.probabilities[:, : len(classifier.labels)])
        document["threshold"] = {"value": classifier.description.threshold, "metrics_at_half": at_half.metrics()}
    return found, document


def write_evaluation(run: Run, found: Predictions, document: MetricsDocument, *, name: str) -> None:
    """predictions.csv, report.html and, last, metrics.json; the page shows the history and samples that the run has."""
    from textclf.evaluation.run_report import write_report  # matplotlib takes a second to import

    write_predictions(run.predictions, found)
    write_report(run, document, found, name=name)
    write_json(run.metrics, document)


def evaluate(run: Run, data: str | None) -> MetricsDocument:
    """Metrics of a run on a file, or on what its training was measured on; the document of metrics.json.

    Writes them, with predictions and report, to `evaluations/NAME` for a file, unless the run is a bare model/ folder.

    Raises:
        UserError: the run or the data cannot be read, or the training data have changed since.
    """
    classifier = load_classifier(run.path)
    if data is None:
        return _evaluate_again(run, classifier)
    files = source_files(data, key="DATA")
    source = SourceRows(files, _data_options(run, classifier), "all")
    columns = _slices_in(files, run)
    found, document = evaluate_rows(classifier, source, slices=columns)
    if run.complete:
        target = _evaluation(run, document["data"]["file"])
        with replacing_files(target) as new:
            if load_saved_config(run.config).report.texts:
                write_json(new.samples, sample_document(classifier, run.path, source, found))
            write_evaluation(new, found, document, name=f"{run.path.name}: {data}")
        logger.info("wrote %s", target.path)
    return document


def _slices_in(files: list[SourceFile], run: Run) -> list[str]:
    """Those of the run's columns to slice by that the files have."""
    if not run.config.is_file():
        return []
    wanted = load_saved_config(run.config).report.slices
    for path in [file.path for file in files]:
        with OpenData(path) as stream:
            columns = {column.strip() for column in file_format(path).columns(stream, str(path))}
        wanted = [name for name in wanted if name.strip() in columns]
    return wanted


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
        return load_saved_config(run.config).data
    description = classifier.description
    return DataOptions(
        train="", text=description.column, label=description.label_column, label_separator=description.label_separator
    )


def _evaluate_again(run: Run, classifier: Classifier) -> MetricsDocument:
    """The document of the run's own rows, measured anew; what only training knows is kept."""
    if not run.complete:
        raise UserError(
            f"{run.path} is no complete run, so it names no rows to evaluate on. Name a file: textclf evaluate DATA."
        )
    before: MetricsDocument = read_json(run.metrics)
    config = load_saved_config(run.config)
    source = own_rows(run, config)
    data = source.describe(before.get("data", {}).get("rows"))
    if data["sha256"] != before.get("data", {}).get("sha256"):
        raise UserError(
            f"{data['file']} has changed since {run.path} was trained. To measure on it as it is: "
            f"textclf evaluate {data['file']} --run {run.path}"
        )
    found, document = evaluate_rows(classifier, source, slices=config.report.slices)
    document = {**before, **document}
    with replacing_files(run) as new:
        for file in (run.history, run.samples, run.environment):
            if file.is_file():
                shutil.copy2(file, new.path / file.name)  # the page shows them; the time says when it was trained
        write_evaluation(new, found, document, name=run.path.name)
    return document


def own_rows(run: Run, config: Config) -> SourceRows:
    """The rows that a run was measured on: its test file, else its validation file, else the rows held out.

    Raises:
        UserError: rows were held out, and the files that they are in have changed.
    """
    data = config.data
    for part in ("test", "validation"):
        if getattr(data, part):
            return SourceRows(source_files(getattr(data, part), key=f"data.{part}"), data, part)
    held_out: SplitDocument = read_json(run.split)
    files = source_files(data.train, key="data.train")
    if [file.sha256 for file in files] != held_out.get("sha256"):
        raise UserError(
            f"{data.train} has changed since {run.path} was trained: its validation rows are no longer known."
        )
    return SourceRows(files, data, "validation", np.array(held_out["validation"], np.int64))


WARM_UP = ["", "one text"] * 64  # some memory is taken, and some threads begin, with the first batches alone


def measure_throughput(
    classifiers: Sequence[Classifier], source: SourceRows
) -> tuple[list[Probabilities], list[float]]:
    """Of each classifier the probabilities of all rows, shape (rows, labels), and rows a second, reading left out.

    Raises:
        UserError: a file of the rows has changed.
    """
    found: list[list[Probabilities]] = [[] for _ in classifiers]
    for classifier in classifiers:
        classifier.predict_proba(WARM_UP)
    seconds = [0.0] * len(classifiers)
    with unchanged(source.files):
        for rows in source.chunks():
            for place, classifier in enumerate(classifiers):
                begin = time.perf_counter()
                found[place].append(classifier.predict_proba(rows.texts))
                seconds[place] += time.perf_counter() - begin
    probabilities = [np.concatenate(chunks) for chunks in found]
    return probabilities, [round(len(probabilities[0]) / each, 1) for each in seconds]


def redraw(path: Path) -> Path:
    """Draw the report of a run, or of an evaluation in it, anew; return the path of the page.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    from textclf.evaluation.run_report import write_report  # matplotlib takes a second to import

    run = recover(Run(path))
    document: MetricsDocument = read_json(run.metrics)
    found = read_predictions(run.predictions, separator=load_saved_config(run.owner.config).data.label_separator)
    name = path.name if run.owner == run else f"{run.owner.path.name}: {path.name}"
    write_report(run, document, found, name=name)
    return run.report
