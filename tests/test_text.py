"""Texts to token ids: tokens in many scripts, cleaning, vocabulary, truncation, padding."""

import random
import sys
import time
import unicodedata

import numpy as np
import pytest

from textclf.text.encoding import (
    PADDING,
    RESERVED,
    UNKNOWN,
    CachedTokenizer,
    WordEncoder,
    pad,
)
from textclf.text.pieces import Pieces
from textclf.text.tokenizer import _WORDS_ASCII, CLEANINGS, RULES, TextOptions, _words_pattern, tokenize
from textclf.text.vocabulary import WordCounts


def tokens(text: str, **options: object) -> list[str]:
    return tokenize(text, TextOptions(**options))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Well, I don't!!", ["well", ",", "i", "do", "n't", "!", "!"]),
        ("It\u2019s Ann's; they've 'gone'", ["it", "'s", "ann", "'s", ";", "they", "'ve", "'", "gone", "'"]),
        ("snake_case 3.14 b2b", ["snake_case", "3", ".", "14", "b2b"]),
        ("a\tb\nc\r\nd\x0be\x1cf\x85g\u2028h\u3000i\xa0j", list("abcdefghij")),
        ("Cafe\u0301 CAFÉ", ["café", "café"]),
        ("İstanbul", ["i\u0307stanbul"]),
        ("STRAẞE", ["straße"]),
        ("ΟΔΟΣ", ["οδος"]),
        ("ДА, Ёлка", ["да", ",", "ёлка"]),
        ("\u212bngström \u212a", ["ångström", "k"]),
        ("我爱Python3！", ["我", "爱", "python3", "！"]),
        ("東京タワーへ行く", list("東京タワーへ行く")),
        ("𠮷野家", list("𠮷野家")),
        ("か\u3099き", ["が", "き"]),
        ("ﾊﾛｰ", list("ﾊﾛｰ")),
        ("ㄅㄆ〇々", list("ㄅㄆ〇々")),
        ("한국어를 좋아해요", ["한국어를", "좋아해요"]),
        ("\u1112\u1161\u11ab국", ["한국"]),
        ("हिन्दी में।", ["हिन्दी", "में", "।"]),
        ("ที่ ดี", ["ที่", "ดี"]),
        ("مَرْحَبًا بك", ["مَرْحَبًا", "بك"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("good🙂🙂 👍🏽", ["good", "🙂", "🙂", "👍", "🏽"]),
        ("", []),
        (" \n\x85", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert tokens(text, clean=[]) == [unicodedata.normalize("NFC", word) for word in words]


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("Hi you", ["h", "i", " ", "y", "o", "u"]),
        ("  a \n\u3000 b\x85", ["a", " ", "b"]),
        ("我爱", ["我", "爱"]),
        ("e\u0301", ["é"]),
        ("🙂!", ["🙂", "!"]),
        (" \n", []),
    ],
)
def test_characters_as_tokens(text: str, characters: list[str]) -> None:
    assert tokens(text, tokenizer="char") == characters


def test_case_can_be_kept() -> None:
    assert tokens("Don't SHOUT, Ärger", lowercase=False) == ["Do", "n't", "SHOUT", ",", "Ärger"]


@pytest.mark.parametrize("rules", RULES)
def test_the_ascii_pattern_finds_the_words_of_the_general_pattern(rules: int) -> None:
    characters = [chr(code) for code in range(128)]
    texts = [a + b for a in characters for b in characters]
    texts += ["".join(random.Random(seed).choices(characters, k=200)) for seed in range(100)]
    pattern = _words_pattern(rules)
    assert [text for text in texts if _WORDS_ASCII.findall(text) != pattern.findall(text)] == []


CLEANED = {
    "tags": ("html", "<p class='a'>Good<br/>film</p>", ["good", "film"]),
    "comments": ("html", "a<!-- b\n<i> -->c", ["a", "c"]),
    "a comment that is never closed": ("html", "<!-- a", ["<", "!", "-", "-", "a"]),
    "entities": ("html", "R&amp;D &lt;b&gt; caf&eacute; &#39;", ["r", "&", "d", "<", "b", ">", "café", "'"]),
    "no entity": ("html", f"R&D &#{'9' * 5000};", ["r", "&", "d", "\ufffd"]),
    "no tags": ("html", "I <3 you, 1 < 2 > 0", ["i", "<", "3", "you", ",", "1", "<", "2", ">", "0"]),
    "entities without a semicolon": ("html", "caf&eacute &nbspa&#39s &amp b", ["café", "a", "'s", "&", "b"]),
    "width": ("nfkc", "ＡＢＣ１２３ ﾊﾞﾅﾅ ﾡ ㎏", ["abc123", "バ", "ナ", "ナ", "ᄀ", "kg"]),
    "addresses": ("url", "see HTTPS://a.org/b?c=1#d or www.e.de", ["see", "url", "or", "url"]),
    "addresses in Chinese": ("url", "看http://t.cn/a很好", ["看", "url", "很", "好"]),
    "no address": ("url", "awww.so http: //", ["awww", ".", "so", "http", ":", "/", "/"]),
    "mail": ("email", "to a.b+c@d-e.co.uk, now", ["to", "email", ",", "now"]),
    "mail in Chinese": ("email", "邮箱a@b.cn谢谢", ["邮", "箱", "email", "谢", "谢"]),
    "no mail": ("email", "a@b @c", ["a", "@", "b", "@", "c"]),
    "numbers": ("number", "3.14, 1,000 and 12:30 b2b ٣", ["0", ",", "0", "and", "0", "b", "0", "b", "0"]),
    "accents": ("accents", "Éclair İ ñ Ёж e\u0301", ["eclair", "i", "n", "еж", "e"]),
    "marks that are letters": ("accents", "が हिन्दी ที่ 한", ["が", "हिन्दी", "ที่", "한"]),
}


NOT_HTML = {
    "names of no element": "list < customer > < user > < jo @ b . de >",
    "words after the name of an element": "a < b and c > d < b x = 1 y > e",
    "parameters of an address": "? a = 1 & copy = 2 & region = 3 & notit ;",
}


@pytest.mark.parametrize("words", NOT_HTML.values(), ids=NOT_HTML)
def test_what_only_looks_like_html_keeps_its_words(words: str) -> None:
    for text in (words, words.replace("< ", "<").replace(" >", ">"), words.replace(" = ", "=").replace("& ", "&")):
        assert tokens(text) == words.split()


HTML = {
    "<a href=/x?a=b title='a > b' hidden>k</a ><td nowrap width=9%/>l": "k l",
    "<br/>a<BR />b<Br>c": "a b < br > c",
    "<!DOCTYPE html><!doctype>a": "a",
}


@pytest.mark.parametrize("text", HTML)
def test_elements_of_html_with_their_attributes_are_dropped(text: str) -> None:
    assert tokens(text) == HTML[text].split()


@pytest.mark.parametrize(("name", "text", "words"), CLEANED.values(), ids=CLEANED.keys())
def test_cleaning(name: str, text: str, words: list[str]) -> None:
    assert tokens(text, clean=[name]) == words


def test_texts_stay_as_they_are_without_a_cleaning() -> None:
    text = "<b>é</b> www.a.de a@b.de 3.14"
    assert "".join(tokens(text, clean=[])) == text.replace(" ", "")


def test_cleanings_run_in_one_order_whatever_the_config_says() -> None:
    text = "<a href='http://a.de/1'>mail a@b.de</a> &eacute; 7"
    names = ["html", *CLEANINGS]
    assert tokens(text, clean=names) == tokens(text, clean=names[::-1]) == ["mail", "email", "e", "0"]


LINEAR = {
    "html": [
        "<!--",
        "<a",
        "<!-- -->",
        "<!doctype ",
        "<a x='",
        '<a x="" y=\'',
        "<a x = ",
        "<a hidden ",
        "<a ",
        "&a",
        "&#1",
    ],
    "nfkc": ["ﾊ\uff9e", "e\u0301"],
    "url": ["www.", "http://"],
    "email": ["a.", "a-", "a@", "a@b."],
    "number": ["1."],
    "accents": ["é"],
    "none": ["\xad", "\u200b", "\u200d", "e\u200d", "\U0001f469\u200d", "\U0001f3f4\U000e0067", "\U000e0067", "\u0301"],
}


@pytest.mark.parametrize(("name", "piece"), [(name, piece) for name, pieces in LINEAR.items() for piece in pieces])
def test_cleaning_takes_linear_time(name: str, piece: str) -> None:
    short, long = [], []
    for _ in range(20):  # the fastest of each counts: other work on the machine makes single ones slower
        short.append(seconds(piece * 1_000, name))
        long.append(seconds(piece * 8_000, name))
        if min(long) < 16 * min(short):  # linear time grows to the 8-fold, quadratic to the 64-fold
            return
    pytest.fail(f"{min(short)} s for 1,000 pieces and {min(long)} s for 8,000")


def seconds(text: str, cleaning: str) -> float:
    """Return the processor time of tokenizing a text, which does not depend on what else the machine does."""
    start = time.process_time()
    tokens(text, clean=[] if cleaning == "none" else [cleaning])
    return time.process_time() - start


# Vocabulary


def build_vocabulary(texts: list[str], options: TextOptions) -> list[str]:
    words = WordCounts(options)
    counts = np.bincount(words.tokenize(texts).flat)
    return words.most_frequent(counts, min_count=options.min_count, limit=options.vocab_size - RESERVED)


def test_a_vocabulary_is_ordered_by_frequency_then_by_alphabet() -> None:
    texts = ["b a c", "c B", "c d a"]
    assert build_vocabulary(texts, TextOptions()) == ["c", "a", "b", "d"]


@pytest.mark.parametrize(
    ("options", "vocabulary"),
    [
        ({"vocab_size": 3}, ["c"]),
        ({"vocab_size": 5}, ["c", "a", "b"]),
        ({"min_count": 2}, ["c", "a", "b"]),
        ({"min_count": 3}, ["c"]),
        ({"min_count": 4}, []),
        ({"min_count": 2, "vocab_size": 4}, ["c", "a"]),
        ({"tokenizer": "char", "vocab_size": 4}, [" ", "c"]),
    ],
)
def test_a_vocabulary_is_limited_by_size_and_count(options: dict[str, object], vocabulary: list[str]) -> None:
    assert build_vocabulary(["b a c", "c b", "c d a"], TextOptions(**options)) == vocabulary


def test_a_vocabulary_counts_tokens_beyond_max_length() -> None:
    assert build_vocabulary(["a b c"], TextOptions(max_length=1)) == ["a", "b", "c"]


def test_words_are_counted_in_bounded_memory() -> None:
    texts = [f"often often seldom{row // 10} once{row}" for row in range(200)]
    words = WordCounts(TextOptions(vocab_size=3), max_words=50)
    flat = np.concatenate([words.tokenize([text]).flat for text in texts])
    assert words.words.next_id > 200
    assert len(words.words) <= 50
    assert words.most_frequent(np.bincount(flat, minlength=words.words.next_id), min_count=1, limit=1) == ["often"]
    assert np.bincount(words.token_ids(["often"])[flat]).tolist() == [0, 400, 400]


# Token ids


def split_all_in_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split even short texts, and those of any script, as long ones are split."""
    monkeypatch.setattr("textclf.text.pieces.FEW_CHARACTERS", 0)
    monkeypatch.setattr("textclf.text.pieces.MANY_CHARACTERS", 10**8)
    monkeypatch.setattr("textclf.text.pieces.MANY_BYTES", 10**8)


@pytest.mark.parametrize("in_numpy", [False, True], ids=["python", "numpy"])
@pytest.mark.parametrize("options", [{}, {"tokenizer": "char"}, {"clean": ["html", *CLEANINGS]}, {"rules": 1}], ids=str)
def test_texts_have_the_same_tokens_alone_and_together(
    options: dict[str, object], in_numpy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if in_numpy:
        split_all_in_numpy(monkeypatch)
    draw = random.Random(7)
    alphabet = [
        *"aB \t\n\0.'\u2019\u03a3\u0301\u2028\x1c",
        "n't",
        "www.a.b",
        "a@b.c",
        "1,0",
        "<b>",
        "&amp;",
        "\u9152",
        "é",
    ]
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(30))) for _ in range(2000)]
    text_options = TextOptions(**options)
    counts = WordCounts(text_options)
    together = counts.tokenize(texts)
    word = {word_id: word for word, word_id in counts.words.items()}
    rows = np.split([word[word_id] for word_id in together.flat], np.cumsum(together.counts)[:-1])
    assert [row.tolist() for row in rows] == [tokenize(text, text_options) for text in texts]


def test_a_tokenizer_with_a_full_cache_gives_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"a{row} b{row // 2}, c" for row in range(100)]
    words = {f"{letter}{row}": row for row in range(100) for letter in "ab"}
    expected = CachedTokenizer(lambda word: words.get(word, 0), TextOptions()).tokenize(texts).flat.tolist()
    monkeypatch.setattr("textclf.text.encoding.MAX_PIECES", 10)
    tokenizer = CachedTokenizer(lambda word: words.get(word, 0), TextOptions())
    assert [token for text in texts for token in tokenizer.tokenize([text]).flat.tolist()] == expected


def check_pieces(pieces: Pieces, text: str) -> None:
    ids = pieces.split(text).tolist()
    distinct = list(pieces.ids)
    assert [distinct[index] for index in ids] == text.split()


def test_long_texts_are_split_where_python_splits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    split_all_in_numpy(monkeypatch)
    characters = list(map(chr, range(sys.maxunicode + 1)))  # lone surrogates too
    check_pieces(Pieces(), "".join([f"a{character}b" for character in characters]))
    check_pieces(Pieces(), "".join([f"{character} " for character in characters]))
    for text in ("", " ", "\u2003", "a", "\u3000a\u3000", "\u00a0\x85\u1680a b\x1f"):
        check_pieces(Pieces(), text)


@pytest.mark.parametrize("many_missing", [0, 0.25, 1])
@pytest.mark.parametrize("slot_bits", [1, 8, 17])
def test_pieces_keep_their_ids_however_many_want_the_same_slot(
    slot_bits: int, many_missing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    split_all_in_numpy(monkeypatch)
    monkeypatch.setattr("textclf.text.pieces.MANY_MISSING", many_missing)
    monkeypatch.setattr("textclf.text.pieces.SLOT_BITS", slot_bits)
    draw, pieces = random.Random(3), Pieces()
    words = ["".join(draw.choices("ab\0é\u9152\U0001f600", k=draw.randrange(1, 20))) for _ in range(2000)]
    for _ in range(5):
        check_pieces(pieces, " ".join(draw.choices(words, k=3000)))
    assert list(pieces.ids.values()) == list(range(len(pieces.ids)))


def test_ids_follow_the_vocabulary_after_the_reserved_ones() -> None:
    ids = WordEncoder(["b", "a"], TextOptions()).encode(["a b", "B x a", "b"])
    assert (PADDING, UNKNOWN, RESERVED) == (0, 1, 2)
    assert (ids.flat.tolist(), ids.lengths.tolist(), ids.starts.tolist()) == (
        [3, 2, 2, 1, 3, 2],
        [2, 3, 1],
        [0, 2, 5],
    )
    assert [ids.row(index).tolist() for index in range(len(ids))] == [[3, 2], [2, 1, 3], [2]]
    assert (ids.flat.dtype, ids.lengths.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("tokenizer_name", ["word", "char"])
@pytest.mark.parametrize("text", ["", " ", "\n\x85\u2028", "<br>", "<!---->"])
def test_a_text_without_a_token_is_one_unknown_id(text: str, tokenizer_name: str) -> None:
    ids = WordEncoder(["a"], TextOptions(tokenizer=tokenizer_name)).encode([text])
    assert (ids.flat.tolist(), ids.lengths.tolist(), ids.token_counts.tolist()) == ([UNKNOWN], [1], [0])


def test_no_texts_give_no_rows() -> None:
    ids = WordEncoder(["a"], TextOptions()).encode([])
    assert (len(ids), ids.flat.tolist(), ids.starts.tolist()) == (0, [], [])


@pytest.mark.parametrize(
    ("truncate", "length", "ids", "lengths"),
    [
        ("start", 2, [3, 4, 2], [2, 1]),
        ("end", 2, [2, 3, 2], [2, 1]),
        ("start", 3, [2, 3, 4, 2], [3, 1]),
        ("end", 1, [2, 2], [1, 1]),
        ("start", 1, [4, 2], [1, 1]),
    ],
)
def test_a_longer_text_is_cut_at_the_chosen_end(truncate: str, length: int, ids: list[int], lengths: list[int]) -> None:
    options = TextOptions(truncate=truncate, max_length=length)
    encoded = WordEncoder(["a", "b", "c"], options).encode(["a b c", "a"])
    assert (encoded.flat.tolist(), encoded.lengths.tolist(), encoded.token_counts.tolist()) == (ids, lengths, [3, 1])


def test_rows_are_padded_at_their_end() -> None:
    ids = WordEncoder(["a", "b"], TextOptions()).encode(["a b", "", "b a a"])
    order = np.array([2, 0, 1])
    assert pad(ids.flat, ids.starts[order], ids.lengths[order]).tolist() == [[3, 2, 2], [2, 3, 0], [1, 0, 0]]


def test_padding_no_rows_gives_no_rows() -> None:
    nothing = np.zeros(0, np.int64)
    assert pad(np.zeros(0, np.int32), nothing, nothing).shape == (0, 1)
