"""`textclf score`: many files in shards, resumed after any interruption, shared among processes."""

import csv
import datetime
import gzip
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import ROOT, SAMPLES, textclf

from textclf.errors import UserError
from textclf.scoring import share
from textclf.scoring.share import Share

MODEL = ROOT / "tests" / "frozen" / "format_4" / "reviews"

TEXTS = [
    "a fine film",
    "dull, long and loud",
    "",
    "the best of the year",
    "I left after an hour",
    "so so",
    "great cast",
]


def table(path: Path, texts: list[str] = TEXTS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(f"id-{number}", text) for number, text in enumerate(texts)]
        csv.writer(file).writerows([("id", "text"), *rows])
    return path


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.reader(file)]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def score(*arguments: str | Path, output: Path | str) -> tuple[int, str, str]:
    result = textclf("score", *arguments, "--run", MODEL, "--output", output)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with a table, the same compressed, JSON lines and parquet of it, and lines."""
    folder = tmp_path / "in"
    folder.mkdir()
    plain = table(folder / "a.csv")
    (folder / "b.csv.gz").write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    rows = [{"id": f"id-{number}", "text": text} for number, text in enumerate(TEXTS)]
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {name: [row[name] for row in rows] for name in ("id", "text")}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "d.parquet")
    return folder


def test_each_row_of_each_file_is_there_once_with_its_label(inputs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    code, stdout, stderr = score(inputs, "--keep", "id", "--rows-per-file", "3", output=output)
    assert (code, stderr) == (0, "")
    names = ("a.csv", "b.csv.gz", "c.jsonl", "d.parquet")
    assert stdout == "".join(
        [f"            7 rows       3 files  {name}/  of {inputs / name}\n" for name in names]
        + ["           28 rows in all\n"]
    )
    predicted = textclf("predict", inputs / "a.csv", "--run", MODEL, "--format", "csv").stdout
    header, *rows = csv.reader(io.StringIO(predicted))
    expected = [[str(number), f"id-{number}", *row] for number, row in enumerate(rows)]
    for name in names:
        shards = [read_csv(output / name / f"part-0000{n}.csv") for n in range(3)]
        assert [shard[0] for shard in shards] == [["row", "id", *header]] * 3
        assert [row for shard in shards for row in shard[1:]] == expected
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["format"], manifest["rows"], len(manifest["inputs"])) == (1, 28, 4)
    assert manifest["inputs"][0].keys() == {"path", "folder", "rows", "shards", "sha256"}


def test_lines_need_no_columns_and_globs_are_in_order(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    output = tmp_path / "out"
    code, _, _ = score(tmp_path / "*.txt", "--format", "jsonl", output=output)
    assert code == 0
    predicted = textclf("predict", tmp_path / "a.txt", "--run", MODEL, "--format", "jsonl").stdout
    assert (output / "a.txt" / "part-00000.jsonl").read_text(encoding="utf-8") == predicted
    assert [source["folder"] for source in json.loads((output / "manifest.json").read_text())["inputs"]] == [
        "a.txt",
        "b.txt",
    ]


def test_files_of_one_name_get_folders_of_their_own(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        table(tmp_path / folder / "rows.csv")
    output = tmp_path / "out"
    assert score(tmp_path / "x", tmp_path / "y", output=output)[0] == 0
    assert (output / "rows.csv" / "part-00000.csv").read_bytes() == (
        output / "rows.csv-2" / "part-00000.csv"
    ).read_bytes()


def test_kept_columns_that_the_output_has_too_are_renamed_and_formulas_escaped(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("label,text\n=1+2,a fine film\n", encoding="utf-8")
    for name, options, kept in (("out", [], "'=1+2"), ("raw", ["--raw"], "=1+2")):
        assert score(source, "--keep", "label", *options, output=tmp_path / name)[0] == 0
        header, row = read_csv(tmp_path / name / "rows.csv" / "part-00000.csv")
        assert (header[:4], row[1]) == (["row", "input label", "label", "probability"], kept)


def test_parquet_has_types(inputs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert score(inputs / "a.csv", "--keep", "id", "--format", "parquet", output=output)[0] == 0
    written = pyarrow.parquet.read_table(output / "a.csv" / "part-00000.parquet")
    assert written.column("row").to_pylist() == [*range(len(TEXTS))]
    assert [str(field.type) for field in written.schema] == ["int64", "string", "string", *["double"] * 3]


def test_a_folder_is_gone_on_with_to_the_same_bytes(inputs: Path, tmp_path: Path) -> None:
    output, options = tmp_path / "out", (inputs, "--keep", "id", "--rows-per-file", "2")
    assert score(*options, output=output)[0] == 0
    whole = files_in(output)
    for name in ("manifest.json", "a.csv/part-00001.json", "c.jsonl/part-00000.csv", "c.jsonl/part-00000.json"):
        (output / name).unlink()
    (output / "a.csv" / "part-00001.csv").write_text("half a fi")
    (output / "d.parquet" / ".17.0123abcd.new").mkdir()
    code, _, stderr = score(*options, output=output)
    assert (code, stderr) == (
        1,
        f"{output} was begun. Go on with --resume, begin anew with --overwrite, or choose another folder with "
        "--output.\n",
    )
    assert score(*options, "--resume", output=output)[0] == 0
    assert files_in(output) == whole
    assert not (output / "d.parquet" / ".17.0123abcd.new").exists()
    assert score(*options, "--resume", output=output)[2] == f"{output} was complete already\n"


def test_shares_are_scored_by_one_process_each_and_the_last_writes_the_manifest(inputs: Path, tmp_path: Path) -> None:
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    options = (inputs, "--rows-per-file", "2")
    assert score(*options, output=whole)[0] == 0
    first = score(*options, "--share", "1/2", output=shared)
    note = f"this share of {shared} is done, others are not yet: the last one writes manifest.json\n"
    assert first == (0, "", note)
    code, stdout, stderr = score(*options, "--share", "2/2", output=shared)
    assert (code, stderr, stdout.splitlines()[-1]) == (0, "", "           28 rows in all")
    assert files_in(shared) == files_in(whole)


@pytest.mark.parametrize("shares", [1, 2, 3, 16])
def test_many_inputs_go_to_one_share_each_and_by_turns(shares: int) -> None:
    count = 4 * shares * shares
    taken = [[n for n in range(count) if Share(k, shares).takes_input(n, count)] for k in range(1, shares + 1)]
    assert sorted(n for own in taken for n in own) == [*range(count)]
    assert {len(own) for own in taken} == {4 * shares}
    assert all({n % shares for n in own} == {*range(shares)} for own in taken)


def test_a_write_that_fails_since_another_process_was_quicker_is_no_error(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = share.write_document

    def write_and_fail(path: Path, document: object) -> None:
        write(path, document)
        raise UserError(f"{path} cannot be written")

    monkeypatch.setattr(share, "write_document", write_and_fail)
    assert score(inputs, "--rows-per-file", "2", output=tmp_path / "out")[::2] == (0, "")


def test_processes_write_what_one_process_writes(inputs: Path, tmp_path: Path) -> None:
    whole, jobs = tmp_path / "whole", tmp_path / "jobs"
    options = (inputs, "--rows-per-file", "2")
    assert score(*options, output=whole)[0] == 0
    assert score(*options, "--jobs", "2", output=jobs)[0] == 0
    assert files_in(jobs) == files_in(whole)


def test_another_model_or_option_and_an_input_that_is_gone_are_refused(inputs: Path, tmp_path: Path) -> None:
    output, begun = tmp_path / "out", f"{tmp_path / 'out'} was begun with other settings: "
    advice = (
        ". Go on with those it was begun with, choose another folder with --output, or begin anew with --overwrite.\n"
    )
    source = inputs / "a.csv"
    assert score(source, output=output)[0] == 0
    assert score(source, "--format", "jsonl", "--resume", output=output)[2] == f"{begun}--format{advice}"
    gone = f"{begun}without the input {source}{advice}"
    assert score(inputs / "c.jsonl", "--resume", output=output)[2] == gone
    other = shutil.copytree(MODEL, tmp_path / "other")
    description = json.loads((other / "model.json").read_text(encoding="utf-8"))
    (other / "model.json").write_text(json.dumps(description), encoding="utf-8")
    result = textclf("score", source, "--run", other, "--output", output, "--resume")
    assert (result.exit_code, result.stderr) == (1, f"{begun}the model{advice}")


def test_a_changed_input_and_a_new_one_are_scored_when_the_folder_is_gone_on_with(inputs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert score(inputs / "a.csv", inputs / "c.jsonl", output=output)[0] == 0
    untouched = (output / "c.jsonl" / "part-00000.csv").stat().st_mtime_ns
    table(inputs / "a.csv", ["a new text"])
    assert score(inputs, "--resume", output=output)[0] == 0
    assert len(read_csv(output / "a.csv" / "part-00000.csv")) == 2
    assert (output / "c.jsonl" / "part-00000.csv").stat().st_mtime_ns == untouched
    assert len(json.loads((output / "manifest.json").read_text())["inputs"]) == 4


def test_a_shard_that_is_gone_or_cut_short_is_scored_again(inputs: Path, tmp_path: Path) -> None:
    output, options = tmp_path / "out", (inputs, "--rows-per-file", "2")
    assert score(*options, output=output)[0] == 0
    whole = files_in(output)
    (output / "a.csv" / "part-00000.csv").write_bytes(b"")
    (output / "a.csv" / "part-00001.csv").unlink()
    (output / "c.jsonl" / "part-00000.json").write_text("")
    assert score(*options, "--resume", output=output)[0] == 0
    assert files_in(output) == whole


def test_shards_of_another_scoring_that_began_anew_meanwhile_do_not_count(inputs: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "out", tmp_path / "other"
    assert score(inputs / "a.csv", "--keep", "id", output=output)[0] == 0
    assert score(inputs / "a.csv", output=other)[0] == 0
    for name in ("part-00000.csv", "part-00000.json", "input.json"):
        shutil.copyfile(output / "a.csv" / name, other / "a.csv" / name)
    (other / "manifest.json").unlink()
    assert score(inputs / "a.csv", "--resume", output=other)[0] == 0
    assert read_csv(other / "a.csv" / "part-00000.csv")[0][:2] == ["row", "label"]


def test_overwriting_leaves_the_users_files(inputs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert score(inputs, output=output)[0] == 0
    (output / "a.csv" / "notes.txt").write_text("mine")
    assert score(inputs / "c.jsonl", "--overwrite", output=output)[0] == 0
    assert {*files_in(output)} == {
        "a.csv/notes.txt", "begun.json", "manifest.json",
        *(f"c.jsonl/{name}" for name in ("input.json", "part-00000.csv", "part-00000.json")),
    }  # fmt: skip


def test_a_damaged_input_is_left_where_that_shows_and_the_others_go_on(inputs: Path, tmp_path: Path) -> None:
    source, output = inputs / "a.csv", tmp_path / "out"
    source.write_bytes(source.read_bytes() + b"id-7,\xff\n")
    code, stdout, stderr = score(inputs, "--rows-per-file", "2", output=output)
    problem = f"{source}:9: byte 0xff is not UTF-8. Save the file as UTF-8."
    assert (code, stdout) == (1, "")
    assert stderr == (
        f"warning: {problem}\n1 of 4 inputs could not be read to the end. Mend them and go on with --resume.\n"
    )
    assert not (output / "manifest.json").exists()
    assert (output / "a.csv" / "part-00002.json").exists()
    assert (output / "d.parquet" / "input.json").exists()


REFUSED = {
    "a folder of the user's": (
        lambda folder: (folder / "out").mkdir() or (folder / "out" / "mine.txt").write_text("mine"),
        [],
        1,
        "{folder}/out holds something that textclf did not write. Choose another with --output.",
    ),
    "no file": (
        lambda folder: (folder / "rows.csv").unlink(),
        [],
        1,
        "INPUT: no file '{folder}/rows.csv'.",
    ),
    "a column that is not there": (
        lambda _: None,
        ["--keep", "date"],
        1,
        "{folder}/rows.csv has no column 'date'; it has: id, text. Set --keep.",
    ),
    "a share that is none": (
        lambda _: None,
        ["--share", "3/2"],
        2,
        "Error: Invalid value for '--share': '3/2' is no share; write one such as 3/16, the third of sixteen.",
    ),
    "a share and jobs": (
        lambda _: None,
        ["--share", "1/2", "--jobs", "2"],
        2,
        "Error: --share is one of several processes: without --jobs, and without --overwrite.",
    ),
    "two ways to begin": (
        lambda _: None,
        ["--resume", "--overwrite"],
        2,
        "Error: --resume goes on, --overwrite begins anew; choose one.",
    ),
}


@pytest.mark.parametrize(("prepare", "options", "code", "message"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_cannot_be_met_is_refused(
    prepare: object, options: list[str], code: int, message: str, tmp_path: Path
) -> None:
    source = table(tmp_path / "rows.csv")
    prepare(tmp_path)
    result = textclf("score", source, "--run", MODEL, "--output", tmp_path / "out", *options)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (code, message.format(folder=tmp_path))


FOREIGN = {
    "a manifest": ("manifest.json", '{"name": "my app"}', [], "holds something that textclf did not write."),
    "a list": ("begun.json", "[1]", ["--overwrite"], "/begun.json is damaged, or not textclf's."),
    "other keys": ("begun.json", '{"x": 1}', ["--resume"], "/begun.json is damaged, or not textclf's."),
}


@pytest.mark.parametrize(("name", "content", "options", "message"), FOREIGN.values(), ids=FOREIGN)
def test_a_file_of_the_users_is_not_taken_for_textclfs(
    name: str, content: str, options: list[str], message: str, inputs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text(content)
    code, _, stderr = score(inputs / "a.csv", *options, output=output)
    assert code == 1
    assert message in stderr
    assert files_in(output) == {name: content.encode()}


def test_begun_json_removes_nothing_outside_its_folder(inputs: Path, tmp_path: Path) -> None:
    output, victim = tmp_path / "out", tmp_path / "victim"
    assert score(inputs / "a.csv", output=output)[0] == 0
    victim.mkdir()
    (victim / "part-0").write_text("mine")
    document = json.loads((output / "begun.json").read_text())
    document["inputs"][0]["folder"] = "../victim"
    (output / "begun.json").write_text(json.dumps(document))
    code, _, stderr = score(inputs / "a.csv", "--overwrite", output=output)
    assert (code, stderr) == (
        1, f"{output}/begun.json is damaged, or not textclf's. Choose another folder with --output.\n"
    )  # fmt: skip
    assert (victim / "part-0").exists()


def test_the_folder_that_is_written_is_no_input(inputs: Path, tmp_path: Path) -> None:
    output = inputs / "scored"
    assert score(inputs, output=output)[0] == 0
    assert score(inputs, "--resume", output=output)[2] == f"{output} was complete already\n"
    code, _, stderr = score(inputs / "a.csv", output=inputs)
    assert (code, stderr) == (
        1, f"{inputs} holds something that textclf did not write. Choose another with --output.\n"
    )  # fmt: skip
    (tmp_path / "manifest.json").write_text('[{"text": "a fine film"}]')
    assert score(tmp_path / "manifest.json", output=tmp_path / "other")[0] == 0
    assert (tmp_path / "other" / "manifest.json-2" / "part-00000.csv").exists()


def test_dates_and_nulls_of_parquet_are_kept_and_names_stay_apart(tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    day = datetime.date(2024, 1, 2)
    columns = {"text": ["a fine film", "dull"], "row": [day, None], "input row": ["x", "y"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), source)
    assert score(source, "--keep", "row,input row", output=tmp_path / "out")[0] == 0
    rows = read_csv(tmp_path / "out" / "rows.parquet" / "part-00000.csv")
    assert [row[:3] for row in rows] == [
        ["row", "input row", "input input row"], ["0", "2024-01-02", "x"], ["1", "", "y"]
    ]  # fmt: skip


def test_the_id_of_a_task_of_label_studio_is_kept(tmp_path: Path) -> None:
    source, ids = tmp_path / "export.json", range(7, 7 + len(TEXTS))
    tasks = [{"id": each, "data": {"text": text}, "annotations": []} for each, text in zip(ids, TEXTS, strict=True)]
    source.write_text(json.dumps(tasks), encoding="utf-8")
    assert score(source, "--keep", "id", output=tmp_path / "out")[0] == 0
    rows = read_csv(tmp_path / "out" / "export.json" / "part-00000.csv")
    assert [row[1] for row in rows] == ["id", *map(str, ids)]


def test_no_code_beside_the_data_is_run(inputs: Path, tmp_path: Path) -> None:
    (inputs / "click.py").write_text("raise SystemExit('hijacked')")
    command = [sys.executable, "-P", "-m", "textclf", "score", "a.csv", "--run", MODEL, "--output", tmp_path / "out"]
    process = subprocess.run(
        [*map(str, command), "--jobs", "2"], cwd=inputs, capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, b"")


@pytest.mark.slow
def test_killed_at_random_moments_and_resumed_it_writes_the_same_bytes(tmp_path: Path) -> None:
    source, output = tmp_path / "rows.csv", tmp_path / "out"
    texts = [row[0] for row in read_csv(SAMPLES / "reviews.csv")[1:]]
    table(source, [f"{number} {texts[number % len(texts)]}" for number in range(60_000)])
    assert score(source, "--rows-per-file", "1000", output=tmp_path / "whole")[0] == 0
    rng, kills = random.Random(0), 0
    while not (output / "manifest.json").exists():
        command = [sys.executable, "-m", "textclf", "score", source, "--run", MODEL, "--output", output]
        command += ["--rows-per-file", "1000", *(["--resume"] if (output / "begun.json").exists() else [])]
        process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stderr=subprocess.PIPE)
        # by what is done rather than by time, since machines differ
        shards = len([*(output / source.name).glob("part-*.json")]) + rng.randrange(1, 12)
        while process.poll() is None and len([*(output / source.name).glob("part-*.json")]) < shards:
            time.sleep(rng.uniform(0, 0.005))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills
    assert files_in(output) == files_in(tmp_path / "whole")
