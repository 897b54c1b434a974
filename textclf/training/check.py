"""`textclf check`: checks the data of a config, or a saved model; `train --verify`: two trainings compared."""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import numpy as np

from textclf.config.load import dump_config, input_files
from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.inference.classifier import load_classifier
from textclf.io.contract import FindingDocument, TruncationDocument
from textclf.io.files import sha256_of, temporary_file_errors, write_text
from textclf.io.outputs import check_output
from textclf.io.run_folder import Run
from textclf.models.onnx.graph import read_graph
from textclf.text.tokenizer import TextOptions, find_tags
from textclf.training.cluster import find_cluster
from textclf.training.data_checks import check_data
from textclf.training.dataset import prepare

MAX_TAGS = 3  # names that are shown, the most frequent ones


class SuspectsDocument(TypedDict):
    """The file of the rows that are probably labelled wrong."""

    file: str
    rows: int


class MarkupDocument(TypedDict):
    """The HTML tags that cleaning drops from the training texts."""

    characters: int
    share_of_characters: float
    """0 to 1, as the next."""
    texts: int
    share_of_texts: float
    tags: dict[str, int]
    """Occurrences by name, the most frequent first."""


class CheckDocument(TypedDict):
    """The data of a config, as `textclf check CONFIG` finds them."""

    rows: dict[str, int]
    """train, validation and measured: rows by what they are for."""
    labels: dict[str, int]
    """Training rows by label."""
    tokens: dict[str, float]
    """median, p95 and longest: tokens of a training text."""
    unit: Literal["words", "pieces of words"]
    """What the network reads, and the next ones count; an encoder reads pieces."""
    vocabulary: int
    """Those that the network knows."""
    truncated: TruncationDocument
    """What the network does not read of the training texts."""
    unknown_words: dict[str, float]
    """Fraction of those that the network does not know, by part."""
    html: NotRequired[MarkupDocument]
    """Where `text.clean` has html."""
    findings: list[FindingDocument]
    suspects: NotRequired[SuspectsDocument]


class RunCheckDocument(TypedDict):
    """A saved model, as `textclf check RUN` finds it."""

    labels: list[str]
    vocabulary: int
    """Words that the model knows."""
    pieces: NotRequired[int]
    """Pieces of words that its pretrained encoder knows, where it has one."""
    probe_difference: float


class VerifyDocument(TypedDict):
    """Digests that two trainings have in common."""

    epochs: int
    sha256: dict[str, str]


def check_config(
    config: Config, path: Path, *, suspects: Path | None = None, raw: bool = False, overwrite: bool = False
) -> CheckDocument:  # fmt: skip
    """Return the size of a config's dataset and what is wrong with it; train nothing.

    Args:
        path: of the config.
        suspects: file to write the rows to that are probably labelled wrong; see `write_suspects` for its name and
            for `raw`.
        overwrite: replace that file if it exists.

    Raises:
        UserError: the data cannot be learnt from, or the file of suspects must not be written.
    """
    if suspects is not None:
        from textclf.training.label_errors import check_suspects_file, find_suspects, write_suspects  # slow to import

        check_output(suspects, [path, *input_files(config)], overwrite=overwrite, option="--suspects")
        check_suspects_file(suspects, config)
    dataset = prepare(config)
    splits, tokens = dataset.splits, dataset.train.token_ids.token_counts
    document: CheckDocument = {
        "rows": {"train": len(splits.train), "validation": len(splits.validation), "measured": len(splits.evaluation)},
        "labels": dict(sorted(splits.train.labels.counts(config.data.label_separator).items())),
        "tokens": {
            "median": float(np.median(tokens)),
            "p95": float(np.quantile(tokens, 0.95)),
            "longest": int(tokens.max()),
        },
        "unit": "pieces of words" if dataset.piece_encoder else "words",
        "vocabulary": dataset.piece_encoder.tokenizer.size
        if dataset.piece_encoder
        else len(dataset.word_encoder.vocabulary),
        "truncated": dataset.train_truncation.summary(),
        "unknown_words": dataset.unknown,
        "findings": check_data(config, dataset).findings,
    }
    if "html" in config.text.clean:
        document["html"] = _count_tags(splits.train.rows.text_chunks(), config.text)
    if suspects is not None:
        separator = config.data.label_separator
        found = find_suspects(dataset, separator=separator, seed=config.training.seed)
        write_suspects(suspects, found, separator=separator, raw=raw, overwrite=overwrite)
        document["suspects"] = {"file": suspects.as_posix(), "rows": len(found.labels)}
    return document


_TAG_NAME = re.compile(r"!--|!?[a-zA-Z][^\s/>]*")


def _count_tags(chunks: Iterable[list[str]], options: TextOptions) -> MarkupDocument:
    """Count the tags in the texts, the texts that have some, and the characters that are dropped with them."""
    names: Counter[str] = Counter()
    all_texts = all_characters = texts = characters = 0
    for text in chain.from_iterable(chunks):
        tags = find_tags(text, options)
        all_texts += 1
        all_characters += len(text)
        texts += bool(tags)
        characters += sum(map(len, tags))
        names.update(name[0].lower() for tag in tags if (name := _TAG_NAME.search(tag)))
    return {
        "characters": characters,
        "share_of_characters": characters / max(1, all_characters),
        "texts": texts,
        "share_of_texts": texts / max(1, all_texts),
        "tags": dict(names.most_common(MAX_TAGS)),
    }


def check_run(run: Run) -> RunCheckDocument:
    """Check that a saved model gives the same probabilities as when it was saved.

    Raises:
        UserError: it does not, or cannot be read.
    """
    classifier = load_classifier(run.path)
    difference = classifier.check_probe(run.path)
    description = classifier.description
    document: RunCheckDocument = {
        "labels": classifier.labels, "vocabulary": len(description.vocabulary), "probe_difference": difference
    }  # fmt: skip
    if description.piece_count is not None:
        document["pieces"] = description.piece_count
    return document


PRODUCTS = {
    "split.json": "rows held out",
    "model/model.json": "vocabulary and the probabilities of the stored probe rows",
    "model/model.onnx": "weights",
    "history.csv": "losses",
    "predictions.csv": "probabilities",
    "metrics.json": "every number of the report",
}
"""Files of a run that two trainings must agree in, in the order in which they follow from each other, and what they
hold."""


def verify(config: Config) -> VerifyDocument:
    """Train twice for one epoch, each time in a process of its own; return the digests of the files; keep no run.

    Raises:
        UserError: the config cannot be trained on, several workers are named, or the trainings differ.
    """
    if find_cluster(config.training):
        raise UserError(
            "--verify trains in one process, and several workers are named. Add --set training.strategy=one"
        )
    short = replace(config, training=replace(config.training, epochs=1))
    with temporary_file_errors():
        temporary = tempfile.TemporaryDirectory(prefix="textclf-")
    with temporary as folder:
        path = Path(folder) / "config.yaml"
        write_text(path, dump_config(short))
        runs = [_train(path, Run(Path(folder) / name)) for name in ("first", "second")]
        first, second = map(_digests, runs)
        differing = [name for name in PRODUCTS if first[name] != second[name]]
        if differing:
            what = "; ".join(f"{name} ({PRODUCTS[name]})" for name in differing)
            raise UserError(
                f"two trainings of one epoch differ in {what}. Largest difference of a weight: "
                f"{_weight_difference(runs):.1e}. Set training.device to cpu: results on a GPU are not reproducible."
            )
    return {"epochs": 1, "sha256": first}


def _train(config: Path, run: Run) -> Run:
    """Train a run in a new process.

    Raises:
        UserError: it failed; the message is its own.
    """
    command = [sys.executable, "-m", "textclf", "train", str(config), "--run", str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise UserError(*done.stderr.strip().splitlines())
    return run


def _digests(run: Run) -> dict[str, str]:
    return {name: sha256_of(run.path / name) for name in PRODUCTS}


def _weight_difference(runs: Sequence[Run]) -> float:
    (first, _), (second, _) = (read_graph((run.model / "model.onnx").read_bytes()) for run in runs)
    gaps = [
        np.abs(first[name] - second[name]).max()
        for name in first
        if first[name].dtype.kind == "f" and first[name].shape == second[name].shape
    ]
    return float(max(gaps, default=0))
