"""Two trials with files: one file is replaced while it is evaluated, another is written to a full disk."""

import contextlib
import csv
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measuring import TEXTCLF
from processes import FOLDER, RUN, finish, require, start


def replaced_file(test: Path, count: int) -> dict[str, Any]:
    """Evaluate a file `count` times for each way of replacing it meanwhile; return the results by the way."""
    versions = two_versions(test)
    expected = [identity(json.loads(evaluate(path)[1])) for path in versions]
    require(expected[0] != expected[1], "the versions must differ")
    target = FOLDER / "live.csv"
    return {name: evaluations(target, script, versions, expected, count) for name, script in WRITERS.items()}


def two_versions(test: Path) -> list[Path]:
    """Write two tables of different rows, one twice as long as the other."""
    with test.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    paths = [FOLDER / "one.csv", FOLDER / "other.csv"]
    for path, part in zip(paths, (rows[: len(rows) // 3], rows[len(rows) // 3 :]), strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *part])
    return paths


def evaluate(path: Path) -> tuple[int, bytes, bytes]:
    """Evaluate a file; return exit code, standard output and standard error."""
    command = [*TEXTCLF, "evaluate", path, "--run", RUN, "--json"]
    return finish(start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def identity(document: dict[str, Any]) -> tuple[object, ...]:
    """Return the numbers of an evaluation by which a version of the file is recognised."""
    support = sum(label["support"] for label in document["labels"].values())
    return document["data"]["sha256"], document["data"]["rows"], support, document["metrics"]["accuracy"]


def evaluations(
    target: Path, script: str, versions: list[Path], expected: list[tuple[object, ...]], count: int
) -> dict[str, int]:
    """Count the evaluations of one version of the file, and those that were refused."""
    counts = {"consistent": 0, "refused": 0}
    target.write_bytes(versions[0].read_bytes())
    with replacing(target, script, versions):
        for _ in range(count):
            code, stdout, stderr = evaluate(target)
            if code == 0:
                require(identity(json.loads(stdout)) in expected, "a mixture:", identity(json.loads(stdout)))
                counts["consistent"] += 1
            else:
                message = stderr.decode()
                # that the file changed or, when it was read while it was empty, that it is empty
                require(code == 1 and message.startswith(str(target)) and message.count("\n") == 1, code, message)
                counts["refused"] += 1
    return counts


@contextlib.contextmanager
def replacing(target: Path, script: str, versions: list[Path]) -> Iterator[None]:
    """Replace the file again and again, in a process of its own, while the block runs."""
    process = start([sys.executable, "-c", script, target, *versions])
    try:
        yield
        require(process.poll() is None, "the writer has ended")
    finally:
        process.kill()
        process.wait()


_LOOP = """
import random, sys, time
from pathlib import Path
target, *versions = map(Path, sys.argv[1:])
contents = [path.read_bytes() for path in versions]
number = 0
while True:
    time.sleep(random.choice([0.01, 0.2, 1, 10]))
    number += 1
    data = contents[number % 2]
"""
WRITERS = {
    "renamed over": _LOOP
    + """
    new = target.with_suffix(".new")
    new.write_bytes(data)
    new.replace(target)
""",
    "written in place": _LOOP
    + """
    with target.open("wb", buffering=0) as file:
        for offset in range(0, len(data), 1 << 14):
            file.write(data[offset : offset + (1 << 14)])
            time.sleep(random.choice([0, 0, 0.02]))
""",
}


# A full disk


def full_disk() -> dict[str, str]:
    """Predict onto a disk of 64 KB, if this program may mount one."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
        )
        if mounted.returncode:
            return {"tried": "no disk could be mounted", "found": "nothing"}
        try:
            return predict_onto(Path(folder))
        finally:
            subprocess.run(["umount", folder], check=True)


def predict_onto(folder: Path) -> dict[str, str]:
    """Predict into a folder on a full disk; return what was tried and what happened."""
    output, count = folder / "out.tsv", 20_000
    output.write_text("earlier\n")
    lines = FOLDER / "lines.txt"
    lines.write_text("".join(f"a film {random.random()}\n" for _ in range(count)))
    command = [*TEXTCLF, "predict", lines, "--run", RUN, "--output", output, "--overwrite"]
    code, _, stderr = finish(start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    expected = f"{output} cannot be written: No space left on device. Free space, or choose another place.\n"
    require((code, stderr.decode()) == (1, expected), code, stderr.decode())
    names = [path.name for path in folder.iterdir()]
    require(names == ["out.tsv"], "left behind:", names)
    require(output.read_text() == "earlier\n", "the earlier file has changed")
    return {"tried": f"{count:,} predictions onto a disk of 64 KB", "found": "refused by name, the earlier file whole"}
