"""Slices: groups of rows by length, unknown words and columns."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK, overrides, textclf, write_config

from textclf.data.rows import LabelBuilder
from textclf.evaluation.predictions import Predictions
from textclf.evaluation.slices import by_column, by_length, by_unknown_words


def predictions(y_true: list[int], y_pred: list[int]) -> Predictions:
    builder = LabelBuilder()
    builder.add("ab"[label] for label in y_true)
    rows = len(y_true)
    return Predictions(
        np.arange(rows), builder.labels(), None, ["a", "b"], np.array(y_true), np.array(y_pred), np.zeros((rows, 2))
    )


def test_lengths_are_cut_at_their_quarters() -> None:
    sliced = by_length(predictions([0] * 40, [0] * 30 + [1] * 10), np.arange(1, 9).repeat(5))
    assert [(group["name"], group["rows"], group["accuracy"]) for group in sliced["slices"]] == [
        ("1 to 2", 10, 1.0),
        ("3 to 4", 10, 1.0),
        ("5 to 6", 10, 1.0),
        ("7 to 8", 10, 0.0),
    ]
    assert sliced["worst"] == "7 to 8"


def test_texts_of_one_length_are_one_group_and_none_is_the_worst() -> None:
    sliced = by_length(predictions([0] * 4, [0] * 4), np.full(4, 3))
    assert [group["name"] for group in sliced["slices"]] == ["3"]
    assert sliced["worst"] is None


def test_a_group_of_few_rows_is_not_the_worst_and_a_large_one_beside_it_neither() -> None:
    sliced = by_column(predictions([0] * 19, [0] * 10 + [1] * 9), "sex", ["f"] * 10 + ["m"] * 9)
    assert [(group["rows"], group["accuracy"]) for group in sliced["slices"]] == [(10, 1.0), (9, 0.0)]
    assert sliced["worst"] is None


def test_unknown_words_have_fixed_groups() -> None:
    sliced = by_unknown_words(predictions([0] * 4, [0] * 4), np.array([0, 0.05, 0.051, 0.9]))
    assert [group["name"] for group in sliced["slices"]] == ["none", "up to 5 %", "up to 10 %", "over 20 %"]


def test_the_gaps_between_groups_are_those_of_their_rates() -> None:
    # 10 rows of each group; b is predicted for 5 of 10 and for 2 of 10, of the 4 that are b for 4 and for 1
    y_true = [1] * 4 + [0] * 6
    y_pred = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    sliced = by_column(predictions(y_true * 2, y_pred), "sex", ["f"] * 10 + ["m"] * 10)
    assert sliced["label"] == "b"
    assert sliced["gaps"] == pytest.approx(
        {"selection_rate": 0.3, "true_positive_rate": 0.75, "false_positive_rate": 0.0}
    )
    assert sliced["selection_ratio"] == pytest.approx(0.4)
    assert sliced["worst"] == "m"


def test_rare_values_are_one_group_and_an_empty_value_has_a_name() -> None:
    values = [""] * 5 + [str(number) for number in range(25)]
    sliced = by_column(predictions([0] * 30, [0] * 30), "city", values)
    names = [group["name"] for group in sliced["slices"]]
    assert (len(names), names[0], names[-1]) == (21, "(empty)", "(other)")


def test_a_run_has_slices_of_the_columns_that_are_named(tmp_path: Path) -> None:
    data = tmp_path / "d.csv"
    data.write_text(
        "text,label,shop\n" + "".join(f"{w} tea {i},{w},{i % 2}\n" for i in range(60) for w in ("good", "bad"))
    )
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{train: {data}, validation_split: 0.5}}\nreport: {{slices: [shop]}}\n")
    result = textclf("train", config, "--run", tmp_path / "run", "--json", *overrides(*QUICK, "training.epochs=1"))
    sliced = json.loads(result.stdout)["slices"]
    assert [each["by"] for each in sliced] == ["tokens", "words unknown to the network", "shop"]
    assert {each["name"] for each in sliced[2]["slices"]} == {"0", "1"}
    assert sum(each["rows"] for each in sliced[2]["slices"]) == 60
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "four-fifths rule asks for 0.80" in page


def test_a_column_that_is_not_there_is_shown_with_its_place(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews", "report:", "  slices: [shop]")
    result = textclf("check", config)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{config}:4:3: report.slices: ")
    assert "has no column 'shop'; it has: text, label. Set report.slices." in result.stderr
