"""Rows that are probably labelled wrong."""

import csv
from pathlib import Path

import pytest
from conftest import textclf, write_config
from noisy_rows import FLIPPED, other, rows

pytest.importorskip("cleanlab")


def test_flipped_labels_are_found_and_written_without_texts(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows()))
    (tmp_path / "v.csv").write_text("text,label\ngood bed,pos\nbad bed,neg\n")  # so that all rows are trained on
    config.write_text(f"data: {{train: {tmp_path / 't.csv'}, validation: {tmp_path / 'v.csv'}}}\n")
    result = textclf("check", config, "--suspects", tmp_path / "suspects.csv")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == f"3 training rows are probably labelled wrong: {tmp_path}/suspects.csv"
    with (tmp_path / "suspects.csv").open() as file:
        found = list(csv.DictReader(file))
    assert {int(row["row"]) for row in found} == FLIPPED
    labels = [label for _, label in rows()]
    assert all((row["label"], row["suggested"]) == (labels[int(row["row"])], other(row["label"])) for row in found)
    assert list(found[0]) == ["row", "label", "suggested", "probability_of_label"]


def test_several_labels_a_row_can_be_suspected(tmp_path: Path) -> None:
    train, validation = tmp_path / "t.csv", tmp_path / "v.csv"
    train.write_text("text,label\n" + "".join(f"{text},{text.split()[-1]}|{label}\n" for text, label in rows()))
    validation.write_text("text,label\ngood bed,bed|pos\nbad tea,tea|neg\n")
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{train: {train}, validation: {validation}, label_separator: '|'}}\n")
    result = textclf("check", config, "--suspects", tmp_path / "suspects.csv")
    assert result.stdout.splitlines()[-1] == f"3 training rows are probably labelled wrong: {tmp_path}/suspects.csv"
    with (tmp_path / "suspects.csv").open() as file:
        _, *suspects = csv.reader(file)
    assert sorted((row, label, suggested) for row, label, suggested, _ in suspects) == [
        ("40", "room|pos", "neg|room"),
        ("7", "tea|neg", "pos|tea"),
        ("90", "food|pos", "food|neg"),
    ]
    assert all(float(probability) < 0.5 for *_, probability in suspects)


def test_without_cleanlab_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cleanlab", None)
    result = textclf("check", write_config(tmp_path, "reviews"), "--suspects", tmp_path / "suspects.csv")
    expected = "Rows that are labelled wrong are found by cleanlab: pip install 'cleanlab>=2.8'.\n"
    assert (result.exit_code, result.stderr) == (1, expected)
