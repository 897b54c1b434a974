"""Tokenization: texts to words or characters of any script, after cleaning."""

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from typing import Literal, NamedTuple

from textclf.options import option, options
from textclf.text.characters import (
    BLACK_FLAG,
    CJK,
    COMMON_MARKS,
    HIGH_MARKS,
    INVISIBLE,
    JOINERS,
    MARKS,
    REGIONAL_INDICATORS,
    SKIN_TONES,
    TAGS,
    ZERO_WIDTH_SPACE,
)
from textclf.text.markup import (
    decode_entities,
    decode_entities_by_rules_1,
    tag_pattern,
    tag_pattern_of_rules_1,
)

NEWEST_RULES = 2  # a key of RULES

TruncatedEnd = Literal["start", "end"]
"""The end of a long text that is cut off."""

WHOLE_TEXT = 100_000  # tokens, the most that are read of any text


@options
class TextOptions:
    """Options of the step from texts to token ids."""

    tokenizer: Literal["word", "char"] = option(
        default="word", help="what a token is; with word, each Chinese or Japanese character is a word of its own"
    )
    lowercase: bool = option(default=True, help="lower-case by Unicode's rules")
    clean: list[Literal["html", "nfkc", "url", "email", "number", "accents"]] = option(
        default=lambda: ["html"],
        help="html: drop tags, decode entities; nfkc: full-width, half-width and other compatibility forms as usual "
        "ones (Unicode's NFKC); url, email, number: replace each by one word; accents: drop them",
    )
    vocab_size: int = option(
        default=10000,
        help="number of token ids that the network knows: the most frequent tokens, padding and unknown",
        ge=3,
        le=10**7,
    )
    min_count: int = option(default=1, help="tokens that are rarer in the training rows become unknown", ge=1)
    max_length: int = option(default=100, help="tokens of a text that the network reads", ge=1, le=WHOLE_TEXT)
    truncate: TruncatedEnd = option(default="start", help="which end of a longer text the network does not read")
    rules: int = option(
        default=NEWEST_RULES,
        help="version of the rules that find words and tags; a model keeps its own",
        ge=1,
        le=NEWEST_RULES,
    )


def tokenize(text: str, options: TextOptions) -> list[str]:
    """Return the tokens of one text."""
    tokenizer = TOKENIZERS[options.tokenizer]
    pieces = tokenizer.split(tokenizer.join([text], options))[:-1]
    return [token for token in tokenizer.tokens(pieces, options) if token != END]


def join_tokens(tokens: Iterable[str], options: TextOptions) -> str:
    """Return a text with these tokens; as characters, blanks at the ends and repeated ones are lost."""
    if options.tokenizer == "word":
        return " ".join(tokens)
    text = "".join(tokens)
    # escaped, since the text "<b>" must not be read as a tag
    return html.escape(text, quote=False) if "html" in options.clean else text


# English contractions are split as in the texts that word vectors come from: "it isn't" is "it", "is", "n't".
_CONTRACTED = r"n't\b|'(?:s|m|d|re|ve|ll)\b"

_WORDS_ASCII = re.compile(rf"{_CONTRACTED}|\w+|[^\w\s\x1c-\x1f]", re.ASCII)  # under re.ASCII, \s lacks \x1c-\x1f

_BLANKS = re.compile(r"\s+")


END = "\0"  # marks the end of each text or piece; inside a text it counts as a blank


class Tokenizer(NamedTuple):
    """A tokenizer in three steps, so that a repeated piece of text is tokenized once.

    The word tokenizer joins the texts "isn't it" and "yes" into "isn't it \\0 yes \\0", splits that into the pieces
    ["isn't", "it", END, "yes", END], and these into the tokens ["is", "n't", END, "it", END, END, "yes", END, END].
    """

    join: Callable[[list[str], TextOptions], str]
    """(texts, options) -> one text of all, with END after each."""
    split: Callable[[str], list[str]]
    """joined texts -> pieces."""
    splits_at_blanks: bool
    """True if `split` is that of `str`."""
    tokens: Callable[[list[str], TextOptions], list[str]]
    """(pieces, options) -> tokens, with END after the tokens of each piece."""


def _join_words(texts: list[str], options: TextOptions) -> str:
    # A tag may contain blanks, and an entity may become one, so html is cleaned before splitting. The patterns of the
    # other cleanings contain no blanks, so they are applied to the pieces.
    texts = _without_html(texts, options)
    joined = f" {END} ".join([*texts, ""])
    if joined.count(END) > len(texts):
        joined = f" {END} ".join([*(text.replace(END, " ") for text in texts), ""])
    return joined


def _words(pieces: list[str], options: TextOptions) -> list[str]:
    text = _normalize("".join([f"{piece} {END} " for piece in pieces]), options)
    text = text.replace("\u2019", "'").replace("n't", " n't")
    # on ASCII text the ASCII pattern finds the same words in half the time
    return (_WORDS_ASCII if text.isascii() else _words_pattern(options.rules)).findall(text)


def _join_characters(texts: list[str], options: TextOptions) -> str:
    texts = _without_html([text.replace(END, " ") for text in texts], options)
    return "".join([_BLANKS.sub(" ", _normalize(text, options).strip()) + END for text in texts])


def _without_html(texts: list[str], options: TextOptions) -> list[str]:
    return [_drop_html(text, RULES[options.rules]) for text in texts] if "html" in options.clean else texts


def _drop_html(text: str, rules: "Rules") -> str:
    if "<" in text:
        text = rules.tag().sub(" ", text)
    return rules.decode_entities(text) if "&" in text else text


def clean_text(text: str, options: TextOptions) -> str:
    """Return a text with all cleanings of the options, and otherwise as it is: a pretrained encoder does the rest."""
    [text] = _without_html([text], options)
    return _clean(text, options)


def find_tags(text: str, options: TextOptions) -> list[str]:
    """Return the HTML tags that cleaning drops from a text."""
    return RULES[options.rules].tag().findall(text) if "<" in text and "html" in options.clean else []


def _normalize(text: str, options: TextOptions) -> str:
    """Return the text in Unicode's composed form (NFC), with all cleanings but html, and in lower case if set."""
    text = text if text.isascii() else RULES[options.rules].drop_invisible(text)
    text = _clean(text, options)
    if options.lowercase:
        text = text.lower()
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _clean(text: str, options: TextOptions) -> str:
    """Return the text with all cleanings but html."""
    for name, replace in CLEANINGS.items():
        if name in options.clean:
            text = replace(text)
    return text


TOKENIZERS: dict[str, Tokenizer] = {
    "word": Tokenizer(_join_words, str.split, splits_at_blanks=True, tokens=_words),
    "char": Tokenizer(
        _join_characters,
        list,
        splits_at_blanks=False,
        tokens=lambda pieces, _options: [token for piece in pieces for token in (piece, END)],
    ),
}

# Each pattern takes linear time on any text: no characters are scanned again from a later start.
_URL = re.compile(rf"(?i:https?://|\bwww\.)[^\s{CJK}]+")

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]+\b", re.ASCII)

_ACCENTS = re.compile("[\u0300-\u036f]+")  # of Latin, Greek and Cyrillic; in other scripts marks are letters

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")


def _drop_accents(text: str) -> str:
    if text.isascii():
        return text
    return _ACCENTS.sub("", unicodedata.normalize("NFD", text))


# All but html, which sees whole texts.
CLEANINGS: dict[str, Callable[[str], str]] = {
    "nfkc": lambda text: unicodedata.normalize("NFKC", text),
    "url": lambda text: _URL.sub(" url ", text),
    "email": lambda text: _EMAIL.sub(" email ", text),
    "number": lambda text: _NUMBER.sub(" 0 ", text),
    "accents": _drop_accents,
}

# Rules of words and tags


class Rules(NamedTuple):
    """A version of the rules that find words and tags."""

    tag: Callable[[], re.Pattern[str]]
    """() -> pattern of an HTML tag or comment."""
    decode_entities: Callable[[str], str]
    drop_invisible: Callable[[str], str]
    """(text that is not ASCII) -> the text without invisible characters."""
    words: str
    """Pattern of a word or sign in a text that is not ASCII."""


_INVISIBLE = re.compile(f"[{INVISIBLE}{TAGS}]+")

_INVISIBLE_BUT_OF_FLAGS = re.compile(rf"[{INVISIBLE}]+|(?<![{BLACK_FLAG}{TAGS}])[{TAGS}]+")


def _drop_invisible(text: str) -> str:
    text = text.replace(ZERO_WIDTH_SPACE, " ")
    # the first pattern takes a quarter of the time
    return (_INVISIBLE_BUT_OF_FLAGS if BLACK_FLAG in text else _INVISIBLE).sub("", text)


_LETTER = rf"[^\W{CJK}]"

# The lookahead spares other characters the comparison with each of the many ranges.
_HIGH_MARK = rf"(?=[\U00010000-\U0001ffff])[{HIGH_MARKS}]"

_SIGN = rf"[^\w\s{JOINERS}]"

# A word is letters, marks and, after the first of them, joiners. Everything else is a word of its own: an ideograph, a
# flag, a sign, or signs with joiners between, such as a family of emoji, each with its marks. So is a skin tone, which
# lets a thumb be known in every tone, unless it is among signs that are joined.
_WORDS = (
    rf"{_CONTRACTED}"
    rf"|[{CJK}][{COMMON_MARKS}]*+"
    rf"|(?:{_LETTER}++|[{MARKS}]|{_HIGH_MARK})(?:{_LETTER}++|[{MARKS}{JOINERS}]++|{_HIGH_MARK})*+"
    rf"|(?:[{REGIONAL_INDICATORS}]{{2}}|{_SIGN})[{COMMON_MARKS}{TAGS}]*+"
    rf"(?:(?:[{SKIN_TONES}]?\u200d{_SIGN}[{COMMON_MARKS}]*+)++[{SKIN_TONES}]?)?"
)

_MARKS_OF_RULES_1 = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0900-\u0963\u0966-\u096f\u0971-\u0dff\u0e31-\u0e3a\u0e47-\u0e4e"
    "\u0eb1-\u0ebc\u0ec8-\u0ece\u0f71-\u0f84\u102b-\u103e\u17b4-\u17d3"
)

_WORDS_OF_RULES_1 = rf"{_CONTRACTED}|[{CJK}]|(?:[^\W{CJK}]|[{_MARKS_OF_RULES_1}])+|[^\w\s]"

RULES: dict[int, Rules] = {
    1: Rules(tag_pattern_of_rules_1, decode_entities_by_rules_1, lambda text: text, _WORDS_OF_RULES_1),
    2: Rules(tag_pattern, decode_entities, _drop_invisible, _WORDS),
}


@cache
def _words_pattern(rules: int) -> re.Pattern[str]:
    """Return the pattern of words; compiling it takes milliseconds, which ASCII texts are spared."""
    return re.compile(RULES[rules].words)
