"""Scoring the shards of a share: one of several processes, each of which takes other shards of the same inputs.

Each process reads the inputs and leaves out the shards of the others, and those that are done: reading is ten times as
fast as scoring, so nothing has to be agreed upon, and no file needs an index.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

import numpy as np

from textclf.data.table_format import KEPT, each_of, join_texts
from textclf.errors import UserError
from textclf.inference.classifier import Classifier
from textclf.inference.inputs import CHUNK_ROWS, read_lines
from textclf.inference.predict import predict_distinct
from textclf.inference.prefetch import prefetch
from textclf.io.objects import Location, StoreError, location, writing
from textclf.scoring.folder import (
    BegunDocument,
    InputTotals,
    OptionsDocument,
    ScoringFolder,
    Shard,
    ShardDocument,
    fingerprint,
    make_folder,
    read_document,
    scored_input,
    write_document,
)
from textclf.scoring.inputs import check_unchanged, open_input, table_format
from textclf.scoring.writers import WRITERS, Columns, ScoredRows

logger = logging.getLogger(__name__)

FILES_PER_SHARE = 4  # from so many inputs a share on, each process takes whole inputs and reads no others

Row = tuple[str, ...]
"""The text of a row, then its kept columns."""


class Share(NamedTuple):
    """The shards that one of several processes scores."""

    number: int
    """Counted from 1."""
    shares: int
    """Number of processes."""

    def takes_input(self, index: int, inputs: int) -> bool:
        """Return True if the process reads the input with this index, of so many."""
        if inputs < FILES_PER_SHARE * self.shares:
            return True
        # one further in each round: files of two kinds, by turns, would else go to two processes
        return (index + index // self.shares) % self.shares == self.number - 1

    def takes_shard(self, index: int, shard: int, inputs: int) -> bool:
        """Return True if the process scores a shard of an input that it reads."""
        return inputs >= FILES_PER_SHARE * self.shares or (index + shard) % self.shares == self.number - 1


def score_share(
    folder: ScoringFolder, begun: BegunDocument, classifier: Classifier, share: Share, on_rows: Callable[[int], None]
) -> int:
    """Score the shards of a share that are not done yet; return the number of inputs that could not be read.

    An input that is damaged is left at the shard where that shows, and the others go on.

    Args:
        on_rows: called with the number of rows of each shard that is done, earlier ones included.
    """
    left, inputs = 0, len(begun["inputs"])
    for index in range(inputs):
        if share.takes_input(index, inputs):
            takes = partial(share.takes_shard, index, inputs=inputs)
            left += not score_input(folder, begun, classifier, index, takes, on_rows)
    return left


def score_input(
    folder: ScoringFolder, begun: BegunDocument, classifier: Classifier, index: int, takes: Callable[[int], bool],
    on_rows: Callable[[int], None],
) -> bool:  # fmt: skip
    """Score shards of an input that are not done yet; return False, with a warning, if it cannot be read to its end.

    Args:
        takes: returns True for the number of a shard that is to be scored; the others are read only.
        on_rows: called with the number of rows of each of these shards that is done, earlier ones included.

    Raises:
        SupersededError: another process has begun anew in the folder.
        StoreError: the store of the folder or the input cannot be reached.
    """
    try:
        _score_input(folder, begun, classifier, index, takes, on_rows)
    except (SupersededError, StoreError):
        raise
    except UserError as problem:
        logger.warning("%s", problem)
        return False
    except OSError as error:
        logger.warning("%s cannot be read: %s.", begun["inputs"][index]["path"], error.strerror)
        return False
    return True


def _score_input(
    folder: ScoringFolder, begun: BegunDocument, classifier: Classifier, index: int, takes: Callable[[int], bool],
    on_rows: Callable[[int], None],
) -> None:  # fmt: skip
    options, source = begun["options"], begun["inputs"][index]
    of = fingerprint(options, source)
    check_unchanged(source)
    if done := scored_input(folder, options, source):
        on_rows(done["rows"])
        return
    make_folder(folder.of(source))
    sha256 = hashlib.sha256()
    columns = Columns.of(options["keep"], classifier.labels)
    number = rows = 0
    reader = _read(
        location(source["path"]), options["columns"] or classifier.description.columns, options["keep"], sha256
    )
    # the next shard is read while one is scored
    for shard_rows in prefetch(_in_shards(reader, options["rows"]), limit=1):
        shard = folder.shard(source, number, options["output_format"])
        if takes(number):
            if shard.done_rows(of) is None:
                scored = _score(classifier, shard_rows, first=rows, min_confidence=options["min_confidence"])
                check_begun(folder, begun)
                _write(shard, options, columns, scored, of)
            on_rows(len(shard_rows))
        rows += len(shard_rows)
        number += 1
    check_unchanged(source)
    document: InputTotals = {"rows": rows, "shards": number, "sha256": sha256.hexdigest(), "of": of}
    try:
        write_document(folder.totals(source), document)
    except StoreError:
        raise
    except UserError:
        if not scored_input(folder, options, source):  # by another process, as in _write
            raise


def _in_shards(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Yield the rows of each shard."""
    while shard := [*islice(rows, size)]:
        yield shard


def check_begun(folder: ScoringFolder, begun: BegunDocument) -> None:
    """Stop if another process has begun anew in the folder.

    Raises:
        SupersededError: it has.
    """
    if read_document(folder.begun).get("options") != begun["options"]:
        raise SupersededError(f"{folder.path}: another process has begun anew in it, and this one ends.")


class SupersededError(UserError):
    """Another process has begun anew in the same folder."""


def _read(path: Location, columns: Sequence[str], keep: Sequence[str], sha256: "hashlib._Hash") -> Iterator[Row]:
    """Yield text and kept columns of each row; a file that is no table has a text on each line.

    Raises:
        UserError: the file is damaged, or lacks a column.
    """
    with open_input(path, sha256=sha256) as stream:
        if table := table_format(path):
            option = each_of("--column", columns)
            names = [*((option, name) for name in columns), *((KEPT, name) for name in keep)]
            yield from join_texts(table.rows(stream, str(path), names, {}), len(columns))
        elif keep:
            raise UserError(f"{path} is no table, and so has no column '{keep[0]}'. Leave out --keep, or this file.")
        else:
            for lines in read_lines(stream, str(path)):
                yield from ((line,) for line in lines)


def _score(classifier: Classifier, rows: Sequence[Row], *, first: int, min_confidence: float) -> ScoredRows:
    """Return the rows of a shard with their labels; they depend on no other shard, to the last digit."""
    texts = [row[0] for row in rows]
    chunks = (texts[start : start + CHUNK_ROWS] for start in range(0, len(texts), CHUNK_ROWS))
    probabilities = np.concatenate(list(predict_distinct(classifier, chunks)))
    labels, confidence = classifier.decide(probabilities, min_confidence=min_confidence)
    return ScoredRows(first, [row[1:] for row in rows], labels, confidence.tolist(), probabilities)


def _write(shard: Shard, options: OptionsDocument, columns: Columns, scored: ScoredRows, of: str) -> None:
    """Write the file of a shard, and behind it its marker.

    Another process may do the same, and the one that ends first removes the temporary files of both.
    """
    try:
        with writing(shard.rows) as temporary:
            WRITERS[options["output_format"]](temporary, columns, scored, options["raw"])
            size = temporary.stat().st_size
        marker: ShardDocument = {"rows": len(scored.labels), "bytes": size, "of": of}
        write_document(shard.marker, marker)
    except StoreError:
        raise
    except UserError:
        if shard.done_rows(of) is None:
            raise
