"""`textclf score --engine ray` as far as it goes without Ray; tests/cluster/test_ray.py has the rest."""

import platform
import sys
import tomllib
import types
from pathlib import Path

import pytest
from conftest import ROOT, SAMPLES, textclf

from textclf.io.run_folder import Run
from textclf.scoring.folder import ScoringFolder, read_document
from textclf.scoring.ray_engine import Actor, Part, split_inputs

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


def test_where_ray_cannot_start_the_reason_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**_options: object) -> None:
        raise Exception("The node timed out.\nA traceback")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=init, shutdown=lambda: None))
    data = SAMPLES / "reviews.csv"
    for options, message in (
        ([], "Ray cannot start: The node timed out. Go on with --resume.\n"),
        (
            ["--address", "auto", "--resume"],
            "--address auto: The node timed out. A cluster with a token needs RAY_AUTH_MODE=token and RAY_AUTH_TOKEN "
            "here too.\n",
        ),
    ):
        result = textclf("score", data, "--run", MODEL, "--output", tmp_path / "out", "--engine", "ray", *options)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)


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


def test_many_inputs_are_handed_out_whole_and_few_in_parts() -> None:
    assert split_inputs(8, 2) == [Part(index, 0, 1) for index in range(8)]
    assert split_inputs(1, 3) == [Part(0, 0, 3), Part(0, 1, 3), Part(0, 2, 3)]
    assert [part.parts for part in split_inputs(64, 64)] == [4] * 256
    for shard in range(10):
        assert [part.number for part in split_inputs(1, 3) if part.takes(shard)] == [shard % 3]


def test_an_actor_without_the_disk_says_so(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert textclf("score", SAMPLES / "reviews.csv", "--run", MODEL, "--output", output).exit_code == 0
    begun = read_document(output / "begun.json")
    elsewhere = tmp_path / "elsewhere"
    for run, folder in ((MODEL, elsewhere), (elsewhere, output)):
        problem = Actor().load(Run(run), ScoringFolder(folder), begun, 1)
        assert problem == f"{platform.node()} does not see {run} and {folder} as this machine does"
    assert Actor().load(Run(MODEL), ScoringFolder(output), begun, 1) is None
