"""YAML as configs use it: plain values, their locations, and what is refused."""

import re
from math import inf
from pathlib import Path

import pytest

from textclf.config.yaml_source import read_yaml
from textclf.errors import UserError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def value(text: str) -> object:
    """Return the value that a scalar is read as."""
    Path("c.yaml").write_text(f"key: {text}\n", encoding="utf-8")
    return read_yaml(Path("c.yaml")).values["key"]


def refusal(content: str | bytes) -> str:
    Path("c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as refused:
        read_yaml(Path("c.yaml"))
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 1e-3), ("1E3", 1e3), ("1.", 1.0), (".5", 0.5), ("-0.5e+2", -50.0), ("007", 7), ("+3", 3), (".inf", inf)],
)
def test_a_number_is_a_number(text: str, number: float) -> None:
    assert (value(text), type(value(text))) == (number, type(number))


@pytest.mark.parametrize(
    "text",
    ["yes", "no", "on", "off", "Yes", "NO", "y", "nUll", "None", "NA", "nan", "inf", "tRUE", "2024-01-01", "1:30",
     "0x10", "0o7", "1_000", "1e", "e3", "1.2.3", "=", "a b", "é", "."],
)  # fmt: skip
def test_what_looks_like_something_else_is_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("", None), ("~", None), ("null", None), ("NULL", None), ("true", True), ("False", False), ("'true'", "true")],
)
def test_null_true_and_false_are_words_of_their_own(text: str, meaning: object) -> None:
    assert (value(text), type(value(text))) == (meaning, type(meaning))


def test_every_key_and_item_has_its_location() -> None:
    Path("c.yaml").write_text("# a comment\ndata:\n  train: [a,\n    b]\nmodel: {units: 3}\n")
    source = read_yaml(Path("c.yaml"), ["model.layers=2"])
    assert source.values == {"data": {"train": ["a", "b"]}, "model": {"units": 3, "layers": 2}}
    assert source.locations == {
        (): "c.yaml:2:1",
        ("data",): "c.yaml:2:1",
        ("data", "train"): "c.yaml:3:3",
        ("data", "train", "0"): "c.yaml:3:11",
        ("data", "train", "1"): "c.yaml:4:5",
        ("model",): "c.yaml:5:1",
        ("model", "units"): "c.yaml:5:9",
        ("model", "layers"): "--set model.layers=2",
    }


@pytest.mark.parametrize(("key", "location"), [(("a", "b"), "c.yaml:2:1"), (("c",), "c.yaml:2:1"), ((), "c.yaml:2:1")])
def test_a_missing_key_has_the_location_of_its_section(key: tuple[str, ...], location: str) -> None:
    Path("c.yaml").write_text("\na: {}\n")
    assert read_yaml(Path("c.yaml")).location(key) == location


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n", "---\n", "\ufeff", "null"])
def test_an_empty_file_has_no_keys(content: str) -> None:
    Path("c.yaml").write_text(content, encoding="utf-8")
    assert read_yaml(Path("c.yaml")).values == {}


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfa: {b: 1}\n", b"a: {b: 1}\r\n", b"a:\r\n  b: 1", b"---\na: {b: 1}\n"]
)
def test_byte_order_mark_line_ends_and_document_start_do_not_matter(content: bytes) -> None:
    Path("c.yaml").write_bytes(content)
    assert read_yaml(Path("c.yaml")).values == {"a": {"b": 1}}


REFUSED = {
    "a key that stands twice": ("a: 1\na: 2", "2:1: a: stands twice; the first is at c.yaml:1:1"),
    "a key that stands twice in a section": (
        "a:\n  b: 1\n  b: 1",
        "3:3: a.b: stands twice; the first is at c.yaml:2:3",
    ),
    "a list as key": ("[a]: 1", "1:1: a key should be a word"),
    "an alias": (
        "a: &x 1\nb: *x",
        "2:4: not YAML: aliases and tags have no use here; quote a text that begins with * or !",
    ),
    "a tag": ("a: !!int x", "1:4: not YAML: aliases and tags have no use here; quote a text that begins with * or !"),
    "a tag on a section": (
        "a: !b {c: 1}",
        "1:4: not YAML: aliases and tags have no use here; quote a text that begins with * or !",
    ),
    "a tab": (
        "a:\n\tb: 1",
        "2:1: not YAML: while scanning for the next token, found character '\\t' that cannot start any token",
    ),
    "a bracket that is never closed": (
        "a: [1,",
        "1:7: not YAML: while parsing a flow node, expected the node content, but found '<stream end>'",
    ),
    "wrong indentation": (
        "a:\n  b: 1\n c: 1",
        "3:2: not YAML: while parsing a block mapping, expected <block end>, but found '<block mapping start>'",
    ),
    "two documents": (
        "a: 1\n---\nb: 1",
        "2:1: not YAML: expected a single document in the stream, but found another document",
    ),
    "a control character": ("a: 1\nb: x\x00", "2:5: not YAML: a control character, U+0000"),
    "half a character": ('a: "\\uD83D"', "1:4: an escape that is no character; write the character itself"),
    "half a character in a key": ('"\\uD83D": 1', "1:1: an escape that is no character; write the character itself"),
    "a list": ("- a\n- b", '1:1: should hold sections with keys, found ["a", "b"]'),
    "a text": ("rows.csv", '1:1: should hold sections with keys, found "rows.csv"'),
    "many levels": ("[" * 100 + "]" * 100, "1:22: not a config: nested too deeply"),
    "bytes that are not UTF-8": (b"a: 1\nb: \xe9t\xe9\n", "2: byte 0xe9 is not UTF-8. Save the file as UTF-8."),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_config_is_refused_with_its_location(content: str | bytes, message: str) -> None:
    assert refusal(content) == f"c.yaml:{message}"


def test_levels_without_end_are_refused() -> None:
    assert refusal("[" * 1000) == "c.yaml: not a config: nested too deeply"


def test_a_folder_is_no_config() -> None:
    Path("runs").mkdir()
    with pytest.raises(UserError, match=re.escape("runs cannot be read: Is a directory.")):
        read_yaml(Path("runs"))
