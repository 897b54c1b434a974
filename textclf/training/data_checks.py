"""What is wrong with the data, before anything is learnt from them: each finding with examples and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from textclf.config.schema import Config
from textclf.data.rows import TextKeys
from textclf.io.contract import ExampleDocument, FindingDocument
from textclf.text.encoding import RESERVED
from textclf.training.dataset import Dataset, Split

Array = npt.NDArray[Any]

EXAMPLES = 3

FEW_ROWS = 10  # training rows under which a label is rare

MUCH_LOST = 0.05  # share of a label's tokens beyond the cut

MUCH_UNKNOWN = 0.1  # share of a file's words that the vocabulary lacks

TELLING_ROWS, TELLING_SHARE, TELLING_ELSEWHERE = 30, 0.95, 0.01

LOOKED_AT = 100_000  # rows among which telling words are looked for

SHOWN = 200  # characters of an example


@dataclass(frozen=True)
class Finding:
    """Something about the data that a careful person would want to know."""

    check: str
    part: str
    """What the rows are for: train, validation or test."""
    count: int
    """Rows, or labels, that it concerns."""
    what: str
    advice: str
    rows: list[int] = field(default_factory=list)
    """The first of the rows, counted from 0 in their files."""
    examples: list[ExampleDocument] = field(default_factory=list)
    """The same with label and text, where texts may be shown."""


@dataclass(frozen=True)
class DataChecks:
    """What the checks found."""

    findings: list[Finding]
    leaked: npt.NDArray[np.bool_]
    """Whether training saw each measured row's text, case, blanks and punctuation aside, shape (n,)."""

    def documents(self) -> list[FindingDocument]:
        """Return the findings for metrics.json."""
        return [
            {
                "check": finding.check,
                "part": finding.part,
                "count": finding.count,
                "what": finding.what,
                "advice": finding.advice,
                "rows": finding.rows,
                "examples": finding.examples,
            }
            for finding in self.findings
        ]


def check_data(config: Config, dataset: Dataset) -> DataChecks:
    """All findings, examples with their texts unless `report.texts` forbids it."""
    parts = dataset.splits.parts()
    seen = {"validation": [parts["train"]], "test": [parts["train"], parts["validation"]]}
    findings = [
        *(finding for part, side in parts.items() for finding in _within(part, side)),
        *(finding for part in parts if part in seen for finding in _shared(part, parts[part], seen[part])),
        *_labels(config, parts["train"]),
        *_cut(config, dataset),
        *_unknown(config, dataset),
        *_telling_words(config, dataset),
    ]
    measured = list(parts)[-1]
    leaked = np.isin(parts[measured].keys.near, _keys(seen[measured]).near)
    return DataChecks([_with_examples(finding, parts[finding.part], config) for finding in findings], leaked)


def _keys(splits: list[Split]) -> TextKeys:
    """The keys of all their rows."""
    return TextKeys(*map(np.concatenate, zip(*(side.keys for side in splits), strict=True)))


def _with_examples(finding: Finding, side: Split, config: Config) -> Finding:
    if not finding.rows or not config.report.texts:
        return finding
    rows = replace(side.rows, row_ids=np.array(finding.rows))
    labels = [rows.labels.fields[code] for code in rows.labels.codes]
    examples: list[ExampleDocument] = [
        {"row": row, "label": label, "text": text[:SHOWN]}
        for row, label, text in zip(finding.rows, labels, rows.texts(np.arange(len(rows))), strict=True)
    ]
    return replace(finding, examples=examples)


def _numbers(side: Split, places: Array) -> list[int]:
    """Numbers in the files of the first of the side's rows at these places."""
    return [int(row) for row in side.row_ids[places[:EXAMPLES]]]


def _within(part: str, side: Split) -> Iterator[Finding]:
    """Texts that come again, under the same label and under another one, and empty ones."""
    keys, codes = side.keys, side.labels.codes
    again = _repeats(keys.near)
    if again.any():
        exact = int(_repeats(keys.exact).sum())
        what = f"{_rows(int(again.sum()))} repeat the text of an earlier one, {exact} of them to the letter"
        advice = "They weigh more than others. Drop them unless they come as often in use."
        yield Finding("duplicates", part, int(again.sum()), what, advice, _numbers(side, np.flatnonzero(again)))
    order = np.lexsort((codes, keys.near))
    same_text = np.diff(keys.near[order]) == 0
    torn = np.isin(keys.near, keys.near[order][1:][same_text & (np.diff(codes[order]) != 0)])
    if torn.any():
        what = f"{_rows(int(torn.sum()))} have a text that stands elsewhere under another label"
        advice = "At most one label of each can be learnt. Decide on one, or drop them."
        places = np.flatnonzero(torn)
        together = places[np.argsort(keys.near[places], kind="stable")]
        yield Finding("conflicting labels", part, int(torn.sum()), what, advice, _numbers(side, together))
    empty = np.flatnonzero(side.counts == 0)
    if len(empty):
        what = f"{_rows(len(empty))} have a text without a word"
        yield Finding("empty texts", part, len(empty), what, "Drop them, or see whether text.clean took the words.",
                      _numbers(side, empty))  # fmt: skip


def _repeats(keys: Array) -> npt.NDArray[np.bool_]:
    """Whether an earlier one of the keys is equal, shape (n,)."""
    again = np.ones(len(keys), bool)
    again[np.unique(keys, return_index=True)[1]] = False
    return again


def _shared(part: str, side: Split, seen: list[Split]) -> Iterator[Finding]:
    """Texts that training, or the choice of its best epoch, saw too."""
    ours, theirs = side.keys, _keys(seen)
    near = np.isin(ours.near, theirs.near)
    if near.any():
        exact = int(np.isin(ours.exact, theirs.exact).sum())
        what = f"{_rows(int(near.sum()))} have a text that training saw too, {exact} of them to the letter"
        advice = "They flatter the score; the report shows it without them. Drop them from one of the files."
        yield Finding("seen in training", part, int(near.sum()), what, advice, _numbers(side, np.flatnonzero(near)))


def _labels(config: Config, train: Split) -> Iterator[Finding]:
    """Labels of few rows, and labels that are none."""
    counts = train.labels.counts(config.data.label_separator)
    rare = sorted((rows, name) for name, rows in counts.items() if rows < FEW_ROWS)
    if len(counts) > len(train) / 2:
        what = f"{len(counts)} different labels in {_rows(len(train))}"
        yield Finding("labels like an id", "train", len(counts), what, "Is data.label the right column?")
    elif rare:
        named = ", ".join(f"{name} ({rows})" for rows, name in rare[:EXAMPLES])
        what = f"{len(rare)} labels have fewer than {FEW_ROWS} rows: {named}{', ...' if len(rare) > EXAMPLES else ''}"
        yield Finding("rare labels", "train", len(rare), what, "Add rows, or merge such labels.")


def _cut(config: Config, dataset: Dataset) -> Iterator[Finding]:
    """Labels whose texts lose much to the cut."""
    tokens = dataset.train.token_ids.token_counts
    lost = tokens - np.minimum(tokens, config.text.max_length)
    labels = dataset.splits.train.labels
    names = labels.names(config.data.label_separator)
    targets = labels.targets(names, config.data.label_separator)
    ones = targets if targets.ndim > 1 else targets[:, None] == np.arange(len(names))
    shares = (ones.T @ lost) / np.maximum(ones.T @ tokens, 1)
    much = [place for place in np.argsort(-shares, kind="stable").tolist() if shares[place] > MUCH_LOST]
    if much:
        named = ", ".join(f"{names[place]} ({100 * shares[place]:.0f} %)" for place in much[:EXAMPLES])
        end = config.text.truncate
        what = f"{len(much)} labels lose more than {100 * MUCH_LOST:.0f} % of their words to the cut: {named}"
        advice = f"Raise text.max_length ({config.text.max_length}), or see whether the {end} of a text is what can go."
        rows = _numbers(dataset.splits.train, np.argsort(-lost, kind="stable"))
        yield Finding("cut texts", "train", len(much), what, advice, rows)


def _unknown(config: Config, dataset: Dataset) -> Iterator[Finding]:
    for part, share in dataset.unknown.items():
        if share > MUCH_UNKNOWN:
            what = f"{100 * share:.1f} % of the words are unknown to the model"
            full = len(dataset.encoder.vocabulary) + RESERVED >= config.text.vocab_size
            remedy = f"Raise text.vocab_size ({config.text.vocab_size})" if full else "Add training rows"
            advice = f"{remedy}, or name word vectors in model.pretrained."
            yield Finding("unknown words", part, len(dataset.splits.parts()[part]), what, advice)


def _telling_words(config: Config, dataset: Dataset) -> Iterator[Finding]:
    """Words that nearly all rows of a label have and hardly any other: a leak, or too easy a task."""
    if config.data.label_separator is not None:
        return
    ids, targets = dataset.train.token_ids, dataset.train.targets[:LOOKED_AT]
    some = ids.head(LOOKED_AT)
    labels = len(dataset.splits.labels)
    rows = np.repeat(np.arange(len(some)), some.lengths)
    shape = (len(some), len(dataset.encoder.vocabulary) + RESERVED)
    # setting, not adding: a word counts once a row
    present = csr_matrix((np.ones(len(some.flat), np.int32), (rows, some.flat.astype(np.int64))), shape)
    present.data[:] = 1
    of_label = csr_matrix((np.ones(len(some), np.int32), (targets, np.arange(len(some)))), (labels, len(some)))
    with_word = (of_label @ present).tocoo()
    total, every = np.bincount(targets, minlength=labels), np.asarray(present.sum(axis=0)).ravel()
    inside = with_word.data / np.maximum(total[with_word.row], 1)
    outside = (every[with_word.col] - with_word.data) / np.maximum(len(some) - total[with_word.row], 1)
    telling = (total[with_word.row] >= TELLING_ROWS) & (inside >= TELLING_SHARE) & (outside <= TELLING_ELSEWHERE)
    telling &= with_word.col >= RESERVED
    if telling.any():
        pairs = list(zip(with_word.row[telling].tolist(), with_word.col[telling].tolist(), strict=True))
        named = ", ".join(
            f"'{dataset.encoder.vocabulary[word - RESERVED]}' for {dataset.splits.labels[label]}"
            for label, word in pairs[:EXAMPLES]
        )
        what = f"{len(pairs)} words alone give a label away: {named}"
        advice = "If the label was written into the text, take it out."
        yield Finding("telling words", "train", len(pairs), what, advice)


def _rows(count: int) -> str:
    return f"{count:,} row" if count == 1 else f"{count:,} rows"
