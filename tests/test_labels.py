"""Labels that are missing, or written in several ways: what check, train and evaluate say of them."""

from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from conftest import textclf

TEXTS = [f"the {thing} number {number} was dull" for number in range(20) for thing in ("lamp", "tram")]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# Missing ones


def nan_in_jsonl() -> Path:
    lines = [f'{{"text": "{text}", "label": {label}}}' for text, label in zip(TEXTS, ['"a"', '"b"'] * 20, strict=True)]
    lines[2:4] = ['{"text": NaN, "label": "a"}', '{"text": "a text", "label": NaN}']
    Path("rows.jsonl").write_text("\n".join(lines))
    return Path("rows.jsonl")


def nan_in_parquet() -> Path:
    labels = [0.0, 1.0, 0.0, float("nan")] * 10
    pyarrow.parquet.write_table(pyarrow.table({"text": TEXTS, "label": labels}), "rows.parquet")
    return Path("rows.parquet")


@pytest.mark.parametrize(("write", "rows"), [(nan_in_jsonl, 1), (nan_in_parquet, 10)])
def test_nan_is_no_label(write: Callable[[], Path], rows: int) -> None:
    file = write()
    Path("c.yaml").write_text(f"data: {{train: {file}}}")
    message = f"{file}: row 3 has no label (rows count from 0). Add it or drop the row.\n"
    assert [textclf(*command, "c.yaml").stderr for command in (["check"], ["train", "--run", "run"])] == [message] * 2
    assert f"{file}: {rows} of 40 rows have no label in 'label', the first is row 3" in textclf("init", file).stderr


def test_nan_is_an_empty_text(reviews: Path) -> None:
    nan_in_jsonl()
    Path("null.jsonl").write_text(Path("rows.jsonl").read_text().replace("NaN", "null"))
    predicted = [textclf("predict", name, "--run", reviews).stdout for name in ("rows.jsonl", "null.jsonl")]
    assert predicted[0] == predicted[1]
    assert len(predicted[0].splitlines()) == len(TEXTS)
