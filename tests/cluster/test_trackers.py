"""--log asked of the tools themselves: what TensorBoard, MLflow and wandb have of a training and of a search."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import QUICK, ROOT, SAMPLES, overrides, write_config

from textclf.config.load import load_saved_config
from textclf.config.schema import option_values
from textclf.tracking.tracker import as_text

mlflow = pytest.importorskip("mlflow")
pytest.importorskip("tensorboard")
pytest.importorskip("wandb")

# of mlflow, opentelemetry and wandb, or of what they import
pytestmark = pytest.mark.filterwarnings("ignore")

LOGS = ["--log", "tensorboard", "--log", "mlflow", "--log", "wandb"]
SEARCH = "tune:\n  model.dropout: [0.0, 0.2, 0.4]"


def run_textclf(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; the tools keep there what they are told."""
    command = [sys.executable, "-m", "textclf", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def environment() -> dict[str, str]:
    names = ("MLFLOW_", "WANDB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return kept | {"PYTHONPATH": str(ROOT), "WANDB_MODE": "offline", "MLFLOW_DISABLE_TELEMETRY": "true"}


def train(folder: Path, *options: str, settings: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    config = write_config(folder, "reviews")
    return run_textclf(folder, "train", config, *overrides(*QUICK, "report.texts=false", *settings), *options)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run runs/reviews, logged in all tools."""
    folder = tmp_path_factory.mktemp("trained")
    result = train(folder, *LOGS)
    assert result.returncode == 0, result.stderr
    assert result.stdout == run_textclf(folder, "evaluate").stdout
    return folder


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the search runs/reviews-tune, logged in all tools."""
    folder = tmp_path_factory.mktemp("tuned")
    config = write_config(folder, "reviews", SEARCH)
    result = run_textclf(folder, "tune", config, *overrides(*QUICK), "--trials", "3", *LOGS)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(autouse=True)
def forgetful_mlflow() -> Iterator[None]:
    yield
    mlflow.set_tracking_uri(None)


def history_of(run: Path) -> list[dict[str, float]]:
    with (run / "history.csv").open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


# TensorBoard


def events(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder)).Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.util.tensor_util import make_ndarray

    read = events(folder)
    return {
        tag: [(event.step, float(make_ndarray(event.tensor_proto))) for event in read.Tensors(tag)]
        for tag in read.Tags()["tensors"]
        if not tag.startswith(("_hparams_", "results"))
    }


def session(folder: Path) -> tuple[dict[str, Any], list[int]]:
    """Return the hyperparameters, and the status of each end."""
    from tensorboard.plugins.hparams import metadata

    summaries = events(folder).summary_metadata
    start = metadata.parse_session_start_info_plugin_data(
        summaries[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    end = summaries.get(metadata.SESSION_END_INFO_TAG)
    ends = [metadata.parse_session_end_info_plugin_data(end.plugin_data.content).status] if end else []
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}, ends


def test_tensorboard_shows_epochs_as_keras_does_metrics_and_hyperparameters(trained: Path) -> None:
    from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS

    [folder] = (trained / "logs" / "reviews").iterdir()
    history, metrics = history_of(trained / "runs" / "reviews"), read(trained / "runs" / "reviews" / "metrics.json")

    def curve(name: str) -> list[tuple[int, float]]:
        return [(int(epoch["epoch"]), pytest.approx(epoch[name])) for epoch in history]

    assert scalars(folder / "train") == {"epoch_loss": curve("loss"), "epoch_learning_rate": curve("learning_rate")}
    assert scalars(folder / "validation") == {"epoch_loss": curve("val_loss"), "epoch_accuracy": curve("val_accuracy")}
    assert scalars(folder) == {
        f"validation/{name}": [(0, pytest.approx(value))] for name, value in metrics["metrics"].items()
    }
    [results] = events(folder).Tensors("results")
    low, high = metrics["intervals"]["accuracy"]
    row = f"| validation/accuracy | {metrics['metrics']['accuracy']:.4f} | {low:.4f} to {high:.4f} |"
    assert row in results.tensor_proto.string_val[0].decode().splitlines()
    params, ends = session(folder)
    config = option_values(load_saved_config(trained / "runs" / "reviews" / "config.yaml"))
    assert params == {key: value if isinstance(value, int | float) else as_text(value) for key, value in config.items()}
    assert ends == [STATUS_SUCCESS]


def test_tensorboard_has_each_trial_with_its_settings(tuned: Path) -> None:
    [folder] = (tuned / "logs" / "reviews-tune").iterdir()
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == [
        "best", "trial-001", "trial-002", "trial-003"
    ]  # fmt: skip
    for trial in read(tuned / "runs" / "reviews-tune" / "tuning.json")["trials"]:
        params, _ = session(folder / f"trial-{trial['number']:03}")
        assert {key: params[key] for key in trial["settings"]} == trial["settings"]
        assert params["training.epochs"] == 3
        if trial["state"] == "complete":
            assert scalars(folder / f"trial-{trial['number']:03}")["val_loss"] == [(0, pytest.approx(trial["loss"]))]


# MLflow


def runs_in(folder: Path) -> dict[str, Any]:
    """Return the runs in the store of a folder, by name."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return {run.info.run_name: run for run in runs}


def test_mlflow_has_parameters_metrics_and_files(trained: Path) -> None:
    run, path = runs_in(trained)["reviews"], trained / "runs" / "reviews"
    assert mlflow.get_experiment(run.info.experiment_id).name == "reviews"
    assert run.info.status == "FINISHED"
    config = option_values(load_saved_config(path / "config.yaml"))
    assert run.data.params == {key: as_text(value) for key, value in config.items()}
    client = mlflow.MlflowClient()
    for name in ("loss", "val_loss", "val_accuracy", "learning_rate"):
        told = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
        assert told == [(epoch["epoch"], epoch[name]) for epoch in history_of(path)]
    metrics = read(path / "metrics.json")
    for name in ("accuracy", "f1_macro"):
        ends = [run.data.metrics[f"validation_{end}/{name}"] for end in ("low", "high")]
        assert (run.data.metrics[f"validation/{name}"], ends) == (metrics["metrics"][name], metrics["intervals"][name])
    artifacts = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert artifacts == {"report.html", "config.yaml", "metrics.json"}
    [model] = mlflow.search_logged_models([run.info.experiment_id], output_format="list")
    assert (model.name, model.source_run_id) == ("model", run.info.run_id)


LOAD = """
import json, sys
sys.modules["textclf"] = None
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
print(model.predict(json.load(sys.stdin)).to_csv(index=False, sep="\\t", header=False, float_format="%.6f"), end="")
"""


def test_a_model_in_mlflow_gives_the_labels_of_predict_where_textclf_is_not_installed(
    trained: Path, tmp_path: Path
) -> None:
    texts = (SAMPLES / "lines.txt").read_text(encoding="utf-8").splitlines()
    lines = run_textclf(trained, "predict", SAMPLES / "lines.txt").stdout
    uri = f"runs:/{runs_in(trained)['reviews'].info.run_id}/model"
    variables = environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{trained}/mlflow.db"}
    del variables["PYTHONPATH"]
    result = subprocess.run(
        [sys.executable, "-c", LOAD, uri], cwd=tmp_path, env=variables, input=json.dumps(texts), text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert result.stdout == lines, result.stderr
    [model] = trained.rglob("MLmodel")
    assert not [*model.parent.rglob("*.pkl")]
    requirements = {line.partition("==")[0] for line in (model.parent / "requirements.txt").read_text().splitlines()}
    assert requirements == {"mlflow", "numpy", "onnxruntime", "pandas"}


def test_mlflow_nests_the_trials_and_the_best_training_in_the_search(tuned: Path) -> None:
    runs, document = runs_in(tuned), read(tuned / "runs" / "reviews-tune" / "tuning.json")
    search = runs.pop("reviews-tune")
    assert sorted(runs) == ["best", "trial 1", "trial 2", "trial 3"]
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {search.info.run_id}
    for trial in document["trials"]:
        run = runs[f"trial {trial['number']}"]
        assert run.data.params == {key: as_text(value) for key, value in trial["settings"].items()}
        assert run.info.status == ("FINISHED" if trial["state"] == "complete" else "KILLED")
        assert run.data.metrics.get("val_loss") == trial["loss"]
    accuracy = document["measured"]["metrics"]["accuracy"]
    assert (search.info.status, runs["best"].info.status) == ("FINISHED", "FINISHED")
    assert search.data.metrics["validation/accuracy"] == runs["best"].data.metrics["validation/accuracy"] == accuracy
    assert search.data.metrics["best_trial"] == document["best"]["trial"]


def test_a_training_that_is_stopped_is_killed_in_mlflow_and_goes_on_in_the_same_run(tmp_path: Path) -> None:
    settings = ("training.epochs=400", "training.early_stopping=null", "report.baseline=false")
    config = write_config(tmp_path, "reviews")
    command = [sys.executable, "-m", "textclf", "train", config, "--log", "mlflow", *overrides(*QUICK, *settings)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(line.startswith(b"epoch  2") for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    [killed] = runs_in(tmp_path).values()
    assert killed.info.status == "KILLED"
    with subprocess.Popen([*command, "--resume"], cwd=tmp_path, env=environment(), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert any(line.startswith(b"epoch ") for line in process.stderr)
        process.send_signal(signal.SIGINT)  # keeps what was trained
        process.stderr.read()
    assert process.returncode == 0
    [run] = runs_in(tmp_path).values()
    assert (run.info.run_id, run.info.status) == (killed.info.run_id, "FINISHED")
    told = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert {metric.step for metric in told} == {epoch["epoch"] for epoch in history_of(tmp_path / "runs" / "reviews")}


def test_a_server_that_does_not_answer_is_named_before_the_first_epoch(tmp_path: Path) -> None:
    config = write_config(tmp_path, "reviews")
    variables = environment() | {
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"
    }  # fmt: skip
    command = [sys.executable, "-m", "textclf", "train", config, "--log", "mlflow", *overrides(*QUICK)]
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    last = result.stderr.splitlines()[-1]
    assert (result.returncode, result.stdout) == (1, "")
    assert last.startswith("--log mlflow: ")
    assert "127.0.0.1" in last
    assert "epoch" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.yaml"]


# wandb


def offline_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the config, history, summary and end of each run that wandb keeps in a folder, by name."""
    runs = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        run: dict[str, Any] = {"config": {}, "history": [], "summary": {}, "files": []}
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run |= {"name": record.run.display_name, "group": record.run.run_group, "job": record.run.job_type}
                run["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif kind == "history":
                run["history"].append({item.nested_key[0]: json.loads(item.value_json) for item in record.history.item})
            elif kind == "summary":
                run["summary"] |= {item.key: json.loads(item.value_json) for item in record.summary.update if item.key}
            elif kind == "exit":
                run["exit"] = record.exit.exit_code
            elif kind == "request" or kind == "artifact":
                artifact = record.artifact if kind == "artifact" else record.request.log_artifact.artifact
                run["files"] += [entry.path for entry in artifact.manifest.contents]
        runs[run["name"]] = run
    return runs


def records(path: Path) -> Iterator[Any]:
    """Yield the records of a .wandb file: pieces in blocks of 32 KiB, as in LevelDB's log, after seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, position, pieces = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        pieces += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(pieces)
            pieces = b""


def test_wandb_has_config_history_summary_report_and_model(trained: Path) -> None:
    [run] = offline_runs(trained).values()
    path = trained / "runs" / "reviews"
    config = option_values(load_saved_config(path / "config.yaml"))
    assert {key: run["config"][key] for key in config} == config
    names = ("epoch", "loss", "val_loss", "val_accuracy", "learning_rate")
    told = [{name: row[name] for name in names} for row in run["history"] if "loss" in row]
    assert told == [{name: pytest.approx(epoch[name]) for name in names} for epoch in history_of(path)]
    metrics = read(path / "metrics.json")
    assert run["summary"]["validation/accuracy"] == metrics["metrics"]["accuracy"]
    assert run["summary"]["validation_low/accuracy"] == metrics["intervals"]["accuracy"][0]
    assert (run["name"], run["job"], run["exit"]) == ("reviews", "train", 0)
    assert {"model/model.onnx", "model/model.json", "report.html", "config.yaml", "metrics.json"} == {*run["files"]}
    [report] = trained.rglob("media/html/*.html")
    assert report.read_bytes() == (path / "report.html").read_bytes()


def test_wandb_groups_the_trials_with_the_search(tuned: Path) -> None:
    runs = offline_runs(tuned)
    assert {name: run["job"] for name, run in runs.items()} == {
        "reviews-tune": "search", "trial 1": "trial", "trial 2": "trial", "trial 3": "trial", "best": "train"
    }  # fmt: skip
    assert len({run["group"] for run in runs.values()}) == 1
    for trial in read(tuned / "runs" / "reviews-tune" / "tuning.json")["trials"]:
        run = runs[f"trial {trial['number']}"]
        assert {key: run["config"][key] for key in trial["settings"]} == trial["settings"]
        assert run["summary"].get("val_loss") == trial["loss"]


# All of them


def test_no_text_of_the_data_is_told(trained: Path) -> None:
    with (SAMPLES / "reviews.csv").open(encoding="utf-8", newline="") as file:
        texts = [row["text"].encode() for row in csv.DictReader(file)]
    assert min(map(len, texts)) > 10
    for folder in ("logs", "mlruns", "wandb"):
        files = [path for path in (trained / folder).rglob("*") if path.is_file()]
        assert files
        assert not [path for path in files for text in texts if text in path.read_bytes()]
    database = (trained / "mlflow.db").read_bytes()
    assert not [text for text in texts if text in database]


def test_without_the_option_none_is_imported(tmp_path: Path) -> None:
    arguments = ["train", str(write_config(tmp_path, "reviews")), *overrides(*QUICK)]
    script = f"""
import sys
from textclf.cli.main import main
main(["train", "--help"], standalone_mode=False)
before = {{"tensorboard", "mlflow", "wandb"}} & {{*sys.modules}}
main({arguments!r}, standalone_mode=False)  # TensorFlow imports tensorboard, where it is installed
print(before | {{"mlflow", "wandb"}} & {{*sys.modules}})
"""
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1] == "set()", result.stderr
