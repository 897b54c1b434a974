"""`textclf evaluate`: the numbers of metrics.json, and the predictions behind them, of a classifier on given rows."""

import logging
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.load import load_saved_config
from textclf.config.schema import Config
from textclf.data.readers import file_format, find_files
from textclf.data.rows import DataOptions
from textclf.data.source import RowIds, SourceFile, SourceReader, SourceRows, source_files
from textclf.data.spelling import check_known_labels, spelling_advice
from textclf.data.table_format import check_distinct, each_of, has_column
from textclf.errors import UserError
from textclf.evaluation.bootstrap import LEVEL
from textclf.evaluation.calibration import needs_threshold
from textclf.evaluation.curves import length_histogram
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.metrics import confusion_matrix, label_metrics
from textclf.evaluation.predictions import Predictions, compare_predictions, predictions_for, write_predictions
from textclf.evaluation.slices import by_column, by_length, by_unknown_words
from textclf.inference.classifier import Classifier, Probabilities, load_classifier
from textclf.io.contract import LINEAR_BASELINE, NETWORK_ALONE, DataDocument, MetricsDocument, SplitDocument
from textclf.io.files import read_json, write_json
from textclf.io.run_folder import Run, check_rows_are_kept, numbered, replacing_files
from textclf.io.sanitize import join_names
from textclf.io.streams import open_data
from textclf.text.encoding import TokenIds, Truncation, token_ids_on_disk

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

FORMAT = 1

BASELINE_OF_PART = {"network": NETWORK_ALONE, "linear": LINEAR_BASELINE}
"""The key in `baselines` of each part of a blend, where it decides alone."""


def evaluate_rows(
    classifier: Classifier, rows: SourceRows, token_ids: Iterable[TokenIds], *, slices: Sequence[str] = ()
) -> tuple[Predictions, MetricsDocument]:
    """Return the predictions for the rows, and their document for metrics.json.

    Args:
        token_ids: of the rows, in chunks.
        slices: columns of the files by which the rows are grouped, beside text length and unknown words.
    """
    truncation, probabilities, token_counts, unknown_fractions = Truncation(), [], [], []
    parts: dict[str, list[Probabilities]] = defaultdict(list)
    for chunk in token_ids:
        of_network = classifier.counted_ids(chunk)
        truncation = truncation.add(of_network)
        of_chunk, of_parts = classifier.part_probabilities(chunk)
        probabilities.append(of_chunk)
        for name, alone in of_parts.items():
            parts[name].append(alone)
        token_counts.append(chunk.token_counts)
        unknown_fractions.append(of_network.unknown_fractions())
    predictions = predictions_for(classifier, rows.labels, np.concatenate(probabilities), rows.row_ids)
    unseen = predictions.label_names[len(classifier.labels) :]
    if unseen:
        advice = spelling_advice(unseen, classifier.labels)
        logger.warning(
            "labels that training never saw, counted as wrong: %s%s", join_names(unseen), advice and f". {advice}"
        )
    lengths = np.concatenate(token_counts)
    counts, edges = length_histogram(lengths)
    y_true, y_pred, names = predictions.y_true, predictions.y_pred, predictions.label_names
    document: MetricsDocument = {
        "format": FORMAT,
        "data": rows.describe(),
        "metrics": predictions.metrics,
        "labels": label_metrics(y_true, y_pred, names),
        "confusion_matrix": confusion_matrix(y_true, y_pred, len(names)).tolist(),
        "unseen_labels": unseen,
        "truncated": truncation.summary(),
        "unknown_words": truncation.unknown_fraction(),
        "intervals": predictions.intervals,
        "bootstrap": {"level": LEVEL, "resamples": len(predictions.resampled["accuracy"])},
        "slices": [
            by_length(predictions, lengths),
            by_unknown_words(predictions, np.concatenate(unknown_fractions)),
            *(by_column(predictions, name, rows.column(name)) for name in slices),
        ],
        "lengths": {
            "counts": counts.tolist(),
            "edges": edges.tolist(),
            "max_length": classifier.network_length,
        },
    }
    multilabel = predictions.separator is not None
    if needs_threshold(len(classifier.labels), multilabel=multilabel):
        if not multilabel:
            document["positive"] = classifier.labels[1]
        at_half = predictions.with_probabilities(predictions.probabilities[:, : len(classifier.labels)])
        threshold = classifier.description.threshold
        value = dict(zip(classifier.labels, threshold, strict=True)) if isinstance(threshold, list) else threshold
        document["threshold"] = {"value": value, "metrics_at_half": at_half.metrics}
    thresholds = classifier.description.part_thresholds
    others = {
        BASELINE_OF_PART[name]: predictions.with_probabilities(np.concatenate(each), threshold=thresholds[name])
        for name, each in parts.items()
    }
    add_comparisons(document, predictions, others)
    return predictions, document


def add_comparisons(document: MetricsDocument, predictions: Predictions, others: Mapping[str, Predictions]) -> None:
    """Add the metrics of other models on the same rows, and how far the predictions are from theirs."""
    for name, other in others.items():
        document.setdefault("baselines", {})[name] = other.metrics
        document.setdefault("comparisons", {})[name] = compare_predictions(predictions, other)


def write_evaluation(run: Run, predictions: Predictions, document: MetricsDocument, *, name: str) -> None:
    """Write predictions.csv, report.html and, last, metrics.json; the report shows history and samples of the run."""
    from textclf.evaluation.run_report import write_report  # matplotlib takes a second to import

    write_predictions(run.predictions, predictions)
    write_report(run, document, predictions, name=name)
    write_json(run.metrics, document)


def evaluate(run: Run, data: str | None, *, text: Sequence[str] = (), label: str | None = None) -> MetricsDocument:
    """Evaluate a run on a file, or again on its own rows; return the document of metrics.json.

    For a file, metrics, predictions and report are written to `evaluations/NAME`, unless the run is a bare model/
    folder or read-only.

    Args:
        text: columns of the texts in the file; none: the run's.
        label: column of the labels in the file; None: the run's.

    Raises:
        UserError: the run or the data cannot be read, or the training data have changed since.
    """
    classifier = load_classifier(run.path)
    if data is None:
        return _evaluate_again(run, classifier)
    config = load_saved_config(run.config) if run.config.is_file() else None
    paths = find_files(data, key="DATA")
    columns = _columns_in(paths, config.report.slices) if config else []
    of_run = config.data if config else _model_options(classifier)
    options = replace(of_run, text=[*text] or of_run.text, label=label or of_run.label)
    if text or label:
        check_distinct([*(("--text", name) for name in options.text_columns), ("--label", options.label)])
    shows_texts = run.complete and config is not None and config.report.texts
    keys = (each_of("--text", options.text_columns), "--label")
    reader = SourceReader(paths, options, columns=columns, texts=shows_texts, keys=keys)
    token_ids = _encode(classifier, reader)
    rows = reader.rows("all")
    check_known_labels(data, rows.labels.counts(options.label_separator), classifier.labels, key="--label")
    predictions, document = evaluate_rows(classifier, rows, map(token_ids.take, rows.chunks()), slices=columns)
    document["data"]["paths"] = [Path(os.path.realpath(path)).as_posix() for path in paths]
    columns_read = [*options.text_columns, options.label]
    if columns_read != [*of_run.text_columns, of_run.label]:
        document["data"]["columns"] = columns_read
    if _keeps_evaluations(run):
        target = _evaluation_folder(run, document["data"])
        with replacing_files(target) as new:
            if shows_texts:
                write_json(new.samples, sample_document(classifier, rows, predictions))
            write_evaluation(new, predictions, document, name=f"{run.path.name}: {data}")
        logger.info("wrote %s", target.path)
    return document


def _keeps_evaluations(run: Run) -> bool:
    """Return True if an evaluation can be written into the run; warn if it is read-only."""
    if run.complete and not os.access(run.path, os.W_OK):
        logger.warning("%s is read-only: the evaluation is not kept in it", run.path)
        return False
    return run.complete


def _encode(classifier: Classifier, reader: SourceReader, row_ids: RowIds | None = None) -> TokenIds:
    """Read the files; return the token ids of the rows in `row_ids`, or of all, in a temporary file."""

    def chunks() -> Iterator[TokenIds]:
        first = 0
        for texts in reader.texts():
            last = first + len(texts)
            if row_ids is not None:
                start, stop = np.searchsorted(row_ids, (first, last))
                texts = [texts[row - first] for row in row_ids[start:stop].tolist()]
            yield classifier.encode(texts)
            first = last

    return token_ids_on_disk(chunks(), np.int32, folder=None)


def _columns_in(paths: list[Path], names: list[str]) -> list[str]:
    """Return the names that are columns of all files."""
    for path in paths if names else ():
        with open_data(path) as stream:
            columns = file_format(path).columns(stream, str(path))
        names = [name for name in names if has_column(columns, name)]
    return names


def _evaluation_folder(run: Run, data: DataDocument) -> Run:
    """Return evaluations/NAME, by the file's name; NAME-2 and so on if NAME is of other files or columns."""
    files = data["file"]
    file = Path(files if isinstance(files, str) else files[0]).name.removesuffix(".gz")
    name = file.rpartition(".")[0] or file
    return next(
        folder for folder in map(Run, numbered(run.evaluation(name).path))
        if (folder.metrics.is_file() and _same_source(read_json(folder.metrics)["data"], data))
        or not any(os.path.lexists(file) for file in folder.files)
    )  # fmt: skip


def _same_source(before: DataDocument, data: DataDocument) -> bool:
    """Return True if two evaluations are of the same files and columns."""
    # without paths, as earlier versions wrote it, a relative name says too little
    keys = ("paths", "columns") if "paths" in before else ("file", "sha256", "columns")
    return all(before.get(key) == data.get(key) for key in keys)


def _model_options(classifier: Classifier) -> DataOptions:
    """Return the columns and the separator that the model was trained with."""
    description = classifier.description
    return DataOptions(
        train="", text=description.column, label=description.label_column, label_separator=description.label_separator
    )


def _evaluate_again(run: Run, classifier: Classifier) -> MetricsDocument:
    """Evaluate the run's own rows again; keep the parts of metrics.json that only training can write."""
    if not run.complete:
        raise UserError(
            f"{run.path} is no complete run, so it names no rows to evaluate on. Name a file: textclf evaluate DATA."
        )
    check_rows_are_kept(run, advice=f"Name a file: textclf evaluate DATA --run {run.path}")
    before: MetricsDocument = read_json(run.metrics)
    config = load_saved_config(run.config)
    rows, token_ids = _own_rows(run, config, classifier, before.get("data", {}).get("sha256"))
    chunks = map(token_ids.take, rows.chunks())
    predictions, evaluated = evaluate_rows(classifier, rows, chunks, slices=config.report.slices)
    document: MetricsDocument = {**before, **evaluated}
    if "baselines" in before and "comparisons" in before:  # evaluating makes those of the parts of a blend only
        document["baselines"] = before["baselines"] | evaluated.get("baselines", {})
        document["comparisons"] = before["comparisons"] | evaluated.get("comparisons", {})
    if not _keeps_evaluations(run):
        return document
    with replacing_files(run) as new:
        for file in (run.history, run.samples, run.environment):
            if file.is_file():
                shutil.copy2(file, new.path / file.name)  # the page shows them; the time says when it was trained
        write_evaluation(new, predictions, document, name=run.path.name)
    return document


def _own_rows(run: Run, config: Config, classifier: Classifier, sha256: str | list[str]) -> tuple[SourceRows, TokenIds]:
    """Read the rows that a run was evaluated on: its test file, else its validation file, else the rows held out.

    Args:
        sha256: the files' when the run was trained.

    Raises:
        UserError: the files have changed.
    """
    data = config.data
    part = "test" if data.test else "validation" if data.validation else "train"
    patterns, key = getattr(data, part), f"data.{part}"
    row_ids = None
    if part == "train":
        split: SplitDocument = read_json(run.split)
        row_ids = np.array(split["validation"], np.int64)
    reader = SourceReader(find_files(patterns, key=key), data, columns=config.report.slices, texts=False)
    digests = sha256 if isinstance(sha256, list) else [sha256]
    try:
        token_ids = _encode(classifier, reader, row_ids)
    except UserError:
        _check_unchanged(run, part, source_files(patterns, key=key), digests)
        raise
    _check_unchanged(run, part, reader.files, digests)
    rows = reader.rows("test" if data.test else "validation")
    return rows if row_ids is None else rows.take(row_ids), token_ids


def _check_unchanged(run: Run, part: str, files: list[SourceFile], digests: list[str]) -> None:
    """Refuse files that are no longer those that a run was trained with.

    Raises:
        UserError: a file has another sha256.
    """
    if [file.sha256 for file in files] == digests:
        return
    names = ", ".join(file.path.as_posix() for file in files)
    advice = f". To measure on it as it is: textclf evaluate {names} --run {run.path}"
    if part == "train":
        advice = ": its validation rows are no longer known."
    raise UserError(f"{names} has changed since {run.path} was trained{advice}")


WARM_UP = ["", "one text"] * 64  # the first batches are slow: they allocate memory and start threads


def measure_throughput(
    classifiers: Sequence[Classifier], chunks: Iterable[list[str]]
) -> tuple[list[Probabilities], list[float]]:
    """Return each classifier's probabilities, shape (n, labels), and texts per second, without reading the texts."""
    probabilities: list[list[Probabilities]] = [[] for _ in classifiers]
    seconds = [0.0] * len(classifiers)
    for classifier in classifiers:
        classifier.predict_proba(WARM_UP)
    for texts in chunks:
        for index, classifier in enumerate(classifiers):
            start = time.perf_counter()
            probabilities[index].append(classifier.predict_proba(texts))
            seconds[index] += time.perf_counter() - start
    of_all = [np.concatenate(blocks) for blocks in probabilities]
    return of_all, [round(len(of_all[0]) / spent, 1) for spent in seconds]
