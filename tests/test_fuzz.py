"""The fuzzing of `make fuzz` in small: some hundred mutations of each target, always the same."""

import random
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path[:0] = [str(ROOT / "tests" / "fuzz")]

import fuzz  # noqa: E402
from targets import Target, targets  # noqa: E402


@pytest.mark.parametrize("name", fuzz.NAMES)
@pytest.mark.filterwarnings("default")
def test_nothing_but_a_user_error_comes_out(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    executions = fuzz.Executions(targets()[name])
    for seed in executions.target.seeds:
        executions.run(seed)
    fuzz.run_random(executions, random.Random(1), most=200)
    assert executions.findings == {}


def test_a_finding_is_kept_once_with_its_place() -> None:
    def broken(data: bytes) -> None:
        int(data)

    executions = fuzz.Executions(Target([b""], [b""], broken))
    for data in (b"1", b"x", b"y"):
        executions.run(data)
    place = f"ValueError at test_fuzz.py:{broken.__code__.co_firstlineno + 1}"
    assert (executions.count, executions.findings) == (3, {place: b"x"})
