"""compare: two runs on the same rows."""

import csv
import json
from pathlib import Path

import pytest
from conftest import SAMPLES, textclf, trained


@pytest.fixture(scope="module")
def shorter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the rows of `reviews` that sees three words of each."""
    return trained(tmp_path_factory.mktemp("runs"), "reviews", "text.max_length=3", "training.epochs=1")


def test_runs_stand_side_by_side_with_what_differs(reviews: Path, shorter: Path, tmp_path: Path) -> None:
    result = textclf("compare", reviews, shorter, "--json", "--changed", tmp_path / "changed.csv")
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    first, second = (json.loads((run / "metrics.json").read_text())["metrics"] for run in (reviews, shorter))
    names = [reviews.as_posix(), shorter.as_posix()]
    assert [document["runs"][name]["metrics"] for name in names] == [first, second]
    against = document["against_first"][names[1]]
    assert against["difference"]["accuracy"] == pytest.approx(second["accuracy"] - first["accuracy"])
    low, high = against["intervals"]["accuracy"]
    assert low <= against["difference"]["accuracy"] <= high
    test = against["mcnemar"]
    assert (test["only_this_right"], test["only_other_right"]) == (against["turned_right"], against["turned_wrong"])
    assert document["settings"] == {"text.max_length": [100, 3], "training.epochs": [3, 1]}
    with (tmp_path / "changed.csv").open(encoding="utf-8") as file:
        changed = list(csv.reader(file))
    assert changed[0] == ["row", "truth", *names]
    assert len(changed) - 1 == against["changed"]
    assert all(row[2] != row[3] for row in changed[1:])


def test_the_table_says_whether_the_difference_may_be_chance(reviews: Path) -> None:
    lines = textclf("compare", reviews, reviews).stdout.splitlines()
    assert lines[0] == f"40 rows (validation) of {SAMPLES}/reviews.csv"
    assert lines[-2:] == [
        f"{reviews} against {reviews}: accuracy +0.00 points (95 % interval +0.00 to +0.00: may be chance); "
        "McNemar's exact p = 1",
        "  0 rows turned right, 0 wrong; 0 have another label",
    ]


def test_runs_on_other_rows_are_refused(reviews: Path, questions: Path) -> None:
    result = textclf("compare", reviews, questions)
    expected = (
        f"{reviews} on 40 rows of {SAMPLES}/reviews.csv, {questions} on 24 rows of {SAMPLES}/questions.csv: "
        "not the same rows and labels. Evaluate both on one file with `textclf evaluate FILE --run RUN`, and compare "
        "RUN/evaluations/NAME.\n"
    )
    assert (result.exit_code, result.stderr) == (1, expected)


def test_evaluations_on_other_data_can_be_compared(reviews: Path, shorter: Path, tmp_path: Path) -> None:
    other = tmp_path / "compared.csv"
    other.write_text("text,label\n" + "lovely place,positive\nbroken bed,negative\n" * 5)
    for run in (reviews, shorter):
        textclf("evaluate", other, "--run", run)
    result = textclf("compare", *(run / "evaluations" / "compared" for run in (reviews, shorter)))
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, f"10 rows (all) of {other}")


def test_several_labels_a_row_can_be_compared(topics: Path) -> None:
    result = textclf("compare", topics, topics, "--json")
    assert json.loads(result.stdout)["against_first"][topics.as_posix()]["changed"] == 0


def test_one_run_is_wrong_usage(reviews: Path) -> None:
    result = textclf("compare", reviews)
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "Error: name two runs at least.")
