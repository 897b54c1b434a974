"""`textclf export`: every format of EXPORTERS gives the probabilities of its run, and needs no textclf."""

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT, textclf

from textclf.cli.commands import export as export_command
from textclf.export.export import EXPORTERS
from textclf.inference.classifier import load_classifier
from textclf.io.run_folder import Run

HOSTILE = [
    "",
    " \t\r\n\u2028\u0085\x1c\x1f ",
    "A good film, isn't it?",
    "don\u2019t NA null nan \0 none",
    "<br/>good<b title='>'>film</b><!-- bad --> &amp;lt; &#0; &#x110000; &#" + "9" * 5000 + ";",
    "STRASSE straße İstanbul ΟΔΟΣ ﬁne",
    "e\u0301 é \u0928\u092e\u0938\u094d\u0924\u0947 สวัสดี שָׁלוֹם",
    "好电影 とても良い film映画 한국어 영화",
    "👩‍👩‍👧 🇨🇭 \u202egood\u202c \ufeff\u200b",
    "http://x.y/?a=b me@example.org 3.14 1,000",
    "\ud800 lone surrogate",
    "word " * 400,
]


def exported(run: Path, format: str, folder: Path) -> Path:
    """Export a run to an empty folder, and check what the command prints."""
    path = folder / f"classifier{EXPORTERS[format].suffix}"
    result = textclf("export", "--run", run, "--format", format, "--output", path, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document.keys() == {"format", "path", "bytes", "parity"}
    assert (document["format"], document["path"]) == (format, path.as_posix())
    assert document["parity"] < 1e-5
    assert result.stderr == (
        f"wrote {path.as_posix()}, {document['bytes']} bytes; "
        f"differs from the run by {document['parity']:.1e} at most\n"
    )
    assert list(folder.iterdir()) == [path]
    return path


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], Path]:
    """Return a function that exports a run once for all tests."""
    return cache(lambda run, name: exported(run, name, tmp_path_factory.mktemp(name)))


def test_the_command_knows_every_format() -> None:
    [option] = [option for option in export_command.params if option.name == "format"]
    assert list(option.type.choices) == list(EXPORTERS)


@pytest.mark.parametrize("name", ["reviews", "topics", "bags"])
@pytest.mark.parametrize("format", EXPORTERS)
def test_an_export_has_the_probabilities_of_the_run(
    format: str, name: str, export: Callable[[Path, str], Path], request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(name)
    classifier = load_classifier(run)
    exported_probabilities = EXPORTERS[format].load(export(run, format), Run(run), classifier)(HOSTILE)
    assert np.abs(exported_probabilities - classifier.predict_proba(HOSTILE)).max() < 1e-5


DESCRIPTIONS = {
    "keras": lambda path: zipfile.ZipFile(path).read("textclf.json").decode(),
    "onnx": lambda path: {entry.key: entry.value for entry in onnx.load(path).metadata_props}["textclf.json"],
    "savedmodel": lambda path: (path / "assets.extra" / "textclf.json").read_text(encoding="utf-8"),
    "tflite": lambda path: zipfile.ZipFile(path).read("textclf.json").decode(),
}


@pytest.mark.parametrize("format", DESCRIPTIONS)
def test_an_export_holds_its_description(format: str, export: Callable[[Path, str], Path], topics: Path) -> None:
    document = json.loads(DESCRIPTIONS[format](export(topics, format)))
    description = load_classifier(topics).description
    assert (document["labels"], document["vocabulary"]) == (description.labels, description.vocabulary)
    assert (document["label_separator"], document["threshold"]) == ("|", 0.5)
    # the graph takes whole texts, of which the network reads a part
    assert (document["text"]["max_length"], document["network_limits"]["max_length"]) == (100_000, 100)
    assert document["token_ids"] == {"padding": 0, "unknown": 1, "first_of_vocabulary": 2}


WITHOUT = "import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
HEAVY = [
    "textclf", "keras", "tensorflow", "pandas", "click", "scipy", "sklearn", "pydantic", "yaml", "onnx", "pyarrow",
    "rich", "jinja2", "matplotlib",
]  # fmt: skip
LIGHT = """
import json
import numpy, onnxruntime
from ai_edge_litert.interpreter import Interpreter
import classifier
sys.path.insert(0, "zipped.zip")
import zipped

texts = json.load(open("texts.json"))
ids = classifier.token_ids(texts)
session = onnxruntime.InferenceSession("classifier.onnx")
run = Interpreter("classifier.tflite").get_signature_runner()
print(json.dumps({
    "labels": [classifier.labels(), zipped.labels()],
    "predicted": [classifier.predict(texts), zipped.predict(texts)],
    "ids": [ids.tolist(), zipped.token_ids(texts).tolist()],
    "python": [classifier.predict_proba(texts).tolist(), zipped.predict_proba(texts).tolist()],
    "onnx": session.run(None, {"token_ids": ids})[0].tolist(),
    "tflite": [run(token_ids=row[None])["probabilities"][0].tolist() for row in ids],
}))
"""
TENSORFLOW = """
import json
import tensorflow

serve = tensorflow.saved_model.load("saved_model").signatures["serving_default"]
rows = tensorflow.constant(json.load(open("ids.json")))
print(json.dumps({"savedmodel": serve(token_ids=rows)["probabilities"].numpy().tolist()}))
"""


def recipient(script: str, folder: Path, absent: list[str]) -> dict:
    """Return what a script prints in a folder of exports, where some packages are not installed."""
    code = WITHOUT.format(absent=absent) + "sys.path.insert(0, '')" + script
    result = subprocess.run([sys.executable, "-I", "-B", "-c", code], cwd=folder, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


@pytest.mark.slow
def test_recipients_need_neither_textclf_nor_keras(
    export: Callable[[Path, str], Path], questions: Path, tmp_path: Path
) -> None:
    for path in (export(questions, name) for name in ("onnx", "tflite")):
        shutil.copy(path, tmp_path)
    shutil.copytree(export(questions, "savedmodel"), tmp_path / "saved_model")
    shutil.copytree(export(questions, "python"), tmp_path / "classifier")
    arguments = ("--run", questions, "--format", "python", "--output", tmp_path / "zipped.zip")
    assert textclf("export", *arguments).exit_code == 0
    classifier = load_classifier(questions)
    ids = classifier.encode(HOSTILE)
    padded = [[*ids.row(row).tolist(), *[0] * (100 - ids.lengths[row])] for row in range(len(ids))]
    (tmp_path / "texts.json").write_text(json.dumps(HOSTILE))
    (tmp_path / "ids.json").write_text(json.dumps(padded))
    printed = recipient(LIGHT, tmp_path, HEAVY) | recipient(TENSORFLOW, tmp_path, ["textclf", "keras"])
    expected = classifier.predict_proba(HOSTILE)
    assert printed.pop("labels") == [classifier.labels] * 2
    assert printed.pop("predicted") == [classifier.decide(expected)[0]] * 2
    assert printed.pop("ids") == [padded] * 2
    assert printed.pop("python") == [expected.tolist()] * 2
    for probabilities in printed.values():
        assert np.abs(np.array(probabilities) - expected).max() < 1e-5


BESIDE_TEXTCLF = """
import json
import classifier, textclf.inference.classifier
from classifier._textclf.inference.classifier import Classifier

classifier.predict(["good"])
sys.path.insert(0, "elsewhere")
import renamed
print(json.dumps({
    "own": Classifier is not textclf.inference.classifier.Classifier,
    "labels": [classifier.labels(), renamed.labels()],
}))
"""


@pytest.mark.slow
def test_a_python_package_stands_beside_textclf_and_others(
    export: Callable[[Path, str], Path], reviews: Path, topics: Path, tmp_path: Path
) -> None:
    shutil.copytree(export(reviews, "python"), tmp_path / "classifier")
    shutil.copytree(export(topics, "python"), tmp_path / "elsewhere" / "renamed")
    (tmp_path / "textclf").symlink_to(ROOT / "textclf")
    labels = [load_classifier(run).labels for run in (reviews, topics)]
    assert recipient(BESIDE_TEXTCLF, tmp_path, []) == {"own": True, "labels": labels}


@pytest.mark.slow
def test_a_python_package_refuses_another_model(
    export: Callable[[Path, str], Path], reviews: Path, topics: Path, tmp_path: Path
) -> None:
    package = shutil.copytree(export(reviews, "python"), tmp_path / "classifier")
    shutil.copy(topics / "model" / "model.onnx", package / "model")
    script = WITHOUT.format(absent=HEAVY) + "sys.path.insert(0, '')\nimport classifier\nclassifier.labels()"
    result = subprocess.run([sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert result.stderr.decode().splitlines()[-1] == (
        f"classifier._textclf.errors.UserError: {package}/model/model.onnx is not the file that "
        f"{package}/model/model.json describes: another sha256. Copy the folder again."
    )


@pytest.mark.parametrize("name", ["my-classifier", "classifier.py", "textclf", "json", "class.zip", "model.tar"])
def test_a_python_package_has_a_name_to_import(name: str, reviews: Path, tmp_path: Path) -> None:
    path = tmp_path / name
    assert refusal("--run", reviews, "--format", "python", "--output", path) == (
        f"--output {path}: the name must be one that Python can import and that nothing else has, such as "
        "my_classifier or my_classifier.zip.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["keras", "savedmodel", "tflite"])
def test_a_model_folder_alone_has_no_keras_file(format: str, reviews: Path, tmp_path: Path) -> None:
    model, path = reviews / "model", tmp_path / f"new{EXPORTERS[format].suffix}"
    result = textclf("export", "--run", model, "--format", format, "--output", path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"{model}/model.keras is missing, which this is made from. Name a whole run with --run; a model/ folder alone "
        "can be exported to onnx and python.\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["onnx", "python"])
def test_a_model_folder_alone_is_enough_for_the_others(format: str, reviews: Path, tmp_path: Path) -> None:
    assert exported(reviews / "model", format, tmp_path).exists()


def refusal(*arguments: str | Path) -> str:
    """Return the message of an export that is refused."""
    result = textclf("export", *arguments)
    assert result.exit_code == 1
    return result.stderr


def test_only_an_export_is_replaced(reviews: Path, tmp_path: Path) -> None:
    file, folder, package = tmp_path / "a.onnx", tmp_path / "b", tmp_path / "c"
    for path, name, kind in ((file, "onnx", "file"), (folder, "savedmodel", "folder"), (package, "python", "folder")):
        arguments = ("--run", reviews, "--format", name, "--output")
        assert textclf("export", *arguments, path).exit_code == 0
        assert refusal(*arguments, path) == (
            f"{path} exists. Replace it with --overwrite, or choose another {kind} with --output.\n"
        )
        assert textclf("export", *arguments, path, "--overwrite").exit_code == 0
    assert sorted(tmp_path.iterdir()) == [file, folder, package]
    for path, name in (
        (tmp_path, "savedmodel"),
        (file, "savedmodel"),
        (folder, "python"),
        (reviews / "model", "python"),
    ):
        assert refusal("--run", reviews, "--format", name, "--output", path, "--overwrite") == (
            f"{path} exists and is no export as {name}. Choose another folder with --output.\n"
        )


def test_a_file_name_must_have_the_suffix_of_the_format(reviews: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    message = refusal("--run", reviews, "--format", "keras", "--output", path)
    assert message == f"--output {path}: the name of a file of --format keras must end in .keras.\n"


def test_tflite_without_its_extra_says_what_to_install(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    message = refusal("--run", reviews, "--format", "tflite", "--output", tmp_path / "a.tflite")
    assert message == "--format tflite needs LiteRT, to test the file: pip install 'ai-edge-litert>=2.3'.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shift", [0.01, float("nan")])
def test_an_export_that_differs_from_the_run_is_removed(
    shift: float, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_exporter = EXPORTERS["onnx"]

    def load(path: Path, run: Run, classifier: object) -> object:
        return lambda texts: onnx_exporter.load(path, run, classifier)(texts) + shift

    monkeypatch.setitem(EXPORTERS, "onnx", onnx_exporter._replace(load=load))
    message = refusal("--run", reviews, "--format", "onnx", "--output", tmp_path / "a.onnx")
    assert message.startswith(
        f"--format onnx: the export differs from {reviews} by {'nan' if shift != shift else '1.0e-02'} "
    )
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_keras_file_is_refused(reviews: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    for name in ("model/model.onnx", "model/model.json", "metrics.json"):
        (run / name).write_bytes((reviews / name).read_bytes())
    whole = (reviews / "model.keras").read_bytes()
    for damaged in (whole[: len(whole) // 2], whole.replace(whole[3000:3004], b"\0" * 4)):
        (run / "model.keras").write_bytes(damaged)
        message = refusal("--run", run, "--format", "keras", "--output", tmp_path / "a.keras")
        assert message == f"{run}/model.keras is damaged. Copy it again, or train the run again.\n"
        assert list(tmp_path.iterdir()) == [run]
