"""Files as streams of bytes and lines: decompressed, in bounded memory, with every fault as UserError."""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

from textclf.errors import UserError

# Bytes of a line, characters of a row: ten times the longest novel. Without a limit, one that never ends, such as a few
# kilobytes of gzip can hold, would take all memory.
LONGEST = 1 << 24


class OpenData:
    """A context manager: the file as a stream of bytes, decompressed, with its faults as UserError.

    Args:
        pipes: what is no ordinary file, and so can be read only once, will do too.
        sha256: is updated with the bytes of the whole file.
    """

    def __init__(self, path: Path, *, pipes: bool = False, sha256: "hashlib._Hash | None" = None):
        self.path = path
        self.pipes = pipes
        self.sha256 = sha256

    def __enter__(self) -> BinaryIO:
        self.file = opened(self.path, pipes=self.pipes)
        if self.sha256:
            self.file = io.BufferedReader(HashingFile(self.file, self.sha256), HASHED_TOGETHER)
        compressed = self.path.suffix.lower() == ".gz"
        self.stream = cast(BinaryIO, gzip.GzipFile(fileobj=self.file)) if compressed else self.file
        return self.stream

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.stream.close()
        self.file.close()
        if isinstance(error, gzip.BadGzipFile | EOFError | zlib.error):
            raise UserError(f"{self.path} is a damaged gzip file: {error}. Fetch or compress it again.") from None
        if isinstance(error, OSError):
            raise UserError(f"{self.path} cannot be read: {error.strerror or error}.") from None


HASHED_TOGETHER = 1 << 18  # bytes


class HashingFile(io.RawIOBase):
    """A file that updates a digest with its bytes as they are read, and with the rest of them when it is closed.

    Where a reader jumps, as that of parquet does, the rest is hashed at once, for what is read then is out of order.
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
        while block := self._file.read(HASHED_TOGETHER):
            self._sha256.update(block)
            self._hashed += len(block)
        self._file.seek(position)


def opened(path: Path, *, pipes: bool = False) -> io.BufferedReader:
    """The file as it stands.

    Raises:
        UserError: there is none, it is a folder, or, unless `pipes` will do, no ordinary file, or it cannot be opened.
    """
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises where a name is too long
        raise UserError(f"{path} is a folder. Name a file in it, or a glob such as {path}/*.csv.")
    if not pipes and os.path.exists(path) and not is_file(str(path)):  # noqa: PTH110 - likewise
        raise UserError(f"{path} is a pipe or a device, no file. Write what it gives into a file.")
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(f"no file '{path}' (looked in {Path.cwd()}).") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def is_file(name: str) -> bool:
    """Whether there is an ordinary file of that name."""
    return os.path.isfile(name)  # noqa: PTH113 - Path.is_file raises where a name is too long


def lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The lines of a stream with their line feeds; only a line feed ends a line.

    Raises:
        UserError: a line is longer than LONGEST.
    """
    for number, line in enumerate(iter(partial(stream.readline, LONGEST + 1), b""), start=1):
        if len(line) > LONGEST:
            raise too_long(f"{name}:{number}", "line")
        yield line


def too_long(where: str, what: str) -> UserError:
    """The message about a text of more than LONGEST bytes or characters."""
    return UserError(f"{where}: a {what} of more than {LONGEST >> 20} MB. Cut the text, or drop the row.")


def decoded(line: bytes, name: str, number: int) -> str:
    """The text that a line of UTF-8 stands for, given its number for messages.

    Raises:
        UserError: a byte is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise UserError(f"{name}:{number}: byte 0x{byte:02x} is not UTF-8. Save the file as UTF-8.") from None


def decoded_lines(stream: BinaryIO, name: str) -> Iterator[str]:
    """The lines of a UTF-8 stream with their line feeds, without a byte order mark.

    Raises:
        UserError: a byte is not UTF-8, or a line is longer than LONGEST.
    """
    for number, line in enumerate(lines(stream, name), start=1):
        text = decoded(line, name, number)
        yield text.removeprefix("\ufeff") if number == 1 else text
