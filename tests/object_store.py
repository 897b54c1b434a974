"""A store of objects in memory, as pyarrow sees one, that fails on demand and keeps what an upload left."""

import io
from collections.abc import Callable
from typing import Any

import pyarrow
from pyarrow.fs import FileInfo, FileSelector, FileSystemHandler, FileType


class Store(FileSystemHandler):
    """A bucket; closing a stream completes its upload, whatever has been written, as Arrow does."""

    def __init__(self, bucket: str):
        self.bucket = bucket
        self.keeps_half = False
        """Complete an upload that has failed too."""
        self.objects: dict[str, bytes] = {}
        self.times: dict[str, int] = {}
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.fault: Callable[[str, str], None] = lambda _done, _path: None
        """Called with what is done, such as `read`, and the object, before it is."""

    def put(self, path: str, content: bytes) -> None:
        self.objects[path] = content
        self.times[path] = 1 + max(self.times.values(), default=0)

    def get_type_name(self) -> str:
        return "memory"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[FileInfo]:
        for path in paths:
            self.fault("ask", path)
        return [self._info(path) for path in paths]

    def _info(self, path: str) -> FileInfo:
        if path in self.objects:
            return FileInfo(path, FileType.File, size=len(self.objects[path]), mtime_ns=self.times[path])
        is_folder = path == self.bucket or any(name.startswith(f"{path}/") for name in self.objects)
        return FileInfo(path, FileType.Directory if is_folder else FileType.NotFound)

    def get_file_info_selector(self, selector: FileSelector) -> list[FileInfo]:
        self.fault("list", selector.base_dir)
        start = f"{selector.base_dir}/"
        rest = [name.removeprefix(start) for name in self.objects if name.startswith(start)]
        names = {*rest} if selector.recursive else {name.partition("/")[0] for name in rest}
        return [self._info(start + name) for name in names]

    def open_input_file(self, path: str) -> pyarrow.NativeFile:
        self.fault("read", path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        self.reads.append(path)
        return pyarrow.BufferReader(self.objects[path])

    def open_output_stream(self, path: str, _metadata: object) -> pyarrow.NativeFile:
        return pyarrow.PythonFile(_Upload(self, path), mode="w")

    def delete_file(self, path: str) -> None:
        if path not in self.objects:
            raise FileNotFoundError(path)
        del self.objects[path]

    def _unused(self, *_: object) -> Any:
        raise NotImplementedError

    copy_file = create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = move = _unused
    open_append_stream = open_input_stream = _unused


class _Upload(io.RawIOBase):
    """An upload of which half arrives where it fails."""

    def __init__(self, store: Store, path: str):
        self._store = store
        self._path = path
        self._content = b""
        self._failed = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._store.writes.append(self._path)
        content = bytes(data)
        self._content += content[: len(content) // 2]
        self._failed = True
        self._store.fault("write", self._path)
        self._failed = False
        self._content += content[len(content) // 2 :]
        return len(content)

    def close(self) -> None:
        if not self.closed and (self._store.keeps_half or not self._failed):
            self._store.put(self._path, self._content)
        super().close()
