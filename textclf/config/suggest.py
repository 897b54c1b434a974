"""A profile of a table's texts and labels, and the settings that suit them, each with its reason."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from textclf.config.encoder_files import FEW, EncoderFolder, EncoderTraining, minutes_text, suggest_encoder_training
from textclf.config.vector_files import ENOUGH, FOLDER, VectorFile
from textclf.data.columns import ColumnRoles, Table, evenly_spaced
from textclf.data.rows import DataOptions, text_keys
from textclf.io.sanitize import excerpt
from textclf.text.characters import WIDTH_FORMS, ZERO_WIDTH_SPACE
from textclf.text.encoding import RESERVED
from textclf.text.tokenizer import CLEANINGS, TextOptions
from textclf.text.vocabulary import WordCounts

SMALL, LARGE = 2000, 20_000  # rows

MAX_LENGTH = 400  # tokens: time grows with the length of a text

MIN_LENGTH = 50  # tokens: new texts may be longer than all known ones

MAX_VOCABULARY = 30_000

VECTORS_OF_SCRIPT = {
    "Latin": ("glove.6B.100d.txt", "if English"),
    "Cyrillic": ("cc.ru.300.vec.gz", "fastText's, if Russian"),
    "Arabic": ("cc.ar.300.vec.gz", "fastText's, if Arabic"),
    "Greek": ("cc.el.300.vec.gz", "fastText's"),
    "Hebrew": ("cc.he.300.vec.gz", "fastText's"),
    "Devanagari": ("cc.hi.300.vec.gz", "fastText's, if Hindi"),
    "Hangul": ("cc.ko.300.vec.gz", "fastText's"),
}
"""A file of word vectors for a script, and for which texts in it."""

OTHER_VECTORS = ("cc.XX.300.vec.gz", "fastText's, with the code of the language for XX")

UNSPACED_SCRIPTS = ("Thai", "Lao", "Khmer", "Myanmar")


@dataclass(frozen=True)
class DataProfile:
    """Statistics of the rows that were read."""

    rows: int
    more: bool
    """True if the file has more rows than these."""
    text: str
    """Column of the texts."""
    label: str
    """Column of the labels."""
    others: list[str]
    """Columns that could be the label as well."""
    label_separator: str | None
    labels: dict[str, int]
    """Rows of each label, the most frequent first."""
    script: str
    """Most frequent script of the letters: Latin, Cyrillic, CJK, Arabic, ..."""
    tokenizer: str
    """`word` or `char`."""
    median: float
    """Median number of tokens of a text."""
    p99: int
    """99th percentile of the number of tokens of a text."""
    longest: int
    """Tokens of the longest text."""
    long: float
    """Share of the texts with more than MAX_LENGTH tokens, 0 to 1."""
    vocabulary: int
    """Different tokens."""
    recurring: int
    """Different tokens that occur at least twice."""
    empty: int
    """Texts without a token."""
    repeated: int
    """Rows whose text an earlier row has."""
    contradicting: int
    """Rows whose text an earlier row has with another label."""
    unlabelled: int
    """Rows without a label."""
    urls: float
    """Share of the texts with a URL, 0 to 1."""
    emails: float
    """Share of the texts with an e-mail address, 0 to 1."""
    width_forms: float
    """Share of the texts with full-width or half-width forms, 0 to 1."""


def profile_table(table: Table, roles: ColumnRoles) -> DataProfile:
    """Compute the statistics of a table with known columns of texts and labels."""
    texts, labels = roles.text.values, roles.label.values
    script = find_script(texts)
    tokenizer = suitable_tokenizer(script, texts)
    tokens = WordCounts(TextOptions(tokenizer=tokenizer)).tokenize(texts)
    lengths, frequencies = tokens.counts, np.bincount(tokens.flat)  # (texts,), (tokens,)
    repeated, contradicting = _count_repeated(texts, labels)
    return DataProfile(
        rows=table.rows, more=table.more, text=roles.text.name, label=roles.label.name,
        others=[column.name for column in roles.others], label_separator=roles.label.separator,
        labels=dict(sorted(roles.label.labels.items(), key=lambda item: (-item[1], item[0]))),
        script=script, tokenizer=tokenizer,
        median=float(np.median(lengths)), p99=int(np.quantile(lengths, 0.99, method="higher")),
        longest=int(lengths.max()), long=float((lengths > MAX_LENGTH).mean()),
        vocabulary=int((frequencies > 0).sum()), recurring=int((frequencies > 1).sum()),
        empty=int((lengths == 0).sum()), repeated=repeated, contradicting=contradicting,
        unlabelled=roles.label.empty, urls=_share_changed(texts, "url"), emails=_share_changed(texts, "email"),
        width_forms=_share(texts, lambda text: bool(_WIDTH_FORM.search(text))),
    )  # fmt: skip


def recurring_words(texts: list[str], tokenizer: Literal["word", "char"]) -> list[str]:
    """Return the different tokens that occur at least twice in the texts."""
    words = WordCounts(TextOptions(tokenizer=tokenizer))
    frequencies = np.bincount(words.tokenize(texts).flat)
    return [word for word, index in words.words.items() if frequencies[index] > 1]


def find_script(texts: list[str]) -> str:
    """Return the most frequent script, by its Unicode name, in about a thousand of the texts."""
    excerpt = "".join(text[:200] for text in evenly_spaced(texts))
    letters = Counter(character for character in excerpt if character.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        script = unicodedata.name(letter, "unknown").split()[0].split("-")[0].title()
        scripts["CJK" if script in ("Cjk", "Hiragana", "Katakana", "Bopomofo") else script] += count
    return max(scripts, key=lambda script: scripts[script], default="Unknown")


def suitable_tokenizer(script: str, texts: list[str]) -> Literal["word", "char"]:
    """Return `char` for scripts without blanks between words, and where most texts are single words, such as names.

    A script without blanks gets `word` if most texts have zero-width spaces between words.
    """
    mostly_single_words = sum(len(text.split()) < 2 for text in texts) > 0.5 * len(texts)
    if script in UNSPACED_SCRIPTS:
        return "word" if _share(texts, lambda text: ZERO_WIDTH_SPACE in text) > 0.5 else "char"
    return "char" if mostly_single_words and script != "CJK" else "word"


_WIDTH_FORM = re.compile(f"[{WIDTH_FORMS}]")


def _share_changed(texts: list[str], cleaning: str) -> float:
    """Return the share of about a thousand of the texts that a cleaning changes."""
    return _share(texts, lambda text: CLEANINGS[cleaning](text) != text)


def _share(texts: list[str], holds: Callable[[str], bool]) -> float:
    """Return the share of about a thousand of the texts for which a condition holds."""
    sample = evenly_spaced(texts)
    return sum(map(holds, sample)) / len(sample)


def _count_repeated(texts: list[str], labels: list[str]) -> tuple[int, int]:
    """Return the number of rows that repeat an earlier text, and of those with another label than its first row."""
    first_label: dict[int, str] = {}
    repeated = contradicting = 0
    for key, label in zip(text_keys(texts).near.tolist(), labels, strict=True):
        if key in first_label:
            repeated += 1
            contradicting += first_label[key] != label
        first_label.setdefault(key, label)
    return repeated, contradicting


# Settings


class Setting(NamedTuple):
    """A line of a config, with the reason for its value."""

    key: str
    """The dotted key of an option."""
    value: object
    reason: str
    active: bool = True
    """False for a hint, which is written as a comment."""


def suggest_settings(
    profile: DataProfile, *, has_validation_file: bool, vectors: Sequence[VectorFile] = ()
) -> list[Setting]:
    """Suggest settings that suit the data; an option that is left out keeps its default.

    They follow the recipes in `configs/`, which were chosen by their scores.

    Args:
        vectors: files of word vectors, the best first.
    """
    best = next((file for file in vectors if file.coverage >= ENOUGH), None)
    return [
        *_split_settings(profile, has_validation_file),
        *_text_settings(profile, best),
        *_model_settings(profile, vectors, best),
        *_training_settings(profile, has_validation_file),
        *_decision_settings(profile),
    ]


def suggest_encoder_settings(
    profile: DataProfile, encoder: EncoderFolder, *, has_validation_file: bool
) -> list[Setting]:  # fmt: skip
    """Suggest settings that train a pretrained encoder on the data; an option that is left out keeps its default."""
    training = encoder_training(profile, encoder)
    return [
        *_split_settings(profile, has_validation_file),
        *_word_settings(profile),
        _max_pieces(encoder),
        *_encoder_settings(profile, encoder, training),
        *_encoder_training_settings(profile, training, has_validation_file),
        *_class_weight_hint(profile),
        *_decision_settings(profile),
    ]


def encoder_training(profile: DataProfile, encoder: EncoderFolder) -> EncoderTraining:
    """Suggest what to train of an encoder on the data, and estimate how long that takes."""
    return suggest_encoder_training(encoder, rows=profile.rows, labels=len(profile.labels))


def _validation_share(profile: DataProfile, has_validation_file: bool) -> float:
    """Return the share of the rows that is held out for validation."""
    if has_validation_file:
        return 0
    return 0.2 if profile.rows < SMALL else 0.05 if profile.rows >= LARGE else DataOptions.validation_split


def _split_settings(profile: DataProfile, has_validation_file: bool) -> Iterator[Setting]:
    share = _validation_share(profile, has_validation_file)
    if share not in (0, DataOptions.validation_split):
        rows = f"{_at_least(profile)}{share * profile.rows:,.0f}"
        yield Setting("data.validation_split", share, f"{rows} of {_rows(profile)}")


def _text_settings(profile: DataProfile, vectors: VectorFile | None) -> Iterator[Setting]:
    yield from _word_settings(profile)
    if vectors:
        yield Setting("text.vocab_size", MAX_VOCABULARY, "with words that only the word vectors have")
    else:
        yield _vocab_size(profile)
    yield _max_length(profile)


def _word_settings(profile: DataProfile) -> Iterator[Setting]:
    """Yield what a word is, and which words become one."""
    if profile.tokenizer != "word":
        unspaced = f"{profile.script} writes no blanks between words"
        reason = unspaced if profile.script in UNSPACED_SCRIPTS else "more than half of the texts are a single word"
        yield Setting("text.tokenizer", profile.tokenizer, reason)
    cleanings = {
        "nfkc": (profile.width_forms, 0.01, "full-width or half-width forms"),
        "url": (profile.urls, 0.05, "a URL"),
        "email": (profile.emails, 0.05, "an e-mail address"),
    }
    reasons = {
        name: f"{percent(share)} of the texts hold {forms}"
        for name, (share, least, forms) in cleanings.items()
        if share >= least
    }
    if reasons:
        yield Setting("text.clean", ["html", *reasons], ", ".join(reasons.values()))


def _vocab_size(profile: DataProfile) -> Setting:
    """Suggest a vocabulary of all tokens, or if they are many, of those that occur more than once."""
    tokens = "words" if profile.tokenizer == "word" and profile.script != "CJK" else "characters"
    if profile.vocabulary < 2000:
        size, reason = profile.vocabulary, f"room for all {profile.vocabulary:,} different {tokens}"
    else:
        size, reason = profile.recurring, f"{profile.recurring:,} {tokens} come at least twice"
    size = _round_up(size + RESERVED)
    if size > MAX_VOCABULARY:
        size, reason = MAX_VOCABULARY, f"{reason}; the {MAX_VOCABULARY:,} most frequent are kept"
    return Setting("text.vocab_size", size, reason)


def _max_length(profile: DataProfile) -> Setting:
    """Suggest a length that cuts no text if texts are short, else few texts."""
    length = _round_up(profile.longest if profile.longest <= 100 else profile.p99)
    length = min(MAX_LENGTH, max(MIN_LENGTH, length))
    if length >= profile.longest:
        return Setting("text.max_length", length, f"the longest text has {profile.longest:,} tokens: none is cut")
    half = f"half of the texts have at most {profile.median:,.0f} tokens"
    if length < profile.p99:
        reason = f"{half}; {percent(profile.long)} have more than {MAX_LENGTH}, of which the network reads the end"
    else:
        reason = f"{half}, 99 % at most {profile.p99:,}, the longest {profile.longest:,}"
    return Setting("text.max_length", length, reason)


def _model_settings(profile: DataProfile, vectors: Sequence[VectorFile], best: VectorFile | None) -> Iterator[Setting]:
    few = f"{_rows(profile)} are few: a small network overfits less"
    if best:
        covered = f"has {percent(best.coverage)} of the words that come at least twice"
        yield Setting("model.pretrained", best.path, f"{covered}{_others_covered(vectors, best)}")
        yield Setting("model.embedding_dim", best.dimensions, "that of the word vectors")
    else:
        yield from _vectors_hint(profile, vectors)
        if profile.rows < SMALL:
            yield Setting("model.embedding_dim", 50, few)
    if profile.rows < SMALL:
        yield Setting("model.units", 32, few if best else f"likewise, for {_rows(profile)}")
    median = f"{profile.median:,.0f} tokens"
    if profile.median > 30:
        reason = f"half of the texts have at least {median}: all of a text counts, not its end"
        yield Setting("model.pooling", "max_mean", reason)
    else:
        yield Setting("model.pooling", "max", f"half of the texts have at most {median}: a word anywhere may decide")
    dropout = 0.3 if profile.rows >= 50_000 else 0.5
    yield Setting("model.embedding_dropout", dropout, f"against overfitting on {_rows(profile)}")


def _others_covered(vectors: Sequence[VectorFile], best: VectorFile) -> str:
    others = [f"{file.path} {percent(file.coverage)}" for file in vectors if file != best and not file.problem]
    return f"; others: {', '.join(others)}" if others else ""


def _vectors_hint(profile: DataProfile, vectors: Sequence[VectorFile]) -> Iterator[Setting]:
    """Yield a comment on the word vectors that would help, where there are some for the script of the texts."""
    if profile.tokenizer != "word" or profile.script in ("CJK", "Unknown"):
        return
    file, language = VECTORS_OF_SCRIPT.get(profile.script, OTHER_VECTORS)
    few = next((f"{file.path} has only {percent(file.coverage)} of the words; " for file in vectors[:1]), "")
    reason = f"{few}{language}: put such word vectors into {FOLDER}/ and run init again"
    yield Setting("model.pretrained", file, reason, active=False)


def _training_settings(profile: DataProfile, has_validation_file: bool) -> Iterator[Setting]:
    epochs, rows_per_label = _epochs(profile), profile.rows / len(profile.labels)
    reason = f"{_rows(profile)}, {_at_least(profile)}{rows_per_label:,.0f} per label: the fewer rows, the more epochs"
    yield Setting("training.epochs", epochs, reason)
    if profile.rows < SMALL or profile.rows >= LARGE:
        size = 16 if profile.rows < SMALL else 128 if profile.more else 64
        yield _batch_size(profile, size, has_validation_file)
    rate = 0.005 if profile.rows < SMALL else 0.003 if epochs > 4 else 0.002
    yield Setting("training.learning_rate", rate, f"larger than the default, 0.001, as {epochs} epochs are few")
    reason = f"the rate falls to 0 over the {epochs} epochs, so the last ones gain; the best is kept"
    yield Setting("training.early_stopping", None, reason)
    yield from _class_weight_hint(profile)


def _batch_size(profile: DataProfile, size: int, has_validation_file: bool) -> Setting:
    rows = round((1 - _validation_share(profile, has_validation_file)) * profile.rows)
    steps = f"{_at_least(profile)}{-(-rows // size):,} steps per epoch"
    return Setting("training.batch_size", size, steps)


def _class_weight_hint(profile: DataProfile) -> Iterator[Setting]:
    label, rows = list(profile.labels.items())[-1]
    if rows * 5 < max(profile.labels.values()):
        reason = f"'{excerpt(label, longest=30)}' has {rows:,} of {_rows(profile)}; finds more of them, costs accuracy"
        yield Setting("training.class_weight", "balanced", reason, active=False)


def _max_pieces(encoder: EncoderFolder) -> Setting:
    """Suggest how many pieces of a text an encoder reads."""
    half = f"pieces of words: half of the texts have at most {encoder.median:,.0f}"
    if encoder.max_length >= encoder.p99:
        return Setting("text.max_length", encoder.max_length, f"{half}, 99 % at most {encoder.p99:,}")
    reason = f"{half}, {percent(encoder.cut)} more than {encoder.max_length}, of which the encoder reads the end"
    return Setting("text.max_length", encoder.max_length, reason)


def _encoder_settings(profile: DataProfile, encoder: EncoderFolder, training: EncoderTraining) -> Iterator[Setting]:
    yield Setting("model.type", "encoder", "a pretrained encoder and a layer for the labels")
    reason = f"{encoder.weights:,} weights, in {encoder.layers} layers and the table of pieces"
    yield Setting("model.encoder", encoder.path, reason)
    time = f"about {minutes_text(training.minutes)} on this machine's processors"
    if training.trainable == "all":
        yield Setting("model.trainable", "all", f"training takes {time}")
        yield Setting("model.encoder_learning_rate", 5e-5, "small: training adapts what it has learnt")
        return
    slow = profile.rows >= FEW
    why = f"all of it would take about {minutes_text(training.minutes_of_all)}" if slow else f"{_rows(profile)} are few"
    yield Setting("model.trainable", training.trainable, f"{why}; training takes {time}")
    reason = "small: training adapts what it has learnt; twice that for `trainable: all`"
    yield Setting("model.encoder_learning_rate", 1e-4, reason)


def _encoder_training_settings(
    profile: DataProfile, training: EncoderTraining, has_validation_file: bool
) -> Iterator[Setting]:
    yield Setting("training.epochs", training.epochs, f"{_rows(profile)}: an encoder needs few, more for fewer rows")
    yield _batch_size(profile, 16, has_validation_file)
    yield Setting("training.optimizer", "adamw", "the one that encoders are trained with")
    yield Setting("training.learning_rate", 0.001, "of the layer for the labels, which is new")
    yield Setting("training.schedule", "linear", f"the rate falls to 0 over the {training.epochs} epochs")
    yield Setting("training.warmup", 0.1, "the rate rises in the first tenth: the new layer's first errors are large")
    yield Setting("training.weight_decay", 0.01, "that of BERT")
    yield Setting("training.early_stopping", None, f"the {training.epochs} epochs are few; the best is kept")
    if profile.label_separator is None:  # of several labels it counts the rows with exactly the right ones
        reason = "later epochs label better; calibration mends that they are too sure"
        yield Setting("training.monitor", "val_accuracy", reason)


def _decision_settings(profile: DataProfile) -> Iterator[Setting]:
    if profile.label_separator is not None:
        reason = "a threshold for each label: rare ones seldom reach a probability of 0.5"
        yield Setting("decision.aim", "f1", reason)


def _epochs(profile: DataProfile) -> int:
    """Suggest more epochs for fewer rows and for fewer rows per label; with many rows the network would overfit."""
    rows_per_label = profile.rows / len(profile.labels)
    if profile.label_separator is not None:
        return 20 if profile.rows < SMALL else 8  # each label is a binary problem with few rows of its own
    if profile.rows < SMALL or (rows_per_label < 500 and profile.rows < LARGE):
        return 12
    if rows_per_label < 500 or (rows_per_label < 2000 and profile.rows < LARGE):
        return 8
    return 4 if profile.rows < 50_000 else 3


def _rows(profile: DataProfile) -> str:
    return f"more than {profile.rows:,} rows" if profile.more else f"{profile.rows:,} rows"


def _at_least(profile: DataProfile) -> str:
    return "at least " if profile.more else ""


def percent(share: float) -> str:
    """Format a share, 0 to 1, as a percentage."""
    return f"{100 * share:.{1 if share < 0.01 else 0}f} %"


def _round_up(number: int) -> int:
    """Round up to a number with few digits, such as 850 or 12,000."""
    magnitude = 10 ** max(0, len(str(number)) - 2)
    step = max(5, magnitude * (5 if number >= 50 * magnitude else 1))
    return -(-number // step) * step
