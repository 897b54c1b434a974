"""Output is safe to open in a spreadsheet, on a terminal and in a browser."""

import csv
import io
import json
import os
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, overrides, textclf

from textclf.io.sanitize import csv_lines, escape_formulas, printable, printable_json, unescape_formulas

ESCAPE = "\x1b[31m\x9b2J\u2028\u202e"
LABELS = ["=1+1", "'=1+1", "-1", f"<script>alert(1)</script>{ESCAPE}", "a\rb\n@x"]
COLUMN = '"><img src=x onerror=alert(1)>'
HIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose labels, texts, column and file names attack whoever opens them."""
    folder = tmp_path_factory.mktemp("hostile")
    data = folder / "<b>\x1b[31m.csv"
    rows = [
        [f"word{number} </title><a href='javascript:x' onclick=x>{ESCAPE} {row}", label, COLUMN]
        for row in range(12)
        for number, label in enumerate(LABELS)
    ]
    with data.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text", "label", COLUMN], *rows])
    config = folder / "c.yaml"
    config.write_text(
        json.dumps({"data": {"train": str(data), "validation_split": 0.5}, "report": {"slices": [COLUMN]}})
    )
    run = folder / "<i>\x1b[31mrun"
    result = textclf("train", config, "--run", run, *overrides(*SMALL, "training.epochs=1"))
    assert (result.exit_code, HIDDEN.findall(result.output)) == (0, [])
    return run


# Spreadsheets

CELLS = {
    "": "",
    "-1": "-1", "+1": "+1", "1e-3": "1e-3", "-0.5": "-0.5", "-.5E+3": "-.5E+3", "-": "-", "+": "+",
    "it's": "it's", "a=b": "a=b", "a;-1;b": "a;-1;b",
    "=1": "'=1", "+a": "'+a", "-a": "'-a", "@x": "'@x", "-1+1": "'-1+1",
    "\uff1d1": "'\uff1d1", "\uff20x": "'\uff20x",
    "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx", " =1": "' =1", "\ufeff=1": "'\ufeff=1", '"=1"': "'\"=1\"",
    "'=1": "''=1", "'x": "'x", "'": "'",
    "a;=1": "a;'=1", "a\n=1,@x": "a\n'=1,'@x",
}  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_formulas_in_cells_are_escaped_reversibly(cell: str) -> None:
    assert (escape_formulas(cell), unescape_formulas(CELLS[cell])) == (CELLS[cell], cell)


def test_random_tables_are_read_as_they_were_written() -> None:
    draw = random.Random(1)
    rows = [["".join(draw.choices("'=+-@\t\r\n\0 ;,\"1e.a\ufeff\uff1d", k=draw.randrange(9))) for _ in "ab"]
            for _ in range(5000)]  # fmt: skip
    read = csv.reader(io.StringIO("".join(csv_lines(rows)), newline=""))
    assert [list(map(unescape_formulas, row)) for row in read] == rows


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_predictions_csv_is_escaped_and_read_back_exactly(hostile: Path) -> None:
    header, *rows = table(hostile / "predictions.csv")
    assert header == ["row", "truth", "prediction", *map(escape_formulas, sorted(LABELS))]
    assert {row[1] for row in rows} == set(map(escape_formulas, LABELS))
    before = (hostile / "predictions.csv").read_bytes()
    metrics = json.loads((hostile / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["labels"]) == set(LABELS)
    compared = json.loads(textclf("compare", hostile, hostile, "--json").stdout)
    assert [run["metrics"] for run in compared["runs"].values()] == [metrics["metrics"]]
    assert (textclf("evaluate", "--run", hostile).exit_code, before) == (0, (hostile / "predictions.csv").read_bytes())


@pytest.mark.parametrize(("arguments", "written"), [((), escape_formulas), (("--raw",), str)])
def test_predict_escapes_csv_unless_raw(hostile: Path, arguments: tuple[str, ...], written: type[str]) -> None:
    result = textclf("predict", "--run", hostile, "-f", "csv", *arguments, stdin="word0\nword1\n")
    header, *rows = csv.reader(io.StringIO(result.stdout, newline=""))
    assert header == ["label", "probability", *map(written, sorted(LABELS))]
    best = [max(range(5), key=row[2:].__getitem__) for row in rows]
    assert [row[0] for row in rows] == [header[2:][index] for index in best]


def test_predict_escapes_tsv_unless_raw_and_never_jsonl(hostile: Path) -> None:
    def lines(*arguments: str) -> list[str]:
        return textclf("predict", "--run", hostile, *arguments, stdin="word0\nword1\nword2\n").stdout.split("\n")[:-1]

    labels = [json.loads(line)["label"] for line in lines("-f", "jsonl")]
    assert set(labels) <= set(LABELS)
    for arguments, written in (((), escape_formulas), (("--raw",), str)):
        shown = [" ".join(written(label).split()) if "\n" in label else written(label) for label in labels]
        assert [line.partition("\t")[0] for line in lines(*arguments)] == shown


# Terminals


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "{folder}/c.yaml"],
        ["check", "{run}"],
        ["evaluate", "--run", "{run}"],
        ["evaluate", "--run", "{run}", "--json"],
        ["compare", "{run}", "{run}"],
        ["compare", "{run}", "{run}", "--json"],
        ["explain", f"word3 {ESCAPE}", "--run", "{run}"],
        ["explain", "word3", "--run", "{run}", "--label", ESCAPE],
        ["report", "{run}"],
        ["init", "{data}", "--output", "-"],
        ["predict", f"no{ESCAPE}file", "--run", "{run}"],
        ["train", "{folder}/c.yaml", "--set", f"model.{ESCAPE}=1"],
        ["train", f"no{ESCAPE}\nfile.yaml"],
        [f"no{ESCAPE}command"],
        [f"--no{ESCAPE}option"],
        ["schema", f"more{ESCAPE}"],
        ["predict", "--format", ESCAPE],
    ],
    ids=lambda arguments: printable(" ".join(arguments)).replace("\ufffd", "?"),
)
def test_no_command_prints_a_control_character(hostile: Path, arguments: list[str]) -> None:
    paths = {"run": hostile, "folder": hostile.parent, "data": hostile.parent / "<b>\x1b[31m.csv"}
    result = textclf(*[argument.format(**paths) for argument in arguments])
    assert HIDDEN.findall(result.output) == []


def test_a_line_end_in_a_name_does_not_end_the_line(tmp_path: Path) -> None:
    result = textclf("train", tmp_path / "a\nwarning: forged")
    expected = f"no config '{tmp_path}/a\ufffdwarning: forged' (looked in {Path.cwd()}). "
    assert result.stderr == f"{expected}Write one for your table: textclf init DATA.csv\n"


def test_json_with_escapes_has_the_same_content() -> None:
    text = json.dumps([f"{ESCAPE}\x7f\U000e0041\u597d"], ensure_ascii=False)
    assert printable_json(text) == r'["\u001b[31m\u009b2J\u2028\u202e\u007f\udb40\udc41' + '\u597d"]'
    assert json.loads(printable_json(text)) == json.loads(text)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this kind")
@pytest.mark.parametrize("format", ["tsv", "csv", "jsonl"])
def test_predictions_on_a_terminal_have_no_control_characters(hostile: Path, format: str) -> None:
    import pty

    terminal, process_end = pty.openpty()
    words = "".join(f"word{number}\n" for number in range(5)).encode()
    command = [sys.executable, "-m", "textclf", "predict", "--run", str(hostile), "-f", format, "--raw"]
    done = subprocess.run(command, cwd=ROOT, input=words, stdout=process_end, stderr=subprocess.PIPE, check=True)
    os.close(process_end)
    shown = os.read(terminal, 1 << 16).decode().replace("\r\n", "\n")
    os.close(terminal)
    assert (done.stderr, HIDDEN.findall(shown)) == (b"", [])
    piped = textclf("predict", "--run", hostile, "-f", format, "--raw", stdin=words).stdout
    if format == "jsonl":
        assert [*map(json.loads, shown.splitlines())] == [*map(json.loads, piped.split("\n")[:-1])]
    else:
        assert shown == "".join(part if part in "\n\t" else printable(part) for part in piped)


# Browsers

TAGS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "p", "nav", "a", "div", "table",
    "caption", "tr", "th", "td", "span", "figure", "details", "summary", "b", "ul", "li", "q", "code", "br", "footer",
    "svg", "g", "path", "use", "defs", "text", "tspan", "desc", "clippath", "rect", "line", "polyline", "circle",
}  # fmt: skip
ATTRIBUTES = {
    "lang", "charset", "name", "content", "http-equiv", "id", "class", "style", "href", "title", "xmlns", "role",
    "aria-labelledby", "viewbox", "d", "transform", "x", "y", "width", "height", "clip-path", "text-anchor",
}  # fmt: skip


class Page(HTMLParser):
    """The tags, attributes, links and styles of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.styles: set[str] = set()
        self.policy: str | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.attributes |= values.keys()
        self.links |= {values["href"] or ""} if "href" in values else set()
        self.styles |= {values["style"] or ""} if "style" in values else set()
        if "http-equiv" in values:
            self.policy = values["content"]


POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@pytest.mark.parametrize("name", ["report", "explained"])
def test_a_page_has_only_known_tags_attributes_and_links(hostile: Path, name: str, tmp_path: Path) -> None:
    path = hostile / "report.html"
    if name == "explained":
        path = tmp_path / "explained.html"
        text = f"word3 <script>alert(1)</script> {ESCAPE}"
        assert textclf("explain", text, "--run", hostile, "--label", LABELS[3], "-f", "html", "-o", path).exit_code == 0
    page = Page(path)
    assert (page.tags - TAGS, page.attributes - ATTRIBUTES) == (set(), set())
    assert [link for link in page.links if not link.startswith("#")] == []
    assert [style for style in page.styles if "url" in style and "url(#" not in style] == []
    assert page.policy == POLICY
    written = path.read_text(encoding="utf-8")
    assert HIDDEN.findall(written) == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written
