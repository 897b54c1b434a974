"""Files as streams of bytes and lines: decompressed, in bounded memory, with every error as UserError."""

import contextlib
import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from textclf.errors import UserError, says_out_of_memory

# Bytes per line and characters per row: ten times the longest novel. Without a limit, a few kilobytes of gzip with an
# endless line could take all memory.
SIZE_LIMIT = 1 << 24


@contextlib.contextmanager
def open_data(path: Path, *, pipes: bool = False, sha256: "hashlib._Hash | None" = None) -> Iterator[BinaryIO]:
    """Open a file as a stream of decompressed bytes; turn read errors in the block into a UserError.

    Args:
        pipes: accept pipes and devices too, which can be read only once.
        sha256: updated with the bytes of the whole file.
    """
    with decompressed(open_file(path, pipes=pipes), str(path), sha256=sha256) as stream:
        yield stream


@contextlib.contextmanager
def decompressed(file: io.BufferedReader, name: str, *, sha256: "hashlib._Hash | None" = None) -> Iterator[BinaryIO]:
    """Yield the decompressed bytes of an open file, and close it; see `open_data`.

    Args:
        name: of the file, which says if it is compressed.
        sha256: updated with the bytes of the whole file.
    """
    if sha256:
        file = io.BufferedReader(HashingFile(file, sha256), HASH_BLOCK)
    try:
        with file:
            if Path(name).suffix.lower() == ".gz":
                with gzip.GzipFile(fileobj=file) as unzipped:
                    check_content(unzipped.peek(1), name)
                    yield cast(BinaryIO, unzipped)
            else:
                check_content(file.peek(1), name)
                yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{name} is a damaged gzip file: {error}. Fetch or compress it again.") from None
    except OSError as error:
        if says_out_of_memory(error):
            raise
        raise UserError(f"{name} cannot be read: {error.strerror or error}.") from None


# Pattern of the first bytes of a file that is no text in UTF-8, its kind, and advice
_CONTENTS = (
    (re.compile(rb"\x1f\x8b\x08"), "a gzip file", "Add .gz to its name."),
    (re.compile(rb"PK\x03\x04.*?(\[Content_Types\]|xl/)", re.DOTALL), "an Excel file", "Save it as CSV, in UTF-8."),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an Excel file", "Save it as CSV, in UTF-8."),
    (re.compile(rb"PK\x03\x04"), "a zip file", "Unpack it."),
    (re.compile(rb"BZh[1-9]1AY&SY|\xfd7zXZ\0|\x28\xb5\x2f\xfd"), "compressed", "Unpack it, or use gzip."),
    (re.compile(rb"PAR1[\0-\x1f]"), "a parquet file", "End its name with .parquet."),
    (re.compile(rb"version https://git-lfs"), "a pointer of Git LFS, not the data", "Fetch them: git lfs pull."),
    (
        re.compile(rb"\xff\xfe|\xfe\xff|([^\0]\0){4}|(\0[^\0]){4}"),  # marks, or ASCII without one
        "in UTF-16, by its first bytes",
        "Save it in UTF-8: in Excel as CSV UTF-8, in an editor with the encoding UTF-8.",
    ),
    (re.compile(rb"SQLite format 3\0|%PDF-\d"), "no table and no text", "Save the rows as CSV, in UTF-8."),
)


def check_content(start: bytes, name: str) -> None:
    """Refuse a file that is no text or table, or another one than its name says.

    Args:
        start: the first bytes of the file, decompressed.

    Raises:
        UserError: it is a spreadsheet, an archive or the like.
    """
    is_parquet = name.lower().removesuffix(".gz").endswith(".parquet")
    for pattern, kind, advice in _CONTENTS:
        if pattern.match(start) and not (is_parquet and kind == "a parquet file"):
            raise UserError(f"{name} is {kind}. {advice}")


def missing_file(name: str, *, beside: Path | None = None) -> str:
    """Return the message that there is no file of this name, with the folder in which it was looked for.

    Args:
        beside: folder of the config, if the file is there.
    """
    if os.path.isabs(name):  # noqa: PTH117 - the name may hold a NUL
        return f"no file '{name}'."
    message = f"no file '{name}' (looked in {Path.cwd()})."
    if beside is not None:
        message += f" It is beside the config, but paths start where textclf is started: write '{beside / name}'."
    return message


def expand_home(name: str) -> str:
    """Return the name with the user's home folder for `~` at its beginning, unless a file has that very name."""
    return name if os.path.lexists(name) else os.path.expanduser(name)  # noqa: PTH111 - raises nothing


HASH_BLOCK = 1 << 18  # bytes read and hashed together


class HashingFile(io.RawIOBase):
    """A file that updates a digest with the bytes that are read, and with the remaining ones on closing.

    A seek, as by a parquet reader, hashes all remaining bytes at once, since later reads are out of order.
    """

    def __init__(self, file: io.BufferedReader, sha256: "hashlib._Hash"):
        self._file = file
        self._sha256 = sha256
        self._hashed = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        in_order = self._file.tell() == self._hashed
        count = self._file.readinto(buffer)
        if in_order:
            self._sha256.update(memoryview(buffer)[:count])
            self._hashed += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if (offset, whence) != (0, io.SEEK_CUR):
            self._hash_rest()
        return self._file.seek(offset, whence)

    def close(self) -> None:
        if not self.closed:
            self._hash_rest()
            self._file.close()
        super().close()

    def _hash_rest(self) -> None:
        position = self._file.tell()
        self._file.seek(self._hashed)
        while block := self._file.read(HASH_BLOCK):
            self._sha256.update(block)
            self._hashed += len(block)
        self._file.seek(position)


def open_file(path: Path, *, pipes: bool = False) -> io.BufferedReader:
    """Open a file without decompressing it.

    Raises:
        UserError: there is no such file, it is a folder or, unless `pipes`, a pipe or device, or it cannot be opened.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise UserError(f"{path} is a folder. Name a file in it, or a glob such as {path}/*.csv.")
    if not pipes and os.path.exists(path) and not is_regular_file(str(path)):  # noqa: PTH110 - likewise
        raise UserError(f"{path} is a pipe or a device, no file. Write what it gives into a file.")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(missing_file(str(path))) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def is_regular_file(name: str) -> bool:
    """Return True if this is a regular file: no folder, pipe or device."""
    return os.path.isfile(name)  # noqa: PTH113 - Path.is_file raises where a name is too long


def byte_lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the lines of a stream, line feeds included; only a line feed ends a line.

    Raises:
        UserError: a line is longer than SIZE_LIMIT.
    """
    for number, line in enumerate(iter(partial(stream.readline, SIZE_LIMIT + 1), b""), start=1):
        if len(line) > SIZE_LIMIT:
            raise too_long_error(f"{name}:{number}", "line")
        yield line


def too_long_error(where: str, what: str) -> UserError:
    """Return the error for more than SIZE_LIMIT bytes or characters."""
    return UserError(f"{where}: a {what} of more than {SIZE_LIMIT >> 20} MB. Cut the text, or drop the row.")


def decode_line(line: bytes, name: str, number: int) -> str:
    """Decode a line of UTF-8; `number` is for messages.

    Raises:
        UserError: a byte is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise UserError(f"{name}:{number}: byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8.") from None


def text_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 stream, line feeds included, byte order mark removed.

    Raises:
        UserError: a byte is not UTF-8, or a line is longer than SIZE_LIMIT.
    """
    for number, line in enumerate(byte_lines(stream, name), start=1):
        text = decode_line(line, name, number)
        yield text.removeprefix("\ufeff") if number == 1 else text
