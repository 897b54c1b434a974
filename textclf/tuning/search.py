"""The search: trial after trial, side by side where there are several hands, until the budget is used up."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from textclf.config.schema import Config
from textclf.training.loop import interruptible
from textclf.tuning.search_space import with_settings
from textclf.tuning.study import Study, Trial
from textclf.tuning.trials import Found, Hand, News, trial_config


@dataclass(frozen=True)
class Budget:
    """When to end; what earlier calls used of it is counted in."""

    trials: int | None = None
    """That came to an end or were given up as hopeless."""
    minutes: float | None = None
    """Of search, the training of the best left out."""


class TrialCallback(Protocol):
    """Who is told how the search goes."""

    def begin(self, trial: Trial, /) -> None: ...

    def news(self, trial: Trial, news: News, /) -> None: ...

    def end(self, trials: Sequence[Trial], trial: Trial, /) -> None: ...

    def close(self) -> None: ...


class Search:
    """Trials of a config until the budget is used up.

    Args:
        before: seconds that earlier calls searched.
    """

    def __init__(self, study: Study, config: Config, budget: Budget, callback: TrialCallback, *, before: float):
        self._study, self._watch, self._budget = study, callback, budget
        self._config = trial_config(config)
        self._lock = threading.Lock()  # the study and the watch are for one thread at a time
        self._begun = time.monotonic() - before
        self._pressed: Sequence[int] = ()
        self._stopped = self._interrupted = False

    def run(self, hands: Sequence[Hand]) -> None:
        """Searches; Ctrl-C ends it, and what was found until then stays.

        Raises:
            UserError: a trial's rows cannot be learnt from, or its process died.
        """
        with interruptible() as self._pressed:
            if len(hands) == 1:
                self._work(hands[0])
            else:
                self._side_by_side(hands)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the search."""
        return bool(self._pressed) or self._interrupted

    def _side_by_side(self, hands: Sequence[Hand]) -> None:
        with ThreadPoolExecutor(len(hands)) as pool:
            try:
                work = [pool.submit(self._work, hand) for hand in hands]
                while waiting := [each for each in work if not each.done()]:
                    ended, _ = wait(waiting, timeout=0.2)
                    if self._pressed or any(each.exception() for each in ended):
                        self._stop(hands)
            finally:
                self._stop(hands)
        for each in work:
            each.result()

    def _stop(self, hands: Sequence[Hand]) -> None:
        self._stopped = True
        for hand in hands:
            hand.stop()

    def _work(self, hand: Hand) -> None:
        """Trials by one hand, one after the other."""
        while trial := self._begin():
            hopeless: list[bool] = []
            config = with_settings(self._config, trial.settings)
            found = hand.try_out(config, self._reporter(trial, hopeless))
            self._end(trial, found, hopeless=bool(hopeless))

    def _begin(self) -> Trial | None:
        """The next trial, where the budget has room for one."""
        with self._lock:
            trials = self._study.trials()
            enough = self._budget.trials is not None and len(trials) >= self._budget.trials
            if enough or self._stopped or self._pressed or (self._late() and self._any(trials, "complete", "pruned")):
                return None
            trial = self._study.begin()
            self._watch.begin(trial)
            return trial

    def _reporter(self, trial: Trial, hopeless: list[bool]) -> Callable[[News], bool]:
        """What hears of the trial's epochs and says whether it goes on; adds to the list where it is hopeless."""

        def report(news: News) -> bool:
            with self._lock:
                self._watch.news(trial, news)
                diverged = not math.isfinite(news.score)
                if diverged or (news.step is not None and self._study.hopeless(trial, news.step, news.score)):
                    hopeless.append(True)
                late = self._late() and self._any(self._study.trials(), "complete")
                return not (hopeless or late or self._pressed)

        return report

    def _end(self, trial: Trial, found: Found, *, hopeless: bool) -> None:
        with self._lock:
            if found.end == "complete" or hopeless:
                self._study.end(trial, found, pruned=hopeless)
            else:  # its score would not be comparable: it was not given its epochs
                self._study.drop(trial)
                if found.end == "interrupted":  # the signal came to the training itself
                    self._stopped = self._interrupted = True
            self._watch.end(self._study.trials(), trial)

    def _late(self) -> bool:
        minutes = self._budget.minutes
        return minutes is not None and time.monotonic() - self._begun >= 60 * minutes

    @staticmethod
    def _any(trials: Sequence[Trial], *states: Any) -> bool:
        return any(trial.state in states for trial in trials)
