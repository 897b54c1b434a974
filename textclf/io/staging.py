"""Writing a run: in a staging folder beside it, which replaces the run once it is complete."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from textclf.errors import UserError
from textclf.io.files import make_parents
from textclf.io.run_folder import RUNS, Run

logger = logging.getLogger(__name__)

STAGING, OLD, LOCK = ".partial", ".old", ".lock"


@contextlib.contextmanager
def locked(run: Run) -> Iterator[None]:
    """Lock the run against other processes; if the process dies, the system releases the lock.

    The run's parent folder is created, and removed again if the block fails.

    Raises:
        UserError: another process has the lock.
    """
    import filelock  # takes a tenth of the time of a prediction to import

    path = _beside(run, LOCK)
    lock = filelock.FileLock(path)
    with make_parents(path):
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            raise UserError(
                f"another process is training {run.path}. Wait until it is done, or choose another folder with --run."
            ) from None
        try:
            _finish_publishing(run)
            yield
        finally:
            # before the release: afterwards another process may have locked the file
            with contextlib.suppress(OSError):  # Windows removes no open file
                path.unlink()
            lock.release()


def staging_of(run: Run) -> Run:
    """Return the folder in which a run is written before it is complete."""
    return Run(_beside(run, STAGING))


def create_staging(run: Run, *, overwrite: bool, option: str = "--run") -> Run:
    """Create an empty staging folder for the run.

    Args:
        option: the command-line option that names the run.

    Raises:
        UserError: the run or an unfinished training of it exists and must not be overwritten, or the folder holds
            something else.
    """
    _check_target(run, overwrite=overwrite, option=option)
    staging = staging_of(run)
    if staging.checkpoint.exists() and not overwrite:
        raise UserError(
            f"{staging.path} holds an unfinished training. Go on with --resume, or begin anew with --overwrite."
        )
    _remove(staging.path)
    staging.path.mkdir()
    return staging


@contextlib.contextmanager
def publishing(staging: Run, run: Run) -> Iterator[None]:
    """Replace the run by the staging folder after the block; if the block fails, keep only the checkpoint."""
    try:
        yield
    except BaseException:
        if staging.checkpoint.exists():
            logger.warning("what was trained is kept in %s; go on with --resume", staging.path)
        drop_all_but_checkpoint(staging)
        raise
    _publish(staging, run)


def drop_all_but_checkpoint(staging: Run) -> None:
    """Remove all files but the checkpoint; without one, remove the folder."""
    if not staging.checkpoint.exists():
        _remove(staging.path)
        return
    for path in [*staging.path.iterdir(), *staging.checkpoint.parent.iterdir()]:
        if path not in (staging.checkpoint.parent, staging.fingerprint) and not path.match("checkpoint/state*.npz"):
            _remove(path)


def recover(run: Run) -> Run:
    """Return the run; first publish it if a process died while publishing."""
    if not run.path.exists() and (_beside(run, OLD).exists() or _is_unpublished(run)):
        with contextlib.suppress(UserError), locked(run):  # another process with the lock is about to publish
            pass
    return run


def newest_run() -> Run:
    """Return the last trained complete run in runs/.

    Raises:
        UserError: there is none.
    """
    for old in RUNS.glob(f"*{OLD}"):
        recover(Run(old.with_suffix("")))
    # not the time of metrics.json, which `evaluate` rewrites
    complete = [(run.environment.stat().st_mtime, run) for run in map(Run, RUNS.glob("*")) if run.complete]
    complete = [(time, run) for time, run in complete if run.path.suffix not in (STAGING, OLD)]
    if not complete:
        raise UserError(f"no complete run in {RUNS}/. Train one with `textclf train CONFIG`, or name one with --run.")
    return max(complete, key=lambda entry: entry[0])[1]


def _publish(staging: Run, run: Run) -> None:
    """Replace the run by a complete staging folder; if the process dies, `_finish_publishing` does the rest."""
    staging.checkpoint.unlink(missing_ok=True)  # first: a complete folder without a checkpoint is to be published
    _remove(staging.checkpoint.parent)
    old = _beside(run, OLD)
    if run.path.exists():
        run.path.replace(old)
    try:
        staging.path.replace(run.path)
    except OSError:
        if old.exists():
            old.replace(run.path)
        raise
    _remove(old)


def _finish_publishing(run: Run) -> None:
    """Finish the work of a process that died in `_publish`."""
    old = _beside(run, OLD)
    if _is_unpublished(run):
        _publish(staging_of(run), run)
    elif run.path.exists():
        _remove(old)
    elif old.exists():
        old.replace(run.path)


def _is_unpublished(run: Run) -> bool:
    return staging_of(run).complete and not staging_of(run).checkpoint.exists()


def _check_target(run: Run, *, overwrite: bool, option: str) -> None:
    """Raise a UserError if training must not replace the folder."""
    if not run.path.exists() or (run.path.is_dir() and not any(run.path.iterdir())):
        return
    if not (run.complete and (run.model / "model.json").is_file()):
        raise UserError(f"{run.path} exists and is no run of textclf. Choose another folder with {option}.")
    if not overwrite:
        raise UserError(f"{run.path} exists. Replace it with --overwrite, or choose another folder with {option}.")


def _beside(run: Run, suffix: str) -> Path:
    path = run.path.absolute()
    return path.with_name(path.name + suffix)


def _remove(path: Path) -> None:
    """Remove a folder or a file, as far as the system allows."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
