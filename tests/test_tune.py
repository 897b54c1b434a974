"""tune: a search over the space of a config and the run with the best settings; stopped, it goes on to the same."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import overrides, textclf, write_config
from fake_runner import DivergingRunner, FakeRunner, RefusingRunner
from faults import contents

from textclf.config.schema import Config
from textclf.io.run_folder import Run, run_for_config
from textclf.io.staging import locked
from textclf.tuning.results import tuning_for_config
from textclf.tuning.tune import tune as tune_config

pytest.importorskip("optuna")

SPACE = """tune:
  model.hidden: [[4], [8], [4, 4]]
  model.dropout: {low: 0.0, high: 0.5, step: 0.1}
  training.learning_rate: {low: 1e-3, high: 1e-1, log: true}"""
SETTINGS = [
    "model.type=mlp", "model.hidden=[8]", "training.epochs=2", "report.baseline=false", "report.texts=false"
]  # fmt: skip
TRIALS = 5


def tune(folder: Path, *options: str | Path, name: str = "tuned", settings: tuple[str, ...] = ()) -> Result:
    """Run `textclf tune` in folder/tuned."""
    config = folder / "questions.yaml"
    if not config.exists():
        write_config(folder, "questions", SPACE)
    return textclf("tune", config, "--run", folder / name, *overrides(*SETTINGS, *settings), *options)


def tuning_json(tuning: Path) -> Any:
    return json.loads((tuning / "tuning.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tune")
    result = tune(folder, "--trials", str(TRIALS), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == tuning_json(folder / "tuned")
    lines = [line for line in result.stderr.splitlines() if line.startswith("trial ")]
    assert [int(line.split()[1]) for line in lines] == list(range(1, TRIALS + 1))
    return folder / "tuned"


def test_the_folder_holds_the_search_and_the_best_run(tuned: Path) -> None:
    assert sorted(path.name for path in tuned.iterdir()) == [
        "begun.json", "best", "best.yaml", "report.html", "study.jsonl", "tuning.json"
    ]  # fmt: skip
    document = tuning_json(tuned)
    trials = document["trials"]
    assert [trial["number"] for trial in trials] == list(range(1, TRIALS + 1))
    assert document["own"] == {
        "trial": 1, "settings": {"model.hidden": [8], "model.dropout": 0.5, "training.learning_rate": 0.001}
    }  # fmt: skip
    assert trials[0]["settings"] == document["own"]["settings"]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    best = min(complete, key=lambda trial: trial["loss"])
    assert document["best"] == {"settings": best["settings"], "trial": best["number"]}
    assert all(trial["score"] == trial["loss"] == min(trial["steps"]) for trial in complete)
    assert {trial["state"] for trial in trials} <= {"complete", "pruned"}
    for trial in trials:
        assert trial["settings"]["model.hidden"] in ([4], [8], [4, 4])
        assert trial["settings"]["model.dropout"] in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
        assert 1e-3 <= trial["settings"]["training.learning_rate"] <= 1e-1
    assert sum(document["importance"].values()) == pytest.approx(1)


def test_training_on_best_yaml_gives_the_best_run_and_the_scores_of_its_trial(tuned: Path, tmp_path: Path) -> None:
    result = textclf("train", tuned / "best.yaml", "--run", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    document = tuning_json(tuned)
    best = document["trials"][document["best"]["trial"] - 1]
    validation = json.loads(result.stdout)["validation"]
    assert {key: validation[key] for key in ("loss", "accuracy", "epochs")} == {
        key: best[key] for key in ("loss", "accuracy", "epochs")
    }
    for name in ("metrics.json", "config.yaml", "model/model.onnx"):
        assert (tmp_path / "run" / name).read_bytes() == (tuned / "best" / name).read_bytes()
    assert document["measured"]["metrics"] == json.loads(result.stdout)["metrics"]


def test_the_best_run_is_one_like_any_other(tuned: Path) -> None:
    before = contents(tuned / "best")
    assert textclf("check", tuned / "best").exit_code == 0
    assert textclf("evaluate", "--run", tuned / "best").exit_code == 0
    assert textclf("compare", tuned / "best", tuned / "best").exit_code == 0
    assert contents(tuned / "best")["metrics.json"] == before["metrics.json"]


def test_the_report_is_drawn_from_tuning_json_alone(tuned: Path, tmp_path: Path) -> None:
    page = (tuned / "report.html").read_text(encoding="utf-8")
    shutil.copy(tuned / "tuning.json", tmp_path)
    result = textclf("report", tmp_path)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"wrote {tmp_path}/report.html\n")
    assert (tmp_path / "report.html").read_text() == page.replace(">tuned<", f">{tmp_path.name}<").replace(
        "<title>tuned -", f"<title>{tmp_path.name} -"
    )
    assert "<script" not in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {"history-title", "parallel-title"} <= set(ids)


def test_the_output_shows_trials_settings_and_gain(tuned: Path) -> None:
    result = tune(tuned.parent, "--trials", str(TRIALS), "--resume")
    assert result.exit_code == 0
    document = tuning_json(tuned)
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "trial", "loss", "accuracy", "epochs", "hidden", "dropout", "learning_rate"
    ]  # fmt: skip
    assert lines[1].split()[0] == str(document["best"]["trial"])
    assert sorted(int(line.split()[0]) for line in lines[1 : TRIALS + 1]) == list(range(1, TRIALS + 1))
    best, own = (document["trials"][document[name]["trial"] - 1] for name in ("best", "own"))
    assert (
        f"Trial {best['number']} is the best: validation loss {best['loss']:.4f}, "
        f"{own['loss'] - best['loss']:.4f} below that of the config as it stands (trial 1: {own['loss']:.4f})."
    ) in lines
    assert lines[-1].startswith("On 24 validation rows, which had a part in choosing the settings: accuracy ")


def test_a_search_that_was_killed_goes_on_to_the_same_files(tuned: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tuned, tmp_path / "tuned"))
    for name in ("tuning.json", "report.html", "best.yaml"):
        (folder / name).unlink()
    shutil.rmtree(folder / "best")
    journal = (folder / "study.jsonl").read_bytes().splitlines(keepends=True)
    running = [number for number, line in enumerate(journal) if b'"trial_id":3' in line and b'"progress"' in line]
    (folder / "study.jsonl").write_bytes(b"".join(journal[: running[0]]) + journal[running[0]][:20])
    assert tune(tmp_path).stderr == (
        f"{tmp_path}/tuned exists. Go on with its search with --resume, replace it with --overwrite, or choose another "
        "folder with --run.\n"
    )
    result = tune(tmp_path, "--trials", str(TRIALS), "--resume")
    assert result.exit_code == 0, result.output
    assert [line[:8] for line in result.stderr.splitlines() if line.startswith("trial ")] == ["trial  4", "trial  5"]
    for name in ("tuning.json", "report.html", "best.yaml", "best/metrics.json"):
        assert (folder / name).read_bytes() == (tuned / name).read_bytes()


def test_stopped_while_training_with_the_best_settings_it_goes_on_there(
    tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = Path(shutil.copytree(tuned, tmp_path / "tuned"))
    shutil.rmtree(folder / "best")
    with monkeypatch.context() as patched:
        patched.setattr("textclf.training.train.evaluate_rows", stop)
        result = tune(tmp_path, "--trials", str(TRIALS), "--resume")
    assert (result.exit_code, result.stdout) == (130, "")
    best = folder / "best"
    assert f"warning: what was trained is kept in {best}.partial; go on with --resume" in result.stderr.splitlines()
    more = tune(tmp_path, "--trials", str(TRIALS), "--resume")
    assert more.exit_code == 0, more.output
    assert [line for line in more.stderr.splitlines() if line.startswith(("trial", "epoch"))] == []
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith("best")) == ["best", "best.yaml"]
    assert (folder / "tuning.json").read_bytes() == (tuned / "tuning.json").read_bytes()


@pytest.mark.slow
def test_with_folds_the_score_is_the_mean_over_all_parts_also_in_processes(tmp_path: Path) -> None:
    result = tune(tmp_path, "--folds", "2", "--trials", "2", "--jobs", "2", settings=("training.epochs=1",))
    assert result.exit_code == 0, result.output
    document = tuning_json(tmp_path / "tuned")
    assert document["folds"] == 2
    for trial in document["trials"]:
        assert (trial["epochs"], len(trial["best_epochs"]), len(trial["steps"])) == (2, 2, 2)
        assert trial["deviation"] > 0
        assert trial["steps"][-1] == trial["score"] == trial["loss"]


def test_folds_beside_validation_rows_are_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, "questions")
    rows = config.read_text().partition("train: ")[2].strip()
    result = textclf("tune", config, "--folds", "2", "--set", f"data.validation={rows}")
    assert (result.exit_code, result.stderr) == (
        1,
        f"data.validation names rows to validate on, {rows}, and --folds 2 takes them from the training rows. "
        "Leave out --folds, or --set data.validation=null.\n",
    )


def test_without_optuna_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    result = tune(tmp_path)
    expected = "Settings are searched by Optuna: pip install 'optuna>=5.0'.\n"
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", expected)
    assert not (tmp_path / "tuned").exists()


def test_a_folder_that_is_no_tuning_and_one_in_use_are_refused(tuned: Path, tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "mine.txt").touch()
    for options in ((), ("--overwrite",), ("--resume",)):
        assert tune(tmp_path, *options).stderr == (
            f"{tmp_path}/tuned exists and is no tuning of textclf. Choose another folder with --run.\n"
        )
    with locked(Run(tuned)):
        result = tune(tuned.parent, "--resume")
    assert (result.exit_code, result.stderr.startswith(f"another process is training {tuned}.")) == (1, True)
    assert tune(tmp_path, "--resume", "--overwrite").exit_code == 2


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (b"no journal", "it holds no complete line"),
        (b"no journal\n", "Expecting value: line 1 column 1 (char 0)"),
        (b"{}\n", "'op_code'"),
    ],
)
def test_a_damaged_journal_is_named(damage: bytes, problem: str, tuned: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned, tmp_path / "tuned")
    (tmp_path / "tuned" / "study.jsonl").write_bytes(damage)
    result = tune(tmp_path, "--resume")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        f"{tmp_path}/tuned/study.jsonl cannot be read or written: {problem}. Free space and go on with --resume, or "
        "begin anew with --overwrite.\n",
    )
    assert (tmp_path / "tuned" / "study.jsonl").read_bytes() == damage


def test_runs_and_tunings_have_names_of_their_own(tuned: Path) -> None:
    names = [Path("configs/mine.yaml"), tuned / "config.yaml", tuned / "best.yaml", Path("configs/best.yaml")]
    assert [run_for_config(name).path.as_posix() for name in names] == [
        "runs/mine", "runs/tuned", "runs/tuned-best", "runs/best"
    ]  # fmt: skip
    assert tuning_for_config(Path("configs/mine.yaml")).path.as_posix() == "runs/mine-tune"


class StoppedRunner(FakeRunner):
    """Presses Ctrl-C in its third trial."""

    def loss(self, config: Config) -> float:
        if self.trials == 3:
            signal.raise_signal(signal.SIGINT)
        return super().loss(config)


class StoppedAtOnceRunner(FakeRunner):
    def loss(self, _config: Config) -> float:
        signal.raise_signal(signal.SIGINT)
        return 1.0


@pytest.fixture
def run_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[FakeRunner]], None]:
    """Make `textclf tune` use another runner."""
    defaults = tune_config.__kwdefaults__
    assert defaults
    return lambda runner: monkeypatch.setitem(defaults, "runner", runner)


@pytest.fixture
def trained(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs that `textclf tune` trains with, which takes no time."""
    configs: list[Config] = []

    def train(config: Config, *_: object, **__: object) -> Any:
        configs.append(config)
        return json.loads((tuned / "best" / "metrics.json").read_text(encoding="utf-8"))

    monkeypatch.setattr("textclf.tuning.tune.train", train)
    return configs


def test_ctrl_c_ends_the_search_and_trains_with_the_best_so_far(
    run_by: Callable[..., None], trained: list[Config], tmp_path: Path
) -> None:
    run_by(StoppedRunner)
    result = tune(tmp_path)
    assert result.exit_code == 0, result.output
    document = tuning_json(tmp_path / "tuned")
    assert [trial["number"] for trial in document["trials"]] == [1, 2]
    [config] = trained
    assert config.model.hidden == document["best"]["settings"]["model.hidden"]


def test_minutes_end_the_search(run_by: Callable[..., None], trained: list[Config], tmp_path: Path) -> None:
    run_by(FakeRunner)
    result = tune(tmp_path, "--minutes", "1e-6")
    assert result.exit_code == 0, result.output
    assert [trial["state"] for trial in tuning_json(tmp_path / "tuned")["trials"]] == ["complete"]
    assert len(trained) == 1


def test_ctrl_c_in_the_first_trial_leaves_nothing(run_by: Callable[..., None], tmp_path: Path) -> None:
    run_by(StoppedAtOnceRunner)
    result = tune(tmp_path)
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "\nstopped by Ctrl-C\n")
    assert [path.name for path in tmp_path.iterdir()] == ["questions.yaml"]


def test_a_search_that_fails_keeps_what_was_tried(
    run_by: Callable[..., None], trained: list[Config], tmp_path: Path
) -> None:
    run_by(RefusingRunner)
    result = tune(tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    kept, *refusal = result.stderr.splitlines()[1:]
    assert kept == f"warning: what was tried is kept in {tmp_path}/tuned; go on with --resume"
    assert refusal == ["data/train.csv: no words.", "Add some."]
    more = tune(tmp_path, "--resume", settings=("training.seed=1",))
    assert (more.exit_code, more.stderr) == (
        1,
        f"{tmp_path}/tuned was begun with other settings or data: training.seed is 1, was 42. Go on with what it was "
        "begun with, or begin anew with --overwrite.\n",
    )
    begun = tmp_path / "tuned" / "begun.json"
    document = json.loads(begun.read_text(encoding="utf-8"))
    del document["settings"]["training.strategy"]  # an older textclf did not have it
    begun.write_text(json.dumps(document), encoding="utf-8")
    run_by(FakeRunner)
    assert tune(tmp_path, "--resume", "--trials", "3").exit_code == 0
    assert [trial["number"] for trial in tuning_json(tmp_path / "tuned")["trials"]] == [1, 2, 3]
    assert len(trained) == 1
    run_by(StoppedAtOnceRunner)
    assert tune(tmp_path, "--overwrite").exit_code == 130
    assert not (tmp_path / "tuned").exists()


def test_a_search_in_which_every_trial_diverges_is_refused(run_by: Callable[..., None], tmp_path: Path) -> None:
    run_by(DivergingRunner)
    result = tune(tmp_path, "--trials", "1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[0].split()[4:6] == ["given", "up"]
    assert result.stderr.splitlines()[-1] == (
        "training diverged in every trial (1). Set a smaller training.learning_rate, and smaller ones in "
        "tune.training.learning_rate."
    )
