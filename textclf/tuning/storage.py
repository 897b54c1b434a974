"""The storage of a search: a journal in its folder, or a journal or database that several machines share."""

import contextlib
import importlib
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from textclf.errors import UserError

TRIES, PAUSE_SECONDS = 10, 0.5  # to make the tables of a database, which another machine may be making

CONNECT_SECONDS = 10

# After these PostgreSQL ends the turn of a machine that it no longer hears of, and machines that wait for MySQL fail.
TURN_SECONDS = 60

DRIVERS = {
    "postgresql": ("PostgreSQL", "psycopg", "'psycopg[binary]'"),
    "mysql": ("MySQL", "pymysql", "pymysql"),
}
"""By kind of database: its name, the module of its driver, and what installs that."""

_USER, _HOST = r"(?:[^@:/]*(?::(?P<password>[^@]*))?@)?", r"(?:[\w.-]*|\[[\da-fA-F:.]+\])(?::\d+)?"
_URL = re.compile(rf"(?P<kind>{'|'.join(DRIVERS)})://{_USER}(?P<place>{_HOST}/[\w.%-]+)(?:\?(?P<query>[^@]*))?")

FORMS = (
    "Write postgresql://USER:PASSWORD@HOST/DATABASE, or mysql://USER:PASSWORD@HOST/DATABASE, with @ : / ? % in a name "
    "or password as %40 %3A %2F %3F %25, or the path of a file on a disk that all machines share."
)

WRITE_FAULTS = (OSError, RuntimeError)  # RuntimeError: the lock of a journal is gone

DAMAGE = (*WRITE_FAULTS, ValueError, LookupError, TypeError, AttributeError, AssertionError)  # Optuna on a damaged line


@dataclass(frozen=True)
class Storage:
    """A journal file or a database, and the search in it."""

    place: str
    """Path of the journal, or kind, host and name of the database, without user and password."""
    search: str = "tune"
    """Name of the search."""
    shared: bool = False
    """Other machines may use it at the same time."""
    url: str = field(default="", repr=False)
    """The whole URL of the database, never to be shown; empty for a journal."""

    @property
    def secrets(self) -> list[str]:
        """The passwords in the URL."""
        if not (parts := _URL.fullmatch(self.url)):
            return []
        options = [value for key, value in parse_qsl(parts["query"] or "") if "pass" in key]
        password = parts["password"] or ""
        return [secret for secret in (password, unquote(password), *options) if secret]


def shared_storage(text: str, *, search: str) -> Storage:
    """Return the storage that `--storage` names.

    Raises:
        UserError: it is no URL of a PostgreSQL or MySQL database, and no path either.
    """
    if parts := _URL.fullmatch(text):
        return Storage(f"{parts['kind']}://{parts['place']}", search, shared=True, url=text)
    # what looks like a URL is not repeated: it may hold a password
    kind, is_url, _ = text.partition("://")
    if is_url and re.fullmatch(r"[a-z\d+.]+", kind) and kind not in DRIVERS:
        raise UserError(f"--storage begins with {kind}://, which no search can be kept in. {FORMS}")
    if is_url or re.match(r"[^/\\]{2,}:[^@]*@", text):
        raise UserError(f"--storage is no address of a database. {FORMS}")
    return Storage(text, search, shared=True)


class OpenStorage:
    """An open storage.

    Args:
        optuna: the module.
        recover: remove what a process that died may have left; only if no other process has the journal open.

    Raises:
        UserError: the driver of the database is missing.
        ValueError: the file is no journal, or is damaged.
    """

    def __init__(self, storage: Storage, optuna: Any, *, recover: bool = False):
        self._storage = storage
        self._engine: Any = None
        if storage.url:
            self._open_database(optuna)
            return
        journal = optuna.storages.journal
        if recover:
            _repair(Path(storage.place))
        if storage.shared:
            _check_journal(Path(storage.place))
        self._turn_lock = journal.JournalFileOpenLock(f"{storage.place}.turn", TURN_SECONDS)
        lock = (_shared_lock(journal) if storage.shared else journal.JournalFileOpenLock)(storage.place)
        self.optuna = optuna.storages.JournalStorage(journal.JournalFileBackend(storage.place, lock))

    def _open_database(self, optuna: Any) -> None:
        kind, _, rest = self._storage.url.partition("://")
        name, module, package = DRIVERS[kind]
        try:
            importlib.import_module(module)
        except ImportError:
            raise UserError(f"--storage: {name} needs the package {module}: pip install {package}.") from None
        import sqlalchemy  # comes with Optuna

        # Optuna fills braces in a URL
        url = f"{kind}+{module}://{rest}".replace("{", "%7B").replace("}", "%7D")
        # a connection that the server has closed during a long trial is replaced
        options: dict[str, Any] = {"pool_pre_ping": True}
        if "connect_timeout=" not in rest:
            options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
        self._engine = sqlalchemy.create_engine(url, **options)
        self._engine.connect().close()  # a wrong password is told here, and not tried again
        for attempt in range(1, TRIES + 1):
            try:
                self.optuna = optuna.storages.RDBStorage(url, dict(options))
                return
            except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError):
                if attempt == TRIES:
                    raise
                time.sleep(PAUSE_SECONDS)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Keep all other processes on all machines out of the block; of a storage that is not shared, none."""
        if not self._storage.shared:
            yield
        elif self._engine is None:
            self._turn_lock.acquire()
            try:
                yield
            finally:
                self._turn_lock.release()
        else:
            with self._database_locked():
                yield

    @contextlib.contextmanager
    def _database_locked(self) -> Iterator[None]:
        """Hold a lock of the database that no table takes part in; it is released where the connection ends."""
        from sqlalchemy import text

        database = self._storage.place.rpartition("/")[2]
        number = zlib.crc32(f"{database}/{self._storage.search}".encode())
        with self._engine.begin() as connection:
            if self._storage.url.startswith("postgresql"):
                connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{TURN_SECONDS}s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})
                yield
                return
            name = {"name": f"textclf {number}"}
            if connection.execute(text(f"SELECT GET_LOCK(:name, {TURN_SECONDS})"), name).scalar() != 1:
                raise TimeoutError(f"another machine has had its turn for more than {TURN_SECONDS} seconds")
            try:
                yield
            finally:
                connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)


@contextlib.contextmanager
def storage_faults(storage: Storage, optuna: Any, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn errors with the storage in the block into a UserError that names it."""
    if storage.url:
        from sqlalchemy.exc import SQLAlchemyError

        kinds = (*kinds, SQLAlchemyError, optuna.exceptions.StorageInternalError)
    try:
        yield
    except kinds as error:
        advice = "Free space and go on with --resume, or begin anew with --overwrite."
        if storage.shared:
            advice = "Once that is mended, the same command goes on."
        raise UserError(f"{storage.place} cannot be read or written: {_reason(error, storage)}. {advice}") from None


def _reason(error: BaseException, storage: Storage) -> str:
    """Return what the driver of a database or the system said, in one line and without passwords."""
    if not storage.url:
        return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    while error.__cause__:
        error = error.__cause__
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0].rstrip(".")
    for secret in storage.secrets:
        reason = reason.replace(secret, "***")
    return reason


def _shared_lock(journal: Any) -> Any:
    """Return a kind of lock whose holder finds complete lines only, also where a machine died as it wrote one."""

    class SharedJournalLock(journal.JournalFileOpenLock):
        def __init__(self, path: str):
            super().__init__(path)
            self._path = Path(path)

        def acquire(self) -> bool:
            acquired: bool = super().acquire()
            _drop_half_line(self._path)
            return acquired

    return SharedJournalLock


def _check_journal(path: Path) -> None:
    """Refuse another file than a journal, which must not be written into.

    Raises:
        ValueError: it is none.
    """
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            line = file.readline()
        if not line.startswith(b'{"op_code":') or not line.endswith(b"\n"):
            raise ValueError("it is no journal of Optuna")


def _drop_half_line(path: Path) -> None:
    """Cut off what a machine that died has written of a line."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _repair(path: Path) -> None:
    """Remove what a process that died may leave: the lock of the journal, and half a line at its end.

    Raises:
        ValueError: another line is damaged.
    """
    Path(f"{path}.lock").unlink(missing_ok=True)
    if not path.exists():
        return
    *lines, rest = path.read_bytes().split(b"\n")
    if rest and not lines:
        raise ValueError("it holds no complete line")
    for line in lines:
        json.loads(line)
    os.truncate(path, path.stat().st_size - len(rest))
