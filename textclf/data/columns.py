"""Detection of the text column and the label column of a table."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from textclf.data.readers import read_records
from textclf.data.rows import split_labels
from textclf.data.spelling import is_list_as_text
from textclf.data.table_format import as_text, column_index, join_texts, label_items
from textclf.errors import UserError
from textclf.io.sanitize import excerpt, is_encodable

MAX_LISTED_COLUMNS = 50

MAX_ROWS, MAX_BYTES = 100_000, 1 << 27  # limits of what is read of a file


@dataclass(frozen=True)
class Column:
    """A column that has a text in every row."""

    name: str
    values: list[str]
    lists: bool = False
    """True if the file has a list of labels in each row; `values` are then joined by `list_separator`."""
    list_separator: str | None = None
    """A character that is in none of the labels; None if each row has one label."""

    @cached_property
    def counts(self) -> Counter[str]:
        """The number of rows of each value that is not blank."""
        return Counter(value for value in self.values if value.strip())

    @property
    def empty(self) -> int:
        """The number of rows with a blank value."""
        return len(self.values) - self.counts.total()

    @cached_property
    def distinct_share(self) -> float:
        """The number of different values divided by the number of rows, 0 to 1."""
        return len(self.counts) / len(self.values)

    @cached_property
    def mean_length(self) -> float:
        """The mean number of characters per value."""
        return sum(map(len, self.values)) / len(self.values)

    @cached_property
    def mean_words(self) -> float:
        """The mean number of words per value, over about a thousand values."""
        sample = evenly_spaced(self.values)
        return sum(map(_count_words, sample)) / len(sample)

    @cached_property
    def kind(self) -> str:
        """`numbers`, `dates` or `codes` where more than 95 % of the values look like them, else `words`."""
        sample = evenly_spaced(list(self.counts))
        for kind, pattern in _KINDS.items():
            if sum(pattern.fullmatch(value) is not None for value in sample) > 0.95 * len(sample):
                return kind
        return "words"

    @cached_property
    def separator(self) -> str | None:
        """The character between several labels of one row; None where each value is one label."""
        if self.lists:
            return self.list_separator
        may_be_lists = self.kind not in ("numbers", "dates") and self.mean_length < 200
        return find_separator(list(self.counts)) if may_be_lists else None

    @cached_property
    def labels(self) -> Counter[str]:
        """The number of rows of each label, if the values are labels."""
        if self.separator is None:
            return self.counts
        labels: Counter[str] = Counter()
        for value, rows in self.counts.items():
            for label in split_labels(value, self.separator):
                labels[label] += rows
        return labels

    def name_has(self, word: re.Pattern[str]) -> bool:
        """Return True if a word of the name matches, in names such as `user_rating`, `Class Index` and `labelText`."""
        spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.name)
        return any(word.fullmatch(part) for part in re.findall(r"[a-z]+", spaced.lower()))


class Table(NamedTuple):
    """The first rows of a file."""

    columns: list[Column]
    incomplete: list[str]
    """Names of columns without a text or a list of labels in every row."""
    problems: dict[str, UserError]
    """The error of the first task whose annotations disagree, by column."""
    rows: int
    more: bool
    """True if the file has more rows than these."""


class ColumnRoles(NamedTuple):
    """The columns of texts and labels."""

    text: Column
    label: Column
    others: list[Column]
    """Columns that could be the label as well; empty where the user named the label."""


def read_table(path: Path, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> Table:
    """Read the first rows of a file.

    Args:
        max_bytes: of memory, after which reading stops.

    Raises:
        UserError: the file cannot be read or has no rows.
    """
    values: dict[str, list[str | list[str]]] = {}
    problems: dict[str, UserError] = {}
    rows = size = 0
    more = False
    for record in read_records(path):
        if rows == max_rows or size > max_bytes:
            more = True
            break
        rows += 1
        for name, value in record.items():
            if not name or not is_encodable(name):  # a config cannot name such a column
                continue
            if isinstance(value, UserError):
                problems.setdefault(name, value)
            texts = values.setdefault(name, [])
            text = _text_or_labels(value)
            if text is not None:
                texts.append(text)
                size += sys.getsizeof(text) + (sum(map(sys.getsizeof, text)) if isinstance(text, list) else 0)
    if not rows:
        raise UserError(f"{path} has no rows. Add some, or name another file.")
    columns = [_column(name, texts) for name, texts in values.items() if len(texts) == rows]
    incomplete = [name for name, texts in values.items() if len(texts) < rows]
    return Table(columns, incomplete, problems, rows, more)


def _text_or_labels(value: object) -> str | list[str] | None:
    """Return a value as text, or as the labels of a list; None if it is neither."""
    items = label_items(value)
    try:
        return as_text(value, "") if items is None else [as_text(item, "") for item in items]
    except UserError:  # a date, an image and the like
        return None


def _column(name: str, values: list[str | list[str]]) -> Column:
    """Return the column, in which lists of labels are joined by a character that is in none of them."""
    lists = [value for value in values if isinstance(value, list)]
    if not lists:
        return Column(name, [value for value in values if isinstance(value, str)])
    characters = {character for value in values for label in value for character in label}
    separator = next((mark for mark in "|;,\t\n" if mark not in characters), None)
    one_each = all(isinstance(value, str) or len(value) == 1 for value in values)
    joined = [value if isinstance(value, str) else (separator or "|").join(value) for value in values]
    return Column(name, joined, lists=True, list_separator=None if one_each else separator)


def evenly_spaced(items: list[str], *, count: int = 1000) -> list[str]:
    """Return about `count` items at equal distances, or all if there are fewer."""
    return items[:: max(1, len(items) // count)]


# Choosing the columns


def find_columns(table: Table, file: str, *, text: str | None = None, label: str | None = None) -> ColumnRoles:
    """Return the text column and the label column by their values; if several fit, by their names.

    Args:
        file: the name of the file, for messages.
        text: the column of the texts, if the user named it.
        label: the column of the labels, if the user named it.

    Raises:
        UserError: a named column does not exist, or no column fits.
    """
    if label is None and table.problems:
        raise UserError(f"{next(iter(table.problems.values()))} Or name another column with --label.")
    named_text = None if text is None else _named_column(table, file, text, "--text")
    named_label = None if label is None else _named_column(table, file, label, "--label")
    text_column = named_text or _text_column([column for column in table.columns if column is not named_label])
    if text_column is None:
        raise UserError(*_no_column_lines(file, table, "texts: words, most of them different", "--text"))
    candidates = [column for column in table.columns if column is not text_column and _could_be_label(column)]
    label_column = named_label or max(reversed(candidates), key=_label_rank, default=None)
    if label_column is None:
        raise UserError(*_no_column_lines(file, table, "labels: few different values, each in several rows", "--label"))
    if label_column.name in label_column.labels and len(text_column.name.split()) > 2:
        first_line = f"'{excerpt(text_column.name)}' and '{excerpt(label_column.name)}'"
        raise UserError(
            f"{file} has no header: its first line holds {first_line}, which look like a text and its label. "
            "Put the columns' names above it."
        )
    has_label_name = label_column.name_has(LABEL_NAMES)
    equals = [column for column in candidates if column.name_has(LABEL_NAMES) == has_label_name]
    others = [] if named_label else [column for column in equals if column is not label_column]
    label_column = replace(label_column, values=[value.strip() for value in label_column.values])
    return ColumnRoles(text_column, label_column, others)


def join_columns(table: Table, file: str, names: Sequence[str]) -> Table:
    """Return the table with the named columns replaced by one column of their texts, joined by blanks.

    Raises:
        UserError: a column does not exist.
    """
    columns = [_named_column(table, file, name, "--text") for name in names]
    rows = join_texts(zip(*(column.values for column in columns), strict=True), len(columns))
    joined = Column(", ".join(names), [text for (text,) in rows])
    return table._replace(columns=[joined, *(column for column in table.columns if column not in columns)])


def _named_column(table: Table, file: str, name: str, option: str) -> Column:
    """Return the column that the user named with an option."""
    if name in table.problems:
        raise table.problems[name]
    if name in table.incomplete:
        raise UserError(
            f"{file}: the column '{name}' does not hold a text, a number or a list of labels in every row. "
            "Fill it where it is missing; write dates as text."
        )
    return table.columns[column_index(file, [column.name for column in table.columns], name, key=option)]


TEXT_NAMES = re.compile(
    "(text|review|sentence|comment|message|tweet|content|body|question|utterance|query|description|document|post|sms)s?"
)

LABEL_NAMES = re.compile(
    "(label|class|classe|category|categorie|target|sentiment|star|rating|score|topic|intent|polarity|tag|emotion|genre|y)s?"
)


def _text_column(columns: list[Column]) -> Column | None:
    """Return the column with the most distinct words; among nearly equal ones, one with a name such as `text`."""
    richness = {
        column.name: column.mean_words * column.distinct_share
        for column in columns
        if column.kind == "words"
        and not column.lists
        and (column.distinct_share > 0.1 or column.mean_words > 3)
        and len(column.counts) > 1
    }
    richest = [column for column in columns if richness.get(column.name, 0) * 1.5 > max(richness.values(), default=0)]
    return max(richest, key=lambda column: (column.name_has(TEXT_NAMES), richness[column.name]), default=None)


def _could_be_label(column: Column) -> bool:
    labels = column.labels
    if len(column.counts) < 2 or not 2 <= len(labels) <= min(2000, len(column.values) // 3) or column.kind == "dates":
        return False
    if column.kind == "numbers":
        return len(labels) <= (200 if column.name_has(LABEL_NAMES) else 20)
    return sum(map(len, labels)) / len(labels) <= 60


def _label_rank(column: Column) -> tuple[bool, bool, bool, int]:
    complete = not column.empty or column.separator is not None  # training refuses a row without a label
    return column.name_has(LABEL_NAMES), complete, column.kind != "numbers", -len(column.labels)


def find_separator(fields: list[str]) -> str | None:
    """Return the character that separates several labels in one field; None if there is none.

    It splits the distinct fields into fewer labels, most of which occur in other fields too.
    """
    fields = [field for field in fields if not is_list_as_text(field)]
    for separator in "|;,#":  # doccano writes #
        parts = [split_labels(field, separator) for field in fields]
        counts = Counter(label for labels in parts for label in labels)
        in_lists = {label for labels in parts if len(labels) > 1 for label in labels}
        most_recur = sum(counts[label] > 1 for label in in_lists) > len(in_lists) / 2
        # "Paris, France" and "Rome, Italy" all have two parts: names with a comma, not lists
        if len(set(map(len, parts))) > 1 and len(counts) < len(fields) and most_recur:
            return separator
    return None


def _no_column_lines(file: str, table: Table, wanted: str, option: str) -> list[str]:
    """Return the message that no column looks like texts or labels, with a line for each column."""
    rows_read = f" (in the first {table.rows:,} rows, which is all that was looked at)" if table.more else ""
    lines = []
    for column in table.columns:
        figures = f"{len(column.counts):,} different, mean length {column.mean_length:.0f}"
        lines.append(f"  {excerpt(column.name)}: {column.kind}, {figures}")
    lines += [f"  {excerpt(name)}: no text, or missing, in some rows" for name in table.incomplete]
    if len(lines) > MAX_LISTED_COLUMNS:
        lines[MAX_LISTED_COLUMNS:] = [f"  and {len(lines) - MAX_LISTED_COLUMNS:,} more"]
    head = f"{file} has no column that looks like {wanted}{rows_read}. {option} names it. Columns:"
    return [head, *lines]


# Kinds of values

_KINDS = {
    "dates": re.compile(
        r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].{0,30})?"
        r"|([A-Za-z]{3,9},? )?(\d{1,2} )?(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?,? .{0,30}\d\d"
    ),
    "numbers": re.compile(r"[-+]?[.,]?\d+([.,]\d+)*([eE][-+]?\d+)?%?"),
    "codes": re.compile(r"(?=\S*[\d@/\\])[!-~]+"),  # ids, addresses, paths: no blanks, and not only letters
}

# Scripts without blanks between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile("[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


def _count_words(text: str) -> int:
    return len(text.split()) + len(_UNSPACED.findall(text))
