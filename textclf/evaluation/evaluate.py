"""How good a classifier is on given rows: every number of metrics.json, and every prediction behind them."""

import itertools
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from textclf.config.load import load_saved_config
from textclf.config.schema import Config
from textclf.data.readers import file_format, find_files
from textclf.data.rows import DataOptions
from textclf.data.source import RowIds, SourceFile, SourceReader, SourceRows, source_files
from textclf.errors import UserError
from textclf.evaluation.calibration import needs_threshold
from textclf.evaluation.curves import length_histogram
from textclf.evaluation.error_samples import sample_document
from textclf.evaluation.predictions import Predictions, outcome, read_predictions, write_predictions
from textclf.evaluation.slices import by_column, by_length, by_unknown_words
from textclf.inference.classifier import Classifier, Probabilities, load_classifier
from textclf.io.contract import MetricsDocument, SplitDocument
from textclf.io.files import array_on_disk, read_json, write_json
from textclf.io.run_folder import Run, replacing_files
from textclf.io.sanitize import join_names
from textclf.io.staging import recover
from textclf.io.streams import open_data
from textclf.text.encoding import TokenIds, Truncation

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]

FORMAT = 1


def evaluate_rows(
    classifier: Classifier, rows: SourceRows, token_ids: Iterable[TokenIds], *, slices: Sequence[str] = ()
) -> tuple[Predictions, MetricsDocument]:
    """Return the predictions for the rows, and the document of them for metrics.json.

    Args:
        token_ids: those of the rows, some at a time.
        slices: columns of the files by which the rows are grouped too.
    """
    from textclf.evaluation.bootstrap import LEVEL, intervals
    from textclf.evaluation.metrics import confusion_matrix, label_metrics

    extent, probabilities, tokens, unknown = Truncation(), [], [], []
    for chunk in token_ids:
        extent = extent.add(chunk)
        probabilities.append(classifier.probabilities(chunk))
        tokens.append(chunk.token_counts)
        unknown.append(chunk.unknown_fractions())
    labels = rows.labels
    found = outcome(classifier, labels, np.concatenate(probabilities), rows.row_ids)
    unseen = found.names[len(classifier.labels) :]
    if unseen:
        logger.warning("labels that training never saw, counted as wrong: %s", join_names(unseen))
    lengths = np.concatenate(tokens)
    counts, edges = length_histogram(lengths)
    document: MetricsDocument = {
        "format": FORMAT,
        "data": rows.describe(),
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
            *(by_column(found, name, rows.column(name)) for name in slices),
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
    paths = find_files(data, key="DATA")
    columns = _slices_in(paths, run)
    shows_texts = run.complete and load_saved_config(run.config).report.texts
    reader = SourceReader(paths, _data_options(run, classifier), columns=columns, texts=shows_texts)
    token_ids = _encode(classifier, reader)
    rows = reader.rows("all")
    found, document = evaluate_rows(classifier, rows, map(token_ids.take, rows.chunks()), slices=columns)
    if run.complete:
        target = _evaluation(run, document["data"]["file"])
        with replacing_files(target) as new:
            if shows_texts:
                write_json(new.samples, sample_document(classifier, rows, found))
            write_evaluation(new, found, document, name=f"{run.path.name}: {data}")
        logger.info("wrote %s", target.path)
    return document


def _encode(classifier: Classifier, reader: SourceReader, row_ids: RowIds | None = None) -> TokenIds:
    """Read all rows; return the token ids, in a temporary file, of those with these numbers, or of all."""
    lengths, tokens = [], []

    def blocks() -> Iterator[Array]:
        first = 0
        for texts in reader.texts():
            last = first + len(texts)
            if row_ids is not None:
                begin, end = np.searchsorted(row_ids, (first, last))
                texts = [texts[row - first] for row in row_ids[begin:end].tolist()]
            token_ids = classifier.encode(texts)
            lengths.append(token_ids.lengths)
            tokens.append(token_ids.token_counts)
            yield token_ids.flat
            first = last

    flat = array_on_disk(blocks(), np.int32, folder=None)
    return TokenIds(flat, np.concatenate(lengths), np.concatenate(tokens))


def _slices_in(paths: list[Path], run: Run) -> list[str]:
    """Those of the run's columns to slice by that the files have."""
    if not run.config.is_file():
        return []
    wanted = load_saved_config(run.config).report.slices
    for path in paths if wanted else ():
        with open_data(path) as stream:
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
    rows, token_ids = _own_rows(run, config, classifier, before.get("data", {}).get("sha256"))
    found, document = evaluate_rows(classifier, rows, map(token_ids.take, rows.chunks()), slices=config.report.slices)
    document = {**before, **document}
    with replacing_files(run) as new:
        for file in (run.history, run.samples, run.environment):
            if file.is_file():
                shutil.copy2(file, new.path / file.name)  # the page shows them; the time says when it was trained
        write_evaluation(new, found, document, name=run.path.name)
    return document


def _own_rows(run: Run, config: Config, classifier: Classifier, sha256: str | list[str]) -> tuple[SourceRows, TokenIds]:
    """Read the rows that a run was evaluated on: its test file, else its validation file, else the rows held out.

    Args:
        sha256: of the files when the run was trained.

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


WARM_UP = ["", "one text"] * 64  # some memory is taken, and some threads begin, with the first batches alone


def measure_throughput(
    classifiers: Sequence[Classifier], chunks: Iterable[list[str]]
) -> tuple[list[Probabilities], list[float]]:
    """Return each classifier's probabilities of all texts, shape (n, labels), and texts a second, reading left out."""
    found: list[list[Probabilities]] = [[] for _ in classifiers]
    for classifier in classifiers:
        classifier.predict_proba(WARM_UP)
    seconds = [0.0] * len(classifiers)
    for texts in chunks:
        for place, classifier in enumerate(classifiers):
            begin = time.perf_counter()
            found[place].append(classifier.predict_proba(texts))
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
