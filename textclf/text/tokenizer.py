"""Tokenization: texts to words or characters of any script, after cleaning."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from textclf.options import option, options


@options
class TextOptions:
    """Options of the step from texts to token ids."""

    tokenizer: Literal["word", "char"] = option(
        default="word", help="what a token is; with word, each Chinese or Japanese character is a word of its own"
    )
    lowercase: bool = option(default=True, help="lower-case by Unicode's rules")
    clean: list[Literal["html", "url", "email", "number", "accents"]] = option(
        default=lambda: ["html"],
        help="html: drop tags, decode entities; url, email, number: replace each by one word; accents: drop them",
    )
    vocab_size: int = option(
        default=10000, help="number of token ids: the most frequent tokens, padding and unknown", ge=3, le=10**7
    )
    min_count: int = option(default=1, help="tokens that are rarer in the training rows become unknown", ge=1)
    max_length: int = option(default=100, help="tokens kept per text", ge=1, le=100_000)
    truncate: Literal["start", "end"] = option(default="start", help="which end of a longer text is cut off")


def tokenize(text: str, options: TextOptions) -> list[str]:
    """Return the tokens of one text."""
    pieces, tokens = TOKENIZERS[options.tokenizer]
    return [token for token in tokens(pieces([text], options)[:-1], options) if token != END]


def join_tokens(tokens: Iterable[str], options: TextOptions) -> str:
    """Return a text with these tokens; as characters, blanks at the ends and repeated ones are lost."""
    if options.tokenizer == "word":
        return " ".join(tokens)
    text = "".join(tokens)
    # escaped, since the text "<b>" must not be read as a tag
    return html.escape(text, quote=False) if "html" in options.clean else text


# Han, kana and bopomofo have no blanks between words. Hangul has, and is split at them.
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)

# Python's \w lacks combining marks, at which words of Hindi, Thai or vowelled Arabic would be split.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u096f\u0971-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e"
    "\u0eb1-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
)

# English contractions are split as in the texts that word vectors come from: "it isn't" is "it", "is", "n't".
_CONTRACTED = r"n't\b|'(?:s|m|d|re|ve|ll)\b"

_WORDS_ASCII = re.compile(rf"{_CONTRACTED}|\w+|[^\w\s\x1c-\x1f]", re.ASCII)  # under re.ASCII, \s lacks \x1c-\x1f

_WORDS = re.compile(rf"{_CONTRACTED}|[{_CJK}]|(?:[^\W{_CJK}]|[{_MARKS}])+|[^\w\s]")

_BLANKS = re.compile(r"\s+")


END = "\0"  # marks the end of each text or piece; inside a text it counts as a blank


class Tokenizer(NamedTuple):
    """A tokenizer in two steps, so that a repeated piece of text is tokenized once.

    The word tokenizer splits the text "isn't it" into the pieces ["isn't", "it", END], and these into the tokens
    ["is", "n't", END, "it", END].
    """

    pieces: Callable[[list[str], TextOptions], list[str]]
    """(texts, options) -> pieces, with END after the pieces of each text."""
    tokens: Callable[[list[str], TextOptions], list[str]]
    """(pieces, options) -> tokens, with END after the tokens of each piece."""


def _word_pieces(texts: list[str], options: TextOptions) -> list[str]:
    # A tag may contain blanks, and an entity may become one, so html is cleaned before splitting. The patterns of the
    # other cleanings contain no blanks, so they are applied to the pieces.
    texts = [_drop_html(text) for text in texts] if "html" in options.clean else texts
    joined = f" {END} ".join(texts)
    if joined.count(END) >= len(texts):
        joined = f" {END} ".join([text.replace(END, " ") for text in texts])
    return [*joined.split(), END]


def _words(pieces: list[str], options: TextOptions) -> list[str]:
    text = "".join([f"{piece} {END} " for piece in pieces])
    text = _normalize(text, [name for name in options.clean if name != "html"], options)
    text = text.replace("\u2019", "'").replace("n't", " n't")
    # on ASCII text the ASCII pattern finds the same words in half the time
    return (_WORDS_ASCII if text.isascii() else _WORDS).findall(text)


def _character_pieces(texts: list[str], options: TextOptions) -> list[str]:
    clean = [_normalize(text.replace(END, " "), options.clean, options) for text in texts]
    return list("".join([_BLANKS.sub(" ", text.strip()) + END for text in clean]))


def _normalize(text: str, clean: Sequence[str], options: TextOptions) -> str:
    """Return the text cleaned, lower-cased if the options say so, in Unicode's composed form (NFC)."""
    for name, replace in CLEANINGS.items():
        if name in clean:
            text = replace(text)
    if options.lowercase:
        text = text.lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


TOKENIZERS: dict[str, Tokenizer] = {
    "word": Tokenizer(_word_pieces, _words),
    "char": Tokenizer(
        _character_pieces, lambda pieces, _options: [token for piece in pieces for token in (piece, END)]
    ),
}

# Each pattern takes linear time on any text: no characters are scanned again from a later start.
_TAG = re.compile(r"<!--(?:(?!<!--).)*?-->|</?[a-zA-Z][^<>]*>", re.DOTALL)

_ENDLESS_ENTITY = re.compile(r"&#[0-9]{99,}")  # not a character, and html.unescape fails at thousands of digits

_URL = re.compile(rf"(?:https?://|\bwww\.)[^\s{_CJK}]+", re.IGNORECASE)

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+\b", re.ASCII)

_ACCENTS = re.compile("[\u0300-\u036f]+")  # of Latin, Greek and Cyrillic; in other scripts marks are letters

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
