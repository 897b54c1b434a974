"""tune --storage: machines that share the trials of a search in a journal, and what they say of a storage."""

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import overrides, textclf, write_config
from fake_runner import FakeRunner
from test_tune import SETTINGS, SPACE

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.tuning import machines, study, tune
from textclf.tuning.search import Search
from textclf.tuning.search_space import load_space
from textclf.tuning.storage import Storage, shared_storage, storage_faults
from textclf.tuning.trials import Report, TrialResult

optuna = pytest.importorskip("optuna")

METRICS = {
    "data": {"file": "train.csv", "rows": 24, "sha256": "0", "part": "validation"},
    "metrics": {"accuracy": 0.75},
    "intervals": {"accuracy": [0.5, 0.9]},
    "validation": {"rows": 24, "loss": 1.0},
}
FORMS = (
    "Write postgresql://USER:PASSWORD@HOST/DATABASE, or mysql://USER:PASSWORD@HOST/DATABASE, with @ : / ? % in a name "
    "or password as %40 %3A %2F %3F %25, or the path of a file on a disk that all machines share.\n"
)


def run_on(machine: Path, *options: str | Path, storage: str | Path = "", settings: tuple[str, ...] = ()) -> Result:
    """Run `textclf tune` as on a machine of its own, with the folder machine/tuned and a journal beside it."""
    machine.mkdir(exist_ok=True)
    config = write_config(machine.parent, "questions", SPACE)
    storage = storage or machine.parent / "shared.journal"
    return textclf(
        "tune", config, "--run", machine / "tuned", "--storage", storage, *overrides(*SETTINGS, *settings), *options
    )  # fmt: skip


def search_in(folder: Path, machine: str, runner: type[FakeRunner] = FakeRunner) -> Search:
    """The search of `run_on`, for a machine of that name."""
    config, space = load_space(write_config(folder, "questions", SPACE), SETTINGS)
    storage = Storage(str(folder / "shared.journal"), "tuned", shared=True)
    return Search(storage, config, space, trials=8, runner=runner, machine=machine)


def timeless(text: str) -> list[str]:
    """Return the lines without the seconds and the settings of trials."""
    return [re.sub(r"^(trial +\d+ ) +[\d.]+ s(.*\))  .*", r"\1\2", line) for line in text.splitlines()]


def tuning_json(machine: Path) -> Any:
    return json.loads((machine / "tuned" / "tuning.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configs that `textclf tune` trains the best run with; neither that nor its trials take any time."""
    configs: list[Config] = []

    def train(config: Config, *_: object, **__: object) -> Any:
        configs.append(config)
        return METRICS

    monkeypatch.setattr(tune, "train", train)
    run_by(monkeypatch, FakeRunner)
    monkeypatch.setattr("platform.node", lambda: "node1")
    return configs


def run_by(monkeypatch: pytest.MonkeyPatch, runner: type[FakeRunner]) -> None:
    defaults = tune.tune.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "runner", runner)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Machines give a sign of life every few milliseconds, and are gone after 1.5 seconds without."""
    monkeypatch.setattr(machines, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(machines, "POLL_SECONDS", 0.02)
    for module in (machines, study):
        monkeypatch.setattr(module, "STALE_SECONDS", 1.5)


def test_machines_share_trials_and_the_best_run_is_trained_once(trained: list[Config], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    begun = run_on(first, "--trials", "3")
    assert (begun.exit_code, timeless(begun.stderr)) == (
        0,
        [
            f"tuned in {tmp_path}/shared.journal: 0 trials so far",
            "trial  1   val_loss 1.7550  best 1.7550 (trial 1)",
            "trial  2   val_loss 1.4442  best 1.4442 (trial 2)",
            "trial  3   val_loss 0.5363  best 0.5363 (trial 3)",
            f"wrote {first}/tuned; open {first}/tuned/report.html; the best run is {first}/tuned/best on node1",
        ],
    )
    assert len(trained) == 1
    joined = run_on(second, "--trials", "3")
    assert (joined.stdout, joined.stderr.splitlines()) == (
        begun.stdout,
        [
            f"tuned in {tmp_path}/shared.journal: 3 trials so far",
            f"wrote {second}/tuned; open {second}/tuned/report.html; the best run is {first}/tuned/best on node1",
        ],
    )
    for name in ("tuning.json", "report.html", "best.yaml"):
        assert (second / "tuned" / name).read_bytes() == (first / "tuned" / name).read_bytes()
    assert len(trained) == 1

    assert run_on(second, "--trials", "12").exit_code == 0
    assert run_on(first, "--trials", "12", "--resume").exit_code == 0
    document = tuning_json(first)
    assert document == tuning_json(second)
    assert [trial["number"] for trial in document["trials"]] == list(range(1, 13))
    assert [config.model.hidden for config in trained[1:]] == [document["best"]["settings"]["model.hidden"]]
    stored = optuna.load_study(study_name="tuned", storage=search_in(tmp_path, "").open_study()._open.optuna)
    assert document["trials"][stored.best_trial.number]["score"] == stored.best_value
    assert document["best"]["trial"] == stored.best_trial.number + 1


def test_the_trials_are_those_of_a_search_on_one_machine(tmp_path: Path) -> None:
    config = write_config(tmp_path, "questions", SPACE)
    alone = textclf("tune", config, "--run", tmp_path / "alone", *overrides(*SETTINGS), "--trials", "8")
    assert alone.exit_code == 0, alone.output
    assert run_on(tmp_path / "shared", "--trials", "8").stdout == alone.stdout
    assert (tmp_path / "shared/tuned/tuning.json").read_bytes() == (tmp_path / "alone/tuning.json").read_bytes()


def test_another_config_or_space_is_refused(tmp_path: Path) -> None:
    assert run_on(tmp_path / "first", "--trials", "1").exit_code == 0
    refused = run_on(tmp_path / "second", settings=("training.seed=7",))
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        1,
        "",
        f"tuned in {tmp_path}/shared.journal was begun with other settings or data: training.seed is 7, was 42. Go on "
        "with what it was begun with, or give this search a name of its own with --run runs/NAME.\n",
    )
    folds = run_on(tmp_path / "second", "--folds", "2")
    assert "other settings or data: --folds is 2, was 1. " in folds.stderr
    other = run_on(tmp_path / "first", storage=tmp_path / "other.journal")
    assert (other.exit_code, other.stderr) == (
        1,
        f"{tmp_path}/first/tuned was begun with other settings or data: --storage is '{tmp_path}/other.journal', was "
        f"'{tmp_path}/shared.journal'. Go on with what it was begun with, or choose another folder with --run.\n",
    )


def test_the_folder_of_another_search_and_overwriting_are_refused(tmp_path: Path) -> None:
    config = write_config(tmp_path, "questions", SPACE)
    (tmp_path / "first").mkdir()
    alone = textclf("tune", config, "--run", tmp_path / "first/tuned", *overrides(*SETTINGS), "--trials", "1")
    assert alone.exit_code == 0, alone.output
    assert run_on(tmp_path / "first").stderr == (
        f"{tmp_path}/first/tuned holds a search of this machine alone. Choose another folder with --run.\n"
    )
    overwriting = run_on(tmp_path / "first", "--overwrite")
    assert overwriting.exit_code == 2
    assert "--overwrite would take the trials of other machines; name a new search with --run." in overwriting.stderr


@pytest.mark.parametrize("content", [b"mine", b"mine\n", b'{"text": "mine"}\n'])
def test_a_file_that_is_no_journal_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "shared.journal"
    file.write_bytes(content)
    result = run_on(tmp_path / "first")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        f"{file} cannot be read or written: it is no journal of Optuna. Once that is mended, the same command goes "
        "on.\n",
    )
    assert file.read_bytes() == content
    assert not (tmp_path / "first/tuned").exists()


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("sqlite:///tune.db", "--storage begins with sqlite://, which no search can be kept in. "),
        ("postgresql://me:secret@host", "--storage is no address of a database. "),
        ("postgresql://me:sec@ret@host/tune", "--storage is no address of a database. "),
        ("postgresql://me:secret/tune", "--storage is no address of a database. "),
        ("me:secret@host/tune", "--storage is no address of a database. "),
        ("mysql:/me:secret@host/tune", "--storage is no address of a database. "),
    ],
)
def test_a_wrong_url_is_not_repeated(storage: str, message: str, tmp_path: Path) -> None:
    result = run_on(tmp_path / "first", storage=storage)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message + FORMS)


@pytest.mark.parametrize(
    ("url", "module", "message"),
    [
        (
            "postgresql://me:secret@host:5432/tune", "psycopg",
            "--storage: PostgreSQL needs the package psycopg: pip install 'psycopg[binary]'.\n",
        ),
        (
            "mysql://me:secret@host/tune", "pymysql",
            "--storage: MySQL needs the package pymysql: pip install pymysql.\n",
        ),
    ],
)  # fmt: skip
def test_without_the_driver_the_message_says_what_to_install(
    url: str, module: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    result = run_on(tmp_path / "first", storage=url)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", message)
    assert not (tmp_path / "first/tuned").exists()


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:se%40cret@host:5432/tune?sslmode=require", "postgresql://host:5432/tune"),
        ("postgresql://:se/cr?et@[::1]/tune", "postgresql://[::1]/tune"),
        ("mysql:///tune?user=me&password=secret", "mysql:///tune"),
    ],
)
def test_passwords_are_never_shown(url: str, place: str) -> None:
    from sqlalchemy.exc import OperationalError

    storage = shared_storage(url, search="tuned")
    assert (storage.place, "cret" in repr(storage)) == (place, False)
    said = f"no entry for {', '.join(storage.secrets)}\nmore of it"
    with pytest.raises(UserError) as refused, storage_faults(storage, optuna, (OSError,)):
        raise OperationalError("SELECT", {"password": "secret"}, Exception(said)) from Exception(said)
    masks = ", ".join(["***"] * len(storage.secrets))
    assert str(refused.value) == (
        f"{place} cannot be read or written: no entry for {masks}. Once that is mended, the same command goes on."
    )


@pytest.mark.usefixtures("quick")
def test_the_trial_of_a_machine_that_is_gone_is_run_again(tmp_path: Path) -> None:
    assert run_on(tmp_path / "first", "--trials", "2").exit_code == 0
    gone = search_in(tmp_path, "gone").open_study()
    gone.set_attribute("machine gone", {"host": "node2", "beats": 7})
    with gone.turn():
        lost = gone.ask()
    with (tmp_path / "shared.journal").open("ab") as journal:
        journal.write(b'{"op_code":8,"worker_id')  # it died as it wrote
    (tmp_path / "shared.journal.lock").unlink(missing_ok=True)
    result = run_on(tmp_path / "first", "--trials", "4")
    assert result.exit_code == 0, result.output
    assert timeless(result.stderr)[:4] == [
        f"tuned in {tmp_path}/shared.journal: 3 trials so far",
        "trial  4   val_loss 0.5933  best 0.5933 (trial 4)",
        "warning: node2 was not heard of for 1.5 seconds: what it was at is done again",
        "trial  5   val_loss 0.5363  best 0.5363 (trial 5)",
    ]
    trials = tuning_json(tmp_path / "first")["trials"]
    assert [trial["number"] for trial in trials] == [1, 2, 4, 5]
    assert trials[3]["settings"] == lost.settings


def test_a_trial_that_two_machines_were_lost_with_is_not_run_again(tmp_path: Path) -> None:
    settings = []
    for name in ("first", "second", "third"):
        shared = search_in(tmp_path, name).open_study()
        with shared.turn():
            settings.append(shared.ask().settings)
            shared.give_up(name)
    assert settings[0] == settings[1] == {
        "model.hidden": [8], "model.dropout": 0.5, "training.learning_rate": 0.001
    }  # fmt: skip
    assert [trial.state for trial in shared.trials()] == []


@pytest.mark.usefixtures("quick")
def test_a_best_run_whose_machine_is_gone_is_trained_by_the_next(trained: list[Config], tmp_path: Path) -> None:
    def stop(*_: object, **__: object) -> None:
        trained.append(search_in(tmp_path, "").config)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tune, "train", stop)
        patched.setattr(machines.Machine, "__exit__", lambda self, *_: self._stopped.set())  # as if it was killed
        assert run_on(tmp_path / "first", "--trials", "3").exit_code == 130
    result = run_on(tmp_path / "second", "--trials", "3")
    assert (result.exit_code, result.stderr.splitlines()[1]) == (
        0, "warning: node1 was not heard of for 1.5 seconds: what it was at is done again"
    )  # fmt: skip
    assert len(trained) == 2
    assert tuning_json(tmp_path / "second")["best"]["trial"] == 3


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_search_that_a_signal_ends_says_that_the_same_command_goes_on(
    name: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StoppedRunner(FakeRunner):
        def loss(self, config: Config) -> float:
            if self.trials == 2:
                signal.raise_signal(getattr(signal, name))
            return super().loss(config)

    run_by(monkeypatch, StoppedRunner)
    result = run_on(tmp_path / "first", "--trials", "3")
    kept = f"warning: what was tried is kept in {tmp_path}/shared.journal; the same command goes on"
    assert (result.exit_code, kept in result.stderr.splitlines()) == (code, True), result.stderr
    run_by(monkeypatch, FakeRunner)
    assert run_on(tmp_path / "first", "--trials", "3").exit_code == 0


@pytest.fixture
def other_machine(tmp_path: Path, quick: None) -> Iterator[None]:
    """A machine that lives, and that is at its trial all the time."""
    assert quick is None
    search = search_in(tmp_path, "other")
    shared = search.open_study()
    with shared.turn():
        shared.ask()
    with machines.Machine(shared, "other", "nowhere"):
        yield


@pytest.mark.usefixtures("other_machine")
def test_a_machine_leaves_the_rest_to_one_that_is_still_at_work(trained: list[Config], tmp_path: Path) -> None:
    message = (
        "no trial is left to begin; at work: node1. The machine that is done last trains with the best settings; then "
        "the same command writes here what was found."
    )
    for options, stdout in (((), ""), (("--json",), "null\n")):
        result = run_on(tmp_path / "first", "--trials", "3", *options)
        assert (result.exit_code, result.stdout, result.stderr.splitlines()[-1]) == (0, stdout, message)
    assert trained == []
    assert [path.name for path in (tmp_path / "first/tuned").iterdir()] == ["begun.json"]


def test_a_machine_whose_trial_was_given_up_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class SleptRunner(FakeRunner):
        """A runner whose second trial another machine gives up."""

        def run(self, config: Config, report: Report) -> TrialResult:
            if self.trials == 1:
                other = search_in(tmp_path, "other").open_study()
                with other.turn():
                    (running,) = (trial for trial in other.trials() if trial.state == "running")
                    other.give_up(running.machine)
            return super().run(config, report)

    run_by(monkeypatch, SleptRunner)
    result = run_on(tmp_path / "first", "--trials", "3")
    assert result.exit_code == 0, result.output
    warning = "warning: trial 2 was given up by another machine, which had not heard of this one for 60 seconds"
    assert result.stderr.splitlines().count(warning) == 1
    assert [trial["number"] for trial in tuning_json(tmp_path / "first")["trials"]] == [1, 3, 4]


def test_machines_in_one_process_never_begin_more_than_the_trials(tmp_path: Path) -> None:
    searches = [replace(search_in(tmp_path, str(number)), trials=6) for number in range(4)]
    begun: list[int] = []

    def run(search: Search) -> None:
        shared = search.open_study()
        while True:
            with shared.turn():
                if search.done(shared.trials()):
                    return
                begun.append(shared.ask().number)
            time.sleep(0.01)

    threads = [threading.Thread(target=run, args=(search,)) for search in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert begun == [1, 2, 3, 4, 5, 6]
