"""Texts to token ids: the one way that train, evaluate, predict and every export share."""

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Literal

import numpy as np
import numpy.typing as npt

from textclf.options import option, options

PADDING = 0  # the network's mask drops it
UNKNOWN = 1  # a word outside the vocabulary; also stands for a text without any word
RESERVED = 2

Tokenize = Callable[[str], list[str]]


@options
class TextOptions:
    """How a text becomes token ids."""

    tokenizer: Literal["word", "char"] = option(
        default="word", help="what a token is; Chinese and Japanese characters are words of their own in either"
    )
    lowercase: bool = option(default=True, help="lower-case by Unicode's rules")
    clean: list[Literal["html", "url", "email", "number", "accents"]] = option(
        default=lambda: ["html"],
        help="html: drop tags, decode entities; url, email, number: one word stands for all; accents: drop them",
    )
    vocab_size: int = option(
        default=10000, help="most frequent tokens kept, padding and unknown counted in", ge=3, le=10**7
    )
    min_count: int = option(default=1, help="tokens seen less often in training are unknown", ge=1)
    max_length: int = option(default=100, help="tokens kept of a text", ge=1, le=100_000)
    truncate: Literal["start", "end"] = option(default="start", help="which end of a longer text is cut off")


@dataclass(frozen=True)
class TokenIds:
    """Token ids of n texts, one after the other; every text has at least one."""

    flat: npt.NDArray[np.int32]
    """All ids in the order of the texts, shape (sum of lengths,)."""
    lengths: npt.NDArray[np.int64]
    """Ids kept of each text, shape (n,)."""
    tokens: npt.NDArray[np.int64]
    """Tokens that each text had before it was cut, shape (n,); 0 for a text without any."""

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property  # every batch asks for them
    def starts(self) -> npt.NDArray[np.int64]:
        """Where each text's ids begin in `flat`, shape (n,)."""
        return np.cumsum(self.lengths) - self.lengths

    def first(self, count: int) -> "TokenIds":
        """The first texts, at most so many."""
        lengths = self.lengths[:count]
        return TokenIds(self.flat[: int(lengths.sum())], lengths, self.tokens[:count])

    def row(self, index: int) -> npt.NDArray[np.int32]:
        """The ids of one text, shape (length,)."""
        start = int(self.starts[index])
        return self.flat[start : start + int(self.lengths[index])]


def truncation(token_ids: TokenIds) -> dict[str, float]:
    """Rows that were cut, and what was lost: of all rows, and of all their tokens, 0 to 1."""
    lost = token_ids.tokens - np.minimum(token_ids.tokens, token_ids.lengths)
    rows = int((lost > 0).sum())
    return {
        "rows": rows,
        "share_of_rows": rows / max(1, len(token_ids)),
        "share_of_tokens": int(lost.sum()) / max(1, int(token_ids.tokens.sum())),
    }


def unknown_share(token_ids: TokenIds) -> float:
    """Share of the tokens kept that the vocabulary lacks, 0 to 1."""
    empty = int((token_ids.tokens == 0).sum())  # each holds one UNKNOWN that stands for no token
    kept = len(token_ids.flat) - empty
    return (int((token_ids.flat == UNKNOWN).sum()) - empty) / max(1, kept)


def pad(
    flat: npt.NDArray[np.int32], starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.int32]:
    """Ids of the given texts, shape (texts, longest), padded at the end as cuDNN asks."""
    position = np.arange(lengths.max(initial=1))
    inside = position < lengths[:, None]
    padded = np.full(inside.shape, PADDING, np.int32)
    padded[inside] = flat[(starts[:, None] + position)[inside]]
    return padded


class Encoder:
    """Turns texts into token ids by one vocabulary and one set of options."""

    def __init__(self, vocabulary: Sequence[str], options: TextOptions):
        self.vocabulary = list(vocabulary)
        self.options = options
        self._tokenize = tokenizer(options)
        self._ids = {token: index for index, token in enumerate(self.vocabulary, start=RESERVED)}

    def encode(self, texts: Iterable[str]) -> TokenIds:
        """Token ids of the texts, cut to `max_length`."""
        rows = [self._tokenize(text) for text in texts]
        tokens = np.fromiter(map(len, rows), np.int64, len(rows))
        kept = [self._cut(row) for row in rows]
        lengths = np.fromiter(map(len, kept), np.int64, len(kept))
        get = self._ids.get
        flat = np.fromiter((get(token, UNKNOWN) for token in chain.from_iterable(kept)), np.int32, int(lengths.sum()))
        return TokenIds(flat, lengths, tokens)

    def _cut(self, tokens: list[str]) -> list[str]:
        if not tokens:
            return [""]  # not in any vocabulary, so it becomes UNKNOWN: cuDNN needs a token in every row
        limit = self.options.max_length
        return tokens[-limit:] if self.options.truncate == "start" else tokens[:limit]


def build_vocabulary(texts: Iterable[str], options: TextOptions) -> list[str]:
    """The most frequent tokens, most frequent first, ties by the alphabet; id = position + RESERVED."""
    tokenize = tokenizer(options)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenize(text))
    frequent = [token for token, count in counts.items() if count >= options.min_count]
    frequent.sort(key=lambda token: (-counts[token], token))
    return frequent[: options.vocab_size - RESERVED]


def fill_vocabulary(vocabulary: list[str], words: Iterable[str], options: TextOptions) -> list[str]:
    """The vocabulary, and behind it further words that texts can hold, until `vocab_size` is reached."""
    tokenize = tokenizer(options)
    room = options.vocab_size - RESERVED - len(vocabulary)
    known = set(vocabulary)
    further = (word for word in words if word not in known and tokenize(word) == [word])
    return vocabulary + list(dict.fromkeys(islice(further, room)))


def tokenizer(options: TextOptions) -> Tokenize:
    """The function that cleans, normalises (NFC) and splits one text."""
    cleanings = [clean for name, clean in CLEANINGS.items() if name in options.clean]
    split = TOKENIZERS[options.tokenizer]

    def tokenize(text: str) -> list[str]:
        for clean in cleanings:
            text = clean(text)
        if options.lowercase:
            text = text.lower()
        return split(text if text.isascii() else unicodedata.normalize("NFC", text))

    return tokenize


# Han, kana and bopomofo write no blanks between words. Hangul does, and is left as words.
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Python's \w leaves out combining marks, without which words of Hindi, Thai or vowelled Arabic fall apart.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u096f\u0971-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e"
    "\u0eb1-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
)
# English contractions fall apart as in the texts that word vectors come from: "it isn't" is "it", "is", "n't".
_CONTRACTED = r"n't\b|'(?:s|m|d|re|ve|ll)\b"
_WORDS_ASCII = re.compile(rf"{_CONTRACTED}|\w+|[^\w\s\x1c-\x1f]", re.ASCII)  # four blanks that re.ASCII takes for none
_WORDS = re.compile(rf"{_CONTRACTED}|[{_CJK}]|(?:[^\W{_CJK}]|[{_MARKS}])+|[^\w\s]")
_BLANKS = re.compile(r"\s+")


def _words(text: str) -> list[str]:
    text = text.replace("\u2019", "'").replace("n't", " n't")
    # The ASCII pattern finds the same words in ASCII text, in half the time.
    return (_WORDS_ASCII if text.isascii() else _WORDS).findall(text)


def _characters(text: str) -> list[str]:
    return list(_BLANKS.sub(" ", text.strip()))


TOKENIZERS: dict[str, Tokenize] = {"word": _words, "char": _characters}

# Each pattern takes linear time on any text: what is scanned from one begin is not scanned again from the next.
_TAG = re.compile(r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)
_ENDLESS_ENTITY = re.compile(r"&#[0-9]{99,}")  # no character; Python refuses to read thousands of digits
_URL = re.compile(rf"(?:https?://|\bwww\.)[^\s{_CJK}]+", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+\b", re.ASCII)
_ACCENTS = re.compile("[\u0300-\u036f]+")  # those of Latin, Greek and Cyrillic; other scripts' marks are letters
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def _drop_html(text: str) -> str:
    if "<" in text:
        text = _TAG.sub(" ", text)
    return html.unescape(_ENDLESS_ENTITY.sub("&#0", text)) if "&" in text else text


def _drop_accents(text: str) -> str:
    if text.isascii():
        return text
    return _ACCENTS.sub("", unicodedata.normalize("NFD", text))


CLEANINGS: dict[str, Callable[[str], str]] = {
    "html": _drop_html,
    "url": lambda text: _URL.sub(" url ", text),
    "email": lambda text: _EMAIL.sub(" email ", text),
    "number": lambda text: _NUMBER.sub(" 0 ", text),
    "accents": _drop_accents,
}
