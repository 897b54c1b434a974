"""The number of processors: affinity, and CPU quotas of control groups of either version."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import ROOT, textclf

from textclf.inference import classifier
from textclf.io import processors
from textclf.io.processors import usable_processors
from textclf.training.tensorflow_setup import start_tensorflow

V1 = "5:memory:/docker/c1\n4:cpu,cpuacct:/docker/c1\n0::/docker/c1\n"

MACHINES: dict[str, tuple[dict[str, str], int]] = {
    "no control groups": ({}, 8),
    "no quota": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
    "a container": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "a part of a processor": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
    "two and a half": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
    "more than the machine has": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8),
    "a period of its own": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "30000 10000\n"}, 3),
    "a group above has less": (
        {
            "proc/self/cgroup": "0::/user.slice/job.scope\n",
            "sys/fs/cgroup/user.slice/job.scope/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/user.slice/cpu.max": "300000 100000\n",
        },
        3,
    ),
    "a group of another has less": (
        {
            "proc/self/cgroup": "0::/user.slice/job.scope\n",
            "sys/fs/cgroup/user.slice/job.scope/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/user.slice/other.scope/cpu.max": "100000 100000\n",
        },
        4,
    ),
    "the path is the machine's": (
        {"proc/self/cgroup": "0::/kubepods/pod:1\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"},
        2,
    ),
    "the path leads out of what is seen": (
        {"proc/self/cgroup": "0::/../../job\n", "sys/fs/cgroup/job/cpu.max": "200000 100000\n"},
        2,
    ),
    "version 1": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/c1/cpu.cfs_period_us": "50000\n",
        },
        3,
    ),
    "version 1 in a container": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        1,
    ),
    "version 1 without a quota": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        8,
    ),
    "both versions": (
        {"proc/self/cgroup": V1, "sys/fs/cgroup/unified/docker/c1/cpu.max": "500000 100000\n"},
        5,
    ),
    "a quota that is no number": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "\n"}, 8),
    "a period of nothing": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, 8),
}


@pytest.fixture(autouse=True)
def _eight_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 8, raising=False)
    monkeypatch.setattr(processors, "ROOT", tmp_path)


def write_files(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


@pytest.mark.parametrize(("files", "expected"), MACHINES.values(), ids=MACHINES.keys())
def test_quotas_bound_the_processors(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    write_files(tmp_path, files)
    assert usable_processors() == expected


def test_predicting_starts_as_many_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, MACHINES["two and a half"][0])
    started: list[int] = []

    def executor(threads: int) -> ThreadPoolExecutor:
        started.append(threads)
        return ThreadPoolExecutor(threads)

    monkeypatch.setattr(classifier, "ThreadPoolExecutor", executor)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "restored")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    result = textclf("predict", "--run", ROOT / "tests" / "frozen" / "format_2" / "reviews", stdin="good\n")
    assert (result.stdout, started) == ("positive\t0.811026\n", [3])
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


@pytest.mark.parametrize(("threads", "expected"), [(None, "3"), (2, "2")])
def test_tensorflow_starts_as_many_threads(
    threads: int | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, MACHINES["two and a half"][0])
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    for name in names:
        monkeypatch.setenv(name, "64")
    start_tensorflow(device="cpu", threads=threads)
    assert [os.environ[name] for name in names] == [expected, expected]
