"""What a table's texts and labels are like, and the settings that suit them, each with the figure that led to it."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from textclf.data.columns import ColumnRoles, Table
from textclf.data.rows import text_keys
from textclf.io.sanitize import plain
from textclf.text.encoding import RESERVED
from textclf.text.tokenizer import CLEANINGS, TextOptions
from textclf.text.vocabulary import WordCounts

SMALL, LARGE = 2000, 20_000  # rows

LONGEST = 400  # tokens kept at most: a longer text takes time in proportion

SHORTEST = 50  # a new text may be longer than all that are known

MOST_WORDS = 30_000

UNSPACED = ("Thai", "Lao", "Khmer", "Myanmar")  # scripts without blanks between words


@dataclass(frozen=True)
class DataProfile:
    """What the rows that were looked at hold."""

    rows: int
    more: bool
    """Whether the file has more rows than these."""
    text: str
    label: str
    others: list[str]
    """Columns that could be the label as well."""
    label_separator: str | None
    labels: dict[str, int]
    """Rows of each label, the most frequent first."""
    script: str
    """Of most letters: Latin, Cyrillic, CJK, Arabic, ..."""
    tokenizer: str
    median: float
    """Tokens of a text."""
    p99: int
    """Tokens that 99 % of the texts have at most."""
    longest: int
    long: float
    """Share of the texts with more than LONGEST tokens, 0 to 1."""
    vocabulary: int
    """Different tokens."""
    recurring: int
    """Different tokens that come at least twice."""
    empty: int
    """Texts without a token."""
    repeated: int
    """Rows whose text came before."""
    contradicting: int
    """Rows whose text came before with another label."""
    unlabelled: int
    """Rows without a label."""
    urls: float
    """Share of the texts that hold one, 0 to 1."""
    emails: float


def profile_table(table: Table, roles: ColumnRoles) -> DataProfile:
    """What the columns of texts and labels hold."""
    texts, labels = roles.text.values, roles.label.values
    script = find_script(texts)
    tokenizer = find_tokenizer(script, texts)
    tokens = WordCounts(TextOptions(tokenizer=tokenizer)).split(texts)
    uses = np.bincount(tokens.flat)
    repeated, contradicting = _repeated(texts, labels)
    return DataProfile(
        rows=table.rows,
        more=table.more,
        text=roles.text.name,
        label=roles.label.name,
        others=[column.name for column in roles.others],
        label_separator=roles.label.separator,
        labels=dict(sorted(roles.label.labels.items(), key=lambda item: (-item[1], item[0]))),
        script=script,
        tokenizer=tokenizer,
        median=float(np.median(tokens.counts)),
        p99=int(np.quantile(tokens.counts, 0.99, method="higher")),
        longest=int(tokens.counts.max()),
        long=float((tokens.counts > LONGEST).mean()),
        vocabulary=int((uses > 0).sum()),
        recurring=int((uses > 1).sum()),
        empty=int((tokens.counts == 0).sum()),
        repeated=repeated,
        contradicting=contradicting,
        unlabelled=roles.label.empty,
        urls=_share_with("url", texts),
        emails=_share_with("email", texts),
    )


def find_script(texts: list[str]) -> str:
    """The script of most letters, by the names that Unicode gives them, in a thousand texts from all over the table."""
    some = "".join(text[:200] for text in texts[:: max(1, len(texts) // 1000)])
    letters = Counter(character for character in some if character.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        script = unicodedata.name(letter, "unknown").split()[0].split("-")[0].title()
        scripts["CJK" if script in ("Cjk", "Hiragana", "Katakana", "Bopomofo") else script] += count
    return max(scripts, key=lambda script: scripts[script], default="Unknown")


def find_tokenizer(script: str, texts: list[str]) -> Literal["word", "char"]:
    """Characters where words cannot be told apart, or where a text is a single one, such as a name; else words."""
    single = sum(len(text.split()) < 2 for text in texts) > 0.5 * len(texts)
    return "char" if script in UNSPACED or (single and script != "CJK") else "word"


def _share_with(name: str, texts: list[str]) -> float:
    """Share of some thousand texts that a cleaning changes."""
    some = texts[:: max(1, len(texts) // 1000)]
    return sum(CLEANINGS[name](text) != text for text in some) / len(some)


def _repeated(texts: list[str], labels: list[str]) -> tuple[int, int]:
    """Rows whose text came before, and those of them that came with another label first."""
    first: dict[int, str] = {}
    repeated = contradicting = 0
    for key, label in zip(text_keys(texts).near.tolist(), labels, strict=True):
        if key in first:
            repeated += 1
            contradicting += first[key] != label
        first.setdefault(key, label)
    return repeated, contradicting


# Settings


class Setting(NamedTuple):
    """A line of a config."""

    key: str
    """Dotted."""
    value: Any
    why: str
    active: bool = True
    """False: a hint, written as a comment."""


def suggest_settings(found: DataProfile, *, has_validation_file: bool) -> list[Setting]:
    """Settings that suit the texts and labels; those left out have their defaults.

    They follow the recipes in `configs/`, which were chosen by their scores.

    Args:
        has_validation_file: there is a file of validation rows.
    """
    return [*_split(found, has_validation_file), *_text(found), *_model(found), *_training(found, has_validation_file)]


def _split(found: DataProfile, validated: bool) -> Iterable[Setting]:
    if validated or SMALL <= found.rows < LARGE:
        return
    share = 0.2 if found.rows < SMALL else 0.05
    yield Setting("data.validation_split", share, f"{_least(found)}{share * found.rows:,.0f} of {_rows(found)}")


def _text(found: DataProfile) -> Iterable[Setting]:
    if found.tokenizer != "word":
        unspaced = f"{found.script} writes no blanks between words"
        why = unspaced if found.script in UNSPACED else "more than half of the texts are a single word"
        yield Setting("text.tokenizer", found.tokenizer, why)
    marks = [name for name, share in (("url", found.urls), ("email", found.emails)) if share >= 0.05]
    if marks:
        shares = f"{percent(found.urls)} of the texts hold a URL, {percent(found.emails)} an e-mail address"
        yield Setting("text.clean", ["html", *marks], shares)
    yield _vocab_size(found)
    yield _max_length(found)


def _vocab_size(found: DataProfile) -> Setting:
    """Room for all words, or, where these are many, for those that come more than once."""
    kind = "words" if found.tokenizer == "word" and found.script != "CJK" else "characters"
    if found.vocabulary < 2000:
        size, why = _round_up(found.vocabulary + RESERVED), f"room for all {found.vocabulary:,} different {kind}"
    else:
        size, why = _round_up(found.recurring + RESERVED), f"{found.recurring:,} {kind} come at least twice"
    if size > MOST_WORDS:
        size, why = MOST_WORDS, f"{why}; the {MOST_WORDS:,} most frequent are kept"
    return Setting("text.vocab_size", size, why)


def _max_length(found: DataProfile) -> Setting:
    """Room for all texts where that costs little, for nearly all else."""
    length = min(LONGEST, max(SHORTEST, _round_up(found.longest if found.longest <= 100 else found.p99)))
    if length >= found.longest:
        return Setting("text.max_length", length, f"the longest text has {found.longest:,} tokens: none is cut")
    half = f"half of the texts have at most {found.median:,.0f} tokens"
    if length < found.p99:
        why = f"{half}; {percent(found.long)} have more than {LONGEST} and lose their beginning"
    else:
        why = f"{half}, 99 % at most {found.p99:,}, the longest {found.longest:,}"
    return Setting("text.max_length", length, why)


def _model(found: DataProfile) -> Iterable[Setting]:
    if found.script == "Latin" and found.tokenizer == "word":
        too = "embedding_dim: 100, " if found.rows < SMALL else ""
        why = f"if English: such word vectors help; with {too}vocab_size: {MOST_WORDS}"
        yield Setting("model.pretrained", "glove.6B.100d.txt", why, active=False)
    if found.rows < SMALL:
        yield Setting("model.embedding_dim", 50, f"{_rows(found)} teach a small network more than a large one")
        yield Setting("model.units", 32, f"likewise, for {_rows(found)}")
    middle = f"half of the texts have {{}} {found.median:,.0f} tokens"
    if found.median > 30:
        yield Setting("model.pooling", "max_mean", f"{middle.format('at least')}: all of a text counts, not its end")
    else:
        yield Setting("model.pooling", "max", f"{middle.format('at most')}: a word anywhere may decide")
    dropout = 0.3 if found.rows >= 50_000 else 0.5
    yield Setting("model.embedding_dropout", dropout, f"keeps {_rows(found)} from being learnt by heart")


def _training(found: DataProfile, validated: bool) -> Iterable[Setting]:
    epochs, a_label = _epochs(found), found.rows / len(found.labels)
    why = f"{_rows(found)}, {_least(found)}{a_label:,.0f} a label: the fewer, the more often each is seen"
    yield Setting("training.epochs", epochs, why)
    if found.rows < SMALL or found.rows >= LARGE:
        size = 16 if found.rows < SMALL else 128 if found.more else 64
        yield Setting("training.batch_size", size, f"{_least(found)}{-(-found.rows // size):,} steps an epoch")
    rate = 0.005 if found.rows < SMALL else 0.003 if epochs > 4 else 0.002
    yield Setting("training.learning_rate", rate, f"larger than the default, 0.001, as {epochs} epochs are few")
    stop = f"the rate falls to 0 over the {epochs} epochs, so the last ones gain; the best is kept"
    yield Setting("training.early_stopping", None, stop)
    if found.rows >= SMALL or validated:
        yield Setting("training.monitor", "val_accuracy", "the best epoch has most validation rows right")
    label, rows = list(found.labels.items())[-1]
    if rows * 5 < max(found.labels.values()):
        why = f"'{plain(label, longest=30)}' has {rows:,} of {_rows(found)}; finds more of them, costs accuracy"
        yield Setting("training.class_weight", "balanced", why, active=False)


def _epochs(found: DataProfile) -> int:
    """The fewer rows, and rows a label, the more; on those of a few thousand a label, more only learn them by heart."""
    a_label = found.rows / len(found.labels)
    if found.label_separator is not None:
        return 20 if found.rows < SMALL else 8  # each label is learnt on its own, from its few rows
    if found.rows < SMALL or (a_label < 500 and found.rows < LARGE):
        return 12
    if a_label < 500 or (a_label < 2000 and found.rows < LARGE):
        return 8
    return 4 if found.rows < 50_000 else 3


def _rows(found: DataProfile) -> str:
    return f"more than {found.rows:,} rows" if found.more else f"{found.rows:,} rows"


def _least(found: DataProfile) -> str:
    return "at least " if found.more else ""


def percent(share: float) -> str:
    """A share, 0 to 1, as text."""
    return f"{100 * share:.{1 if share < 0.01 else 0}f} %"


def _round_up(number: int) -> int:
    """The next number that is easy to read."""
    magnitude = 10 ** max(0, len(str(number)) - 2)
    step = max(5, magnitude * (5 if number >= 50 * magnitude else 1))
    return -(-number // step) * step
