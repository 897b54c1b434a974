"""The counts that Prometheus reads at /metrics: requests, texts, seconds and reloads of one process."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, Sequence[tuple[str, str]], float]
"""A suffix of the name, the labels, and the value."""


class Counters:
    """The counts since the server was started. Not for more than one thread."""

    def __init__(self) -> None:
        self.started = time.time()
        self.under_way = 0
        """Requests for predictions that are not answered yet."""
        self.computing: set[Future[Any]] = set()
        """The computations in threads, also those that nobody waits for any more."""
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS) + 1))
        self._seconds: dict[str, float] = defaultdict(float)
        self._texts: Counter[tuple[str, str]] = Counter()
        self._reloads: Counter[tuple[str, str]] = Counter()

    def count_request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request.

        Args:
            path: the route's, not what a stranger wrote, so that there are few.
        """
        self._requests[path, method, status] += 1
        self._buckets[path][bisect_left(BUCKETS, seconds)] += 1
        self._seconds[path] += seconds

    def count_texts(self, model: str, texts: int, *, explained: bool) -> None:
        """Count texts that were predicted."""
        self._texts[model, "explain" if explained else "predict"] += texts

    def count_reload(self, model: str, done: bool) -> None:
        """Count a reload, done or failed."""
        self._reloads[model, "done" if done else "failed"] += 1

    def text(self, models: Iterable[tuple[str, str, float]], *, ready: bool) -> str:
        """Return all counts in Prometheus's text format.

        Args:
            models: name, version and time of loading of each model.
        """
        requests = [
            ("", [("path", path), ("method", method), ("status", str(status))], count)
            for (path, method, status), count in sorted(self._requests.items())
        ]
        texts = [("", [("model", name), ("kind", kind)], count) for (name, kind), count in sorted(self._texts.items())]
        reloads = [
            ("", [("model", name), ("result", result)], count)
            for (name, result), count in sorted(self._reloads.items())
        ]
        loaded = [("", [("model", name), ("version", version)], seconds) for name, version, seconds in models]
        parts = [
            _family("requests_total", "counter", "Requests answered.", requests),
            _family("request_seconds", "histogram", "Seconds from the head of a request to its answer.", self._times()),
            _family("texts_total", "counter", "Texts predicted.", texts),
            _family("reloads_total", "counter", "Models loaded anew, or not.", reloads),
            _family("requests_under_way", "gauge", "Predictions not answered yet.", [("", [], self.under_way)]),
            _family("ready", "gauge", "1 until the server is told to stop.", [("", [], int(ready))]),
            _family("model_loaded_timestamp_seconds", "gauge", "When a model was loaded, since 1970.", loaded),
            _family(
                "start_timestamp_seconds", "gauge", "When the server was started, since 1970.", [("", [], self.started)]
            ),
        ]
        return "".join(line for part in parts for line in part)

    def _times(self) -> Iterator[Sample]:
        for path, counts in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                total += count
                yield "_bucket", [("path", path), ("le", bound)], total
            yield "_sum", [("path", path)], self._seconds[path]
            yield "_count", [("path", path)], total


def _family(name: str, kind: str, help: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP textclf_{name} {help}\n# TYPE textclf_{name} {kind}\n"
    for suffix, labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
        yield f"textclf_{name}{suffix}{f'{{{pairs}}}' if pairs else ''} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
