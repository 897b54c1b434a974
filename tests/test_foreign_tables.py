"""Tables as other programs write them: separators, quotes, lists of labels, and values that are no text."""

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from conftest import textclf

from textclf.data.readers import read_columns

TEXT_AND_LABEL = [("data.text", "text"), ("data.label", "label")]
LINES = [(f"the {word} number {row} was here", "yes" if row % 2 else "no") for row, word in enumerate(["app"] * 40)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(name: str, content: str) -> list[tuple[str, ...]]:
    """Write a file and return text and label of each row."""
    Path(name).write_bytes(content.encode())
    return list(read_columns(Path(name), TEXT_AND_LABEL))


def write_config(name: str, *settings: str) -> None:
    Path("c.yaml").write_text(f"data: {{{', '.join([f'train: {name}', *settings])}}}\n")


def check(name: str, *settings: str) -> tuple[int, dict[str, int], str]:
    """Return the rows, the labels and stderr of `check` with a file."""
    write_config(name, *settings)
    result = textclf("check", "c.yaml", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    return document["rows"]["train"] + document["rows"]["validation"], document["labels"], result.stderr


def refusal(name: str, *settings: str) -> str:
    """Return stderr of a `check` that refuses a file."""
    write_config(name, *settings)
    result = textclf("check", "c.yaml")
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def table(separator: str, rows: Sequence[tuple[str, str]] = LINES, *, end: str = "\r\n") -> str:
    return "".join(f"{text}{separator}{label}{end}" for text, label in [("text", "label"), *rows])


# Separators


@pytest.mark.parametrize(
    ("name", "content", "separated"),
    [
        ("semicolons.csv", "\ufeff" + table(";"), "semicolons"),
        ("tabs.csv", table("\t"), "tabs"),
        ("excel.csv", "sep=;\r\n" + table(";"), "semicolons"),
        ("other.csv", '"sep=^"\n' + table("^"), "'^'"),
        ("commas.tsv", table(","), "commas"),
    ],
)
def test_the_first_line_says_how_fields_are_separated(name: str, content: str, separated: str) -> None:
    Path(name).write_bytes(content.replace("here", "here" if "commas" in separated else "here, 1,5 EUR").encode())
    message = f"{name}: its fields are separated by {separated}, as its first line says\n"
    assert check(name) == (40, {"no": 18, "yes": 18}, message)
    result = textclf("init", name, "--output", "-")
    assert (result.exit_code, result.stderr.startswith(message), "label: label" in result.stdout) == (0, True, True)


def test_a_line_of_excel_counts_as_a_line() -> None:
    Path("excel.csv").write_text("sep=;\ntext;label\na;b;c\n")
    assert refusal("excel.csv") == (
        "excel.csv: its fields are separated by semicolons, as its first line says\n"
        "excel.csv:3: the header has 2 fields, this row 3. Put a text that holds ';' in double quotes.\n"
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_line_of_excel_that_the_header_contradicts_is_named(name: str, reviews: Path) -> None:
    Path(name).write_text("sep=;\n" + table(","))
    message = (
        f"{name}:1: this line says that fields are separated by semicolons, and the header has commas: text,label. "
        "Drop the line, or correct it.\n"
    )
    assert refusal(name) == f"c.yaml:1:8: data.train: {message}"
    for command in (("init", name), ("predict", name, "--run", reviews), ("evaluate", name, "--run", reviews)):
        result = textclf(*command)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


def test_a_line_of_excel_may_stand_above_one_column(reviews: Path) -> None:
    Path("one.csv").write_text("sep=;\ntext\ngood, and bad\n")
    assert textclf("predict", "one.csv", "--run", reviews).stdout.count("\n") == 1


def test_a_comma_in_the_header_outside_quotes_decides() -> None:
    assert read("a.csv", "text,label,a;b;c;d\nx,y,z\n") == [("x", "y")]
    assert read("a.csv", '"a, b";text;label\nx;y;z\n') == [("y", "z")]


SPACED = {
    "each name follows a blank": "text, label\na,x\nb, y\n",
    "quoted": '"text", "label"\n"a", "x"\n"b", "y"\n',
    "only rows are quoted": 'label,text\nx, "a"\ny, "b"\n',
    "a comma in the text": 'label, text\nx, "a"\ny,"b"\n',
}


@pytest.mark.parametrize("content", SPACED.values(), ids=SPACED.keys())
def test_blanks_after_the_separator_may_be_no_part_of_a_field(content: str) -> None:
    assert read("rows.csv", content) == [("a", "x"), ("b", "y")]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ('"text", "label"', '"{text}", "{label}"'),
        ("label, text", '{label}, "{text}, really"'),
        ("text, label", "{text}, {label}"),
    ],
)
def test_blanks_after_the_separator_are_no_part_of_names_and_labels(header: str, row: str) -> None:
    Path("rows.csv").write_text("\n".join([header, *(row.format(text=text, label=label) for text, label in LINES)]))
    assert check("rows.csv") == (40, {"no": 18, "yes": 18}, "")
    settings = textclf("init", "rows.csv", "--output", "-").stdout
    assert ("  text: text  " in settings, "  label: label  " in settings) == (True, True)


def test_a_quoted_text_after_a_blank_may_hold_a_comma() -> None:
    assert read("rows.csv", 'label, text\nx, "a, really"\n') == [("a, really", "x")]


@pytest.mark.parametrize("text", [" a", ' a "b"', '  "a" b'])
def test_a_blank_before_a_text_stays_where_nothing_says_that_it_is_no_part_of_it(text: str) -> None:
    assert read("rows.csv", f"label,text\nx,{text}\n") == [(text, "x")]


# Quotes


@pytest.mark.parametrize(
    "text",
    ['a 5" screen', '"never closed', '"Great" said my aunt', 'he said "no"', '"', '"a" and "b"', '"""', 'a"'],
)
def test_a_quote_in_a_tsv_is_a_letter(text: str) -> None:
    rows = [LINES[0], (text, "yes"), *LINES[2:], ('and he said so"', "yes")]
    assert read("rows.tsv", table("\t", rows)) == rows
    assert check("rows.tsv")[0] == 41


def test_quotes_around_a_whole_field_of_a_tsv_are_those_of_a_writer() -> None:
    content = 'text\tlabel\n"say ""hi"""\tx\n"a\tb"\ty\n"two\n""lines"""\tz\n""\tw\n'
    assert read("rows.tsv", content) == [('say "hi"', "x"), ("a\tb", "y"), ('two\n"lines"', "z"), ("", "w")]


def test_a_text_of_lines_with_tabs_is_told_in_a_tsv_and_read_where_the_header_is_quoted() -> None:
    text = "one\ttwo\nthree"
    content = table("\t", [*LINES, (f'"{text}"', "yes")], end="\n")
    Path("rows.tsv").write_text(content)
    assert check("rows.tsv")[2].splitlines()[0] == (
        "warning: rows.tsv: rows that could be one quoted text of several lines: 1, the first in line 42. "
        "If they are, quote the names in the header too"
    )
    rows = [*LINES, (text, "yes")]
    assert read("rows.tsv", content.replace("text\tlabel", '"text"\t"label"', 1)) == rows
    rows = [*LINES, ('"I came', "yes"), ('I saw"', "no")]
    assert read("rows.tsv", table("\t", rows)) == rows
    assert check("rows.tsv")[2] == ""


def test_predict_tells_of_texts_of_several_lines_in_a_tsv_of_one_column(reviews: Path) -> None:
    content = 'text\ngood\n"bad\nand slow\nand dear"\nfine\n'
    Path("rows.tsv").write_text(content)
    result = textclf("predict", "rows.tsv", "--run", reviews)
    assert (result.stdout.count("\n"), result.stderr) == (
        5,
        "warning: rows.tsv: rows that could be one quoted text of several lines: 1, the first in line 3. "
        "If they are, quote the names in the header too\n",
    )
    Path("rows.tsv").write_text(content.replace("text", '"text"').replace('"dear', "dear"))
    result = textclf("predict", "rows.tsv", "--run", reviews)
    assert (result.stdout.count("\n"), result.stderr) == (3, "")


def test_a_carriage_return_in_a_row_with_a_quote_after_a_blank_is_refused() -> None:
    Path("rows.csv").write_bytes(b'text,label\na\r, "b"\n')
    assert refusal("rows.csv") == (
        "rows.csv:2: a carriage return outside double quotes. "
        "Quote the field, or save the file with LF or CRLF line ends.\n"
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_a_stray_quote_that_joins_rows_is_refused(name: str) -> None:
    separator = "," if name == "rows.csv" else "\t"
    lines = table(separator, end="\n").split("\n")
    lines[6], lines[16] = f'"I told them{separator}yes', f'and he said so"{separator}yes'
    if separator == "\t":
        lines[6] = '"I told them'  # with a label it is a row
    Path(name).write_text("\n".join(lines))
    assert refusal(name) == (
        f"{name}:7: a double quote is opened here and closed in line 17, and each of these lines looks like a row. "
        "Double a quote that means itself; if this is one text, save the file as .jsonl.\n"
    )
    result = textclf("init", name)
    assert (result.exit_code, result.stderr) == (1, refusal(name))


def test_predict_refuses_a_stray_quote_too(reviews: Path) -> None:
    lines = table(",", end="\n").split("\n")
    lines[6], lines[8] = '"I told them,yes', 'and he said so",yes'
    Path("rows.csv").write_text("\n".join(lines))
    result = textclf("predict", "rows.csv", "--run", reviews)
    assert (result.exit_code, result.stderr) == (1, refusal("rows.csv"))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
def test_the_header_of_a_file_that_was_joined_to_another_is_told(name: str, mark: str) -> None:
    content = table("," if name == "rows.csv" else "\t", end="\n")
    Path(name).write_text(f"{mark}{content}{mark}{content}")
    assert check(name)[0] == 2 * len(LINES) + 1
    assert check(name)[2].splitlines()[0] == (
        f"warning: {name}: rows that repeat the header: 1, the first in line {len(LINES) + 2}. They are read as rows. "
        "If files were joined into this one, drop the headers of all but the first"
    )


def test_a_row_of_one_column_that_is_the_name_of_the_column_is_a_row(reviews: Path) -> None:
    Path("rows.csv").write_text("text\ngood\ntext\n")
    result = textclf("predict", "rows.csv", "--run", reviews)
    assert (result.stdout.count("\n"), result.stderr) == (2, "")


def test_lines_that_may_be_rows_are_counted() -> None:
    texts = [("first line,with a comma\nand,another\nend", "yes")] * 3
    content = table(",", [(f'"{text}"', label) for text, label in texts] + LINES, end="\n")
    assert read("rows.csv", content) == [*texts, *LINES]
    assert check("rows.csv")[2] == (
        "warning: rows.csv: quoted texts with lines that could be rows: 3, the first in line 2. If a stray quote "
        "joined rows there, double it to mean itself\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "I came, I saw,\nI won",
        "Roses are red,\nviolets are blue,\nsugar is sweet,\nand so are you.",
        "here is my table:\nid,name\n1,Bo, no\n2,Al",
        "one\n\ntwo",
        "yes\nno",
        "\n",
    ],
)
@pytest.mark.parametrize("order", ["text first", "label first"])
def test_a_text_of_several_lines_is_a_text(text: str, order: str) -> None:
    rows = [*LINES, (text, "yes")]
    fields = [("text", "label"), *((f'"{row[0]}"', row[1]) for row in rows)]
    content = "".join(",".join(row if order == "text first" else row[::-1]) + "\n" for row in fields)
    assert read("rows.csv", content) == rows
    assert check("rows.csv")[2] == ""


# JSON


@pytest.mark.parametrize("name", ["rows.json", "rows.ndjson", "rows.jsonl"])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_may_be_one_list(name: str, indent: int | None) -> None:
    rows = [{"text": text, "label": label} for text, label in LINES]
    Path(name).write_text("\n " + json.dumps(rows, indent=indent) + "\n")
    assert check(name) == (40, {"no": 18, "yes": 18}, "")


def test_a_long_list_is_read_in_pieces() -> None:
    rows = [("é" * 50_000 + str(row), "yes") for row in range(8)]
    content = json.dumps([{"text": text, "label": label} for text, label in rows], ensure_ascii=False)
    assert read("rows.json", content) == rows


LISTS = {
    "an item that is no object": ('["a"]', 'rows.json: row 0: found "a", need an object such as {"text": ...}.'),
    "no comma": (
        '[{"text": "a", "label": "b"} {}]',
        "rows.json: not JSON: found { where ',' should follow. Write it again.",
    ),
    "no end": ('[{"text": "a", "label": "b"}', "rows.json: not JSON: it ends where ',' should follow. Write it again."),
    "cut short": ('[{"text": "a', "rows.json: row 0: not JSON: Unterminated string starting at. Write it again."),
    "a bad value": ('[{"text": a, "label": ""}]', "rows.json: row 0: not JSON: Expecting value. Write it again."),
    "more behind it": (
        '[{"text": "a", "label": "b"}]{}',
        "rows.json: more text behind the list. Put all objects into one list, or one on each line.",
    ),
    "a key twice": ('[{"a": 1, "a": 2}]', "rows.json: row 0: the key 'a' stands twice. Drop one."),
    "nothing in it": ("[]", "rows.json is empty. It needs a JSON object per line."),
}


@pytest.mark.parametrize(("content", "message"), LISTS.values(), ids=LISTS.keys())
def test_a_damaged_list_is_refused(content: str, message: str) -> None:
    Path("rows.json").write_text(content)
    assert refusal("rows.json").removeprefix("c.yaml:1:8: data.train: ") == message + "\n"


@pytest.mark.parametrize("constant", ["NaN", "null"])
def test_a_missing_label_in_json_is_refused(constant: str) -> None:
    Path("rows.jsonl").write_text(f'{{"text": "a", "label": {constant}}}\n')
    assert refusal("rows.jsonl") == "rows.jsonl: row 0 has no label (rows count from 0). Add it or drop the row.\n"


# Lists of labels


def lists(rows: Sequence[object]) -> list[dict[str, object]]:
    return [{"text": text, "label": label} for (text, _), label in zip(LINES, rows, strict=True)]


def write(name: str, rows: list[dict[str, object]]) -> None:
    if name.endswith(".parquet"):
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), name)
    else:
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


SEVERAL: list[list[str]] = [["a"], ["b", "new"], [], ["a", "b"]] * 10


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_list_of_one_label_is_a_label(name: str) -> None:
    write(name, lists([[label] for _, label in LINES]))
    assert check(name) == (40, {"no": 18, "yes": 18}, "")
    settings = textclf("init", name, "--output", "-").stdout
    assert ("label: label" in settings, "label_separator" in settings) == (True, False)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_list_of_labels_is_several_labels(name: str) -> None:
    write(name, lists(SEVERAL))
    rows, labels, stderr = check(name, 'label_separator: "|"')
    assert (rows, list(labels), stderr) == (40, ["a", "b", "new"], "")
    where = "rows.jsonl:2:" if name == "rows.jsonl" else "rows.parquet: row 1,"
    assert refusal(name) == f"{where} 'label': 2 labels: b, new. Set data.label_separator, such as \"|\".\n"
    settings = textclf("init", name, "--output", "-").stdout
    assert 'label_separator: "|"' in settings or "label_separator: '|'" in settings


def test_a_label_that_holds_the_separator_is_refused() -> None:
    write("rows.jsonl", lists([["a|b"], *SEVERAL[1:]]))
    assert refusal("rows.jsonl", 'label_separator: "|"') == (
        "rows.jsonl:1: 'label': the label 'a|b' holds the separator '|', which would split it. "
        "Set another data.label_separator.\n"
    )
    assert "label_separator: ;" in textclf("init", "rows.jsonl", "--output", "-").stdout


def test_an_object_of_zeros_and_ones_is_labels() -> None:
    write("rows.jsonl", lists([{"yes": float(label == "yes"), "no": float(label == "no")} for _, label in LINES]))
    assert check("rows.jsonl") == (40, {"no": 18, "yes": 18}, "")
    write("rows.jsonl", lists([{"yes": 0.7}] * 40))
    assert refusal("rows.jsonl") == "rows.jsonl:1: 'label': found dict {'yes': '0.7'}, need text.\n"


# Parquet


PARQUET = {
    "decimals": pyarrow.array([Decimal("1.50"), Decimal("1E+2"), None], pyarrow.decimal128(5, 2)),
    "bytes": pyarrow.array([b"1.50", b"100.00", None]),
    "dictionary": pyarrow.array(["1.50", "100.00", None]).dictionary_encode(),
    "NaN": pyarrow.array(["1.50", "100.00", ""]),
}


@pytest.mark.parametrize("values", PARQUET.values(), ids=PARQUET.keys())
def test_values_of_parquet_are_text(values: pyarrow.Array) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": values, "label": ["x", "y", "z"]}), "rows.parquet")
    assert list(read_columns(Path("rows.parquet"), TEXT_AND_LABEL)) == [("1.50", "x"), ("100.00", "y"), ("", "z")]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([True, False], {"false": 18, "true": 18}),
        ([1, 0], {"0": 18, "1": 18}),
        ([Decimal(1), Decimal(0)], {"0": 18, "1": 18}),
        ([b"yes", b"no"], {"no": 18, "yes": 18}),
        ([np.float16(0.1), np.float16(1)], {"0.1": 18, "1.0": 18}),
        ([np.float32(0.1), np.float32(1)], {"0.1": 18, "1.0": 18}),
    ],
)
def test_labels_of_parquet_may_have_any_type(values: list[object], labels: dict[str, int]) -> None:
    texts = [text for text, _ in LINES]
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": values * 20}), "rows.parquet")
    assert check("rows.parquet") == (40, labels, "")
    assert "label: label" in textclf("init", "rows.parquet", "--output", "-").stdout


def test_missing_labels_in_parquet_are_refused() -> None:
    for values in ([1, None], [1.0, float("nan")], [True, None]):
        pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": values}), "rows.parquet")
        message = "rows.parquet: row 1 has no label (rows count from 0). Add it or drop the row.\n"
        assert refusal("rows.parquet") == message


def test_bytes_that_are_no_text_are_refused() -> None:
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": [b"x", b"\xff"]}), "rows.parquet")
    assert refusal("rows.parquet") == "rows.parquet: row 1, 'label': byte 0xff is not UTF-8. Save it as text.\n"


# Names of columns


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet"])
def test_a_column_is_found_in_another_unicode_form(name: str) -> None:
    rows: list[dict[str, object]] = [{"re\u0301ponse": text, "label": label} for text, label in LINES]
    if name == "rows.csv":
        Path(name).write_text(table(",").replace("text", "re\u0301ponse", 1))
    else:
        write(name, rows)
    assert check(name, "text: r\u00e9ponse") == (40, {"no": 18, "yes": 18}, "")
