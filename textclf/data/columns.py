"""The columns of a table that nobody has described: which holds the texts, which the labels."""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from textclf.data.readers import as_text, find_column, read_records
from textclf.data.rows import split_labels
from textclf.errors import UserError
from textclf.io.sanitize import is_whole, plain

MOST_COLUMNS = 50  # shown

MOST_ROWS, MOST_BYTES = 100_000, 1 << 27  # looked at; a file may hold more


@dataclass(frozen=True)
class Column:
    """A column with a text in every row."""

    name: str
    values: list[str]

    @cached_property
    def counts(self) -> Counter[str]:
        """How many rows each different value has, blank ones left out."""
        return Counter(value for value in self.values if value.strip())

    @property
    def empty(self) -> int:
        """Rows without a value."""
        return len(self.values) - self.counts.total()

    @cached_property
    def distinct_share(self) -> float:
        """Different values for each row, 0 to 1."""
        return len(self.counts) / len(self.values)

    @cached_property
    def mean_length(self) -> float:
        """Characters."""
        return sum(map(len, self.values)) / len(self.values)

    @cached_property
    def mean_words(self) -> float:
        """Of some thousand rows from all over the table."""
        some = self.values[:: max(1, len(self.values) // 1000)]
        return sum(map(_words, some)) / len(some)

    @cached_property
    def kind(self) -> str:
        """What nearly all values look like: numbers, dates, codes, or, where none of these, words."""
        some = list(self.counts)[:: max(1, len(self.counts) // 1000)]
        for kind, pattern in _KINDS.items():
            if sum(pattern.fullmatch(value) is not None for value in some) > 0.95 * len(some):
                return kind
        return "words"

    @cached_property
    def separator(self) -> str | None:
        """The mark between several labels of one row, if that is what the values are."""
        listed = self.kind not in ("numbers", "dates") and self.mean_length < 200
        return find_separator(list(self.counts)) if listed else None

    @cached_property
    def labels(self) -> Counter[str]:
        """How many rows each label has, if the values are labels."""
        if self.separator is None:
            return self.counts
        labels: Counter[str] = Counter()
        for value, rows in self.counts.items():
            for label in split_labels(value, self.separator):
                labels[label] += rows
        return labels

    def named(self, words: re.Pattern[str]) -> bool:
        """Whether the name holds one of the words, as `user_rating`, `Class Index` and `labelText` do."""
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.name)
        return any(words.fullmatch(word) for word in re.findall(r"[a-z]+", spaced.lower()))


class Table(NamedTuple):
    """The first rows of a file."""

    columns: list[Column]
    left_out: list[str]
    """Names of columns without a text in every row: they hold lists, or are missing in some rows."""
    rows: int
    more: bool
    """Whether the file has more rows than these."""


class ColumnRoles(NamedTuple):
    """Which column is what."""

    text: Column
    label: Column
    others: list[Column]
    """Columns that could be the label as well, where nothing but a guess decided."""


def read_table(path: Path, *, rows: int = MOST_ROWS, memory: int = MOST_BYTES) -> Table:
    """The first rows of a file, at most so many, and little more than so many bytes of memory.

    Raises:
        UserError: the file cannot be read or has no rows.
    """
    values: dict[str, list[str]] = {}
    number = size = 0
    more = False
    for record in read_records(path):
        if number == rows or size > memory:
            more = True
            break
        number += 1
        for name in filter(_nameable, record):
            texts = values.setdefault(name, [])
            if record[name] is None or isinstance(record[name], str | int | float):
                texts.append(as_text(record[name], name))
                size += sys.getsizeof(texts[-1])
    if not number:
        raise UserError(f"{path} has no rows. Add some, or name another file.")
    columns = [Column(name, texts) for name, texts in values.items() if len(texts) == number]
    return Table(columns, [name for name, texts in values.items() if len(texts) < number], number, more)


def _nameable(name: str) -> bool:
    """Whether a config can name such a column: the name is not empty, and no half of a character is in it."""
    return bool(name) and is_whole(name)


# Which is what


def find_columns(table: Table, name: str, *, text: str | None = None, label: str | None = None) -> ColumnRoles:
    """The columns of texts and labels: those that are named, else by what they hold, names deciding between equals.

    Raises:
        UserError: there is no such column, or none that can be it.
    """
    given_text = None if text is None else _given(table, name, text, "--text")
    given_label = None if label is None else _given(table, name, label, "--label")
    text_column = given_text or _text_column([column for column in table.columns if column is not given_label])
    if text_column is None:
        raise UserError(*_none_found(name, table, "texts: words, most of them different", "--text"))
    if text_column is given_label:
        raise UserError(f"{name}: '{label}' cannot hold both the texts and the labels. Name two columns.")
    candidates = [column for column in table.columns if column is not text_column and _could_be_label(column)]
    label_column = given_label or max(reversed(candidates), key=_label_rank, default=None)
    if label_column is None:
        raise UserError(*_none_found(name, table, "labels: few different values, each in several rows", "--label"))
    if label_column.name in label_column.labels and len(text_column.name.split()) > 2:
        raise UserError(
            f"{name} has no header: its first line holds '{plain(text_column.name)}' and '{plain(label_column.name)}', "
            "which look like a text and its label. Put the columns' names above it."
        )
    equals = [column for column in candidates if column.named(LABEL_NAMES) == label_column.named(LABEL_NAMES)]
    others = [] if given_label else [column for column in equals if column is not label_column]
    return ColumnRoles(text_column, label_column, others)


def _given(table: Table, file: str, name: str, option: str) -> Column:
    """The column that the user named."""
    if name in table.left_out:
        raise UserError(
            f"{file}: the column '{name}' does not hold a text or a number in every row. Fill it where it is "
            'missing; write dates as text; join the items of a list, such as "a|b".'
        )
    return table.columns[find_column(file, [column.name for column in table.columns], name, key=option)]


TEXT_NAMES = re.compile(
    "(text|review|sentence|comment|message|tweet|content|body|question|utterance|query|description|document|post|sms)s?"
)

LABEL_NAMES = re.compile(
    "(label|class|classe|category|categorie|target|sentiment|star|rating|score|topic|intent|polarity|tag|emotion|genre|y)s?"
)


def _text_column(columns: list[Column]) -> Column | None:
    """The column with the most different words; among those with nearly as many, one that is named like texts."""
    wordy = {
        column.name: column.mean_words * column.distinct_share
        for column in columns
        if column.kind == "words" and (column.distinct_share > 0.1 or column.mean_words > 3) and len(column.counts) > 1
    }
    found = [column for column in columns if wordy.get(column.name, 0) * 1.5 > max(wordy.values(), default=0)]
    return max(found, key=lambda column: (column.named(TEXT_NAMES), wordy[column.name]), default=None)


def _could_be_label(column: Column) -> bool:
    labels = column.labels
    if not 2 <= len(labels) <= min(2000, len(column.values) // 3) or column.kind == "dates":
        return False
    if column.kind == "numbers":
        return len(labels) <= (200 if column.named(LABEL_NAMES) else 20)
    return sum(map(len, labels)) / len(labels) <= 60


def _label_rank(column: Column) -> tuple[bool, bool, bool, int]:
    complete = not column.empty or column.separator is not None  # training refuses a row without its label
    return column.named(LABEL_NAMES), complete, column.kind != "numbers", -len(column.labels)


def find_separator(fields: list[str]) -> str | None:
    """The mark that cuts the different label fields into fewer labels which recur in other company, if there is one."""
    for mark in "|;,":
        parts = [split_labels(field, mark) for field in fields]
        in_fields = Counter(label for labels in parts for label in labels)
        beside = {label for labels in parts if len(labels) > 1 for label in labels}
        recurring = sum(in_fields[label] > 1 for label in beside)
        # "Paris, France" and "Rome, Italy" all have two parts: names with a comma, not lists
        if len({len(labels) for labels in parts}) > 1 and len(in_fields) < len(fields) and recurring > len(beside) / 2:
            return mark
    return None


def _none_found(name: str, table: Table, wanted: str, option: str) -> list[str]:
    looked = f" (in the first {table.rows:,} rows, which is all that was looked at)" if table.more else ""
    lines = [
        f"  {plain(column.name)}: {column.kind}, {len(column.counts):,} different, mean length {column.mean_length:.0f}"
        for column in table.columns
    ]
    lines += [f"  {plain(left)}: no text, or missing, in some rows" for left in table.left_out]
    if len(lines) > MOST_COLUMNS:
        lines[MOST_COLUMNS:] = [f"  and {len(lines) - MOST_COLUMNS:,} more"]
    head = f"{name} has no column that looks like {wanted}{looked}. {option} names it. Columns:"
    return [head, *lines]


# What values look like

_KINDS = {
    "dates": re.compile(
        r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].{0,30})?"
        r"|([A-Za-z]{3,9},? )?(\d{1,2} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?,? .{0,30}\d\d"
    ),
    "numbers": re.compile(r"[-+]?[.,]?\d+([.,]\d+)*([eE][-+]?\d+)?%?"),
    "codes": re.compile(r"(?=\S*[\d@/\\])[!-~]+"),  # ids, addresses, paths: no blanks, and more than letters
}

# Scripts without blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


def _words(text: str) -> int:
    return len(text.split()) + len(_UNSPACED.findall(text))
