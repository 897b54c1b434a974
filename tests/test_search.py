"""The search over a fake fit: budgets, pruning, processes, and what becomes of it when it is stopped."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_config
from fake_runner import DivergingRunner, DyingRunner, FakeRunner, FullRunner, RefusingRunner, SlowRunner
from faults import failing_writes
from test_tune import SETTINGS, SPACE

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.tuning.results import best_trial
from textclf.tuning.search import Search, run_search
from textclf.tuning.search_space import load_space
from textclf.tuning.storage import Storage
from textclf.tuning.study import Trial
from textclf.tuning.trials import Report, TrialResult

pytest.importorskip("optuna")


class Events:
    """A callback that records what changes: when a trial begins, ends an epoch, ends or is dropped."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self._trials: dict[int, Trial] = {}

    def on_change(self, trials: Sequence[Trial]) -> None:
        now = {trial.id: trial for trial in trials}
        for trial in trials:
            before = self._trials.get(trial.id)
            if before is None:
                self.events.append(("begin", trial.number))
            if trial.progress and (before is None or trial.progress != before.progress):
                self.events.append(("progress", trial.number))
            if trial.state != "running" and (before is None or before.state == "running"):
                self.events.append((trial.state, trial.number))
        self.events += [("dropped", trial.number) for id_, trial in self._trials.items() if id_ not in now]
        self._trials = now

    def close(self) -> None: ...


def search_in(folder: Path, runner: type[FakeRunner], *, trials: int | None = 8, name: str = "tuned") -> Search:
    config, space = load_space(write_config(folder, "questions", SPACE), SETTINGS)
    (folder / name).mkdir(exist_ok=True)
    return Search(Storage(str(folder / name / "study.jsonl")), config, space, trials=trials, runner=runner)


def searched(folder: Path, runner: type[FakeRunner], *, name: str = "tuned", jobs: int = 1) -> list[Trial]:
    """Start or continue a search in folder/name; return its trials."""
    search = search_in(folder, runner, name=name)
    run_search(search, search.open_study(recover=True), Events(), jobs=jobs)
    return trials_of(search)


def trials_of(search: Search) -> list[Trial]:
    """Return the trials without their times and Optuna's numbers, which count failed trials too."""
    return [replace(trial, id=0, seconds=0) for trial in search.open_study(recover=True).trials()]


def test_a_search_finds_good_settings_and_prunes_bad_ones(tmp_path: Path) -> None:
    search, events = search_in(tmp_path, FakeRunner, trials=20), Events()
    assert not run_search(search, search.open_study(recover=True), events, jobs=1)
    trials = trials_of(search)
    assert trials[0].settings == {"model.hidden": [8], "model.dropout": 0.5, "training.learning_rate": 0.001}
    assert {trial.state for trial in trials} == {"complete", "pruned"}
    best = best_trial(trials, monitor="val_loss")
    assert best.scores is not None
    assert best.scores["score"] is not None
    assert best.scores["score"] < 0.35
    assert best.settings["training.learning_rate"] == pytest.approx(10**-1.5, rel=0.5)
    importance = search.open_study().importance()
    assert next(iter(importance)) == "training.learning_rate"
    assert sum(importance.values()) == pytest.approx(1)
    epochs = [event for event, _ in events.events].count("progress")
    assert epochs == sum(trial.scores["epochs"] for trial in trials if trial.scores)
    assert [number for event, number in events.events if event == "begin"] == list(range(1, 21))
    assert [event for event, _ in events.events if event in ("complete", "pruned")] == [trial.state for trial in trials]


def test_killed_at_any_moment_a_search_goes_on_to_the_same_trials(tmp_path: Path) -> None:
    unbroken = searched(tmp_path, FakeRunner)
    journal = (tmp_path / "tuned" / "study.jsonl").read_bytes()
    first_line = journal.index(b"\n") + 1
    for number, end in enumerate(np.linspace(first_line, len(journal), 12).astype(int)):
        search_in(tmp_path, FakeRunner, name=f"cut {number}")
        (tmp_path / f"cut {number}" / "study.jsonl").write_bytes(journal[:end])
        (tmp_path / f"cut {number}" / "study.jsonl.lock").touch()
        assert searched(tmp_path, FakeRunner, name=f"cut {number}") == unbroken


def test_a_full_disk_is_named_and_the_search_goes_on_later(tmp_path: Path) -> None:
    with failing_writes(12, tmp_path / "tuned", only="study.jsonl"), pytest.raises(UserError) as refused:
        searched(tmp_path, FakeRunner)
    assert str(refused.value).startswith(f"{tmp_path}/tuned/study.jsonl cannot be read or written: No space")
    assert searched(tmp_path, FakeRunner) == searched(tmp_path, FakeRunner, name="unbroken")


def test_at_the_deadline_no_trial_starts_and_the_running_one_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    class OverTime(FakeRunner):
        def run(self, config: Config, report: Report) -> TrialResult:
            nonlocal now
            now = self.trials  # the time of the second trial's first epoch is 1
            return super().run(config, report)

    monkeypatch.setattr("textclf.tuning.search.time.time", lambda: now)
    search, events = search_in(tmp_path, OverTime, trials=None), Events()
    run_search(replace(search, deadline=1.0), search.open_study(recover=True), events, jobs=1)
    assert [event for event in events.events if event[0] != "progress"] == [
        ("begin", 1), ("complete", 1), ("begin", 2), ("dropped", 2)
    ]  # fmt: skip


def test_the_first_trial_runs_to_its_end_after_the_deadline(tmp_path: Path) -> None:
    search = replace(search_in(tmp_path, FakeRunner, trials=None), deadline=0.0)
    run_search(search, search.open_study(recover=True), Events(), jobs=1)
    assert [trial.state for trial in trials_of(search)] == ["complete"]


def test_a_training_that_diverges_is_pruned(tmp_path: Path) -> None:
    assert {(trial.state, trial.steps == {}) for trial in searched(tmp_path, DivergingRunner)} == {("pruned", True)}


@pytest.fixture
def jobs(tmp_path: Path) -> Callable[..., tuple[Search, Events]]:
    """A search in two processes."""

    def run(runner: type[FakeRunner], events: Events | None = None) -> tuple[Search, Events]:
        search, events = search_in(tmp_path, runner), events or Events()
        try:
            run_search(search, search.open_study(recover=True), events, jobs=2)
        finally:
            assert multiprocessing.active_children() == []
        return search, events

    return run


@pytest.mark.slow
def test_the_message_of_a_process_is_raised(jobs: Callable[..., tuple[Search, Events]]) -> None:
    with pytest.raises(UserError) as refused:
        jobs(RefusingRunner)
    assert refused.value.lines == ("data/train.csv: no words.", "Add some.")


@pytest.mark.slow
def test_a_process_that_lacks_memory_says_what_helps(jobs: Callable[..., tuple[Search, Events]]) -> None:
    with pytest.raises(UserError) as refused:
        jobs(FullRunner)
    assert refused.value.lines == (
        "out of memory (Unable to allocate 7.45 GiB).",
        "Allow more memory (a container and `ulimit -v` set limits too), or use less: fewer rows at once; in training "
        "a smaller training.batch_size, text.max_length or text.vocab_size.",
        "Fewer --jobs need less memory too; go on with --resume.",
    )


@pytest.mark.slow
def test_a_process_that_dies_ends_the_search_and_its_trial_is_repeated(
    jobs: Callable[..., tuple[Search, Events]],
) -> None:
    with pytest.raises(UserError) as died:
        jobs(DyingRunner)
    assert str(died.value) == (
        "the process of a trial ended with exit code -9; -9 is often too little memory. Try fewer --jobs with --resume."
    )
    search, events = jobs(FakeRunner)
    trials = trials_of(search)
    assert [trial.number for trial in trials] == list(range(1, 9))
    assert {trial.state for trial in trials} <= {"complete", "pruned"}
    started = [number for event, number in events.events if event == "begin"]
    assert sorted(started) == sorted(number for event, number in events.events if event in ("complete", "pruned"))
    assert {number for event, number in events.events if event == "progress"} == set(started)


class CtrlC(Events):
    """Presses Ctrl-C when the fourth trial begins and two are complete."""

    def on_change(self, trials: Sequence[Trial]) -> None:
        super().on_change(trials)
        if len(trials) == 4:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_ctrl_c_ends_the_processes(jobs: Callable[..., tuple[Search, Events]]) -> None:
    search, _ = jobs(SlowRunner, CtrlC())
    assert [trial.state for trial in trials_of(search)] == ["complete", "complete"]
