"""A run in the making: one process fills it, a later one may go on with it, and what is complete takes its place."""

import contextlib
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

from textclf.errors import UserError
from textclf.io.files import make_parents
from textclf.io.run_folder import RUNS, Run

logger = logging.getLogger(__name__)

STAGED, RETIRED, LOCK = ".partial", ".old", ".lock"


@contextlib.contextmanager
def claimed(run: Run) -> Iterator[None]:
    """The right to write the run, for this process alone; a process that dies gives it up.

    The folder that the run is in is made, and goes again where the block fails.

    Raises:
        UserError: another process has it.
    """
    import filelock  # its import takes a tenth of the time that a prediction takes

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
            _settle(run)
            yield
        finally:
            # before the lock is given up: later, the file could be one that another process has locked by now
            with contextlib.suppress(OSError):  # Windows removes no open file
                path.unlink()
            lock.release()


def stage_of(run: Run) -> Run:
    """Where the run is while it is being made."""
    return Run(_beside(run, STAGED))


def begin_stage(run: Run, *, overwrite: bool, option: str = "--run") -> Run:
    """An empty folder to make the run in.

    Args:
        option: by which the user named the run.

    Raises:
        UserError: the run exists, or an unfinished training of it, and is not to be overwritten; or the folder holds
            something else.
    """
    _check_target(run, overwrite=overwrite, option=option)
    stage = stage_of(run)
    if stage.checkpoint.exists() and not overwrite:
        raise UserError(
            f"{stage.path} holds an unfinished training. Go on with --resume, or begin anew with --overwrite."
        )
    _remove(stage.path)
    stage.path.mkdir()
    return stage


@contextlib.contextmanager
def finishing(stage: Run, run: Run) -> Iterator[None]:
    """Puts the stage in the run's place when the block ends well; otherwise keeps of it what can be resumed."""
    try:
        yield
    except BaseException:
        if stage.checkpoint.exists():
            logger.warning("what was trained is kept in %s; go on with --resume", stage.path)
        drop_all_but_checkpoint(stage)
        raise
    _place(stage, run)


def drop_all_but_checkpoint(stage: Run) -> None:
    """Empties the stage but for its checkpoint; without one, the stage goes too."""
    if not stage.checkpoint.exists():
        _remove(stage.path)
        return
    for path in [*stage.path.iterdir(), *stage.checkpoint.parent.iterdir()]:
        if path not in (stage.checkpoint.parent, stage.begun) and not path.match("checkpoint/state*.npz"):
            _remove(path)


def recover(run: Run) -> Run:
    """The run, in its place even if a process died on the way of putting it there."""
    if not run.path.exists() and (_beside(run, RETIRED).exists() or _left_to_place(run)):
        with contextlib.suppress(UserError), claimed(run):  # whoever has the claim is about to put a run there
            pass
    return run


def newest_run() -> Run:
    """The complete run under runs/ that was trained last.

    Raises:
        UserError: there is none.
    """
    for retired in RUNS.glob(f"*{RETIRED}"):
        recover(Run(retired.with_suffix("")))
    # evaluating rewrites metrics.json, so that its time says nothing
    finished = [(run.environment.stat().st_mtime, run) for run in map(Run, RUNS.glob("*")) if run.complete]
    finished = [(time, run) for time, run in finished if run.path.suffix not in (STAGED, RETIRED)]
    if not finished:
        raise UserError(f"no complete run in {RUNS}/. Train one with `textclf train CONFIG`, or name one with --run.")
    return max(finished, key=lambda entry: entry[0])[1]


def _place(stage: Run, run: Run) -> None:
    """Puts a complete stage in the run's place; where that fails half-way, `_settle` does the rest the next time."""
    stage.checkpoint.unlink(missing_ok=True)  # first: what is complete and has none is on its way to its place
    _remove(stage.checkpoint.parent)
    retired = _beside(run, RETIRED)
    if run.path.exists():
        run.path.replace(retired)
    try:
        stage.path.replace(run.path)
    except OSError:
        if retired.exists():
            retired.replace(run.path)
        raise
    _remove(retired)


def _settle(run: Run) -> None:
    """Ends what a process that died in `_place` had begun."""
    retired = _beside(run, RETIRED)
    if _left_to_place(run):
        _place(stage_of(run), run)
    elif run.path.exists():
        _remove(retired)
    elif retired.exists():
        retired.replace(run.path)


def _left_to_place(run: Run) -> bool:
    return stage_of(run).complete and not stage_of(run).checkpoint.exists()


def _check_target(run: Run, *, overwrite: bool, option: str) -> None:
    """Refuses a folder that training must not replace."""
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
    """Removes a folder or a file, as far as the system lets go of it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
