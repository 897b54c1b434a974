"""`textclf score` on objects of a store: the same as on files, whatever fails in between."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, textclf
from object_store import Store
from pyarrow.fs import PyFileSystem
from test_score import MODEL, TEXTS, files_in, inputs, score, table

from textclf.io import objects

__all__ = ["inputs"]  # a fixture

OPTIONS = ("--keep", "id", "--rows-per-file", "2")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """The bucket s3://bucket."""
    bucket = Store("bucket")
    monkeypatch.setattr(objects, "file_system", lambda _url: PyFileSystem(bucket))
    return bucket


def upload(store: Store, folder: Path, prefix: str) -> None:
    for name, content in files_in(folder).items():
        store.put(f"bucket/{prefix}/{name}", content)


def under(store: Store, prefix: str) -> dict[str, bytes]:
    start = f"bucket/{prefix}/"
    return {name.removeprefix(start): content for name, content in store.objects.items() if name.startswith(start)}


def test_a_folder_in_a_store_has_the_bytes_of_one_on_disk(store: Store, inputs: Path, tmp_path: Path) -> None:
    whole = score(inputs, *OPTIONS, output=tmp_path / "out")
    assert score(inputs, *OPTIONS, output="s3://bucket/out") == whole
    assert under(store, "out") == files_in(tmp_path / "out")


def test_objects_are_scored_as_files_are(store: Store, inputs: Path, tmp_path: Path) -> None:
    upload(store, inputs, "in")
    assert score(inputs, *OPTIONS, output=tmp_path / "files")[0] == 0
    code, stdout, stderr = score("s3://bucket/in/", *OPTIONS, output=tmp_path / "objects")
    names = ("a.csv", "b.csv.gz", "c.jsonl", "d.parquet")
    assert (code, stderr) == (0, "")
    assert stdout == "".join(
        [f"            7 rows       4 files  {name}/  of s3://bucket/in/{name}\n" for name in names]
        + ["           28 rows in all\n"]
    )
    files, scored = files_in(tmp_path / "files"), files_in(tmp_path / "objects")
    assert files.keys() == scored.keys()
    assert all(files[name] == scored[name] for name in files if name.endswith(".csv"))
    totals = [{**json.loads(each["d.parquet/input.json"]), "of": ""} for each in (files, scored)]
    assert totals[0] == totals[1]


NAMED = {
    "an object": ("in/a.csv", ["in/a.csv"]),
    "a folder, and all tables below it": ("in", ["in/a.csv", "in/deep/b.csv", "in/out/d.csv", "in/x[1].csv"]),
    "a glob": ("in/*.csv", ["in/a.csv", "in/x[1].csv"]),
    "a glob of hidden ones": ("in/.*.csv", ["in/.hidden.csv"]),
    "a glob of folders": ("in/*/*.csv", ["in/deep/b.csv", "in/out/d.csv"]),
    "a glob of any depth": ("in/**/*.csv", ["in/a.csv", "in/deep/b.csv", "in/out/d.csv", "in/x[1].csv"]),
    "all, at any depth": ("in/d*/**", ["in/deep/b.csv", "in/deep/notes.txt"]),
    "an object with the name of a glob": ("in/x[1].csv", ["in/x[1].csv"]),
}


@pytest.mark.parametrize(("name", "expected"), NAMED.values(), ids=NAMED)
def test_a_url_names_an_object_a_folder_or_a_glob(
    name: str, expected: list[str], store: Store, inputs: Path, tmp_path: Path
) -> None:
    content = (inputs / "a.csv").read_bytes()
    for path in ("a.csv", "deep/b.csv", ".hidden.csv", ".git/c.csv", "deep/notes.txt", "out/d.csv", "x[1].csv"):
        store.put(f"bucket/in/{path}", content)
    assert score(f"s3://bucket/{name}", output=tmp_path / "out")[0] == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert [source["path"] for source in manifest["inputs"]] == [f"s3://bucket/{path}" for path in expected]


def test_the_folder_that_is_written_is_no_input_and_files_come_first(store: Store, inputs: Path) -> None:
    store.put("bucket/in/z.csv", (inputs / "a.csv").read_bytes())
    arguments = ("s3://bucket/in", inputs / "a.csv", *OPTIONS)
    assert score(*arguments, output="s3://bucket/in/out")[0] == 0
    manifest = json.loads(store.objects["bucket/in/out/manifest.json"])
    assert [source["path"] for source in manifest["inputs"]] == [str(inputs / "a.csv"), "s3://bucket/in/z.csv"]
    again = score(*arguments, "--resume", output="s3://bucket/in/out")
    assert again[::2] == (0, "s3://bucket/in/out was complete already\n")


def test_options_of_the_store_stay_with_the_url(store: Store, inputs: Path) -> None:
    store.put("bucket/in/a.parquet", (inputs / "d.parquet").read_bytes())
    query = "?region=eu-west-1&scheme=http"
    assert score(f"s3://bucket/in/*.parquet{query}", output=f"s3://bucket/out{query}")[0] == 0
    manifest = json.loads(store.objects["bucket/out/manifest.json"])
    assert manifest["inputs"][0]["path"] == f"s3://bucket/in/a.parquet{query}"


@pytest.mark.parametrize("half", [False, True], ids=["nothing arrives", "half arrives"])
def test_an_upload_that_fails_at_any_moment_is_done_again(
    half: bool, store: Store, inputs: Path, tmp_path: Path
) -> None:
    store.keeps_half = half
    source = inputs / "a.csv"
    assert score(source, *OPTIONS, output=tmp_path / "out")[0] == 0
    whole = files_in(tmp_path / "out")
    for n in itertools.count(start=int(half)):  # half of begun.json is nothing that one could go on with
        store.objects, store.writes = {}, []

        def full(done: str, path: str, n: int = n) -> None:
            if done == "write" and len(store.writes) > n:
                raise OSError(f"AWS Error SLOW_DOWN during UploadPart operation: {Path(path).name}")

        store.fault = full
        code, stdout, stderr = score(source, *OPTIONS, output="s3://bucket/out")
        store.fault = lambda _done, _path: None
        if code == 0:
            break
        failed = store.writes[-1]
        assert (code, stdout, stderr) == (
            1,
            "",
            f"s3://{failed} cannot be written: AWS Error SLOW_DOWN during UploadPart operation: {Path(failed).name}. "
            "Check the URL, the network and the endpoint (for s3 AWS_ENDPOINT_URL), then go on with --resume.\n",
        )
        kept = under(store, "out")
        name = failed.removeprefix("bucket/out/")
        assert kept.keys() >= {name} if half else name not in kept
        assert all(content == whole[other] for other, content in kept.items() if other != name)
        assert f"{name.removesuffix('.csv')}.json" not in kept  # the marker of a shard
        assert score(source, *OPTIONS, *(["--resume"] if n else []), output="s3://bucket/out")[0] == 0
        assert under(store, "out") == whole
    assert n == len(whole)


def test_ctrl_c_leaves_whole_objects_only(store: Store, inputs: Path, tmp_path: Path) -> None:
    source = inputs / "a.csv"
    assert score(source, *OPTIONS, output=tmp_path / "out")[0] == 0
    whole = files_in(tmp_path / "out")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what follows `&` with Ctrl-C ignored
    for n in range(len(whole) - 2):  # with the last ones it may be done before the main thread sees the signal
        store.objects, store.writes = {}, []

        def stop(done: str, _path: str, n: int = n) -> None:
            if done == "write" and len(store.writes) == n + 1:
                os.kill(os.getpid(), signal.SIGINT)

        store.fault = stop
        code, _, stderr = score(source, *OPTIONS, output="s3://bucket/out")
        assert (code, stderr.splitlines()[-1]) == (130, "stopped by Ctrl-C")
        kept = under(store, "out")
        assert len(kept) == n + 1
        assert all(whole[name] == content for name, content in kept.items())


def test_shards_that_are_gone_are_uploaded_again_and_inputs_that_are_done_not_read(store: Store, inputs: Path) -> None:
    upload(store, inputs, "in")
    arguments = ("s3://bucket/in", *OPTIONS)
    assert score(*arguments, output="s3://bucket/out")[0] == 0
    whole = under(store, "out")
    for name in ("manifest.json", "a.csv/part-00001.json"):
        del store.objects[f"bucket/out/{name}"]
    store.put("bucket/out/c.jsonl/part-00000.csv", b"half a fi")
    store.reads.clear()
    assert score(*arguments, "--resume", output="s3://bucket/out")[0] == 0
    assert under(store, "out") == whole
    read = {name for name in store.reads if name.startswith("bucket/in/")}
    assert read == {"bucket/in/a.csv", "bucket/in/c.jsonl"}


def test_shares_go_to_one_folder_and_a_changed_object_is_scored_anew(store: Store, inputs: Path) -> None:
    upload(store, inputs, "in")
    arguments = ("s3://bucket/in", *OPTIONS)
    assert score(*arguments, output="s3://bucket/whole")[0] == 0
    assert score(*arguments, "--share", "1/2", output="s3://bucket/out")[0] == 0
    assert score(*arguments, "--share", "2/2", output="s3://bucket/out")[0] == 0
    assert under(store, "out") == under(store, "whole")
    store.put("bucket/in/a.csv", b"id,text\nid-0,a new text\n")
    assert score(*arguments, "--resume", output="s3://bucket/out")[0] == 0
    assert under(store, "out")["a.csv/part-00000.csv"].count(b"\n") == 2
    assert json.loads(under(store, "out")["manifest.json"])["rows"] == 22


def test_overwriting_leaves_the_users_objects(store: Store, inputs: Path) -> None:
    assert score(inputs, output="s3://bucket/out")[0] == 0
    store.put("bucket/out/a.csv/notes.txt", b"mine")
    assert score(inputs / "c.jsonl", "--overwrite", output="s3://bucket/out")[0] == 0
    assert {*under(store, "out")} == {
        "a.csv/notes.txt", "begun.json", "manifest.json",
        *(f"c.jsonl/{name}" for name in ("input.json", "part-00000.csv", "part-00000.json")),
    }  # fmt: skip


REFUSED = {
    "no such object": (
        "s3://bucket/none.csv",
        "s3://bucket/out",
        "INPUT: no object 's3://bucket/none.csv'. Check the URL; a glob has * and [...], since ? begins options.",
    ),
    "no such bucket": (
        "s3://other/none.csv",
        "s3://bucket/out",
        "INPUT: no bucket 's3://other'. Check the URL; a glob has * and [...], since ? begins options.",
    ),
    "no bucket, gs": ("gs://", "s3://bucket/out", "gs:// names no bucket. Write it as gs://BUCKET/KEY."),
    "no bucket": ("s3://", "s3://bucket/out", "s3:// names no bucket. Write it as s3://BUCKET/KEY."),
    "no tables": (
        "s3://bucket/mine",
        "s3://bucket/out",
        "s3://bucket/mine holds no table. Name files, or a glob; tables end in .csv, .tsv, .jsonl, .ndjson, .json, "
        ".parquet, or .gz.",
    ),
    "credentials": (
        "gs://key:secret@bucket/in",
        "s3://bucket/out",
        "gs://...@bucket/in holds credentials, which would be stored with the results. Leave them out, and set "
        "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for gs:// GOOGLE_APPLICATION_CREDENTIALS.",
    ),
    "a folder of the user's": (
        "s3://bucket/in",
        "s3://bucket/mine",
        "s3://bucket/mine holds something that textclf did not write. Choose another with --output.",
    ),
    "a file that is read": (
        "s3://bucket/out/begun.json",
        "s3://bucket/out",
        "s3://bucket/out/begun.json is a file that this command reads. Choose another folder with --output.",
    ),
    "an object twice": (
        "s3://bucket/in/*.csv",
        "s3://bucket/out",
        "INPUT: s3://bucket/in/a.csv is named twice. Name it once.",
    ),
    "a column that is not there": (
        "s3://bucket/bad/a.csv",
        "s3://bucket/out",
        "s3://bucket/bad/a.csv has no column 'text'; it has: word. Set --column.",
    ),
}


@pytest.mark.parametrize(("source", "output", "message"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_cannot_be_met_is_refused(
    source: str, output: str, message: str, store: Store, inputs: Path
) -> None:
    upload(store, inputs, "in")
    store.put("bucket/mine/notes.txt", b"mine")
    store.put("bucket/bad/a.csv", b"word\na\n")
    store.put("bucket/out/begun.json", b"{}")
    more = [source] if "*" in source else []
    assert score(source, *more, output=output) == (1, "", message + "\n")


FAULTS = {
    "denied": (
        "When getting information for key 'in/a.csv' in bucket 'bucket': AWS Error ACCESS_DENIED during HeadObject "
        "operation: No response body.",
        "AWS Error ACCESS_DENIED during HeadObject operation: No response body. Check the credentials (AWS_PROFILE, or "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for gs:// GOOGLE_APPLICATION_CREDENTIALS) and what they allow.",
    ),
    "unreachable": (
        "When asking for key 'in/a.csv' in bucket 'bucket': AWS Error NETWORK_CONNECTION during HeadObject "
        "operation: curlCode: 7, Could not connect to server; Details: Failed to connect to 127.0.0.1:9",
        "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7, Could not connect to server. Check the "
        "URL, the network and the endpoint (for s3 AWS_ENDPOINT_URL), then go on with --resume.",
    ),
}


@pytest.mark.parametrize("done", ["ask", "list", "read"])
@pytest.mark.parametrize(("reason", "message"), FAULTS.values(), ids=FAULTS)
def test_what_the_store_says_comes_with_advice(
    reason: str, message: str, done: str, store: Store, inputs: Path, tmp_path: Path
) -> None:
    upload(store, inputs, "in")

    def refuse(asked: str, _path: str) -> None:
        if asked == done:
            raise OSError(reason)

    store.fault = refuse
    code, _, stderr = score("s3://bucket/in", output=tmp_path / "out")
    where = "in/a.csv" if done == "read" else "in"
    verb = "listed" if done == "list" else "read"
    assert (code, stderr) == (1, f"s3://bucket/{where} cannot be {verb}: {message}\n")


def test_a_folder_that_may_be_written_and_not_read_is_refused(store: Store, inputs: Path) -> None:
    def refuse(done: str, _path: str) -> None:
        if done == "read":
            raise OSError(FAULTS["denied"][0])

    store.fault = refuse
    refused = score(inputs / "a.csv", output="s3://bucket/out")
    assert refused == (1, "", f"s3://bucket/out/a.csv/input.json cannot be read: {FAULTS['denied'][1]}\n")


def test_an_object_that_is_denied_is_left_and_a_store_out_of_reach_ends_it(
    store: Store, inputs: Path, tmp_path: Path
) -> None:
    upload(store, inputs, "in")
    reason, ends = "AWS Error ACCESS_DENIED during GetObject operation", FAULTS["unreachable"][0]

    def refuse(done: str, path: str) -> None:
        if (done, path) == ("read", "bucket/in/b.csv.gz"):
            raise OSError(reason)

    store.fault = refuse
    code, _, stderr = score("s3://bucket/in", output=tmp_path / "out")
    assert (code, stderr.splitlines()[-1]) == (
        1, "1 of 4 inputs could not be read to the end. Mend them and go on with --resume."
    )  # fmt: skip
    assert (tmp_path / "out" / "d.parquet" / "input.json").exists()
    shutil.rmtree(tmp_path / "out")
    reason = ends
    code, _, stderr = score("s3://bucket/in", output=tmp_path / "out")
    assert (code, len(stderr.splitlines())) == (1, 1)
    assert not (tmp_path / "out" / "d.parquet").exists()


LIGHT = """
import sys
from textclf.cli.main import main
main({arguments!r}, standalone_mode=False)
print(sorted({{"pyarrow.fs", "textclf.io.objects"}} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["--help"], []),
        (["score", "--help"], []),
        (["predict", "{table}", "--run", str(MODEL)], []),
        (["score", "{table}", "--run", str(MODEL), "--output", "{folder}"], ["textclf.io.objects"]),
    ],
    ids=["help", "help of score", "predict", "score"],
)
def test_who_asks_for_no_store_imports_none(arguments: list[str], imported: list[str], tmp_path: Path) -> None:
    names = {"table": str(table(tmp_path / "rows.csv", TEXTS)), "folder": str(tmp_path / "out")}
    script = LIGHT.format(arguments=[argument.format(**names) for argument in arguments])
    process = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=False, text=True)
    assert process.stderr.splitlines()[-1] == str(imported)


def test_a_url_is_no_path_for_other_commands(tmp_path: Path) -> None:
    result = textclf("predict", "s3://bucket/a.csv", "--run", MODEL, "--output", tmp_path / "out.tsv")
    assert (result.exit_code, result.stderr.startswith("no file 's3:")) == (1, True)
