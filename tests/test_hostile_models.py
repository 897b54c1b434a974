"""model/ folders that are damaged or malicious: every command that reads one refuses it with the same message."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, textclf
from damages import Damage, constant
from hostile_models import HOSTILE

from textclf.models.onnx.graph import read_graph

FROZEN = ROOT / "tests" / "frozen"
MAX_CALLS = 100_000  # the most of any folder here is 35,000


@contextmanager
def calls_counted() -> Iterator[list[int]]:
    """The calls of Python and C functions inside the block, as the only item of a list."""
    calls, total = count(), [0]
    before = sys.getprofile()
    sys.setprofile(lambda _frame, event, _argument: next(calls) if event in ("call", "c_call") else None)
    try:
        yield total
    finally:
        sys.setprofile(before)
        total[0] = next(calls)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of a good folder, to damage."""
    folder = Path(shutil.copytree(FROZEN / "format_3" / "reviews", tmp_path / "model"))
    (folder / "predictions.jsonl").unlink()
    return folder


@pytest.mark.parametrize(("damage", "message"), HOSTILE.values(), ids=HOSTILE)
def test_predict_refuses_the_folder(damage: Damage, message: str, model: Path) -> None:
    damage(model)
    with calls_counted() as calls:
        result = textclf("predict", "--run", model, stdin="good\n")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message.format(model=model) + "\n")
    assert calls[0] < MAX_CALLS


@pytest.mark.parametrize("command", [["check"], ["explain", "good", "--run"], ["evaluate", "x.csv", "--run"]])
@pytest.mark.parametrize("name", ["half a character", "data outside the file", "an unknown operator"])
def test_the_other_commands_refuse_it_in_the_same_words(command: list[str], name: str, model: Path) -> None:
    damage, message = HOSTILE[name]
    damage(model)
    result = textclf(*command, model)
    assert (result.exit_code, result.output) == (1, message.format(model=model) + "\n")


def test_weights_that_overflow_give_a_message_and_no_prediction(tmp_path: Path) -> None:
    model = Path(shutil.copytree(FROZEN / "format_2" / "questions", tmp_path / "model"))
    signs = np.array([1, -1, 1, -1], np.float32)  # whichever sign the states have, some logits become infinite
    constant("dense.kernel", raw_data=np.tile(3e38 * signs, (16, 1)).tobytes())(model)
    result = textclf("predict", "--run", model, stdin="When?\n")
    problem = "NaN, infinity or another number of labels. Train again."
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{model}/model.onnx gives no probabilities: {problem}\n"


@pytest.mark.parametrize("folder", sorted(FROZEN.glob("*/*")), ids=lambda folder: folder.relative_to(FROZEN).as_posix())
def test_a_frozen_folder_predicts_what_it_predicted(folder: Path) -> None:
    result = textclf("predict", ROOT / "data" / "sample" / "lines.txt", "--run", folder, "--format", "jsonl")
    expected = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    for line, before in zip(map(json.loads, result.stdout.splitlines()), map(json.loads, expected), strict=True):
        assert line["label"] == before["label"]
        assert line["probabilities"] == pytest.approx(before["probabilities"], abs=1e-5)
    checked = json.loads(textclf("check", folder, "--json").stdout)
    assert checked["probe_difference"] < 1e-5


def test_onnx_reads_what_is_written_here_and_writes_the_same() -> None:
    import onnx

    for path in sorted(FROZEN.glob("*/*/model.onnx")):
        data = path.read_bytes()
        model_proto = onnx.load_from_string(data)
        onnx.checker.check_model(model_proto)
        assert model_proto.SerializeToString() == data
        arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model_proto.graph.initializer}
        for name, array in arrays.items():
            assert (read_graph(data)[0][name] == array).all()
