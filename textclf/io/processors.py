"""The number of processors that this process may use: in a container often fewer than the machine has."""

import math
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")  # holds `proc` and `sys`; without them, as on macOS and Windows, there are no quotas


def usable_processors() -> int:
    """Return how many processors this process may use, by its affinity and by the CPU quotas of its control groups.

    A quota of one and a half processors counts as two.
    """
    return max(1, min([_scheduled_on(), *map(math.ceil, _quotas())]))


def _scheduled_on() -> int:
    """Return the number of processors that the system may run this process on."""
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on; a user may set it by PYTHON_CPU_COUNT
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Files with the quota and its period, by the version of the control groups
_VERSION_1, _VERSION_2 = ["cpu.cfs_quota_us", "cpu.cfs_period_us"], ["cpu.max"]


def _quotas() -> Iterator[float]:
    """Yield the CPU quotas, in processors, of the control groups of this process and of all groups above them.

    Their files are described in the documentation of Linux: admin-guide/cgroup-v2 and scheduler/sched-bwc.
    """
    for line in _read(ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:  # beside groups of version 1, those of version 2 are in `unified`
            folders, files = ("", "unified"), _VERSION_2
        elif "cpu" in controllers.split(","):
            folders, files = (controllers, "cpu"), _VERSION_1
        else:
            continue
        group = Path(posixpath.normpath(path).lstrip("/"))
        # a container may see its own group as the root, and yet read its path on the machine
        for folder in folders:
            for above in (group, *group.parents):
                yield from _quota(ROOT / "sys/fs/cgroup" / folder / above, files)


def _quota(group: Path, files: list[str]) -> Iterator[float]:
    """Yield the quota of a group, if it has one: microseconds of processor time divided by those of a period."""
    numbers = " ".join(_read(group / file) for file in files).split()
    if len(numbers) == 2 and all(map(str.isdecimal, numbers)) and int(numbers[1]) > 0:  # else "max", or -1
        yield int(numbers[0]) / int(numbers[1])


def _read(path: Path) -> str:
    """Return the text of a file, empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except (OSError, ValueError):
        return ""
