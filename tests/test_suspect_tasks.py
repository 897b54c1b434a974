"""Rows that are probably labelled wrong, as tasks for Label Studio."""

import csv
import json
from pathlib import Path

import pytest
from conftest import QUICK, overrides, textclf
from noisy_rows import FLIPPED, rows

from textclf.data.readers import read_columns

COLUMNS = [("data.text", "text"), ("data.label", "label")]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def noisy_config(*, report: str = "") -> Path:
    """Write a config of 120 rows, of which three have a wrong label."""
    Path("t.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows()))
    Path("v.csv").write_text("text,label\ngood bed,pos\nbad bed,neg\n")
    Path("c.yaml").write_text(f"data: {{train: t.csv, validation: v.csv}}\nreport: {{{report}}}\n")
    return Path("c.yaml")


def test_suspects_are_written_as_tasks_where_the_name_says_json() -> None:
    pytest.importorskip("cleanlab")
    config = noisy_config()
    assert textclf("check", config, "--suspects", "suspects.csv").exit_code == 0
    checked = textclf("check", config, "--suspects", "suspects.json")
    assert checked.stdout.splitlines()[-1] == "3 training rows are probably labelled wrong: suspects.json"
    texts = [text for text, _ in read_columns(Path("t.csv"), COLUMNS)]
    expected = []
    with Path("suspects.csv").open() as file:
        for row in csv.DictReader(file):
            of_given = float(row["probability_of_label"])
            data = {"text": texts[int(row["row"])], "row": int(row["row"]), "given": row["label"]}
            item = {"from_name": "label", "to_name": "text", "type": "choices",
                    "value": {"choices": [row["suggested"]]}}  # fmt: skip
            version = "linear model of other rows"
            prediction = {"model_version": version, "score": round(1 - of_given, 6), "result": [item]}
            expected.append({"data": {**data, "probability_of_given": round(of_given, 6)}, "predictions": [prediction]})
    assert sorted(item["data"]["row"] for item in expected) == sorted(FLIPPED)
    assert Path("suspects.json").read_text() == "[\n" + ",\n".join(map(json.dumps, expected)) + "\n]\n"


def test_suspects_of_several_labels_have_several_choices() -> None:
    pytest.importorskip("cleanlab")
    config = noisy_config()
    for path in (Path("t.csv"), Path("v.csv")):
        header, *lines = path.read_text().splitlines()
        texts = [line.rpartition(",")[::2] for line in lines]
        path.write_text(header + "\n" + "".join(f"{text},{text.split()[-1]}|{label}\n" for text, label in texts))
    Path("v.csv").write_text("text,label\ngood bed,bed|pos\nbad tea,tea|neg\n")
    settings = overrides('data.label_separator="|"')
    assert textclf("check", config, "--suspects", "suspects.json", *settings).exit_code == 0
    tasks = json.loads(Path("suspects.json").read_text())
    found = {item["data"]["given"]: item["predictions"][0]["result"][0]["value"]["choices"] for item in tasks}
    assert found == {"tea|neg": ["pos", "tea"], "room|pos": ["neg", "room"], "food|pos": ["food", "neg"]}


def test_tasks_are_not_written_where_texts_must_stay_secret() -> None:
    checked = textclf("check", noisy_config(report="texts: false"), "--suspects", "suspects.json")
    assert (checked.exit_code, checked.stderr) == (
        1,
        "suspects.json would hold texts, which report.texts: false forbids. Name a .csv, which has row numbers "
        "instead.\n",
    )
    assert not Path("suspects.json").exists()


@pytest.mark.parametrize("texts", [True, False])
def test_a_run_has_its_suspects_in_both_formats(texts: bool) -> None:
    pytest.importorskip("cleanlab")
    config = noisy_config(report=f"texts: {str(texts).lower()}, suspects: true, baseline: false")
    trained = textclf("train", config, "--run", "run", *overrides(*QUICK, "training.epochs=1"))
    assert trained.exit_code == 0, trained.stderr
    assert Path("run/suspects.csv").is_file()
    message = "suspects.json is left out, since it would hold texts, which report.texts: false forbids\n"
    assert (Path("run/suspects.json").is_file(), message in trained.stderr) == (texts, not texts)
