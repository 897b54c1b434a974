"""`textclf score --engine ray`: parts of the inputs, scored by actors of Ray on this machine or on a cluster.

Ray starts the processes and says which of them ended, no more. What is done, and in which order the rows stand, is in
the folder alone: nothing is lost or twice where an actor, a machine or this process dies.
"""

import contextlib
import logging
import os
import platform
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from textclf.errors import UserError
from textclf.inference.classifier import Classifier, load_classifier
from textclf.io.run_folder import Run
from textclf.scoring.folder import BegunDocument, ScoringFolder, fingerprint, model_digest, read_document
from textclf.scoring.share import FILES_PER_SHARE, check_begun, score_input

logger = logging.getLogger(__name__)

ATTEMPTS = 3  # to score a shard before it is left aside, and to start an actor

MOST_LEFT = 10  # shards left aside, after which the fault is hardly theirs

CONNECT_SECONDS = 10  # to a cluster

OBJECT_BYTES = 100 << 20  # of memory for Ray's objects, nearly the least that it takes: rows are never among them


class Part(NamedTuple):
    """The shards of an input that one actor scores in a go: all, or every N-th one of N parts."""

    source: int
    """Index of the input."""
    number: int
    """Counted from 0."""
    parts: int
    """Of the input."""

    def takes(self, shard: int) -> bool:
        """Return True if a shard is of this part."""
        return shard % self.parts == self.number


class PartResult(NamedTuple):
    """The result of scoring a part."""

    complete: bool
    """False: its input cannot be read to the end."""
    warnings: list[str]


class _Warnings(logging.Handler):
    """The warnings of an actor, which the command shows."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class Actor:
    """A process of Ray with a classifier of its own."""

    def load(self, run: Run, folder: ScoringFolder, begun: BegunDocument, threads: int) -> str | None:
        """Load the model; return what keeps this machine from scoring, None for nothing."""
        try:
            same = model_digest(run) == begun["options"]["model"]
        except OSError:
            same = False
        if not same or read_document(folder.begun).get("options") != begun["options"]:
            return f"{platform.node()} does not see {run.path} and {folder.path} as this machine does"
        self._folder, self._begun = folder, begun
        self._classifier: Classifier = load_classifier(run.path, threads=threads)
        self._warnings = _Warnings()
        logging.getLogger("textclf").handlers = [self._warnings]
        return None

    def score(self, part: Part, left: set[int]) -> PartResult:
        """Score the shards of a part that are not done yet.

        Args:
            left: numbers of shards of the input that are left aside.
        """
        self._warnings.messages.clear()

        def takes(shard: int) -> bool:
            return part.takes(shard) and shard not in left

        complete = score_input(self._folder, self._begun, self._classifier, part.source, takes, lambda _rows: None)
        return PartResult(complete, [*self._warnings.messages])


def load_ray(address: str | None) -> Any:
    """Import Ray, without usage statistics, and with a token where it is started here.

    Args:
        address: of a cluster to join; None: Ray is started on this machine.

    Raises:
        UserError: it is not installed.
    """
    # Ray reads these when it is imported
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        os.environ |= {
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what makes it bind to 127.0.0.1, on any system
            "RAY_AUTH_MODE": "token",  # others on this machine would be let in
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
    try:
        import ray
    except ImportError:
        raise UserError("--engine ray needs the package ray: pip install 'ray>=2.52'.") from None
    return ray


def score_on_ray(
    ray: Any, run: Run, folder: ScoringFolder, begun: BegunDocument, *, jobs: int, threads: int,
    address: str | None, poll: Callable[[], float],
) -> int:  # fmt: skip
    """Score all that is not done yet; return the number of inputs that could not be read.

    Args:
        ray: what `load_ray` returned.
        jobs: actors.
        threads: of each actor, which Ray counts as processors.
        address: of a cluster to join; None: Ray is started on this machine, and stopped.
        poll: counts what is done, and returns the seconds until it should be called again.

    Raises:
        UserError: Ray or its actors cannot start, or shards failed ATTEMPTS times; all others are done then.
    """
    parts = split_inputs(len(begun["inputs"]), jobs)
    with _started(ray, address, processors=jobs * threads):
        actors = ray.remote(num_cpus=threads, max_restarts=0)(Actor)
        place = folder.path.absolute() if isinstance(folder.path, Path) else folder.path
        job = (Run(run.path.absolute()), ScoringFolder(place), begun, threads)
        scoring = _Scoring(ray, lambda: actors.remote(), job, parts)
        try:
            scoring.run(min(jobs, len(parts)), poll)
        except SystemError as error:  # what a signal raises comes so out of Ray's compiled part
            raise error.__cause__ or error from None
    scoring.check_left()
    return len(scoring.unread)


def split_inputs(inputs: int, actors: int) -> list[Part]:
    """Return the parts that are handed out: whole inputs where these are many, else several parts of each.

    An input is read once for each of its parts, so they are no more than the actors, and four where there is an input
    for each actor.
    """
    parts = min(actors, -(-FILES_PER_SHARE * actors // inputs))
    return [Part(index, number, parts) for index in range(inputs) for number in range(parts)]


class _Scoring:
    """A scoring by actors: the parts that wait, those that actors have, and what failed.

    Args:
        start: starts an actor.
        job: what an actor loads.
    """

    def __init__(
        self, ray: Any, start: Callable[[], Any], job: tuple[Run, ScoringFolder, BegunDocument, int],
        parts: Sequence[Part],
    ):  # fmt: skip
        self._ray = ray
        self._start = start
        self._job = job
        _, self._folder, self._begun, _ = job
        self._waiting = deque(parts)
        self._running: dict[Any, tuple[Any, Part | None]] = {}  # by reference: actor and its part, None while it loads
        self._failed: Counter[tuple[int, int] | None] = Counter()  # by input and shard; None: starts of actors
        self._left: defaultdict[int, set[int]] = defaultdict(set)  # shards by input
        self._told: set[str] = set()
        self.unread: set[int] = set()

    def run(self, actors: int, poll: Callable[[], float]) -> None:
        """Hand out parts until all are done or left; actors that have not started by then are not waited for."""
        for _ in range(actors):
            self._load()
        pause, polled = poll(), time.monotonic()
        while self._waiting or any(part for _, part in self._running.values()):
            ended, _ = self._ray.wait([*self._running], timeout=pause)
            for reference in ended:
                self._end(reference)
            if time.monotonic() >= polled + pause:
                pause, polled = poll(), time.monotonic()
        poll()

    def _load(self) -> None:
        """Start an actor and let it load the model."""
        actor = self._start()
        self._running[actor.load.remote(*self._job)] = (actor, None)

    def _end(self, reference: Any) -> None:
        """Take what an actor returned or died of, and give it or its successor the next part."""
        actor, part = self._running.pop(reference)
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)  # in case that it has only become out of reach
            self._fail(part, _reason(error))
            self._load()
            return
        if part is None and result:
            raise UserError(f"{result}. On a cluster the model, the inputs and the folder that is written must be on a "
                            "disk that all machines see under the same paths.")  # fmt: skip
        if part:
            self._take(part, result)
        else:
            self._failed[None] = 0
        if self._waiting:
            part = self._waiting.popleft()
            self._running[actor.score.remote(part, self._left[part.source])] = (actor, part)
        else:
            self._ray.kill(actor)  # gives its processors back to the cluster

    def _take(self, part: Part, result: PartResult) -> None:
        for warning in result.warnings:
            if warning not in self._told:  # each part of an input finds the same
                self._told.add(warning)
                logger.warning("%s", warning)
        if not result.complete:
            self.unread.add(part.source)

    def _fail(self, part: Part | None, reason: str) -> None:
        """Count a failure to start, or of the first shard of a part that is not done; the part waits again.

        Raises:
            UserError: actors cannot start, or so many shards fail that the fault is elsewhere.
        """
        check_begun(self._folder, self._begun)
        if part is None:
            self._failed[None] += 1
            if self._failed[None] == ATTEMPTS:
                raise UserError(f"Ray's actors cannot start: {reason}. On a cluster textclf must be installed on each "
                                "machine. Go on with --resume.")  # fmt: skip
            return
        shard = self._first_undone(part)
        self._failed[part.source, shard] += 1
        if self._failed[part.source, shard] == ATTEMPTS:
            self._left[part.source].add(shard)
            logger.warning("%s is left aside: %s", self._describe(part.source, shard), reason)
            if sum(map(len, self._left.values())) == MOST_LEFT:
                self.check_left()
        self._waiting.appendleft(part)

    def _first_undone(self, part: Part) -> int:
        """Return the shard that an actor was at: it scores those of a part one after the other."""
        options, source = self._begun["options"], self._begun["inputs"][part.source]
        of = fingerprint(options, source)
        numbers = (number for number in count(part.number, part.parts) if number not in self._left[part.source])
        return next(
            number
            for number in numbers
            if self._folder.shard(source, number, options["output_format"]).done_rows(of) is None
        )

    def _describe(self, index: int, shard: int) -> str:
        """Return the rows of a shard and the file in which they would be."""
        options, source = self._begun["options"], self._begun["inputs"][index]
        first = shard * options["rows"]
        name = self._folder.shard(source, shard, options["output_format"]).rows.name
        return f"{source['folder']}/{name} (rows {first:,} to {first + options['rows'] - 1:,} of {source['path']})"

    def check_left(self) -> None:
        """Name the shards that were left aside.

        Raises:
            UserError: some were.
        """
        names = [self._describe(index, shard) for index in sorted(self._left) for shard in sorted(self._left[index])]
        if names:
            raise UserError(
                f"shards left aside, since they failed {ATTEMPTS} times: {len(names)}. See what is special about their "
                "rows. Go on with --resume, which tries them again:", *names,
            )  # fmt: skip


def _reason(error: BaseException) -> str:
    """Return why an actor failed, in a line: the error in it, or that its process ended."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        return f"{type(cause).__name__}: {cause}".splitlines()[0]
    return f"its process ended ({type(error).__name__})"


@contextlib.contextmanager
def _started(ray: Any, address: str | None, *, processors: int) -> Iterator[None]:
    """Start Ray on this machine, or join a cluster; stop it or leave in the end.

    Raises:
        UserError: that fails.
    """
    with contextlib.ExitStack() as stack:
        # Ray prints there, whatever it is told, when a process dies
        null = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stack.enter_context(contextlib.redirect_stdout(null))
        if address:
            _check_listening(address)
            options: dict[str, Any] = {"address": address}
        else:
            # the names of Ray's sockets may have 100 characters, and some systems have a long TMPDIR
            parent = "/tmp" if os.name == "posix" else None
            temporary = tempfile.TemporaryDirectory(prefix="ray-", dir=parent, ignore_cleanup_errors=True)
            options = {
                "address": "local", "num_cpus": processors, "num_gpus": 0, "include_dashboard": False,
                "object_store_memory": OBJECT_BYTES, "_temp_dir": stack.enter_context(temporary),
            }  # fmt: skip
        stack.callback(ray.shutdown)
        # actors import from the working directory first, and there may be a csv.py beside the data
        with contextlib.chdir(Path.cwd().anchor), _handlers_kept():
            try:
                ray.init(**options, log_to_driver=False, logging_level=logging.CRITICAL)
            except Exception as error:  # Ray raises bare ones too, such as where a slow machine takes half a minute
                reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
                if address is None:
                    raise UserError(f"Ray cannot start: {reason}. Go on with --resume.") from None
                raise UserError(f"--address {address}: {reason}. A cluster with a token needs RAY_AUTH_MODE=token and "
                                "RAY_AUTH_TOKEN here too.") from None  # fmt: skip
        if (found := int(ray.cluster_resources().get("CPU", 0))) < processors:
            logger.warning("the cluster has %d processors, and all actors together ask for %d: some wait, or all if "
                           "no machine has enough for one", found, processors)  # fmt: skip
        yield


def _check_listening(address: str) -> None:
    """Refuse an address where nothing listens, for which Ray would wait for minutes.

    Raises:
        UserError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise UserError(
                f"--address {address}: nothing listens there ({error}). Start Ray there, or mend it."
            ) from None


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Restore the handler of SIGTERM at the end of the block: Ray sets its own."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
