"""The model/ folder: checked when it is read, and able to say whether it still gives what it gave."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from conftest import textclf

from textclf.classifier import load_classifier


@pytest.fixture
def model(reviews: Path, tmp_path: Path) -> Path:
    """A copy of a run's model/ folder, to damage."""
    return Path(shutil.copytree(reviews / "model", tmp_path / "model"))


def digest(model: Path) -> str:
    return hashlib.sha256((model / "model.onnx").read_bytes()).hexdigest()


def edit(model: Path, **changes: object) -> None:
    document = json.loads((model / "model.json").read_text(encoding="utf-8"))
    (model / "model.json").write_text(json.dumps({**document, **changes}), encoding="utf-8")


@pytest.mark.parametrize("name", ["reviews", "questions", "topics"])
def test_check_scores_the_stored_rows_again(name: str, request: pytest.FixtureRequest) -> None:
    result = textclf("check", request.getfixturevalue(name), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["probe_difference"] < 1e-6


def test_a_model_that_gives_other_probabilities_is_refused(model: Path) -> None:
    document = json.loads((model / "model.json").read_text(encoding="utf-8"))
    probe = document["probe"]
    probe["probabilities"][0] = [share + 0.25 for share in probe["probabilities"][0]]
    edit(model, probe=probe)
    result = textclf("check", model)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{model}: probabilities differ by 2.5e-01 from those when it was saved")


def test_a_changed_graph_is_refused(model: Path) -> None:
    graph = model / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    result = textclf("predict", "--run", model, stdin="good")
    expected = f"{graph} is not the file that {model}/model.json describes: another sha256. Copy the folder again.\n"
    assert (result.exit_code, result.stderr) == (1, expected)


def test_a_newer_format_is_refused_by_name(model: Path) -> None:
    edit(model, format=2)
    result = textclf("predict", "--run", model, stdin="good")
    assert (result.exit_code, result.stderr) == (1, f"{model}/model.json has format 2; this textclf (0.1.0) reads 1.\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda model: (model / "model.onnx").unlink(),
            "{model}/model.onnx cannot be read: No such file or directory.\n",
        ),
        (
            lambda model: (model / "model.json").unlink(),
            "{model} holds no model: {model}/model.json is missing. Name a run or a model/ folder with --run.\n",
        ),
        (
            lambda model: (model / "model.json").write_text("{"),
            "{model}/model.json is damaged: "
            "Expecting property name enclosed in double quotes: line 1 column 2 (char 1). "
            "Train the run again.\n",
        ),
        (
            lambda model: (model / "model.json").write_text('{"format": 1, "sha256": "' + digest(model) + '"}'),
            "{model}/model.json is damaged: it lacks column, label_column, label_separator, labels, probe, text, "
            "threshold, vocabulary. Copy the folder again.\n",
        ),
        (
            lambda model: edit(model, text={"colour": 1}),
            "{model}/model.json is damaged: TextOptions.__init__() got an unexpected keyword argument 'colour'. "
            "Copy the folder again.\n",
        ),
    ],
)
def test_a_damaged_folder_is_refused(damage: object, message: str, model: Path) -> None:
    damage(model)  # type: ignore[operator]
    result = textclf("predict", "--run", model, stdin="good")
    assert (result.exit_code, result.stderr) == (1, message.format(model=model))


def test_a_run_and_its_model_folder_are_the_same_classifier(reviews: Path) -> None:
    run, folder = load_classifier(reviews), load_classifier(reviews / "model")
    assert run.description == folder.description
