"""Configs of a pretrained encoder: what is wrong with them, and trainings that were stopped or whose folder changed."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import HEAD, QUICK, ROOT, SAMPLES, encoder_settings, overrides, textclf, write_config
from faults import ctrl_c, failing_writes
from test_resume import SAME
from tiny_encoders import write_tiny_encoder

from textclf.models.encoder.folder import read_encoder
from textclf.models.encoder.sizes import weight_count


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The folder of an encoder that reads 24 pieces."""
    return write_tiny_encoder(tmp_path / "tiny", "bert", hidden=8, layers=1, intermediate=8, positions=24)


def refusal(folder: Path, text: str, *options: str) -> str:
    """What `check` says of a config, whose lines after the first two are given."""
    config = folder / "c.yaml"
    config.write_text(f"data:\n  train: {SAMPLES / 'reviews.csv'}\n{text}", encoding="utf-8")
    result = textclf("check", config, *options)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.replace(f"{config}:", "c.yaml:").replace(str(folder), "FOLDER")


PROBLEMS = {
    "all at once": (
        "text: {max_length: 100}\nmodel:\n  type: encoder\n  encoder: TINY\naugment:\n  synonyms: 0.1\n  swap: 0.1\n"
        "training:\n  optimizer: sgd\n",
        "c.yaml:8:3: augment.synonyms: changes words, and an encoder reads pieces of words. Leave it out.\n"
        "c.yaml:9:3: augment.swap: changes words, and an encoder reads pieces of words. Leave it out.\n"
        "c.yaml:11:3: training.optimizer: should be adam or adamw for an encoder\n"
        "c.yaml:3:8: text.max_length: should be at most 24, the pieces that FOLDER/tiny can read\n",
    ),
    "the folder is missing": (
        "model:\n  type: encoder\n  encoder: FOLDER/nowhere\ntraining: {optimizer: rmsprop}\n",
        "c.yaml:6:12: training.optimizer: should be adam or adamw for an encoder\n"
        "c.yaml:5:3: model.encoder: no folder 'FOLDER/nowhere'. textclf downloads nothing: fetch the encoder's folder "
        "first.\n",
    ),
    "no folder": (
        "model:\n  type: encoder\ntraining: {optimizer: sgd}\n",
        "c.yaml:3:1: model.encoder: is missing; it names the folder of a pretrained encoder as Hugging Face writes "
        "it: config.json, model.safetensors, tokenizer.json\n"
        "c.yaml:5:12: training.optimizer: should be adam or adamw for an encoder\n",
    ),
    "wrong values": (
        "model:\n  type: encoder\n  encoder: 3\n  trainable: last_0\n  encoder_learning_rate: 0\n  units: 3\n",
        "c.yaml:5:3: model.encoder: should be text, found 3\n"
        'c.yaml:6:3: model.trainable: should be such as head, last_2, all, found "last_0"\n'
        "c.yaml:7:3: model.encoder_learning_rate: should be greater than 0, found 0\n"
        "c.yaml:8:3: model.units: belongs to type bilstm; the type here is encoder\n",
    ),
    "a key of another type": (
        "model: {type: bilstm, trainable: all}\n",
        "c.yaml:3:23: model.trainable: belongs to type encoder; the type here is bilstm\n",
    ),
    "no type": (
        "model: {encoder: TINY}\n",
        "c.yaml:3:9: model.encoder: belongs to type encoder; the type here is bilstm\n",
    ),
    "no room for a text": (
        "text: {max_length: 2}\nmodel: {type: encoder, encoder: TINY}\n",
        "text.max_length: found 2, need 3 at least: 2 pieces mark the ends of each text.\n",
    ),
}


@pytest.mark.parametrize(("text", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_mistake_is_shown_with_its_location(text: str, message: str, tiny: Path) -> None:
    folder = tiny.parent
    assert refusal(folder, text.replace("TINY", str(tiny)).replace("FOLDER", str(folder))) == message


def test_an_override_is_shown_as_it_was_given(tiny: Path) -> None:
    settings = ("--set", "model.type=encoder", "--set", f"model.encoder={tiny}", "--set", "text.max_length=25")
    assert refusal(tiny.parent, "", *settings) == (
        "--set text.max_length=25: text.max_length: should be at most 24, the pieces that FOLDER/tiny can read\n"
    )
    assert refusal(tiny.parent, "", "--set", "model.type=encoder").startswith(
        "--set model.type=encoder: model.encoder: is missing; "
    )


def test_an_ensemble_that_no_graph_holds_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight_bytes = 4 * weight_count(read_encoder(tiny).sizes)
    monkeypatch.setattr("textclf.config.pretrained.MAX_WEIGHT_BYTES", 2 * weight_bytes + 1)
    text = f"model: {{type: encoder, encoder: {tiny}}}\ntext: {{max_length: 24}}\n"
    ensemble = f"{text}training:\n  ensemble: true\n  seeds: 3\n"
    assert refusal(tiny.parent, ensemble) == (
        "c.yaml:7:3: training.seeds: should be at most 2 in an ensemble of FOLDER/tiny: each network has "
        f"{weight_bytes:,} bytes, and model.onnx can hold {2 * weight_bytes + 1:,}\n"
    )
    assert textclf("check", tiny.parent / "c.yaml", "--set", "training.ensemble=false").exit_code == 0


def test_the_missing_package_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *arguments: Any) -> Any:
        return None if name == "tokenizers" else find(name, *arguments)

    monkeypatch.setattr("textclf.config.pretrained.find_spec", without)
    assert refusal(tiny.parent, f"model: {{type: encoder, encoder: {tiny}}}\n") == (
        "c.yaml:3:9: model.type: encoder needs the package tokenizers: pip install 'tokenizers>=0.21.1'\n"
    )


# Trainings that were stopped


def train(folder: Path, *options: str, settings: Sequence[str] = HEAD) -> Result:
    """Train folder/run on the encoder in folder/tiny."""
    config = write_config(folder, "reviews")
    chosen = [*encoder_settings(folder / "tiny"), "report.baseline=false", *settings]
    return textclf("train", config, "--run", folder / "run", *overrides(*chosen), *options)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A folder with a training of the last layer that was stopped after its first epoch."""
    with failing_writes(3, tmp_path, error=ctrl_c, only="state.npz"):  # the second checkpoint is not written
        result = train(tmp_path)
    assert result.exit_code == 130, result.output
    return tmp_path


def test_a_stopped_training_keeps_the_vectors_and_goes_on_to_the_same_bits(stopped: Path) -> None:
    checkpoint = stopped / "run.partial" / "checkpoint"
    assert sorted(path.name for path in checkpoint.iterdir()) == ["begun.json", "state.npz", "vectors.npy"]
    resumed = train(stopped, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert "computes the vectors" not in resumed.stderr
    assert "epoch  1" not in resumed.stderr
    assert not (stopped / "run" / "checkpoint").exists()
    before = {name: (stopped / "run" / name).read_bytes() for name in SAME}
    assert train(stopped, "--overwrite").exit_code == 0
    assert {name: (stopped / "run" / name).read_bytes() for name in SAME} == before


def test_it_is_refused_where_the_encoder_has_changed(stopped: Path) -> None:
    path = stopped / "tiny" / "config.json"
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    chosen = overrides(*encoder_options(stopped / "tiny"), "report.baseline=false", *HEAD)
    result = textclf("train", stopped / "reviews.yaml", "--run", stopped / "run", *chosen, "--resume")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"{stopped}/run.partial was begun with other settings or data: {path} has changed. Go on with what it was "
        "begun with, or begin anew with --overwrite.\n"
    )


def encoder_options(folder: Path) -> list[str]:
    """The settings of `encoder_settings`, without writing the folder anew."""
    from conftest import ENCODER_LEARNING

    return ["model.type=encoder", f"model.encoder={folder}", "text.max_length=24", *ENCODER_LEARNING]


def test_damaged_vectors_are_refused_and_overwrite_begins_anew(stopped: Path) -> None:
    file = stopped / "run.partial" / "checkpoint" / "vectors.npy"
    file.write_bytes(file.read_bytes()[:1000])
    result = train(stopped, "--resume")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith(f"{file} is damaged: ")
    assert result.stderr.splitlines()[-1].endswith(". Begin anew with --overwrite.")
    assert train(stopped, "--overwrite", settings=(*HEAD, "training.epochs=1")).exit_code == 0
    assert sorted(path.name for path in stopped.iterdir()) == ["reviews.yaml", "run", "tiny"]


def test_an_unfinished_training_gives_way_to_one_without_an_encoder(stopped: Path) -> None:
    config = overrides(*QUICK, "training.epochs=1", "report.baseline=false")
    result = textclf("train", stopped / "reviews.yaml", "--run", stopped / "run", *config, "--overwrite")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in stopped.iterdir()) == ["reviews.yaml", "run", "tiny"]
    assert sorted(path.name for path in (stopped / "run" / "model").iterdir()) == ["model.json", "model.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [HEAD, ("model.trainable=last_1",)])
def test_a_training_killed_within_an_epoch_goes_on_to_the_same_bits(settings: tuple[str, ...], tmp_path: Path) -> None:
    often = (*settings, "training.checkpoint_minutes=1e-9", "training.epochs=40")
    config = write_config(tmp_path, "reviews")
    chosen = overrides(*encoder_settings(tmp_path / "tiny"), "report.baseline=false", *often)
    command = [sys.executable, "-m", "textclf", "train", config, "--run", tmp_path / "run", *chosen]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        assert any(line.startswith(b"epoch  2") for line in process.stderr)
        process.kill()
    resumed = train(tmp_path, "--resume", settings=often)
    assert resumed.exit_code == 0, resumed.output
    assert "epoch  1 " not in resumed.stderr
    before = {name: (tmp_path / "run" / name).read_bytes() for name in SAME}
    assert train(tmp_path, "--overwrite", settings=often).exit_code == 0
    assert {name: (tmp_path / "run" / name).read_bytes() for name in SAME} == before


@pytest.mark.slow
@pytest.mark.parametrize("settings", [HEAD, ("model.trainable=all",)])
def test_training_twice_gives_the_same(settings: tuple[str, ...], tmp_path: Path) -> None:
    chosen = overrides(*encoder_settings(tmp_path / "tiny"), "report.baseline=false", *settings)
    result = textclf("train", write_config(tmp_path, "reviews"), "--verify", *chosen)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "two trainings of one epoch gave the same, to the bit"
