"""`textclf score` on real requests to servers of S3 (moto) and Google Cloud Storage, in processes of their own.

The server is stopped, refuses parts of uploads, or has the process killed in the middle of one.
"""

import csv
import gzip
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow
import pyarrow.parquet
import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

ROOT = Path(__file__).parent.parent.parent
MODEL = ROOT / "tests" / "frozen" / "format_4" / "reviews"
TEXTS = ["a fine film", "dull, long and loud", "", "the best of the year", "I left after an hour", "so so"]
WEIGHT = "x" * 1_000_000
"""A kept cell: so a shard of 25 rows is uploaded in three parts."""

Environ = dict[str, Any]


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        pass


class S3:
    """A server of S3 that can be stopped and started with what it holds, and that refuses what a test tells it to."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self.port = 0
        self.on_request: Callable[[Environ], bool] = lambda _environ: False
        """Called before each request; it is refused where this returns True."""
        self.start()
        self.client = boto3.client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test",
        )  # fmt: skip

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True, request_handler=Quiet)
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, environ: Environ, start_response: Any) -> Any:
        if not self.on_request(environ):
            return self._moto(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Connection", "close")])
        return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]

    def put(self, bucket: str, prefix: str, folder: Path) -> None:
        for name, content in files_in(folder).items():
            self.client.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=content)

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """Return the objects under a prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {
            key.removeprefix(f"{prefix}/"): self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            for key in keys
        }


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    running = S3()
    yield running
    running.stop()


@pytest.fixture
def s3(server: S3) -> Iterator[S3]:
    """The server with an empty bucket."""
    server.client.create_bucket(Bucket="bucket")
    yield server
    server.on_request = lambda _environ: False
    for name in (each["Key"] for each in server.client.list_objects_v2(Bucket="bucket").get("Contents", [])):
        server.client.delete_object(Bucket="bucket", Key=name)
    server.client.delete_bucket(Bucket="bucket")


def environment(s3: S3 | None = None) -> dict[str, str]:
    endpoint = {"AWS_ENDPOINT_URL": s3.endpoint} if s3 else {}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
    return {**os.environ, "PYTHONPATH": str(ROOT), "AWS_REGION": "us-east-1", **keys, **endpoint}


def start(*arguments: str | Path, s3: S3 | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "textclf", "score", *map(str, arguments), "--run", str(MODEL)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(s3), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def score(*arguments: str | Path, s3: S3 | None = None) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of a scoring, without the lines of progress of a slow machine."""
    with start(*arguments, s3=s3) as process:
        stdout, stderr = process.communicate(timeout=120)
    talk = [line for line in stderr.splitlines(keepends=True) if not re.match(r"[\d,]+ rows, ", line)]
    return process.returncode, stdout, "".join(talk)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def shards_in(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.endswith(".csv")}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with a table of each kind."""
    folder = tmp_path / "in"
    folder.mkdir()
    rows = [{"id": f"id-{number}", "text": TEXTS[number % len(TEXTS)]} for number in range(1000)]
    with (folder / "a.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *(tuple(row.values()) for row in rows)])
    (folder / "b.csv.gz").write_bytes(gzip.compress((folder / "a.csv").read_bytes(), mtime=0))
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    columns = {name: [row[name] for row in rows] for name in ("id", "text")}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "d.parquet", row_group_size=300)
    return folder


@pytest.fixture
def heavy(tmp_path: Path) -> Path:
    """A table whose two shards of 25 rows are uploaded in three parts each."""
    path = tmp_path / "heavy.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(f"{number} {WEIGHT}", TEXTS[number % len(TEXTS)]) for number in range(50)]
        csv.writer(file).writerows([("weight", "text"), *rows])
    return path


HEAVY = ("--keep", "weight", "--rows-per-file", "25")


def second_part(environ: Environ) -> bool:
    """Return True for the upload of the second part of the second shard."""
    is_shard = environ["PATH_INFO"].endswith("part-00001.csv")
    return environ["REQUEST_METHOD"] == "PUT" and is_shard and "partNumber=2" in environ["QUERY_STRING"]


# The same as on disk


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_objects_give_the_bytes_that_files_give(jobs: str, s3: S3, inputs: Path, tmp_path: Path) -> None:
    s3.put("bucket", "in", inputs)
    options = ("--keep", "id", "--rows-per-file", "300", "--jobs", jobs)
    whole = score(inputs, *options, "--output", tmp_path / "out")
    assert score(inputs, *options, "--output", "s3://bucket/local", s3=s3) == whole
    assert s3.objects("bucket", "local") == files_in(tmp_path / "out")
    code, stdout, stderr = score("s3://bucket/in", *options, "--output", "s3://bucket/out", s3=s3)
    assert (code, stderr, stdout.splitlines()[-1]) == (0, "", "        4,000 rows in all")
    scored = s3.objects("bucket", "out")
    assert scored.keys() == files_in(tmp_path / "out").keys()
    assert shards_in(scored) == shards_in(files_in(tmp_path / "out"))
    again = score("s3://bucket/in/*", *options, "--output", "s3://bucket/out", "--resume", s3=s3)
    assert again == (0, stdout, "s3://bucket/out was complete already\n")


def test_the_endpoint_may_be_in_the_url(s3: S3, inputs: Path, tmp_path: Path) -> None:
    s3.put("bucket", "in", inputs)
    query = f"?endpoint_override=127.0.0.1:{s3.port}&scheme=http"
    options = ("--format", "parquet", "--jobs", "2")
    assert score(f"s3://bucket/in/**/*.parquet{query}", *options, "--output", tmp_path / "out")[0] == 0
    assert score(inputs, *options, "--output", f"s3://bucket/out{query}")[0] == 0
    part = "d.parquet/part-00000.parquet"
    assert s3.objects("bucket", "out")[part] == files_in(tmp_path / "out")[part]


def test_overwriting_leaves_the_users_objects(s3: S3, inputs: Path) -> None:
    assert score(inputs, "--output", "s3://bucket/out", s3=s3)[0] == 0
    s3.client.put_object(Bucket="bucket", Key="out/a.csv/notes.txt", Body=b"mine")
    assert score(inputs / "c.jsonl", "--output", "s3://bucket/out", "--overwrite", s3=s3)[0] == 0
    left = {
        name for name, content in s3.objects("bucket", "out").items() if not name.startswith("c.jsonl/") and content
    }
    assert left == {"a.csv/notes.txt", "begun.json", "manifest.json"}  # and empty objects, by which Arrow keeps folders


# Faults in the middle of an upload


def test_a_part_that_is_refused_leaves_no_shard_and_the_job_goes_on(s3: S3, heavy: Path, tmp_path: Path) -> None:
    assert score(heavy, *HEAVY, "--output", tmp_path / "out")[0] == 0
    whole = files_in(tmp_path / "out")
    s3.on_request = second_part
    code, stdout, stderr = score(heavy, *HEAVY, "--output", "s3://bucket/out", s3=s3)
    assert (code, stdout) == (1, "")
    assert stderr == (
        "s3://bucket/out/heavy.csv/part-00001.csv cannot be written: AWS Error ACCESS_DENIED during UploadPart "
        "operation: Access Denied. Check the credentials (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; "
        "for gs:// GOOGLE_APPLICATION_CREDENTIALS) and what they allow.\n"
    )
    done = ("begun.json", "heavy.csv/part-00000.csv", "heavy.csv/part-00000.json")
    assert s3.objects("bucket", "out") == {name: whole[name] for name in done}
    s3.on_request = lambda _environ: False
    assert score(heavy, *HEAVY, "--output", "s3://bucket/out", "--resume", s3=s3)[0] == 0
    assert s3.objects("bucket", "out") == whole


def test_a_server_that_stops_within_an_upload_is_named_and_the_job_goes_on(s3: S3, heavy: Path, tmp_path: Path) -> None:
    assert score(heavy, *HEAVY, "--output", tmp_path / "out")[0] == 0
    whole, stopped = files_in(tmp_path / "out"), threading.Event()

    def stop(environ: Environ) -> bool:
        if second_part(environ) and not stopped.is_set():
            stopped.set()
            threading.Thread(target=s3.stop).start()  # it waits for the requests under way
            time.sleep(0.5)
        return stopped.is_set()

    s3.on_request = stop
    code, _, stderr = score(heavy, *HEAVY, "--output", "s3://bucket/out", s3=s3)
    assert code == 1
    assert stderr.startswith("s3://bucket/out/heavy.csv/part-00001.csv cannot be written: AWS Error ")
    assert stderr.count("\n") == 1
    s3.on_request = lambda _environ: False
    s3.start()
    done = ("begun.json", "heavy.csv/part-00000.csv", "heavy.csv/part-00000.json")
    assert s3.objects("bucket", "out") == {name: whole[name] for name in done}
    assert score(heavy, *HEAVY, "--output", "s3://bucket/out", "--resume", s3=s3)[0] == 0
    assert s3.objects("bucket", "out") == whole


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_a_process_that_is_killed_within_an_upload_goes_on(
    number: signal.Signals, s3: S3, heavy: Path, tmp_path: Path
) -> None:
    assert score(heavy, *HEAVY, "--output", tmp_path / "out")[0] == 0
    whole, processes = files_in(tmp_path / "out"), []

    def kill(environ: Environ) -> bool:
        if second_part(environ) and processes:
            processes.pop().send_signal(number)
        return False

    s3.on_request = kill
    with start(heavy, *HEAVY, "--output", "s3://bucket/out", s3=s3) as process:
        processes.append(process)
        process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 128 + signal.SIGTERM)
    left = s3.objects("bucket", "out")
    assert {"heavy.csv/part-00001.json", "manifest.json"}.isdisjoint(left)
    assert all(whole[name] == content for name, content in left.items())
    assert score(heavy, *HEAVY, "--output", "s3://bucket/out", "--resume", s3=s3)[0] == 0
    assert s3.objects("bucket", "out") == whole


def test_processes_killed_at_any_request_and_resumed_write_the_same_bytes(s3: S3, inputs: Path) -> None:
    s3.put("bucket", "in", inputs)
    options = ("--keep", "id", "--rows-per-file", "500")
    assert score("s3://bucket/in", *options, "--output", "s3://bucket/whole", s3=s3)[0] == 0
    whole, kills = s3.objects("bucket", "whole"), 0
    while "manifest.json" not in (left := s3.objects("bucket", "out")):
        writes, processes = [], []

        def kill(environ: Environ, writes: list[str] = writes, processes: list[Any] = processes) -> bool:
            if environ["REQUEST_METHOD"] == "PUT":
                writes.append(environ["PATH_INFO"])
                if len(writes) == 2 and processes:  # so each process writes one object, and at times two
                    processes.pop().kill()
            return False

        s3.on_request = kill
        resume = ["--resume"] if "begun.json" in left else []
        with start("s3://bucket/in", *options, *resume, "--output", "s3://bucket/out", s3=s3) as process:
            processes.append(process)
            process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
        s3.on_request = lambda _environ: False
    assert kills >= 10
    assert left == whole


# What the store says


def test_what_is_wrong_with_a_store_is_said_in_one_line(s3: S3, inputs: Path, tmp_path: Path) -> None:
    missing = score(inputs, "--output", "s3://none/out", s3=s3)
    assert missing == (
        1,
        "",
        "s3://none/out/begun.json cannot be written: AWS Error NO_SUCH_BUCKET during PutObject operation: The "
        "specified bucket does not exist. Create the bucket, or check its name and the endpoint.\n",
    )
    assert score("s3://none/in", "--output", tmp_path / "out", s3=s3)[2] == (
        "INPUT: no bucket 's3://none'. Check the URL; a glob has * and [...], since ? begins options.\n"
    )
    nobody = f"?endpoint_override=127.0.0.1:{free_port()}&scheme=http"
    code, _, stderr = score(f"s3://bucket/in{nobody}", "--output", tmp_path / "out")
    assert (code, stderr.count("\n")) == (1, 1)
    assert stderr.startswith("s3://bucket/in cannot be read: AWS Error NETWORK_CONNECTION during HeadObject operation")
    s3.on_request = lambda environ: environ["REQUEST_METHOD"] == "HEAD"
    assert score("s3://bucket/in", "--output", tmp_path / "out", s3=s3)[2].startswith(
        "s3://bucket/in cannot be read: AWS Error ACCESS_DENIED during HeadObject operation"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Google Cloud Storage


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def google(tmp_path: Path) -> Iterator[str]:
    """The options of a URL of a server of Google Cloud Storage that has the bucket `bucket`."""
    port = free_port()
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--in-memory", "--default-bucket", "bucket"]
    with (
        (tmp_path / "server.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path) as process,
    ):
        while not answers(port):
            assert process.poll() is None
            time.sleep(0.1)
        yield f"?scheme=http&endpoint_override=127.0.0.1:{port}&retry_limit_seconds=5"
        process.terminate()


def test_google_gives_the_bytes_that_files_give(google: str, inputs: Path, tmp_path: Path) -> None:
    options = ("--keep", "id", "--rows-per-file", "300")
    assert score(inputs, *options, "--output", tmp_path / "out")[0] == 0
    assert score(inputs, *options, "--output", f"gs://anonymous@bucket/out{google}")[0] == 0
    again = score(inputs, *options, "--resume", "--output", f"gs://anonymous@bucket/out{google}")
    assert again[2] == "gs://anonymous@bucket/out was complete already\n"
    url = f"gs://anonymous@bucket/out/*/*.csv{google}"
    assert score(url, "--column", "id", "--keep", "row,label", "--output", tmp_path / "again")[0] == 0
    files = files_in(tmp_path / "out")
    totals = json.loads((tmp_path / "again" / "manifest.json").read_text())
    assert totals["rows"] == 4000
    assert [source["sha256"] for source in totals["inputs"]] == [
        hashlib.sha256(content).hexdigest() for content in shards_in(files).values()
    ]
    missing = score(inputs, "--output", f"gs://anonymous@none/out{google}")
    assert (missing[0], missing[2].count("\n")) == (1, 1)
    assert missing[2].endswith("Create the bucket, or check its name and the endpoint.\n")
