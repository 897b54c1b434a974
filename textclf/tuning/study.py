"""The trials of a tuning in a SQLite file, and Optuna, which chooses what each tries and which are hopeless."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from textclf.errors import UserError
from textclf.training.checkpoint import higher_is_better
from textclf.tuning.search_space import Choice, Range, Space
from textclf.tuning.trials import Found

STARTUP_TRIALS = 6  # whose settings are drawn at random, before there is anything to conclude from

FEWEST_TO_COMPARE = 4  # complete trials before one can be hopeless

FIRST_COMPARED = 2  # epoch; at the end of the first, what learns fast is ahead

NAME = "tune"


@dataclass(frozen=True)
class Trial:
    """Some settings, and what came of them."""

    number: int
    """Counted from 1 in the order in which they began."""
    key: int
    """Optuna's number."""
    settings: dict[str, Any]
    """By dotted key the value of every option in the space."""
    state: Literal["running", "complete", "pruned"] = "running"
    found: dict[str, Any] | None = None
    """What it scored, as `end` keeps it."""
    steps: Mapping[int, float] = field(default_factory=dict)
    """Scores that it was compared by, by step."""


def load_optuna() -> Any:
    """The package, quiet.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UserError("Settings are searched by Optuna: pip install 'textclf[tune]'.") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Study:
    """The trials of a tuning; for one thread at a time.

    What a trial tries depends on the seed and on the trials before it alone, so that a search that was stopped goes on
    as if it had not been, one trial at a time.

    Args:
        path: the SQLite file, made where there is none.
        own: the settings of the config as it stands, which the first trial tries.
        monitor: the score of an epoch that counts.
        folds: of which each trial's score is the mean.

    Raises:
        UserError: the file is damaged or cannot be written.
    """

    def __init__(self, path: Path, space: Space, *, own: dict[str, Any], monitor: str, folds: int, seed: int):
        self._optuna = load_optuna()
        self._path, self._space, self._own, self._monitor, self._seed = path, space, own, monitor, seed
        self._handles: dict[int, Any] = {}
        self._distributions = {key: self._distribution(candidates) for key, candidates in space.items()}
        first = FIRST_COMPARED if folds == 1 else 1
        with self._faults():
            self._storage = self._open()
            self._study = self._optuna.create_study(
                storage=self._storage,
                study_name=NAME,
                direction="maximize" if higher_is_better(monitor) else "minimize",
                pruner=self._optuna.pruners.MedianPruner(FEWEST_TO_COMPARE, first),
                load_if_exists=True,
            )
            for trial in self._all("RUNNING"):  # of a process that died
                self._study.tell(trial.number, state=self._state("FAIL"))

    def close(self) -> None:
        """Lets go of the file."""
        self._storage.engine.dispose()

    def begin(self) -> Trial:
        """The next trial."""
        begun = self._all("COMPLETE", "PRUNED", "RUNNING")
        first = not any(trial.user_attrs["settings"] == self._own for trial in begun)
        seed = np.random.SeedSequence([self._seed, len(begun)]).generate_state(1)[0]
        with self._faults():
            self._study.sampler = self._optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=STARTUP_TRIALS)
            if first:
                handle = self._ask_for_own()
                settings = self._own
            else:
                handle = self._study.ask(self._distributions)
                settings = {key: self._value(key, handle.params[key]) for key in self._space}
            handle.set_user_attr("settings", settings)
        self._handles[handle.number] = handle
        return Trial(len(begun) + 1, handle.number, settings)

    def hopeless(self, trial: Trial, step: int, score: float) -> bool:
        """Whether the trial's best score so far is worse than the median of the others' at this step."""
        with self._faults():
            self._handles[trial.key].report(score, step)
            return bool(self._handles[trial.key].should_prune())

    def end(self, trial: Trial, found: Found, *, pruned: bool) -> None:
        """Keeps what came of a trial."""
        facts: dict[str, Any] = {"epochs": found.epochs, "best_epochs": [epoch.epoch for epoch in found.best]}
        if not pruned:
            facts |= {name: found.mean(f"val_{name}") for name in ("loss", "accuracy")}
            facts |= {"score": found.mean(self._monitor), "deviation": found.deviation(self._monitor)}
        with self._faults():
            self._handles[trial.key].set_user_attr("found", facts)
            if pruned:
                self._study.tell(trial.key, state=self._state("PRUNED"))
            else:
                self._study.tell(trial.key, facts["score"])

    def drop(self, trial: Trial) -> None:
        """Has it that a trial never was."""
        with self._faults():
            self._study.tell(trial.key, state=self._state("FAIL"))

    def trials(self) -> list[Trial]:
        """Those that were not dropped, in the order in which they began."""
        return [
            Trial(
                number,
                each.number,
                each.user_attrs["settings"],
                each.state.name.lower(),
                each.user_attrs.get("found"),
                each.intermediate_values,
            )
            for number, each in enumerate(self._all("COMPLETE", "PRUNED", "RUNNING"), start=1)
        ]

    def tried(self) -> bool:
        """Whether any trial has ended."""
        return bool(self._all("COMPLETE", "PRUNED"))

    def seconds(self) -> float:
        """That all trials together took which have ended."""
        return sum(each.duration.total_seconds() for each in self._all("COMPLETE", "PRUNED"))

    def importance(self) -> dict[str, float]:
        """Share of the scores' variance that each option explains (Hutter, Hoos, Leyton-Brown 2014), greatest first.

        Empty where too few trials are complete.
        """
        scores = {each.value for each in self._all("COMPLETE") if each.params.keys() == self._space.keys()}
        if len(scores) < FEWEST_TO_COMPARE:
            return {}
        evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
        found = self._optuna.importance.get_param_importances(
            self._study, evaluator=evaluator, params=list(self._space)
        )
        return {key: float(share) for key, share in found.items()}

    # Optuna's words

    def _ask_for_own(self) -> Any:
        """A trial with those of the own settings that are in the space."""
        inside = {key: value for key, value in self._own.items() if value in self._space[key]}
        self._study.enqueue_trial({key: self._internal(key, value) for key, value in inside.items()})
        return self._study.ask({key: self._distributions[key] for key in inside})

    def _distribution(self, candidates: Choice | Range) -> Any:
        kinds = self._optuna.distributions
        if isinstance(candidates, Choice):
            return kinds.CategoricalDistribution([json.dumps(value) for value in candidates.values])
        low, high, step = candidates.low, candidates.high, candidates.step
        if candidates.whole:
            return kinds.IntDistribution(low, high, log=candidates.log, step=step or 1)
        return kinds.FloatDistribution(low, high, log=candidates.log, step=step)

    def _internal(self, key: str, value: Any) -> Any:
        return json.dumps(value) if isinstance(self._space[key], Choice) else value

    def _value(self, key: str, found: Any) -> Any:
        """What Optuna chose, as a config has it."""
        candidates = self._space[key]
        if isinstance(candidates, Choice):
            return json.loads(found)
        if candidates.whole:
            return found
        short = round(found, 10) if candidates.step else float(f"{found:.4g}")
        return min(max(short, candidates.low), candidates.high)

    def _all(self, *states: str) -> Sequence[Any]:
        with self._faults():
            return self._study.get_trials(deepcopy=False, states=[self._state(name) for name in states])

    def _state(self, name: str) -> Any:
        return self._optuna.trial.TrialState[name]

    # The file

    def _open(self) -> Any:
        from sqlalchemy.pool import StaticPool

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(self._path, check_same_thread=False)
            # one wait for the disk a trial rather than one a statement; a process that dies loses nothing by it
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection

        options = {"creator": connect, "poolclass": StaticPool}
        return self._optuna.storages.RDBStorage("sqlite://", engine_kwargs=options)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Says of an error of the database in the block which file is at fault."""
        from sqlalchemy.exc import DatabaseError

        damage = (DatabaseError, sqlite3.DatabaseError, self._optuna.exceptions.StorageInternalError)
        try:
            yield
        except damage as error:
            said = [getattr(each, "orig", None) for each in (error, error.__context__)]
            cause = next(filter(None, said), error)  # what SQLite says, without what is said around it
            advice = "Free space and go on with --resume, or begin anew with --overwrite."
            raise UserError(f"{self._path} cannot be read or written: {cause}. {advice}") from None
