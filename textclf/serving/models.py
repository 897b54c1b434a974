"""The runs that are served: loaded, checked, and replaced by newer ones while requests go on."""

import asyncio
import contextlib
import ctypes
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textclf.errors import UserError
from textclf.inference.classifier import Classifier, load_classifier
from textclf.inference.model_folder import MODEL_FILES, model_folder, read_regular_file
from textclf.io.files import sha256_of
from textclf.io.run_folder import Run, numbered_names

logger = logging.getLogger(__name__)

WATCH_SECONDS = 2.0  # between looks at the runs

MAX_REPORT_BYTES = 1 << 26

VERSION_DIGITS = 12  # of the sha256 of model.json

FileState = tuple[int, int, int, int] | None

State = tuple[FileState, ...]
"""The state of the served files, which tells one version from another; None for a file that is not there."""


@dataclass(frozen=True)
class ServedModel:
    """A run in memory, whole: a request keeps the one that it began with."""

    name: str
    version: str
    """The first digits of the sha256 of model.json."""
    classifier: Classifier
    report: bytes | None
    """Its report.html; None for a bare `model/` folder."""
    state: State
    loaded: float
    """Seconds since 1970."""


class Models:
    """The models by name, each the newest version of its run that could be loaded.

    Args:
        reloaded: called with a name and whether it was loaded, for counting.

    Raises:
        UserError: a run cannot be loaded.
    """

    def __init__(self, runs: Sequence[Run], *, reloaded: Callable[[str, bool], None] = lambda _name, _done: None):
        self._runs = dict(zip(served_names(runs), runs, strict=True))
        self._models = {name: load_model(name, run) for name, run in self._runs.items()}
        self._faulty: dict[str, State] = {}
        self._replaced = False
        self._reloaded = reloaded

    @property
    def names(self) -> list[str]:
        """The names, in the order of the runs; the first is that of requests that name none."""
        return [*self._runs]

    def get(self, name: str) -> ServedModel | None:
        """Return the model of this name as it is now; None: there is none."""
        return self._models.get(name)

    async def watch(self, reload_all: asyncio.Event) -> None:
        """Load runs anew when their files have changed, all when the event is set. Ends when cancelled."""
        seen = {name: model.state for name, model in self._models.items()}
        while True:
            try:
                await asyncio.wait_for(reload_all.wait(), WATCH_SECONDS)
                reload_all.clear()
                for name in self._runs:
                    await self.reload(name)
            except TimeoutError:
                if self._replaced:  # since the last look: the last requests of the old model are answered by now
                    self._replaced = False
                    await asyncio.to_thread(return_memory)
                for name, run in self._runs.items():
                    state = await asyncio.to_thread(read_state, run)
                    changed = state not in (self._models[name].state, self._faulty.get(name))
                    if changed and state == seen[name]:  # it is being written until it stays the same
                        await self.reload(name)
                    seen[name] = state

    async def reload(self, name: str) -> None:
        """Load a run beside the model of today and put it in its place; on a fault the old one stays."""
        run = self._runs[name]
        state = await asyncio.to_thread(read_state, run)
        try:
            model = await asyncio.to_thread(load_model, name, run)
        except Exception as error:  # whatever it is, the old one answers
            self._faulty[name] = state
            reason = error if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            logger.warning("%s is served as it was, since the new one cannot be loaded: %s", name, reason)
        else:
            self._faulty.pop(name, None)
            self._models[name] = model
            logger.info("loaded %s anew, version %s", name, model.version)
            self._replaced = True
            await asyncio.to_thread(return_memory)
        self._reloaded(name, name not in self._faulty)


def return_memory() -> None:
    """Give the system what the old models have left, which glibc would keep: 80 MB after a few models of 4 MB."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # other systems have no such function
        ctypes.CDLL(None).malloc_trim(0)


def served_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run: that of its folder, with a number where an earlier one has it too."""
    names: list[str] = []
    for run in runs:
        folder = Path(os.path.abspath(run.path))  # noqa: PTH100 - a link keeps its own name
        if folder.name == "model" and folder.parent.name:
            folder = folder.parent
        names.append(next(name for name in numbered_names(folder.name or "model") if name not in names))
    return names


def load_model(name: str, run: Run) -> ServedModel:
    """Read a run, and check that it computes what it computed when it was saved.

    Raises:
        UserError: it cannot be read, or does not.
    """
    state = read_state(run)
    classifier = load_classifier(run.path)
    classifier.check_probe(run.path)
    classifier.predict_proba(["a text"])  # what is made at the first prediction
    version = sha256_of(model_folder(run.path) / "model.json")[:VERSION_DIGITS]
    report = _read_report(run)
    if read_state(run) != state:
        raise UserError(f"{run.path} changed while it was read. Try again when nothing writes to it.")
    return ServedModel(name, version, classifier, report, state, time.time())


def read_state(run: Run) -> State:
    """Return the state of the files that are served."""
    folder = model_folder(run.path)
    return tuple(map(_file_state, [*(folder / name for name in MODEL_FILES), run.report]))


def _file_state(path: Path) -> FileState:
    try:
        state = path.stat()
    except OSError:
        return None
    # a copy may have the time, the size and even the number of the file that it replaces, but was not made then
    return state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino


def _read_report(run: Run) -> bytes | None:
    try:
        return read_regular_file(run.report, limit=MAX_REPORT_BYTES)
    except UserError:
        return None
