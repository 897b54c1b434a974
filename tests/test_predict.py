"""predict: row n out is row n in, in every format and from every kind of input."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, SAMPLES, start_textclf, textclf

from textclf.inference.classifier import Classifier, load_classifier

TEXTS = ["Lovely place, friendly staff", "", "broken after a day", "caf\u00e9 \U0001f600", "a\u0085b\u2028c"]


@pytest.fixture(scope="module")
def classifier(reviews: Path) -> Classifier:
    return load_classifier(reviews)


def expected_tsv(classifier: Classifier, texts: list[str]) -> str:
    labels, confidence = classifier.decide(classifier.predict_proba(texts))
    return "".join(f"{label}\t{value:.6f}\n" for label, value in zip(labels, confidence, strict=True))


@pytest.mark.parametrize(
    ("stdin", "texts"),
    [
        ("\n".join(TEXTS) + "\n", TEXTS),
        ("\n".join(TEXTS), TEXTS),
        ("\r\n".join(TEXTS) + "\r\n", TEXTS),
        ("\ufeffgood\n", ["good"]),
        ("\n\n\n", ["", "", ""]),
        ("", []),
        ("one", ["one"]),
        ("nul\0byte\n", ["nul\0byte"]),
    ],
)
def test_a_line_in_is_a_line_out(stdin: str, texts: list[str], reviews: Path, classifier: Classifier) -> None:
    result = textclf("predict", "--run", reviews, stdin=stdin.encode())
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected_tsv(classifier, texts), "")


@pytest.mark.parametrize(
    ("stdin", "texts", "line"),
    [
        ("a\rb\n", ["a\rb"], 1),
        ("good\r\nbad\rslow\nfine\rcheap\n", ["good", "bad\rslow", "fine\rcheap"], 2),
        ("good\r\nbad\r\r\nslow\r", ["good", "bad", "slow"], None),
    ],
)
def test_lines_with_a_carriage_return_inside_are_told(
    stdin: str, texts: list[str], line: int | None, reviews: Path, classifier: Classifier
) -> None:
    result = textclf("predict", "--run", reviews, stdin=stdin)
    warning = (
        f"warning: -:{line}: a line holds a carriage return and is one text, since only line feeds end lines. If it is "
        "several, save the file with LF or CRLF line ends\n"
    )
    assert (result.stdout, result.stderr) == (expected_tsv(classifier, texts), warning if line else "")


def test_a_probability_does_not_depend_on_the_rows_beside_it(classifier: Classifier) -> None:
    texts = [text * n for n in range(1, 30) for text in ("good ", "a bad one ", "\u9152\u5e97 ")]
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    assert np.abs(classifier.predict_proba(texts) - alone).max() < 1e-6


def test_csv_has_a_header_and_a_column_for_each_label(questions: Path) -> None:
    result = textclf("predict", "--run", questions, "--format", "csv", stdin="Where is it?\nWho are you?\n")
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["label", "probability", "number", "person", "place", "time"]
    for label, confidence, *probabilities in rows[1:]:
        assert confidence == max(probabilities) == probabilities[rows[0][2:].index(label)]
        assert sum(map(float, probabilities)) == pytest.approx(1, abs=3e-6)
    assert len(rows) == 3


def test_csv_of_no_rows_has_its_header(reviews: Path) -> None:
    assert (
        textclf("predict", "--run", reviews, "--format", "csv", stdin="").stdout
        == "label,probability,negative,positive\n"
    )


@pytest.mark.parametrize("format", ["csv", "tsv"])
@pytest.mark.parametrize("stdin", ["good\nbad\n", ""])
def test_a_byte_order_mark_comes_first_where_it_is_wanted(
    format: str, stdin: str, reviews: Path, tmp_path: Path
) -> None:
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    for file, options in ((plain, ()), (marked, ("--bom",))):
        predict = textclf("predict", "--run", reviews, "--format", format, "--output", file, *options, stdin=stdin)
        assert predict.exit_code == 0
    assert marked.read_bytes() == b"\xef\xbb\xbf" + plain.read_bytes()


def test_nan_is_no_number() -> None:
    result = textclf("predict", "--min-confidence", "nan", stdin="good\n")
    message = "Error: Invalid value for '--min-confidence': 'nan' is not a number.\n"
    assert (result.exit_code, result.stderr[-len(message) :]) == (2, message)


@pytest.mark.parametrize("options", [["--json"], ["--format", "jsonl"]])
def test_json_has_no_byte_order_mark(options: list[str], reviews: Path) -> None:
    result = textclf("predict", "--run", reviews, "--bom", *options)
    message = "Error: --bom is for csv and tsv: JSON has no byte order mark.\n"
    assert (result.exit_code, result.stderr[-len(message) :]) == (2, message)


@pytest.mark.parametrize("command", [["predict"], ["explain", "good"]])
def test_one_format_is_chosen(command: list[str], reviews: Path) -> None:
    result = textclf(*command, "--run", reviews, "--json", "--format", "jsonl")
    message = "Error: --json is a format too: leave out one of --json and --format.\n"
    assert (result.exit_code, result.stderr[-len(message) :]) == (2, message)


def test_jsonl_numbers_the_rows_from_0(reviews: Path) -> None:
    result = textclf("predict", "--run", reviews, "--format", "jsonl", stdin="good\nbad\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["row"] for line in lines] == [0, 1]
    assert list(lines[0]) == ["row", "label", "probability", "probabilities"]
    assert lines[0]["probability"] == lines[0]["probabilities"][lines[0]["label"]]


def test_json_is_one_document(reviews: Path) -> None:
    lines = textclf("predict", "--run", reviews, "--format", "jsonl", stdin="good\nbad\n").stdout.splitlines()
    document = json.loads(textclf("predict", "--run", reviews, "--json", stdin="good\nbad\n").stdout)
    assert document == [json.loads(line) for line in lines]
    assert json.loads(textclf("predict", "--run", reviews, "--json", stdin="").stdout) == []


def test_several_labels_are_joined_by_the_separator(topics: Path) -> None:
    classifier = load_classifier(topics)
    texts = ["The soup was cold and far too dear", "quiet"]
    lines = textclf("predict", "--run", topics, "--format", "jsonl", stdin="\n".join(texts)).stdout.splitlines()
    for line, probabilities in zip(map(json.loads, lines), classifier.predict_proba(texts), strict=True):
        labels = [name for name, value in zip(classifier.labels, probabilities, strict=True) if value >= 0.5]
        assert line["label"] == "|".join(labels)


def write_table(path: Path, texts: list[str]) -> Path:
    """A table of the texts in column `review`, of the kind that the name says, without a label column."""
    if path.name.endswith(".parquet"):
        pq.write_table(pa.table({"id": range(len(texts)), "review": texts}), path)
        return path
    text = io.StringIO()
    if ".jsonl" in path.name:
        text.writelines(json.dumps({"id": n, "review": review}) + "\n" for n, review in enumerate(texts))
    else:
        writer = csv.writer(text, delimiter="\t" if ".tsv" in path.name else ",")
        writer.writerows([("id", "review"), *enumerate(texts)])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.csv.gz", "t.jsonl.gz"])
def test_a_table_needs_no_label_column(name: str, tmp_path: Path, reviews: Path, classifier: Classifier) -> None:
    table = write_table(tmp_path / name, TEXTS)
    result = textclf("predict", table, "--run", reviews, "--column", "review")
    assert (result.exit_code, result.stdout) == (0, expected_tsv(classifier, TEXTS))


def test_a_table_can_come_from_stdin(reviews: Path, classifier: Classifier) -> None:
    result = textclf("predict", "-", "--run", reviews, "--column", "review", stdin='review\n"a, b"\n')
    assert result.stdout == expected_tsv(classifier, ["a, b"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"review\ngood\n", "{path} has no column 'text'; it has: review. Set --column.\n"),
        ("t.txt", b"good\nbad \xe9\n", "{path}:2: byte 0xe9 is not UTF-8. Save the file as UTF-8.\n"),
        (
            "t.txt.gz",
            b"no gzip",
            "{path} is a damaged gzip file: Not a gzipped file (b'no'). Fetch or compress it again.\n",
        ),
    ],
)
def test_bad_input_is_named(name: str, content: bytes, message: str, tmp_path: Path, reviews: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    result = textclf("predict", path, "--run", reviews)
    assert (result.exit_code, result.stderr) == (1, message.format(path=path))


def test_a_table_that_is_not_there_gives_no_output(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = textclf("predict", "nope.csv", "--run", reviews, "--format", "csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"no file 'nope.csv' (looked in {tmp_path}).\n"


def test_a_suffix_may_be_in_capitals(reviews: Path, tmp_path: Path, classifier: Classifier) -> None:
    table = tmp_path / "T.CSV"
    table.write_text("text\ngood\n")
    assert textclf("predict", table, "--run", reviews).stdout == expected_tsv(classifier, ["good"])


@pytest.mark.slow
def test_labels_are_written_in_utf8_whatever_the_locale(reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "\u597d.txt").write_text("good\n")
    command = [sys.executable, "-m", "textclf", "predict", "\u597d.csv", "--run", reviews]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": ROOT},
                          capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr.decode()) == (1, f"no file '\u597d.csv' (looked in {tmp_path}).\n")


def test_output_goes_to_a_file(tmp_path: Path, reviews: Path, classifier: Classifier) -> None:
    result = textclf("predict", SAMPLES / "lines.txt", "--run", reviews, "--output", tmp_path / "out.tsv")
    lines = (SAMPLES / "lines.txt").read_text(encoding="utf-8").split("\n")[:-1]
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == expected_tsv(classifier, lines)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.csv", [], "out.csv is written as tsv, whatever its name; for csv: --format csv\n"),
        ("out.tsv", ["--format", "csv"], "out.tsv is written as csv, whatever its name; for tsv: --format tsv\n"),
        ("out.csv", ["--format", "csv"], ""),
        ("out.txt", [], ""),
    ],
)
def test_an_output_of_another_format_than_its_name_says_is_told(
    name: str, options: list[str], message: str, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = textclf("predict", "--run", reviews, "--output", name, *options, stdin="good\n")
    assert (result.exit_code, result.stderr) == (0, message)


def test_the_model_folder_alone_is_enough(tmp_path: Path, reviews: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in (reviews / "model").iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert (
        textclf("predict", "--run", moved, stdin="good").stdout
        == textclf("predict", "--run", reviews, stdin="good").stdout
    )


def start_predict(run: Path, file: str | Path = "-") -> subprocess.Popen[bytes]:
    return start_textclf("predict", file, "--run", run, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.mark.slow
def test_the_first_rows_are_out_before_the_last_are_in(reviews: Path) -> None:
    with start_predict(reviews) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"good\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")
        process.stdin.write(b"bad\n")
        process.stdin.close()
        assert len(process.stdout.readlines()) == 1


@pytest.mark.slow
def test_the_first_row_of_a_table_is_out_before_the_last_is_in(reviews: Path) -> None:
    command = [sys.executable, "-m", "textclf", "predict", "-", "--column", "text", "--run", str(reviews)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"text\ngood\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith(b"\n")


@pytest.mark.slow
def test_a_reader_that_leaves_early_ends_it_quietly(reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("good\n" * 500_000)
    with start_predict(reviews, tmp_path / "long.txt") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c_ends_it_while_it_waits_for_input(reviews: Path) -> None:
    with start_predict(reviews) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(b"good\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr.read() == b"\nstopped by Ctrl-C\n"


def test_more_lines_than_are_read_at_once_stay_in_order(reviews: Path, tmp_path: Path, classifier: Classifier) -> None:
    texts = [f"row {row} " + "good bad slow "[: row % 14] * (row % 9) for row in range(40_000)]
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    result = textclf("predict", tmp_path / "lines.txt", "--run", reviews, "--format", "csv")
    rows = [line.split(",") for line in result.stdout.splitlines()[1:]]
    expected = classifier.predict_proba(texts)
    assert np.abs(np.array(rows)[:, 2:].astype(float) - expected).max() < 2e-6


def test_a_repeated_text_is_looked_up(reviews: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"good {row // 3} bad" for row in range(300)]
    monkeypatch.setattr("textclf.inference.predict.CACHED_ROWS", 40)
    monkeypatch.setattr("textclf.inference.inputs.READ_BYTES", 100)
    encoded: list[int] = []
    encode = Classifier.encode
    monkeypatch.setattr(Classifier, "encode", lambda self, new: (encoded.append(len(new)), encode(self, new))[1])
    result = textclf("predict", "--run", reviews, stdin="\n".join(texts))
    assert 100 <= sum(encoded) < 150
    assert result.stdout == expected_tsv(classifier, texts)


@pytest.mark.slow
def test_predicting_leaves_no_file_behind(reviews: Path, tmp_path: Path) -> None:
    """ONNX Runtime would keep a device's id and a queue of reports, in the user's folder and in the temporary one."""
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    places = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "textclf", "predict", SAMPLES / "lines.txt", "--run", reviews]
    done = subprocess.run(command, cwd=tmp_path, env=places, capture_output=True, check=True)
    assert done.stdout.count(b"\n") == (SAMPLES / "lines.txt").read_bytes().count(b"\n")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []
