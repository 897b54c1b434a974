"""What a step costs with two workers on this machine beside one: milliseconds, and bytes that each worker sends.

    python tests/benchmarks/devices.py [--steps 30]

Two processes of one thread each, on texts of 100 random tokens. They run in a network of their own (Linux's
`unshare --net`, for root only), so that its loopback counts their bytes and no others. Beside the step of each network
stands the sum of its gradients alone, and how many bytes the embedding's would be if only the rows of the batch's
words were sent. Times are those of the fastest step, which other work on the machine disturbs least. The rows are
printed, and go to devices.json beside this file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import ROOT, report, say

from textclf.config.schema import TrainingOptions
from textclf.models.architecture import Shape
from textclf.models.bilstm.network import BilstmOptions
from textclf.models.registry import MODELS
from textclf.text.encoding import TokenIds
from textclf.training.cluster import find_cluster
from textclf.training.devices import Devices, start_devices
from textclf.training.loop import Examples, fit

RESULTS = Path(__file__).with_suffix(".json")
WIDTH, SKIPPED = 100, 5  # tokens of a text; first steps, in which XLA compiles
CASES = [(10_000, 32), (30_000, 32), (10_000, 256)]


class Times:
    """A listener that notes when each step ends, and the bytes that went over the loopback until then."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.sent: list[int] = []

    def on_step(self, _step: object, /) -> None:
        self.seconds.append(time.perf_counter())
        self.sent.append(loopback_bytes())

    def on_epoch(self, _epoch: object, /) -> None: ...

    def close(self) -> None: ...

    def milliseconds(self) -> float:
        return 1000 * float(np.diff(self.seconds[SKIPPED:]).min())

    def bytes_sent(self, workers: int) -> float:
        return float(np.median(np.diff(self.sent[SKIPPED:]))) / workers


def loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[8])
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        sys.stdout.write(json.dumps(measure_cases(arguments.steps)))
        return
    one, two = (measure_together(count, arguments.steps) for count in (1, 2))
    results = [
        {**alone, "ms_of_two": both["ms"], **both, "ms": alone["ms"]} for alone, both in zip(one, two, strict=True)
    ]
    report(RESULTS, {"results": results}, table(results))


def measure_together(workers: int, steps: int) -> list[dict[str, Any]]:
    """Return what so many worker processes measure, by the first of them."""
    say(f"{workers} of them")
    addresses = [f"127.0.0.1:{40_000 + index}" for index in range(workers)]
    processes = []
    command = [sys.executable, __file__, "--worker", "--steps", str(steps)]
    inside = 'ip link set lo up; for config in "$@"; do TF_CONFIG=$config $COMMAND & done; wait'
    configs = [
        json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
        for index in range(workers)
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMMAND": " ".join(command), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        ["unshare", "--net", "sh", "-c", inside, "sh", *configs], env=environment, stdout=subprocess.PIPE, check=True
    )
    processes = result.stdout.decode().strip().splitlines()
    return json.loads(processes[0])


def measure_cases(steps: int) -> list[dict[str, Any]]:
    """Return what each case costs in this process; only the chief prints."""
    from textclf.training import tensorflow_setup

    tensorflow_setup.usable_processors = lambda: 1  # type: ignore[attr-defined]
    options = TrainingOptions()
    devices = start_devices(options, find_cluster(options))
    results = [measure_case(devices, words, batch_size, steps) for words, batch_size in CASES]
    if not devices.is_chief:
        sys.exit()
    return results


def measure_case(devices: Devices, words: int, batch_size: int, steps: int) -> dict[str, Any]:
    """Return the cost of a step of one network, and of the sum of its gradients alone."""
    rng, rows = np.random.default_rng(0), batch_size * steps
    lengths = np.full(rows, WIDTH)
    # words are as frequent as in English: the n-th of them one n-th as often as the first
    ids = 2 + (words - 2) ** rng.random(rows * WIDTH)
    examples = Examples(TokenIds(ids.astype(np.int32).clip(2, words - 1), lengths, lengths), rng.integers(2, size=rows))
    few = Examples(examples.token_ids.take(np.arange(8)), examples.targets[:8])
    times = Times()
    with devices.scope():
        network = MODELS["bilstm"].build(BilstmOptions(type="bilstm"), Shape(words, 1, "sigmoid"), fast=True)
        fit(network, examples, few, TrainingOptions(epochs=1, batch_size=batch_size), times, devices=devices)
        weights = network.trainable_variables
        sums = sum_alone(devices, [variable.shape for variable in weights])
    first = examples.token_ids.flat[: batch_size * WIDTH]
    result = {
        "words": words,
        "batch_size": batch_size,
        "weights": sum(int(np.prod(variable.shape)) for variable in weights),
        "ms": times.milliseconds(),
        "bytes": times.bytes_sent(devices.count),
        "ms_of_sum": sums,
        "bytes_of_rows": len(first) * (4 * 100 + 8),
        "distinct_words": len(np.unique(first)),
    }
    if devices.is_chief:
        say(str(result))
    return result


def sum_alone(devices: Devices, shapes: list[Any]) -> float:
    """Return the milliseconds of summing arrays of these shapes over all devices."""
    import tensorflow as tf

    if devices.strategy is None:
        return 0.0

    @tf.function(autograph=False)
    def add() -> Any:
        def on_each() -> Any:
            context = tf.distribute.get_replica_context()
            return [tf.reduce_max(each) for each in context.all_reduce("SUM", [tf.ones(shape) for shape in shapes])]

        return devices.strategy.run(on_each)

    return timed(add)


def timed(function: Callable[[], Any], *, count: int = 20) -> float:
    times = []
    for _ in range(count):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1000 * min(times[5:])


def table(results: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    header = (
        "words", "rows a batch", "weights", "one worker", "two workers", "the sum alone", "sent by each",
        "weights x 4", "as rows of words",
    )  # fmt: skip
    rows = [
        (
            f"{each['words']:,}",
            str(each["batch_size"]),
            f"{each['weights']:,}",
            f"{each['ms']:.0f} ms",
            f"{each['ms_of_two']:.0f} ms",
            f"{each['ms_of_sum']:.1f} ms",
            f"{each['bytes'] / 1e6:.2f} MB",
            f"{each['weights'] * 4 / 1e6:.2f} MB",
            f"{each['bytes_of_rows'] / 2 / 1e6:.2f} MB",
        )
        for each in results
    ]
    return [header, *rows]


if __name__ == "__main__":
    main()
