"""Replacing a search, or evaluating beside other files, keeps what textclf did not write."""

import shutil
from pathlib import Path

import pytest
from conftest import QUICK, SAMPLES, CopyRun, overrides, textclf, write_config

SPACE = "tune: {model.dropout: [0.1, 0.2]}"
OWN = ["notes.md", "best/plots/one.png"]


def tune(config: Path, run: Path, *options: str) -> tuple[int, str]:
    settings = overrides(*QUICK, "training.epochs=1", "report.baseline=false", "report.texts=false")
    result = textclf("tune", config, "--run", run, "--trials", "1", *settings, *options)
    return result.exit_code, result.stderr.splitlines()[-1]


SEARCHED = [
    ["predict", "--run", "SEARCH"], ["evaluate", "--run", "SEARCH"], ["explain", "good", "--run", "SEARCH"],
    ["export", "--run", "SEARCH", "--format", "onnx", "--output", "new.onnx"],
    ["compress", "--run", "SEARCH", "--method", "int8", "--output", "new"], ["compare", "SEARCH", "SEARCH"],
    ["check", "SEARCH"], ["report", "SEARCH"],
]  # fmt: skip


@pytest.mark.parametrize("command", SEARCHED, ids=lambda command: command[0])
@pytest.mark.parametrize("finished", [True, False])
def test_a_search_is_no_run_and_its_best_run_is_named(
    command: list[str], finished: bool, reviews: Path, tmp_path: Path
) -> None:
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "begun.json").write_text("{}")
    if finished:
        (tmp_path / "tuned" / "best").symlink_to(reviews)
    advice = f"Name its best run: {tmp_path}/tuned/best."
    if not finished:
        advice = f"It has no best run yet: go on with `textclf tune CONFIG --run {tmp_path}/tuned --resume`."
    refused = textclf(*[argument.replace("SEARCH", f"{tmp_path}/tuned") for argument in command])
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        1, "", f"{tmp_path}/tuned holds a search, not a run. {advice}\n"
    )  # fmt: skip


def test_overwriting_a_search_keeps_what_textclf_did_not_write(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    config, run = write_config(tmp_path, "reviews", SPACE), tmp_path / "tuned"
    assert tune(config, run)[0] == 0
    for name in OWN:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    assert tune(config, run, "--overwrite", "--set", "training.seed=7") == (
        0, f"wrote {run}; open {run}/report.html"
    )  # fmt: skip
    assert [(run / name).read_text() for name in OWN] == ["mine"] * len(OWN)
    assert "seed: 7" in (run / "best" / "config.yaml").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml", "tuned"]
    for source in (run / "best.yaml", run / "best" / "config.yaml"):
        before = source.read_bytes()
        with source.open("a") as file:
            file.write(SPACE)
        assert tune(source, run, "--overwrite") == (
            1, f"{source} is a file that this command reads. Choose another folder with --run."
        )  # fmt: skip
        assert source.read_bytes() == before + SPACE.encode()
        source.write_bytes(before)


def test_an_evaluation_is_not_written_over_files_of_others(copy_run: CopyRun, tmp_path: Path) -> None:
    run = shutil.copytree(copy_run("quick"), tmp_path / "run")
    (run / "evaluations" / "reviews").mkdir(parents=True)
    (run / "evaluations" / "reviews" / "report.html").write_text("mine")
    for _ in range(2):
        assert textclf("evaluate", SAMPLES / "reviews.csv", "--run", run).exit_code == 0
    assert sorted(path.name for path in (run / "evaluations").iterdir()) == ["reviews", "reviews-2"]
    assert [path.name for path in (run / "evaluations" / "reviews").iterdir()] == ["report.html"]
    assert (run / "evaluations" / "reviews" / "report.html").read_text() == "mine"


def test_a_smaller_run_is_not_written_over_data_that_is_read(copy_run: CopyRun, tmp_path: Path) -> None:
    run, small = shutil.copytree(copy_run("quick"), tmp_path / "run"), tmp_path / "small"
    arguments = ("compress", "--run", run, "--output", small, "--max-loss", "1", "--overwrite")
    assert textclf(*arguments, "--method", "int8").exit_code == 0
    (small / "notes.md").write_text("mine")
    refused = textclf(*arguments, "--method", "distill", "--unlabelled", small / "predictions.csv")
    assert (refused.exit_code, refused.stderr) == (
        1, f"{small}/predictions.csv is a file that this command reads. Choose another folder with --output.\n"
    )  # fmt: skip
    assert textclf(*arguments, "--method", "float16").exit_code == 0
    assert (small / "notes.md").read_text() == "mine"
