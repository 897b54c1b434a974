"""Putting a complete run in its place, renamed if possible, else file by file, without losing the user's own files."""

import errno
import itertools
import logging
import os
import shutil
from pathlib import Path

from textclf.io.run_folder import Run, other_paths, remove_run

logger = logging.getLogger(__name__)

# A mount point, a folder of a lower layer of a container's overlay, or one of another user in a folder such as /tmp
_CANNOT_RENAME = (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES)


def can_be_renamed(folder: Path) -> bool:
    """Return whether the system renames this folder: it is no mount point, and its parent can be written."""
    return not folder.is_dir() or (os.access(folder.parent, os.W_OK) and not _is_mount_point(folder))


def _is_mount_point(folder: Path) -> bool:
    if os.path.ismount(folder):
        return True
    try:
        mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:  # not Linux
        return False
    # ismount does not see that a folder of the same file system is mounted here
    escaped = os.fsencode(folder).replace(b"\\", b"\\134").replace(b" ", b"\\040")
    return any(mount.split(b" ")[4:5] == [escaped] for mount in mounts)


def publish(staging: Run, run: Run, replaced: Run) -> None:
    """Put a complete staging folder in the place of the run; if the process dies, a second call does the rest.

    Args:
        replaced: the folder to which an earlier run is renamed until what is the user's was moved out of it.

    Raises:
        OSError: the run cannot be put there; it stays in the staging folder.
    """
    if not can_be_renamed(run.path):
        _fill(staging, run)
        return
    if run.path.exists():
        try:
            run.path.replace(replaced.path)
        except OSError as error:
            if error.errno not in _CANNOT_RENAME:
                raise
            _fill(staging, run)
            return
    try:
        staging.path.replace(run.path)
    except OSError:
        if replaced.path.exists():
            replaced.path.replace(run.path)
        raise
    if replaced.path.exists():
        retire(replaced, run)


def _fill(staging: Run, run: Run) -> None:
    """Move the files of a complete staging folder into the run folder, metrics.json last."""
    if run.metrics.exists():  # until it is removed nothing was moved, also by a process that died
        _keep_evaluations(run, run)
        for file in run.files:
            if not _counterpart(file, run, staging).exists():
                file.unlink(missing_ok=True)
        run.metrics.unlink()
    for file in staging.files:
        if file.exists():
            target = _counterpart(file, staging, run)
            target.parent.mkdir(exist_ok=True)
            shutil.move(file, target)
    retire(staging, run)


def retire(replaced: Run, run: Run) -> None:
    """Move what textclf did not write from a folder into the run, and remove the rest of the folder."""
    try:
        for path in other_paths(replaced):
            target = _counterpart(path, replaced, run)
            if not os.path.lexists(target):
                target.parent.mkdir(exist_ok=True)
                shutil.move(path, target)
        _keep_evaluations(replaced, run)
        remove_run(replaced)
    except OSError as error:
        logger.warning("%s: %s", error.filename or replaced.path, error.strerror or error)
    if replaced.path.exists():
        logger.warning("%s holds files that could not be moved into %s", replaced.path, run.path)


def _keep_evaluations(replaced: Run, run: Run) -> None:
    """Move evaluations to `earlier_evaluations/`, each with the config of its run: the new model gave none of them."""
    if not replaced.evaluations.is_dir():
        return
    kept = run.path / "earlier_evaluations"
    for path in sorted(replaced.evaluations.iterdir()):
        evaluation = Run(path)
        if evaluation.metrics.is_file() and replaced.config.is_file() and not evaluation.config.exists():
            shutil.copyfile(replaced.config, evaluation.config)
        kept.mkdir(exist_ok=True)
        names = itertools.chain([path.name], (f"{path.name}-{number}" for number in itertools.count(2)))
        shutil.move(path, next(kept / name for name in names if not os.path.lexists(kept / name)))
    replaced.evaluations.rmdir()
    if kept.is_dir():
        logger.info("evaluations of the earlier model are kept in %s", kept)


def _counterpart(path: Path, folder: Run, other: Run) -> Path:
    """Return the path in the other folder that a path in this folder has there."""
    return other.path / path.relative_to(folder.path)
