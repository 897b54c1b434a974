"""Publishing a complete run: by renaming it, else file by file, and always without losing the user's own files."""

import errno
import logging
import os
import shutil
from pathlib import Path

from textclf.io.run_folder import Run, numbered, other_paths, remove_run

logger = logging.getLogger(__name__)

# A mount point, a folder of a lower layer of a container's overlay, or one of another user in a folder such as /tmp
_CANNOT_RENAME = (errno.EBUSY, errno.EXDEV, errno.EPERM, errno.EACCES)


def can_be_renamed(folder: Path) -> bool:
    """Return True if the system can rename a folder: it is no mount point, and its parent can be written."""
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
        replaced: folder to which an earlier run is renamed until the user's own files are moved out of it.

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
    if run.metrics.exists():  # it is removed before any file is moved; so no process that died has moved one
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
    """Move the user's own files and the evaluations from an earlier run into the new one; remove the rest."""
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
    """Move evaluations, which are of the earlier model, to `earlier_evaluations/`, each with the config of its run."""
    if not replaced.evaluations.is_dir():
        return
    kept = run.path / "earlier_evaluations"
    if replaced.evaluations.is_symlink():  # the folder that it leads to is not ours to empty
        kept = _free_path(kept)
        shutil.move(replaced.evaluations, kept)
        logger.info("evaluations of the earlier model are kept in %s", kept)
        return
    for path in sorted(replaced.evaluations.iterdir()):
        evaluation = Run(path)
        if evaluation.metrics.is_file() and replaced.config.is_file() and not evaluation.config.exists():
            shutil.copyfile(replaced.config, evaluation.config)
        kept.mkdir(exist_ok=True)
        shutil.move(path, _free_path(kept / path.name))
    replaced.evaluations.rmdir()
    if kept.is_dir():
        logger.info("evaluations of the earlier model are kept in %s", kept)


def _free_path(path: Path) -> Path:
    """Return the path, or with -2, -3 and so on behind its name where something is there."""
    return next(path for path in numbered(path) if not os.path.lexists(path))


def _counterpart(path: Path, folder: Run, other: Run) -> Path:
    """Return a path in the other folder for one in this folder."""
    return other.path / path.relative_to(folder.path)
