"""Writing a run: in a staging folder beside it, which replaces the run once it is complete."""

import contextlib
import errno
import logging
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from textclf.errors import UserError
from textclf.io.contract import EnvironmentDocument
from textclf.io.files import make_parents, read_json, write_errors
from textclf.io.outputs import already_exists, check_not_read, check_steps_back
from textclf.io.publishing import can_be_renamed, publish, retire
from textclf.io.run_folder import RUNS, Run, remove_run, training_files

logger = logging.getLogger(__name__)

# Suffixes of names beside a run. What has the second is moved and removed without asking, so it must be textclf's own.
STAGING, REPLACED, LOCK = ".partial", ".textclf-replaced", ".lock"

INSIDE = ".textclf"  # their prefix inside a run folder that nothing can stand beside, such as a mount point

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


@contextlib.contextmanager
def locked(run: Run, *, option: str = "--run") -> Iterator[None]:
    """Lock the run against other processes; if the process dies, the system releases the lock.

    The run's parent folder is created, and removed again if the block fails.

    Args:
        option: the command-line option that names the run.

    Raises:
        UserError: another process has the lock, or the run is a link that leads nowhere or cannot be written.
    """
    check_steps_back(run.path, option=option, kind="folder")
    _check_name(run, option)
    _check_links(run, option)
    path = _beside(run, LOCK)
    if not _is_lock(path):
        raise UserError(f"{path} is no lock of textclf, which needs this name. Choose another folder with {option}.")
    with contextlib.ExitStack() as stack:
        with write_errors(run.path, path):
            stack.enter_context(make_parents(path))
            stack.enter_context(_lock(run, path, option))
            _finish_publishing(run)
        yield


@contextlib.contextmanager
def _lock(run: Run, path: Path, option: str) -> Iterator[None]:
    import filelock  # takes a tenth of the time of a prediction to import

    lock = filelock.FileLock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise UserError(
            f"another process is training {run.path}. Wait until it is done, or choose another folder with {option}."
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning("%s: %s. Nothing keeps another training from the same folder.", path, error.strerror)
    try:
        yield
    finally:
        # before the release: afterwards another process may have locked the file
        with contextlib.suppress(OSError):  # Windows removes no open file
            path.unlink()
        lock.release()


def _is_lock(path: Path) -> bool:
    """Return True if a path is free or a lock; a file such as poetry.lock or uv.lock must not be lost."""
    content = path.read_bytes() if path.is_file() else b""
    return not content or content[:1].isdigit()  # filelock writes the process number where the system has no locks


def _check_name(run: Run, option: str) -> None:
    """Refuse a name that textclf gives to what is not yet in its place: it would be put there, over another run."""
    name = os.path.realpath(run.path)
    suffix = next((suffix for suffix in (STAGING, REPLACED) if name.endswith(suffix)), None)
    if suffix:
        raise UserError(
            f"{run.path} ends in {suffix}, as only unfinished runs do. Choose another folder with {option}."
        )


def _check_links(run: Run, option: str) -> None:
    """Refuse a run whose path goes through a link that leads nowhere, such as to a disk that is not mounted."""
    for path in (run.path, *run.path.absolute().parents):
        if path.is_symlink() and not path.exists():
            raise UserError(
                f"{path} is a link to {path.readlink()}, which does not exist. Make that folder, or choose another "
                f"with {option}."
            )


def staging_of(run: Run) -> Run:
    """Return the folder in which a run is written before it is complete."""
    return Run(_beside(run, STAGING))


def create_staging(run: Run, sources: Iterable[Path], *, overwrite: bool, option: str = "--run") -> Run:
    """Create an empty staging folder for the run.

    Args:
        sources: the files that the command reads.
        option: the command-line option that names the run.

    Raises:
        UserError: the run or an unfinished training of it exists and must not be overwritten, or the folder holds
            something else or cannot be written.
    """
    _check_target(run, sources, overwrite=overwrite, option=option)
    staging = staging_of(run)
    if staging.checkpoint.exists() and not overwrite:
        raise UserError(
            f"{staging.path} holds an unfinished training. Go on with --resume, or begin anew with --overwrite."
        )
    remove_run(staging)
    if os.path.lexists(staging.path):
        raise UserError(
            f"{staging.path} is in the way, with something that textclf did not write. Move it, or choose another "
            f"folder with {option}."
        )
    with write_errors(run.path, staging.path):
        staging.path.mkdir()
    return staging


@contextlib.contextmanager
def publishing(staging: Run, run: Run) -> Iterator[None]:
    """Replace the run by the staging folder after the block; if the block fails, keep only the checkpoint.

    Raises:
        UserError: the block is done, and the run cannot be replaced.
    """
    try:
        yield
    except BaseException:
        if staging.checkpoint.exists():
            logger.warning("what was trained is kept in %s; go on with --resume", staging.path)
        drop_all_but_checkpoint(staging)
        raise
    try:
        _publish(staging, run)
    except OSError as error:
        raise UserError(
            f"{run.path} cannot be replaced: {error.strerror or error}. The new run is complete, in {staging.path}. "
            f"`textclf check {run.path}` brings it to its place once that is possible; until then name it with --run."
        ) from None


def drop_all_but_checkpoint(staging: Run) -> None:
    """Remove all files but the checkpoint; without one, remove the folder."""
    kept = training_files(staging) if staging.checkpoint.exists() else []
    remove_run(staging, keep=kept)


def recover(run: Run) -> Run:
    """Return the run; first put a complete run into its place that a process left beside it.

    Raises:
        UserError: the folder is that of a search, whose best run is in it.
    """
    if _is_unpublished(run) or _replaced(run).path.exists():
        try:
            with locked(run):
                pass
        except UserError as error:
            logger.warning("%s", error)
    if (run.path / "begun.json").is_file() and not run.complete:
        best = Run(run.path / "best")
        unfinished = f"It has no best run yet: go on with `textclf tune CONFIG --run {run.path} --resume`."
        advice = f"Name its best run: {best.path}." if best.complete else unfinished
        raise UserError(f"{run.path} holds a search, not a run. {advice}")
    return run


def newest_run() -> Run:
    """Return the last trained complete run in runs/.

    Raises:
        UserError: there is none.
    """
    for suffix in (STAGING, REPLACED):
        for path in RUNS.glob(f"*{suffix}"):
            recover(Run(path.with_name(path.name.removesuffix(suffix))))
    paths = [path for path in sorted(RUNS.glob("*"), key=_real_first) if path.suffix not in (STAGING, REPLACED)]
    complete = [run for run in map(Run, paths) if run.complete]
    if not complete:
        raise UserError(f"no complete run in {RUNS}/. Train one with `textclf train CONFIG`, or name one with --run.")
    return max(complete, key=_time_of_training)


def _real_first(path: Path) -> tuple[bool, Path]:
    """Return a sort key that puts a link such as `runs/latest` after the run itself."""
    return path.is_symlink(), path


def _time_of_training(run: Run) -> datetime:
    """Return when the training ended: by environment.json, or by its date where an earlier textclf wrote it."""
    with contextlib.suppress(UserError, KeyError, TypeError, ValueError):
        environment: EnvironmentDocument = read_json(run.environment)
        return datetime.fromisoformat(environment["finished"]).astimezone(UTC)
    return datetime.fromtimestamp(run.environment.stat().st_mtime, UTC)


def _publish(staging: Run, run: Run) -> None:
    staging.checkpoint.unlink(missing_ok=True)  # first: a complete folder without a checkpoint is to be published
    remove_run(staging, keep=staging.files)
    publish(staging, _real(run), _replaced(run))


def _finish_publishing(run: Run) -> None:
    """Finish the work of a process that died in `_publish`."""
    replaced = _replaced(run)
    if _is_unpublished(run):
        _publish(staging_of(run), run)
    elif run.path.exists() and replaced.path.exists():
        retire(replaced, _real(run))
    elif replaced.path.exists():
        replaced.path.replace(_real(run).path)


def _is_unpublished(run: Run) -> bool:
    staging = staging_of(run)
    return staging.metrics.is_file() and not staging.checkpoint.exists()


def _check_target(run: Run, sources: Iterable[Path], *, overwrite: bool, option: str) -> None:
    """Raise a UserError if training must not write the folder."""
    if not run.path.exists():
        return
    if not is_empty(run.path):
        if not (run.complete and run.description.is_file()):
            raise UserError(f"{run.path} exists and is no run of textclf. Choose another folder with {option}.")
        if not overwrite:
            raise UserError(already_exists(run.path, option=option, kind="folder"))
    sources = list(sources)
    for file in run.files[1:]:  # the config may be the run's own
        check_not_read(file, sources, option=option, kind="folder")
    if not os.access(run.path, os.W_OK | os.X_OK):
        raise UserError(f"{run.path} is read-only. Choose another folder with {option}.")


def is_empty(path: Path) -> bool:
    """Return True if a folder holds nothing but `lost+found`, as a new disk does, and textclf's lock."""
    return path.is_dir() and all(file.name == "lost+found" or file.name.startswith(INSIDE) for file in path.iterdir())


def _replaced(run: Run) -> Run:
    return Run(_beside(run, REPLACED))


def _real(run: Run) -> Run:
    """Return the run by the path of its folder, where the run is a link to it."""
    return Run(Path(os.path.realpath(run.path)))


def _beside(run: Run, suffix: str) -> Path:
    """Return a path beside the run, or in its folder where that cannot be renamed or nothing can be beside it."""
    path = _real(run).path
    return path.with_name(path.name + suffix) if can_be_renamed(path) else path / f"{INSIDE}{suffix}"
