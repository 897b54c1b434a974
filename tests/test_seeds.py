"""train --seeds and --ensemble: several networks, their mean and spread, and all of them behind one model/."""

import json
import statistics
from pathlib import Path

import pytest
from click.testing import Result
from conftest import LEARNING, QUICK, SAMPLES, SMALL, overrides, textclf, write_config
from faults import ctrl_c, failing_writes

from textclf.export.export import EXPORTERS
from textclf.models.onnx.graph import read_graph

SETTINGS = {
    "bilstm": [*SMALL, "training.epochs=2"],
    "mlp": ["model.type=mlp", "model.hidden=[8]", *LEARNING, "training.epochs=2"],
    "quick": [*QUICK, "training.epochs=2"],
}


def train(folder: Path, name: str, *options: str, settings: tuple[str, ...] = ()) -> Path:
    """A run of reviews, with a file of validation rows, so that the seed does not choose them."""
    config = folder / "reviews.yaml"
    if not config.exists():
        write_config(folder, "reviews", f"  validation: {SAMPLES / 'reviews.csv'}")
    chosen = [*SETTINGS["quick"], "report.baseline=false", *settings]
    result = textclf("train", config, "--run", folder / name, *overrides(*chosen), *options)
    assert result.exit_code == 0, result.output
    return folder / name


@pytest.fixture(scope="module", params=["bilstm", "mlp"])
def ensemble(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    config = write_config(folder, "questions")
    chosen = overrides(*SETTINGS[request.param], "report.baseline=false")
    result = textclf("train", config, "--run", folder / "run", "--seeds", "2", "--ensemble", *chosen)
    assert result.exit_code == 0, result.output
    return folder / "run"


def document(run: Path) -> dict:
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def test_mean_and_spread_are_reported_and_the_best_is_kept_as_if_trained_alone(tmp_path: Path) -> None:
    several, alone = train(tmp_path, "several", "--seeds", "2"), {}
    found = document(several)["seeds"]
    assert [each["seed"] for each in found["members"]] == [42, 43]
    for seed in (42, 43):
        alone[seed] = train(tmp_path, f"seed_{seed}", settings=(f"training.seed={seed}",))
    for each in found["members"]:
        own = document(alone[each["seed"]])
        assert each["metrics"] == own["metrics"]
        assert {name: each[name] for name in ("best_epoch", "epochs", "loss", "accuracy")} == {
            name: own["validation"][name] for name in ("best_epoch", "epochs", "loss", "accuracy")
        }
    accuracies = [each["metrics"]["accuracy"] for each in found["members"]]
    assert found["mean"]["accuracy"] == pytest.approx(statistics.fmean(accuracies))
    assert found["standard_deviation"]["accuracy"] == pytest.approx(statistics.stdev(accuracies))
    assert found["best"] == min(found["members"], key=lambda each: each["loss"])["seed"]
    assert found["ensemble"] is None
    best = alone[found["best"]]
    assert (several / "model" / "model.onnx").read_bytes() == (best / "model" / "model.onnx").read_bytes()
    lines = [(alone[seed] / "history.csv").read_text().splitlines() for seed in (42, 43)]
    assert (several / "history.csv").read_text().splitlines() == [*lines[0], *lines[1][1:]]


def test_an_ensemble_is_a_run_like_any_other(ensemble: Path, tmp_path: Path) -> None:
    assert document(ensemble)["parity"] < 1e-5
    shown = textclf("check", ensemble)
    assert (shown.exit_code, shown.stderr) == (0, "")
    explained = json.loads(textclf("explain", "When did it end?", "--run", ensemble, "--json").stdout)["explanations"]
    for each in explained:
        weights = sum(word["weight"] for word in each["words"])
        assert weights == pytest.approx(each["log_odds"] - each["without_words"], abs=1e-4)
    before = document(ensemble)
    again = textclf("evaluate", "--run", ensemble)
    assert (again.exit_code, document(ensemble)) == (0, before)
    for name in ("keras", "onnx", "savedmodel"):
        output = tmp_path / f"classifier{EXPORTERS[name].suffix}"
        exported = textclf("export", "--run", ensemble, "--format", name, "--output", output, "--json")
        assert json.loads(exported.stdout)["parity"] < 1e-5


def test_gain_and_cost_of_an_ensemble_are_said(ensemble: Path) -> None:
    seeds = document(ensemble)["seeds"]
    gain = seeds["ensemble"]
    assert list(gain) == ["over_best", "over_mean", "bytes", "bytes_of_best"]
    assert gain["bytes"] == (ensemble / "model" / "model.onnx").stat().st_size
    assert 1 < gain["bytes"] / gain["bytes_of_best"] < 2.1  # members of a blend share a linear model
    means = [each["metrics"]["log_loss"] for each in seeds["members"]]
    expected = document(ensemble)["metrics"]["log_loss"] - statistics.fmean(means)
    assert gain["over_mean"]["difference"]["log_loss"] == pytest.approx(expected)
    speed = json.loads((ensemble / "environment.json").read_text())["rows_a_second"]
    assert list(speed) == ["best", "ensemble"]
    page = (ensemble / "report.html").read_text(encoding="utf-8")
    assert "What does another seed give?" in page
    assert f"It labels {speed['ensemble']:,.0f} rows per second" in page
    shown = textclf("evaluate", "--run", ensemble).stdout.splitlines()
    assert f"It costs {gain['bytes']:,} bytes instead of {gain['bytes_of_best']:,}." in shown
    assert [line.split()[0] for line in shown if line.startswith(("42", "43", "mean", "ensemble"))] == [
        f"42{',' if seeds['best'] == 42 else ''}", f"43{',' if seeds['best'] == 43 else ''}", "mean", "ensemble",
    ]  # fmt: skip


def test_several_networks_stopped_half_way_go_on_to_the_same_bits(tmp_path: Path) -> None:
    options = ("--seeds", "2", "--ensemble")
    whole = train(tmp_path, "whole", *options)
    checkpoint = tmp_path / "run.partial" / "checkpoint"
    # that of the first network after two epochs, that of the second after one
    with failing_writes(20, checkpoint, error=ctrl_c):
        chosen = overrides(*SETTINGS["quick"], "report.baseline=false")
        result = textclf("train", tmp_path / "reviews.yaml", "--run", tmp_path / "run", *chosen, *options)
    assert (result.exit_code, sorted(path.name for path in checkpoint.iterdir())) == (
        130, ["begun.json", "state.npz", "state_2.npz"]
    )  # fmt: skip
    resumed = train(tmp_path, "run", "--resume", *options)
    for name in ("history.csv", "metrics.json", "model/model.onnx", "model/model.json"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()
    assert not (tmp_path / "run.partial").exists()


def test_an_ensemble_of_one_is_refused(tmp_path: Path) -> None:
    result = textclf("train", write_config(tmp_path, "reviews"), "--run", tmp_path / "run", "--ensemble")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("training: ensemble needs seeds: 2 or more, found 1\n")


def test_an_ensemble_is_stored_small_network_by_network_and_taught_to_one_but_not_pruned(
    ensemble: Path, tmp_path: Path
) -> None:
    def compress(method: str) -> Result:
        output = tmp_path / method
        return textclf("compress", "--run", ensemble, "--method", method, "--output", output, "--max-loss", "1")

    for method, members in (("int8", 2), ("distill", 1)):
        result = compress(method)
        assert result.exit_code == 0, result.output
        constants, metadata = read_graph((tmp_path / method / "model" / "model.onnx").read_bytes())
        assert metadata.get("members", "1") == str(members)
        assert sum(name.endswith("embedding.scale") for name in constants) == members
    result = compress("prune")
    assert (result.exit_code, result.stderr) == (
        1, "--method prune: an ensemble has several networks. Use distill, which makes one of them.\n"
    )  # fmt: skip
