"""The trials of a search in a journal or a database, and Optuna, which chooses their settings and prunes them.

Several processes may have it open. The settings of a trial depend only on the seed and on the trials started before it,
so that with one process at a time a search that was stopped continues as if it had not been.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

from textclf.config.schema import Config
from textclf.errors import UserError
from textclf.io.tuning_contract import Settings, TrialScores
from textclf.training.checkpoint import higher_is_better
from textclf.tuning.search_space import Choice, Range, Space, baseline_settings
from textclf.tuning.storage import DAMAGE, WRITE_FAULTS, OpenStorage, Storage, storage_faults
from textclf.tuning.trials import TrialProgress, TrialResult

STARTUP_TRIALS = 6  # trials with random settings, before the sampler has enough to learn from

MIN_COMPARED = 4  # complete trials, before a trial is pruned or importances are computed

FIRST_COMPARED = 2  # epoch; after the first one, scores show only which trial learns fast

ALL_STATES = ("COMPLETE", "PRUNED", "RUNNING", "FAIL", "WAITING")

STALE_SECONDS = 60  # without a sign of life, after which the others take a machine for gone

MAX_LOST = 2  # machines that a trial may be lost with, before other settings are tried instead

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """Settings and, once trained, their scores."""

    number: int
    """Counted from 1 in the order in which trials started; failed trials are not counted, but in a shared storage."""
    id: int
    """Optuna's number."""
    settings: Settings
    """The value of every option in the space, by dotted key."""
    state: Literal["running", "complete", "pruned"] = "running"
    scores: TrialScores | None = None
    steps: Mapping[int, float] = field(default_factory=dict)
    """Scores by which it was compared with other trials, by step."""
    progress: TrialProgress | None = None
    seconds: float = 0.0
    """From its start to its end, or until now."""
    machine: str = ""
    """The machine that runs it, if the storage is shared."""


def load_optuna() -> Any:
    """Import Optuna and turn off its log.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError("Settings are searched by Optuna: pip install 'optuna>=5.0'.") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """The trials of a search, at most one of which is run by this process.

    Args:
        storage: created if there is none.
        config: its settings are the first trial's; its monitor is the objective.
        folds: parts over which the score of a trial is the mean.
        recover: fail the trials of processes that died; only if no other process has the journal open.
        machine: name of this machine, if the storage is shared.

    Raises:
        UserError: the storage is damaged or cannot be written, or the driver of a database is missing.
    """

    def __init__(
        self, storage: Storage, config: Config, space: Space, *, folds: int, recover: bool = False, machine: str = ""
    ):  # fmt: skip
        self._optuna = load_optuna()
        self._storage, self._space, self._seed, self._machine = storage, space, config.training.seed, machine
        self._monitor, self._baseline = config.training.monitor, baseline_settings(config, space)
        self._distributions = {key: self._distribution(candidates) for key, candidates in space.items()}
        self._running: Any = None
        self._given_up: int | None = None
        with self._faults(DAMAGE):
            self._open = OpenStorage(storage, self._optuna, recover=recover)
            self._study = self._optuna.create_study(
                storage=self._open.optuna,
                study_name=storage.search,
                direction="maximize" if higher_is_better(self._monitor) else "minimize",
                pruner=self._optuna.pruners.MedianPruner(MIN_COMPARED, FIRST_COMPARED if folds == 1 else 1),
                load_if_exists=True,
            )
            if recover:
                self._fail_started()

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Keep the processes of all machines that share the storage out of the block."""
        with self._faults(), self._open.turn():
            yield

    def ask(self) -> Trial:
        """Start the next trial; one process at a time."""
        if self._storage.shared:
            return self._ask_shared()
        started = self._trials("COMPLETE", "PRUNED", "RUNNING")
        return Trial(len(started) + 1, *self._ask(started, seed=len(started)))

    def _ask_shared(self) -> Trial:
        """Start the next trial, which may be one that was lost with its machine."""
        with self._faults():
            for trial in self._trials("RUNNING"):
                if "machine" not in trial.user_attrs:  # its process died in this method, which it was in turn
                    self._study.tell(trial.number, state=self._state("FAIL"))
        waiting = self._trials("WAITING")
        if waiting:
            with self._faults():
                self._running = self._study.ask()
            number, settings = self._running.number, self._running.user_attrs["settings"]
        else:
            started = self._trials("COMPLETE", "PRUNED", "RUNNING")
            number, settings = self._ask(started, seed=len(self._trials(*ALL_STATES)))
        with self._faults():
            self._running.set_user_attr("machine", self._machine)
        return Trial(number + 1, number, settings, machine=self._machine)

    def _ask(self, started: Sequence[Any], *, seed: int) -> tuple[int, Settings]:
        """Start a trial with settings that the seed and the trials started before it decide."""
        seed = np.random.SeedSequence([self._seed, seed]).generate_state(1)[0]
        with self._faults():
            self._study.sampler = self._optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=STARTUP_TRIALS)
            if any(trial.user_attrs["settings"] == self._baseline for trial in started):
                self._running = self._study.ask(self._distributions)
                settings = {key: self._from_optuna(key, self._running.params[key]) for key in self._space}
            else:
                self._running, settings = self._ask_for_baseline(), self._baseline
            self._running.set_user_attr("settings", settings)
        return self._running.number, settings

    def report(self, progress: TrialProgress) -> bool:
        """Store the progress of the running trial; return True if its best score is worse than the others' median.

        Also True if another machine has given up the trial meanwhile.
        """
        with self._faults(), self._unless_given_up():
            self._running.set_user_attr("progress", progress)
            if progress.step is None:
                return False
            self._running.report(progress.score, progress.step)
            return bool(self._running.should_prune())
        return True

    def tell(self, result: TrialResult, *, pruned: bool) -> None:
        """End the running trial."""
        scores = result.scores(self._monitor, pruned=pruned)
        with self._faults(), self._unless_given_up():
            self._running.set_user_attr("scores", scores)
            self._study.tell(self._running, scores["score"], self._state("PRUNED" if pruned else "COMPLETE"))

    def fail(self) -> None:
        """End the running trial without a score; it is not counted."""
        with self._faults():
            self._study.tell(self._running, state=self._state("FAIL"), skip_if_finished=True)

    def trials(self) -> list[Trial]:
        """Return the trials that did not fail, in the order in which they started."""
        kept = [
            trial for trial in self._trials("COMPLETE", "PRUNED", "RUNNING")
            if "settings" in trial.user_attrs  # else another process is about to start it
        ]  # fmt: skip
        if self._storage.shared:  # the numbers must stay, whichever trials are given up
            return [_trial(trial.number + 1, trial) for trial in kept]
        return [_trial(number, trial) for number, trial in enumerate(kept, start=1)]

    def give_up(self, machine: str) -> bool:
        """Fail the trials of a machine that is gone, in turn; return True if there were any.

        They will be run again, unless it was not the first machine that they were lost with.
        """
        lost_trials = self._running_on(machine)
        for trial in lost_trials:
            with self._faults():
                self._study.tell(trial.number, state=self._state("FAIL"), skip_if_finished=True)
                lost = trial.user_attrs.get("lost", 0) + 1
                if lost < MAX_LOST:
                    again = self._optuna.trial.create_trial(
                        state=self._state("WAITING"), params=trial.params, distributions=trial.distributions,
                        user_attrs={"settings": trial.user_attrs["settings"], "lost": lost},
                    )  # fmt: skip
                    self._study.add_trial(again)
        return bool(lost_trials)

    def drop(self, machine: str) -> None:
        """Fail the trials of this machine, whose search ends."""
        with self._faults():
            for trial in self._running_on(machine):
                self._study.tell(trial.number, state=self._state("FAIL"), skip_if_finished=True)

    def _running_on(self, machine: str) -> list[Any]:
        running = [trial for trial in self._trials("RUNNING") if "settings" in trial.user_attrs]
        return [trial for trial in running if trial.user_attrs.get("machine", "") == machine]

    def importance(self) -> dict[str, float]:
        """Return the share of the scores' variance that each option explains, the greatest first.

        Functional ANOVA (Hutter, Hoos and Leyton-Brown 2014). Empty where too few trials are complete.
        """
        scores = {trial.value for trial in self._trials("COMPLETE") if trial.params.keys() == self._space.keys()}
        if len(scores) < MIN_COMPARED:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        shares = self._optuna.importance.get_param_importances(
            self._study, evaluator=evaluator, params=list(self._space)
        )
        return {key: float(share) for key, share in shares.items()}

    def set_error(self, *lines: str) -> None:
        """Store the lines of the UserError that ended this process, for the process that started it."""
        self.set_attribute(f"error {self._machine}".strip(), lines)

    def error(self) -> list[str]:
        """Return the lines that were set last."""
        return self.attributes()[f"error {self._machine}".strip()]

    def set_attribute(self, key: str, value: Any) -> None:
        """Store something about the search itself."""
        with self._faults():
            self._study.set_user_attr(key, value)

    def attributes(self) -> dict[str, Any]:
        """Return what was stored about the search itself."""
        with self._faults():
            return self._study.user_attrs

    def _fail_started(self) -> None:
        for trial in self._trials("RUNNING"):
            self._study.tell(trial.number, state=self._state("FAIL"))
        for _ in self._trials("WAITING"):
            self._study.tell(self._study.ask(), state=self._state("FAIL"))

    def _ask_for_baseline(self) -> Any:
        """Start a trial with the config's own settings; Optuna learns of those that are in the space."""
        inside = {key: value for key, value in self._baseline.items() if value in self._space[key]}
        encoded = {key: json.dumps(value) for key, value in inside.items() if isinstance(self._space[key], Choice)}
        attributes = {"settings": self._baseline} if self._storage.shared else None
        self._study.enqueue_trial(inside | encoded, attributes)
        return self._study.ask({key: self._distributions[key] for key in inside})

    def _distribution(self, candidates: Choice | Range) -> Any:
        kinds = self._optuna.distributions
        if isinstance(candidates, Choice):
            return kinds.CategoricalDistribution([json.dumps(value) for value in candidates.values])
        low, high, step = candidates.low, candidates.high, candidates.step
        if candidates.integer:
            return kinds.IntDistribution(low, high, log=candidates.log, step=step or 1)
        return kinds.FloatDistribution(low, high, log=candidates.log, step=step)

    def _from_optuna(self, key: str, value: Any) -> Any:
        candidates = self._space[key]
        if isinstance(candidates, Choice):
            return json.loads(value)
        if candidates.integer:
            return value
        short = round(value, 10) if candidates.step else float(f"{value:.4g}")
        return min(max(short, candidates.low), candidates.high)

    def _trials(self, *states: str) -> Sequence[Any]:
        with self._faults():
            return self._study.get_trials(deepcopy=False, states=[self._state(name) for name in states])

    def _state(self, name: str) -> Any:
        return self._optuna.trial.TrialState[name]

    def _faults(self, kinds: tuple[type[Exception], ...] = WRITE_FAULTS) -> contextlib.AbstractContextManager[None]:
        """Turn errors with the storage in the block into a UserError that names it."""
        return storage_faults(self._storage, self._optuna, kinds)

    @contextlib.contextmanager
    def _unless_given_up(self) -> Iterator[None]:
        """Leave the block, with a warning, where another machine has failed the running trial."""
        try:
            yield
        except self._optuna.exceptions.UpdateFinishedTrialError:
            if self._given_up != self._running.number:
                self._given_up = self._running.number
                message = "trial %d was given up by another machine, which had not heard of this one for %g seconds"
                logger.warning(message, self._running.number + 1, STALE_SECONDS)


def _trial(number: int, trial: Any) -> Trial:
    attributes, begin = trial.user_attrs, trial.datetime_start
    end = trial.datetime_complete or datetime.now(begin.tzinfo)
    progress = TrialProgress(*attributes["progress"]) if "progress" in attributes else None
    return Trial(
        number, trial.number, attributes["settings"], trial.state.name.lower(), attributes.get("scores"),
        dict(sorted(trial.intermediate_values.items())), progress, (end - begin).total_seconds(),
        attributes.get("machine", ""),
    )  # fmt: skip
