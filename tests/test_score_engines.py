"""`textclf score --engine ray` where Ray is missing; tests/cluster/test_ray.py has the rest."""

import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLES, textclf

MODEL = ROOT / "tests" / "frozen" / "format_4" / "reviews"


def test_without_ray_it_says_what_to_install_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    output = tmp_path / "out"
    result = textclf("score", SAMPLES / "reviews.csv", "--run", MODEL, "--output", output, "--engine", "ray")
    (requirement,) = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"][
        "ray"
    ]
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"--engine ray needs the package ray: pip install '{requirement}'.\n"
    assert not output.exists()


WRONG = {
    "a share": (
        ["--engine", "ray", "--share", "1/2"],
        "--share is one of several processes; --engine ray starts its own.",
    ),
    "an address": (["--address", "auto"], "--address is that of a cluster of Ray; add --engine ray."),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_options_that_do_not_go_together_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    result = textclf("score", SAMPLES / "reviews.csv", "--run", MODEL, "--output", tmp_path / "out", *options)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, f"Error: {message}")
