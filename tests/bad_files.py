"""Helpers of the tests of bad input: hostile and damaged files, and the message of a command that refuses them."""

import gzip
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
from conftest import textclf

Content = bytes | Callable[[Path], object]

GOOD = b"data: {train: rows.csv}\n"
ROWS = b"text,label\n" + b"".join(b"good %d,yes\nbad %d,no\n" % (i, i) for i in range(5))
LONG = "a" * 300


def sparse(start: bytes) -> Callable[[Path], object]:
    """Return a writer of a file that goes on after `start` with a line of 100 MB of zeros, which take no disk space."""

    def write(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, 100 << 20)

    return write


def bomb(name: str) -> bytes:
    """Return a compressed file of one line: of a gigabyte in gzip, which can be joined from parts, of 32 MB in zip."""
    if name.endswith(".gz"):
        return gzip.compress(bytes(1 << 24)) * 64
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("v.txt", bytes(1 << 25))
    return file.getvalue()


def parquet(*columns: tuple[str, object]) -> bytes:
    file = io.BytesIO()
    table = pyarrow.Table.from_arrays([pyarrow.array(values) for _, values in columns], [name for name, _ in columns])
    pyarrow.parquet.write_table(table, file)
    return file.getvalue()


def damaged_zip(changes: dict[int, int]) -> bytes:
    """Return word vectors in a zip file in which bytes of its directory are changed, by their offsets."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("v.txt", "good 1 2\n")
    content = bytearray(file.getvalue())
    directory = content.index(b"PK\x01\x02")
    for offset, value in changes.items():
        content[directory + offset] = value
    return bytes(content)


def link(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def put(files: dict[str, Content]) -> None:
    for name, content in files.items():
        if isinstance(content, bytes):
            Path(name).write_bytes(content)
        else:
            content(Path(name))


def refusal(command: str, *, run: str = "") -> str:
    """Return stderr of a command that exits with 1 and an empty stdout; the folder reads HERE, the long name LONG."""
    arguments = [run if argument == "RUN" else argument.replace("LONG", LONG) for argument in command.split()]
    result = textclf(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.replace(str(Path.cwd()), "HERE").replace(LONG, "LONG").removesuffix("\n")
