"""The version of the rules that find words and tags: a run keeps its own, and runs without one have version 1."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import QUICK, ROOT, CopyRun, overrides, textclf, write_config

from textclf.config.load import load_saved_config

FROZEN = ROOT / "tests" / "frozen"

TEXT = "a won\xadder for List<Customer> \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"


def words(run: Path, text: str = TEXT) -> list[str]:
    """Return the words of a text as a run reads them."""
    result = textclf("explain", text, "--run", run, "--format", "jsonl")
    assert result.exit_code == 0, result.output
    return [word["word"] for word in json.loads(result.stdout)["explanations"][0]["words"]]


@pytest.mark.parametrize("version", ["format_1", "format_2"])
def test_a_model_from_before_the_rules_had_versions_reads_as_it_was_trained(version: str) -> None:
    split_in_two = ["\u0645\u06cc", "\u200c", "\u062e\u0648\u0627\u0647\u0645"]
    assert words(FROZEN / version / "reviews") == ["a", "won", "\xad", "der", "for", "list", *split_in_two]


def test_a_model_of_today_reads_by_the_newest_rules() -> None:
    joined = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    assert words(FROZEN / "format_3" / "reviews") == ["a", "wonder", "for", "list", "<", "customer", ">", joined]


def test_a_run_keeps_the_rules_that_its_config_names(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = write_config(tmp_path, "reviews")
    assert textclf("train", config, "--run", run, *overrides(*QUICK, "text.rules=1")).exit_code == 0
    assert load_saved_config(run / "config.yaml").text.rules == 1
    assert json.loads((run / "model" / "model.json").read_text(encoding="utf-8"))["text"]["rules"] == 1
    assert words(run)[1:4] == ["won", "\xad", "der"]


@pytest.fixture
def earlier(copy_run: CopyRun, tmp_path: Path) -> Path:
    """A run whose config.yaml was written before the rules had versions."""
    run = Path(shutil.copytree(copy_run("quick"), tmp_path / "run"))
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("  rules: 2\n", ""), encoding="utf-8")
    return run


def test_an_earlier_run_is_repeated_from_its_config_with_the_rules_it_was_trained_with(earlier: Path) -> None:
    again = earlier.with_name("again")
    result = textclf("train", earlier / "config.yaml", "--run", again, *overrides("training.epochs=1"))
    assert result.exit_code == 0, result.output
    assert words(again)[1:4] == ["won", "\xad", "der"]


def test_an_earlier_run_is_not_resumed_with_other_rules(earlier: Path, tmp_path: Path) -> None:
    config = Path(shutil.copy(earlier / "config.yaml", tmp_path / "mine.yaml"))
    result = textclf("train", config, "--run", earlier, "--resume")
    problem = "was trained with other settings or data: text.rules is 2, was 1. Train anew with --overwrite."
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{earlier} is complete, and {problem}\n"


@pytest.mark.parametrize(("value", "range_"), [(0, "greater than or equal to 1"), (3, "less than or equal to 2")])
def test_rules_that_this_textclf_lacks_are_refused(value: int, range_: str, tmp_path: Path) -> None:
    result = textclf("check", write_config(tmp_path, "reviews", f"text: {{rules: {value}}}"))
    message = f"{tmp_path}/reviews.yaml:3:8: text.rules: should be {range_}, found {value}\n"
    assert (result.exit_code, result.output) == (1, message)
