"""Words in every script: a table of samples, combining marks, joiners and invisible characters."""

import json
import re
import sys
from pathlib import Path
from unicodedata import category, normalize

import pytest
from conftest import textclf
from scripts import SAMPLES, Sample, expected_tokens, tokens_of

from textclf.text.characters import HIGH_MARKS, INVISIBLE, JOINERS, MARKS, TAGS, ZERO_WIDTH_SPACE
from textclf.text.tokenizer import TextOptions, tokenize

CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1)]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.script}, {sample.language}")
def test_the_words_of_a_script_are_found(sample: Sample) -> None:
    assert tokens_of(sample) == expected_tokens(sample)


def test_there_are_thirty_scripts() -> None:
    assert len({sample.script for sample in SAMPLES}) >= 30


def test_every_mark_belongs_to_its_word_unless_it_is_invisible() -> None:
    marks = [character for character in CHARACTERS if category(character).startswith("M")]
    words = {mark: tokenize(f"x{mark}y", TextOptions()) for mark in marks}
    assert [
        mark for mark in marks if words[mark] != [normalize("NFC", f"x{mark}y")] and mark not in dropped(marks)
    ] == []
    assert all(words[mark] == ["xy"] for mark in dropped(marks))


def dropped(characters: list[str]) -> list[str]:
    return re.findall(f"[{INVISIBLE}]", "".join(characters))


def test_the_ranges_of_marks_hold_no_sign() -> None:
    of_marks = re.findall(f"[{MARKS}{HIGH_MARKS}]", "".join(CHARACTERS))
    assert {category(character)[0] for character in of_marks if category(character) != "Cn"} <= set("MLN")


def test_of_the_format_characters_only_those_that_are_seen_are_signs() -> None:
    formats = "".join(character for character in CHARACTERS if category(character) == "Cf")
    seen = re.sub(f"[{INVISIBLE}{JOINERS}{TAGS}{ZERO_WIDTH_SPACE}]", "", formats)
    arabic, egyptian = "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2", "\U00013430-\U0001343f"
    music_and_shorthand = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    assert re.sub(f"[{arabic}{egyptian}{music_and_shorthand}\ufff9-\ufffb\U000110bd\U000110cd]", "", seen) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("won\u2060der\ufeffful\u200e \u202bday\u202c", ["wonderful", "day"]),
        ("\u200d a\u200c", ["a\u200c"]),
        ("won\u200bder", ["won", "der"]),
        ("\U0001f44d\U0001f3fd", ["\U0001f44d", "\U0001f3fd"]),
        ("\U0001f469\U0001f3fd\u200d\U0001f4bb!", ["\U0001f469\U0001f3fd\u200d\U0001f4bb", "!"]),
        ("\U0001f3f4\U000e0067\U000e007f b\U000e0067", ["\U0001f3f4\U000e0067\U000e007f", "b"]),
        ("\u2764\ufe0fa", ["\u2764", "a"]),
        ("#\ufe0f\u20e3", ["#\u20e3"]),
        ("very\xa0good", ["very", "good"]),
    ],
)
def test_invisible_characters(text: str, words: list[str]) -> None:
    assert tokenize(text, TextOptions(clean=[])) == words


def test_characters_as_tokens_are_those_that_are_seen_and_joiners() -> None:
    assert tokenize("a\xad\u200bb\u200c\ufeff", TextOptions(tokenizer="char")) == ["a", " ", "b", "\u200c"]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.script}, {sample.language}")
def test_explain_shows_the_words_of_a_script(sample: Sample, reviews: Path) -> None:
    result = textclf("explain", sample.text, "--run", reviews, "--format", "jsonl")
    [explanation] = json.loads(result.stdout)["explanations"]
    assert [word["word"] for word in explanation["words"]] == expected_tokens(sample)


def test_entities_of_invisible_characters_are_these() -> None:
    for tokenizer in ("word", "char"):
        assert "".join(tokenize("a&shy;b&ZeroWidthSpace;c", TextOptions(tokenizer=tokenizer))) in ("abc", "ab c")
