"""Files under load: one that is replaced while it is evaluated, and one on a disk that is full."""

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
from processes import FOLDER, RUN, answer, hold, start


def replaced_file(test: Path, count: int) -> dict[str, Any]:
    versions = two_versions(test)
    expected = [facts(json.loads(evaluated(path)[1])) for path in versions]
    hold(expected[0] != expected[1], "the versions must differ")
    target = FOLDER / "live.csv"
    return {name: evaluations(target, write, versions, expected, count) for name, write in WRITERS.items()}


def two_versions(test: Path) -> list[Path]:
    """Two tables of other rows, one twice as long as the other."""
    with test.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    paths = [FOLDER / "one.csv", FOLDER / "other.csv"]
    for path, some in zip(paths, (rows[: len(rows) // 3], rows[len(rows) // 3 :]), strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *some])
    return paths


def evaluated(path: Path) -> tuple[int, bytes, bytes]:
    command = [*TEXTCLF, "evaluate", path, "--run", RUN, "--json"]
    return answer(start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))


def facts(document: dict[str, Any]) -> tuple[object, ...]:
    """What a version of the file is known by."""
    support = sum(label["support"] for label in document["labels"].values())
    return document["data"]["sha256"], document["data"]["rows"], support, document["metrics"]["accuracy"]


def evaluations(
    target: Path, write: str, versions: list[Path], expected: list[tuple[object, ...]], count: int
) -> dict[str, int]:
    """How many evaluations found one version of the file, and how many were refused."""
    found = {"consistent": 0, "refused": 0}
    target.write_bytes(versions[0].read_bytes())
    with writing(target, write, versions):
        for _ in range(count):
            code, output, talk = evaluated(target)
            if code == 0:
                hold(facts(json.loads(output)) in expected, "a mixture:", facts(json.loads(output)))
                found["consistent"] += 1
            else:
                said = talk.decode()
                # that it changed, or, where it was looked at while it was empty, that it is
                hold(code == 1 and said.startswith(str(target)) and said.count("\n") == 1, code, said)
                found["refused"] += 1
    return found


@contextlib.contextmanager
def writing(target: Path, write: str, versions: list[Path]) -> Iterator[None]:
    """A process of its own replaces the file as long as the block runs."""
    process = start([sys.executable, "-c", write, target, *versions])
    try:
        yield
        hold(process.poll() is None, "the writer has ended")
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
        for begin in range(0, len(data), 1 << 14):
            file.write(data[begin : begin + (1 << 14)])
            time.sleep(random.choice([0, 0, 0.02]))
""",
}


# A disk that is full


def full_disk() -> dict[str, str]:
    """Predicts onto a disk of 64 KB, where this program may mount one."""
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
    output, count = folder / "out.tsv", 20_000
    output.write_text("earlier\n")
    lines = FOLDER / "lines.txt"
    lines.write_text("".join(f"a film {random.random()}\n" for _ in range(count)))
    command = [*TEXTCLF, "predict", lines, "--run", RUN, "--output", output]
    code, _, talk = answer(start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    expected = f"{output} cannot be written: No space left on device. Free space, or choose another place.\n"
    hold((code, talk.decode()) == (1, expected), code, talk.decode())
    found = [path.name for path in folder.iterdir()]
    hold(found == ["out.tsv"], "left behind:", found)
    hold(output.read_text() == "earlier\n", "the earlier file has changed")
    return {"tried": f"{count:,} predictions onto a disk of 64 KB", "found": "refused by name, the earlier file whole"}
