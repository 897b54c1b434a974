"""Objects in a store such as S3 or Google Cloud Storage, with the methods of `pathlib.Path` that scoring needs.

A store has no folders and no renaming: a folder is the beginning of keys, and an object is there once it is uploaded.
"""

import contextlib
import errno
import io
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from textclf.errors import UserError
from textclf.io.files import replacing, temporary_file_errors

BLOCK = 8 << 20  # bytes of a request: each waits for the network once

REQUESTS = 16  # at a time: a store answers many as quickly as one

_URL = re.compile(r"((?:s3|gs)://(?:anonymous@)?)([^?]*)(\?.*)?", re.DOTALL)

_VARIABLES = "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for gs:// GOOGLE_APPLICATION_CREDENTIALS"
_ADVICE = {
    "NO_SUCH_BUCKET|NOT_FOUND|Bucket '.*' not found": "Create the bucket, or check its name and the endpoint.",
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|INVALID_CLIENT_TOKEN|EXPIRED|PermissionDenied|Unauthenticated"
    r"|code: 40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED": f"Check the credentials ({_VARIABLES}) and what they allow.",
}
"""Advice, by a pattern of the store's message."""
_NOISE = re.compile(
    r"^When .*?: (?=AWS Error)| \(Request ID: \S*\)|; Details: .*"
    r"|^(?:\[Errno 2\] )?google::cloud::Status\(| error_info=.*"
)
"""The parts of a store's message that say nothing to a user."""
_CHECK_ALL = "Check the URL, the network and the endpoint (for s3 AWS_ENDPOINT_URL), then go on with --resume."


class ObjectState(NamedTuple):
    """Size and time of the last change, named as in `os.stat_result`."""

    st_size: int
    st_mtime_ns: int


class StoreError(UserError):
    """A store that cannot be reached, or takes no objects: all further requests would fail too."""


@dataclass(frozen=True)
class ObjectPath:
    """An object in a store, or a folder: the objects whose keys begin with its key and a slash.

    Every method raises a UserError where the store fails.
    """

    scheme: str
    """Such as `s3://`."""
    key: str
    """Bucket and key, joined by a slash."""
    query: str
    """Options of the store, such as `?region=eu-west-1`, or nothing."""

    @classmethod
    def parse(cls, url: str) -> "ObjectPath":
        """Return the object that a URL names.

        Raises:
            UserError: it names no bucket, or holds credentials.
        """
        match = _URL.fullmatch(url)
        key = match[2].rstrip("/") if match else ""
        if not match or not key or key.startswith("/"):
            raise UserError(f"{url} names no bucket. Write it as {url.partition('://')[0]}://BUCKET/KEY.")
        if "@" in key.partition("/")[0]:
            scheme = url.partition("://")[0]
            raise UserError(
                f"{scheme}://...@{key.rpartition('@')[2]} holds credentials, which would be stored with the results. "
                f"Leave them out, and set {_VARIABLES}."
            )
        return cls(match[1], key, match[3] or "")

    def __str__(self) -> str:
        return f"{self.scheme}{self.key}"

    @property
    def url(self) -> str:
        return f"{self}{self.query}"

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def parts(self) -> tuple[str, ...]:
        return PurePosixPath(self.key).parts

    def __truediv__(self, name: str) -> "ObjectPath":
        return replace(self, key=f"{self.key}/{name}")

    # Reading

    def exists(self) -> bool:
        """Return True if the object, or one below it, is there."""
        return self._info().type.name != "NotFound"

    def stat(self) -> ObjectState:
        """Return size and time of the last change.

        Raises:
            FileNotFoundError: there is no such object.
        """
        info = self._info()
        if not info.is_file:
            raise FileNotFoundError(errno.ENOENT, "no such object", str(self))
        return ObjectState(info.size, info.mtime_ns)

    def open(self, mode: Literal["rb"] = "rb") -> io.BufferedReader:  # noqa: ARG002 - as of a path
        """Open the object for reading.

        Raises:
            FileNotFoundError: there is no such object.
        """
        with self.errors("read"):
            return io.BufferedReader(_Reader(self, self._store.open_input_file(self.key)), BLOCK)

    def read_text(self, *, encoding: str) -> str:
        """Return the content of one of textclf's own objects.

        Raises:
            FileNotFoundError: there is no such object.
            StoreError: it cannot be read, and so not be gone on with.
        """
        try:
            with self.open() as file:
                return file.read().decode(encoding)
        except UserError as error:
            raise StoreError(*error.lines) from None

    def iterdir(self) -> Iterator["ObjectPath"]:
        """Yield the objects and folders in a folder."""
        yield from (replace(self, key=info.path) for info in self._listed(recursive=False))

    def glob(self, pattern: str) -> Iterator["ObjectPath"]:
        """Yield the objects in a folder, and not below it, whose names match."""
        yield from (path for path in self.files(recursive=False) if fnmatchcase(path.name, pattern))

    def files(self, *, recursive: bool) -> dict["ObjectPath", ObjectState]:
        """Return the objects in a folder, and, if `recursive`, below it; none where there is no such folder."""
        return {
            replace(self, key=info.path): ObjectState(info.size, info.mtime_ns)
            for info in self._listed(recursive=recursive)
            if info.is_file
        }

    def _listed(self, *, recursive: bool) -> list[Any]:
        from pyarrow.fs import FileSelector

        with self.errors("listed"):
            return list(self._store.get_file_info(FileSelector(self.key, allow_not_found=True, recursive=recursive)))

    def _info(self) -> Any:
        with self.errors("read"):
            return self._store.get_file_info(self.key)

    # Writing

    def write_bytes(self, data: Any) -> None:
        """Upload the whole object; another process sees all of it or nothing."""

        def upload() -> None:
            with self.errors("written"), self._store.open_output_stream(self.key) as stream:
                # in one piece, since closing completes an upload of whatever was written before an error
                stream.write(data)

        # a signal is raised in the main thread, and so not between opening and closing
        with ThreadPoolExecutor(1) as thread:
            thread.submit(upload).result()

    def write_text(self, text: str) -> None:
        self.write_bytes(text.encode("utf-8"))

    def unlink(self, *, missing_ok: bool) -> None:
        with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])), self.errors("removed"):
            self._store.delete_file(self.key)

    # The store

    @property
    def _store(self) -> Any:
        return file_system(f"{self.scheme}{self.key.partition('/')[0]}{self.query}")

    @contextlib.contextmanager
    def errors(self, done: str) -> Iterator[None]:
        """Turn an error of the store in the block into a UserError that the object cannot be `done`.

        Raises:
            FileNotFoundError: there is no such object.
            StoreError: it cannot be written, or the store not be reached.
        """
        import pyarrow

        try:
            yield
        except (OSError, pyarrow.ArrowException) as error:
            if isinstance(error, FileNotFoundError) and done != "written":
                raise
            reason = _NOISE.sub("", " ".join(str(error).split())).rstrip(".")
            advice = next((advice for pattern, advice in _ADVICE.items() if re.search(pattern, reason)), None)
            kind = UserError if advice and done != "written" else StoreError
            raise kind(f"{self} cannot be {done}: {reason}. {advice or _CHECK_ALL}") from None


class _Reader(io.RawIOBase):
    """The bytes of an object; each read is a request to the store."""

    def __init__(self, path: ObjectPath, file: Any):
        self._path = path
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._path.errors("read"):
            return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._path.errors("read"):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


@cache
def file_system(url: str) -> Any:
    """Return pyarrow's file system for the URL of a bucket; credentials come from the environment."""
    from pyarrow.fs import FileSystem

    if url.startswith("s3:"):
        url += f"{'&' if '?' in url else '?'}allow_delayed_open=true"  # small objects in one request, not in three
    return FileSystem.from_uri(url)[0]


# Either a path on a disk or an object

Location = Path | ObjectPath


def is_url(name: str) -> bool:
    """Return True for the URL of an object."""
    return name.startswith(("s3://", "gs://"))


def location(name: str) -> Location:
    """Return what a path or URL names.

    Raises:
        UserError: it is a URL without a bucket, or with credentials.
    """
    return ObjectPath.parse(name) if is_url(name) else Path(name)


def url_or_path(place: Location) -> str:
    """Return the text that `location` reads back as the same place."""
    return place.url if isinstance(place, ObjectPath) else str(place)


@contextlib.contextmanager
def writing(place: Location) -> Iterator[Path]:
    """Yield a temporary path; at the end of the block it is renamed, or uploaded whole; nothing is if the block fails.

    Raises:
        UserError: the file cannot be written.
    """
    if isinstance(place, Path):
        with replacing(place) as temporary:
            yield temporary
        return
    import pyarrow

    with temporary_file_errors(), tempfile.TemporaryDirectory(prefix="textclf-") as folder:
        temporary = Path(folder) / place.name
        yield temporary
        with pyarrow.memory_map(str(temporary)) as file:
            place.write_bytes(file.read_buffer())
