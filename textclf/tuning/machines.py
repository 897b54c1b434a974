"""Machines that share a search: which of them live, whose trials are run again, and which one trains the best run."""

import logging
import math
import platform
import threading
import time
from types import TracebackType
from typing import Any, Self

from textclf.errors import UserError
from textclf.io.contract import MetricsDocument
from textclf.tuning.study import STALE_SECONDS, Study, Trial

BEAT_SECONDS = 10  # between two signs of life

POLL_SECONDS = 0.5

logger = logging.getLogger(__name__)


class Machine:
    """This machine among those that share a search. In a `with` block it gives signs of life and looks for the others'.

    A machine is gone when its sign has not changed for STALE_SECONDS by the clock of the one that looks, so that the
    clocks need not agree.

    Args:
        study: open in the storage that they share.
        name: unique to this command.
        place: of the folder that it writes, for the others to name.
    """

    def __init__(self, study: Study, name: str, place: str):
        self._study, self._name, self._place = study, name, place
        self._host = platform.node()
        self._beats = 0
        self._seen: dict[str, tuple[int, float, float]] = {}  # by machine: last sign, when it changed, and was proved
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._claimed: Trial | None = None

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the signs of life, and give back what this machine has not finished."""
        self._stopped.set()
        self._thread.join()
        try:
            self._study.drop(self._name)
            if self._claimed:
                self._study.set_attribute(_best_key(self._claimed), None)
        except UserError:
            if error is None:
                raise

    def wait(self) -> list[str]:
        """Wait until each other machine at work has given a sign of life, and return their hosts.

        What machines that are gone were at is given up.
        """
        begin = time.monotonic()
        while True:
            at_work = self._at_work()
            gone = {name for name in at_work if self._is_gone(name)}
            for name in gone:
                self._give_up(name, at_work[name])
            alive = {name for name in at_work if self._proved(name) > begin}
            if at_work.keys() <= alive:
                return sorted(at_work.values())
            time.sleep(POLL_SECONDS)

    def metrics(self, best: Trial) -> Any:
        """Return the metrics of the run with the settings of a trial, as in tuning.json; None until it is trained."""
        return (self._study.attributes().get(_best_key(best)) or {}).get("metrics")

    def place(self, best: Trial) -> str:
        """Return the folder and the host of the run with the settings of a trial."""
        claim = self._study.attributes()[_best_key(best)]
        return f"{claim['place']} on {claim['host']}"

    def claim(self, best: Trial) -> bool:
        """Return True if this machine is to train the run with the settings of a trial, and no other one is at work."""
        with self._study.turn():
            if self._at_work() or self.metrics(best):
                return False
            self._store(best, None)
            self._claimed = best
            return True

    def publish(self, best: Trial, metrics: MetricsDocument) -> None:
        """Tell the other machines the metrics of the run that this one has claimed and trained."""
        kept = {"data": metrics["data"], "metrics": metrics["metrics"], "intervals": metrics["intervals"]}
        self._store(best, {**kept, "validation": {"rows": metrics["validation"]["rows"]}})
        self._claimed = None

    def _store(self, best: Trial, metrics: Any) -> None:
        claim = {"machine": self._name, "host": self._host, "place": self._place, "metrics": metrics}
        self._study.set_attribute(_best_key(best), claim)

    def _at_work(self) -> dict[str, str]:
        """Return the hosts of the other machines that run a trial or train a run, by the machine's name."""
        names = {trial.machine for trial in self._study.trials() if trial.state == "running"}
        names |= {claim["machine"] for claim in self._claims().values()}
        attributes = self._study.attributes()
        return {name: attributes.get(_sign_key(name), {}).get("host", "") for name in names - {self._name}}

    def _give_up(self, name: str, host: str) -> None:
        with self._study.turn():
            given_up = self._study.give_up(name)
            for key, claim in self._claims().items():
                if claim["machine"] == name:
                    self._study.set_attribute(key, None)
                    given_up = True
        if given_up:
            message = "%s was not heard of for %g seconds: what it was at is done again"
            logger.warning(message, host or "a machine", STALE_SECONDS)

    def _claims(self) -> dict[str, Any]:
        """Return the claims of runs that are not trained yet."""
        attributes = self._study.attributes()
        claims = {key: value for key, value in attributes.items() if key.startswith(_BEST) and value}
        return {key: claim for key, claim in claims.items() if claim["metrics"] is None}

    def _live(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            try:
                self._beat()
            except UserError:  # the next sign may get through; if none does, the search itself says so
                continue

    def _beat(self) -> None:
        self._beats += 1
        self._study.set_attribute(_sign_key(self._name), {"host": self._host, "beats": self._beats})
        now = time.monotonic()
        for key, sign in self._study.attributes().items():
            if not key.startswith(_SIGN):
                continue
            name = key.removeprefix(_SIGN)
            if name not in self._seen:
                self._seen[name] = (sign["beats"], now, -math.inf)  # it may have been given long ago
            elif self._seen[name][0] != sign["beats"]:
                self._seen[name] = (sign["beats"], now, now)

    def _is_gone(self, name: str) -> bool:
        if not name:  # the process died between two steps of starting a trial, or will have done the next at once
            return True
        return name in self._seen and time.monotonic() - self._seen[name][1] >= STALE_SECONDS

    def _proved(self, name: str) -> float:
        """Return when a machine last gave a sign of life."""
        return self._seen[name][2] if name in self._seen else -math.inf


_SIGN, _BEST = "machine ", "best "


def _sign_key(name: str) -> str:
    return _SIGN + name


def _best_key(best: Trial) -> str:
    return f"{_BEST}{best.id}"
