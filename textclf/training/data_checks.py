"""Checks of the data before training: duplicates, leaks, bad labels, and what to do about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from textclf.config.schema import Config
from textclf.data.rows import TextKeys
from textclf.data.source import RowIds
from textclf.data.spelling import LIST_ADVICE, is_list_as_text, quoted, spelling_advice, spelling_groups
from textclf.io.contract import ExampleDocument, FindingDocument
from textclf.io.sanitize import excerpt, join_names
from textclf.text.encoding import RESERVED
from textclf.training.dataset import Dataset
from textclf.training.splits import Split

EXAMPLES = 3  # rows shown of a finding

FEW_ROWS = 10  # training rows below which a label is rare

MUCH_CUT = 0.05  # fraction of a label's tokens

MUCH_UNKNOWN = 0.1  # fraction of a split's words

# A word gives a label away if this many rows have the label, and this fraction of them and of other rows the word.
TELLING_ROWS, TELLING_FRACTION, TELLING_ELSEWHERE = 30, 0.95, 0.01

TELLING_SAMPLE = 100_000  # training rows to look for such words in

EXAMPLE_CHARACTERS = 200


@dataclass(frozen=True)
class DataChecks:
    """The results of all checks."""

    findings: list[FindingDocument]
    leaked: npt.NDArray[np.bool_]
    """True where training saw the text of a row to evaluate on, shape (n,); case, blanks and punctuation aside."""


def check_data(config: Config, dataset: Dataset) -> DataChecks:
    """Check the dataset; the findings show texts unless `report.texts` forbids it."""
    parts = dataset.splits.parts()
    earlier = {"validation": [parts["train"]], "test": [parts["train"], parts["validation"]]}
    findings = [
        *(finding for part, split in parts.items() for finding in _check_texts(part, split)),
        *(finding for part in parts if part in earlier for finding in _check_leaks(part, parts[part], earlier[part])),
        *_check_labels(config, parts["train"]),
        *_check_lists(parts["train"]),
        *_check_spellings(config, parts["train"]),
        *_check_unknown_labels(config, dataset),
        *_check_labels_without_rows(config, dataset),
        *_check_truncation(config, dataset),
        *_check_unknown_words(config, dataset),
        *_check_telling_words(config, dataset),
    ]
    if config.report.texts:
        for finding in findings:
            finding["examples"] = _examples(finding["rows"], parts[finding["part"]])
    evaluated = list(parts)[-1]
    leaked = np.isin(parts[evaluated].keys.near, _concatenate_keys(earlier[evaluated]).near)
    return DataChecks(findings, leaked)


def _finding(check: str, part: str, count: int, what: str, advice: str, rows: Sequence[int] = ()) -> FindingDocument:
    return {
        "check": check, "part": part, "count": count, "what": what, "advice": advice, "rows": [*rows], "examples": []
    }  # fmt: skip


def _examples(row_ids: list[int], split: Split) -> list[ExampleDocument]:
    """Return the rows with label and text."""
    rows = replace(split.rows, row_ids=np.array(row_ids, np.int64))
    labels = [rows.labels.fields[code] for code in rows.labels.codes]
    return [
        {"row": row, "label": label, "text": text[:EXAMPLE_CHARACTERS]}
        for row, label, text in zip(row_ids, labels, rows.texts(np.arange(len(rows))), strict=True)
    ]


def _first_row_ids(split: Split, indices: RowIds) -> list[int]:
    return [int(row) for row in split.row_ids[indices[:EXAMPLES]]]


def _concatenate_keys(splits: list[Split]) -> TextKeys:
    return TextKeys(*map(np.concatenate, zip(*(split.keys for split in splits), strict=True)))


def _check_texts(part: str, split: Split) -> Iterator[FindingDocument]:
    """Find duplicate texts, texts with conflicting labels, and empty texts."""
    keys, codes = split.keys, split.labels.codes
    repeated = _repeats(keys.near)
    if repeated.any():
        exact = int(_repeats(keys.exact).sum())
        what = f"{_count_rows(int(repeated.sum()))} repeat the text of an earlier one, {exact} of them to the letter"
        advice = "They weigh more than others. Drop them unless they come as often in use."
        rows = _first_row_ids(split, np.flatnonzero(repeated))
        yield _finding("duplicates", part, int(repeated.sum()), what, advice, rows)
    order = np.lexsort((codes, keys.near))  # equal texts side by side
    same_text = np.diff(keys.near[order]) == 0
    other_label = np.diff(codes[order]) != 0
    conflicting = np.isin(keys.near, keys.near[order][1:][same_text & other_label])
    if conflicting.any():
        what = f"{_count_rows(int(conflicting.sum()))} have a text that stands elsewhere under another label"
        advice = "At most one label of each can be learnt. Decide on one, or drop them."
        indices = np.flatnonzero(conflicting)
        by_text = indices[np.argsort(keys.near[indices], kind="stable")]
        rows = _first_row_ids(split, by_text)
        yield _finding("conflicting labels", part, int(conflicting.sum()), what, advice, rows)
    empty = np.flatnonzero(split.counts == 0)
    if len(empty):
        what = f"{_count_rows(len(empty))} have a text without a word"
        advice = "Drop them, or see whether text.clean took the words."
        yield _finding("empty texts", part, len(empty), what, advice, _first_row_ids(split, empty))


def _repeats(keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return True where an earlier key is equal, shape (n,)."""
    repeats = np.ones(len(keys), bool)
    repeats[np.unique(keys, return_index=True)[1]] = False
    return repeats


def _check_leaks(part: str, split: Split, earlier: list[Split]) -> Iterator[FindingDocument]:
    """Find texts that training, or the choice of its best epoch, has seen."""
    keys, seen = split.keys, _concatenate_keys(earlier)
    near = np.isin(keys.near, seen.near)
    if near.any():
        exact = int(np.isin(keys.exact, seen.exact).sum())
        what = f"{_count_rows(int(near.sum()))} have a text that training saw too, {exact} of them to the letter"
        advice = "They flatter the score; the report shows it without them. Drop them from one of the files."
        rows = _first_row_ids(split, np.flatnonzero(near))
        yield _finding("seen in training", part, int(near.sum()), what, advice, rows)


def _check_labels(config: Config, train: Split) -> Iterator[FindingDocument]:
    """Find labels that are ids, and labels with few rows."""
    counts = train.labels.counts(config.data.label_separator)
    rare = sorted((rows, label) for label, rows in counts.items() if rows < FEW_ROWS)
    if len(counts) > len(train) / 2:
        what = f"{len(counts)} different labels in {_count_rows(len(train))}"
        yield _finding("labels like an id", "train", len(counts), what, "Is data.label the right column?")
    elif rare:
        named = ", ".join(f"{label} ({rows})" for rows, label in rare[:EXAMPLES])
        what = f"{len(rare)} labels have fewer than {FEW_ROWS} rows: {named}{', ...' if len(rare) > EXAMPLES else ''}"
        yield _finding("rare labels", "train", len(rare), what, "Add rows, or merge such labels.")


def _check_lists(train: Split) -> Iterator[FindingDocument]:
    """Find lists written as text among the labels of the training files."""
    labels = train.rows.all_labels
    lists = [code for code, field in enumerate(labels.fields) if is_list_as_text(field)]
    rows = np.flatnonzero(np.isin(labels.codes, lists))
    if len(rows):
        first = excerpt(labels.fields[labels.codes[rows[0]]])
        what = f"{_count_rows(len(rows))} have a list as text for a label, the first is row {rows[0]}: {first}"
        yield _finding("lists as text", "train", len(rows), what, LIST_ADVICE, rows[:EXAMPLES].tolist())


def _check_spellings(config: Config, train: Split) -> Iterator[FindingDocument]:
    """Find labels of the training files that are probably spellings of one."""
    separator, labels = config.data.label_separator, train.rows.all_labels
    counts = labels.counts(separator)
    groups = spelling_groups(counts)
    if groups:
        first_rows = labels.first_rows(separator)
        what = "; ".join(
            f"{', '.join(_label_rows(label, counts, first_rows) for label in others)} may be "
            f"{_label_rows(most_frequent, counts, first_rows)}"
            for most_frequent, *others in groups[:EXAMPLES]
        )
        advice = "If they mean the same, write them alike in data.train: each spelling is a label of its own now."
        rows = [first_rows[label] for group in groups[:EXAMPLES] for label in group]
        what += "; ..." if len(groups) > EXAMPLES else ""
        yield _finding("label spellings", "train", sum(map(len, groups)), what, advice, rows)


def _check_unknown_labels(config: Config, dataset: Dataset) -> Iterator[FindingDocument]:
    """Find labels of the test rows that training does not know; those of validation rows it refuses."""
    separator, splits = config.data.label_separator, dataset.splits
    for part, split in splits.parts().items():
        counts = split.labels.counts(separator)
        unknown = sorted(counts.keys() - set(splits.labels))
        if unknown:
            first_rows = split.labels.first_rows(separator)
            named = ", ".join(_label_rows(label, counts, first_rows) for label in unknown[:EXAMPLES])
            what = f"training does not know {named}{', ...' if len(unknown) > EXAMPLES else ''}"
            advice = spelling_advice(unknown, splits.labels) or "Add training rows of these labels, or drop theirs."
            rows = [first_rows[label] for label in unknown[:EXAMPLES]]
            yield _finding("unknown labels", part, len(unknown), what, f"They count as wrong. {advice}", rows)


def _check_labels_without_rows(config: Config, dataset: Dataset) -> Iterator[FindingDocument]:
    """Find labels that no row to validate or to evaluate on has."""
    data, splits = config.data, dataset.splits
    share = f"{data.validation_split:g}"
    held_out = f"Add texts with these labels, raise data.validation_split ({share}) or name data.validation."
    advice = {
        "validation": "Add rows with these labels to data.validation." if data.validation else held_out,
        "test": "Add rows with these labels to data.test.",
    }
    for part, split in list(splits.parts().items())[1:]:
        counts = split.labels.counts(data.label_separator)
        missing = [label for label in splits.labels if label not in counts]
        if missing:
            what = f"{len(missing)} of {len(splits.labels)} labels have no row here: {join_names(missing)}"
            yield _finding("labels without rows", part, len(missing), what, f"They have no scores. {advice[part]}")


def _label_rows(label: str, counts: Mapping[str, int], first_rows: Mapping[str, int]) -> str:
    return f"{quoted(label)} ({_count_rows(counts[label])}, the first is {first_rows[label]})"


def _check_truncation(config: Config, dataset: Dataset) -> Iterator[FindingDocument]:
    """Find labels of whose texts the network does not read much."""
    tokens = dataset.train.token_ids.token_counts  # (n,)
    lost = tokens - np.minimum(tokens, config.text.max_length)
    labels = dataset.splits.train.labels
    names = labels.names(config.data.label_separator)
    targets = labels.targets(names, config.data.label_separator)
    has_label = targets if targets.ndim > 1 else targets[:, None] == np.arange(len(names))  # (n, labels)
    fractions = (has_label.T @ lost) / np.maximum(has_label.T @ tokens, 1)  # (labels,)
    much = [index for index in np.argsort(-fractions, kind="stable").tolist() if fractions[index] > MUCH_CUT]
    if much:
        named = ", ".join(f"{names[index]} ({100 * fractions[index]:.0f} %)" for index in much[:EXAMPLES])
        end = config.text.truncate
        lost_part = f"more than {100 * MUCH_CUT:.0f} % of their {_unit(dataset)}"
        what = f"{len(much)} labels lose {lost_part} where the network cuts texts: {named}"
        if_longer = " if the encoder reads more" if dataset.piece_encoder else ""
        advice = (
            f"Raise text.max_length ({config.text.max_length}){if_longer}, or see whether the {end} of a text is what "
            "can go."
        )
        rows = _first_row_ids(dataset.splits.train, np.argsort(-lost, kind="stable"))
        yield _finding("cut texts", "train", len(much), what, advice, rows)


def _check_unknown_words(config: Config, dataset: Dataset) -> Iterator[FindingDocument]:
    for part, fraction in dataset.unknown.items():
        if fraction > MUCH_UNKNOWN:
            what = f"{100 * fraction:.1f} % of the {_unit(dataset)} are unknown to the network"
            advice = "Take an encoder for this language and script."
            if not dataset.piece_encoder:
                full = len(dataset.word_encoder.vocabulary) + RESERVED >= config.text.vocab_size
                remedy = f"Raise text.vocab_size ({config.text.vocab_size})" if full else "Add training rows"
                advice = f"{remedy}, or name word vectors in model.pretrained."
            yield _finding("unknown words", part, len(dataset.splits.parts()[part]), what, advice)


def _unit(dataset: Dataset) -> str:
    """Return the name of what the network reads of a text."""
    return "pieces" if dataset.piece_encoder else "words"


def _check_telling_words(config: Config, dataset: Dataset) -> Iterator[FindingDocument]:
    """Find words that nearly all rows of a label have and hardly any other: a leak, or too easy a task."""
    if config.data.label_separator is not None:
        return
    rows = np.arange(min(TELLING_SAMPLE, len(dataset.train)))
    tokens, targets = dataset.linear_words(dataset.splits.train.take(rows)), dataset.train.targets[rows]
    n, labels, words = len(tokens), len(dataset.splits.labels), len(dataset.linear_vocabulary) + RESERVED
    row_of_token = np.repeat(np.arange(n), tokens.counts)  # (tokens,)
    ones = np.ones(len(tokens.flat), np.int32)
    has_word = csr_matrix((ones, (row_of_token, tokens.flat.astype(np.int64))), (n, words))
    has_word.data[:] = 1  # a word counts once a row
    has_label = csr_matrix((np.ones(n, np.int32), (targets, np.arange(n))), (labels, n))
    both = (has_label @ has_word).tocoo()  # (labels, words), sparse: rows with the label and the word
    label, word = both.row, both.col
    label_rows, word_rows = (
        np.bincount(targets, minlength=labels)[label],
        np.asarray(has_word.sum(axis=0)).ravel()[word],
    )
    inside = both.data / np.maximum(label_rows, 1)
    elsewhere = (word_rows - both.data) / np.maximum(n - label_rows, 1)
    telling = (label_rows >= TELLING_ROWS) & (inside >= TELLING_FRACTION) & (elsewhere <= TELLING_ELSEWHERE)
    telling &= word >= RESERVED
    if telling.any():
        named = ", ".join(
            f"'{dataset.linear_vocabulary[word_id - RESERVED]}' for {dataset.splits.labels[label_id]}"
            for label_id, word_id in zip(label[telling][:EXAMPLES], word[telling][:EXAMPLES], strict=True)
        )
        what = f"{telling.sum()} words alone give a label away: {named}"
        advice = "If the label was written into the text, take it out."
        yield _finding("telling words", "train", int(telling.sum()), what, advice)


def _count_rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
