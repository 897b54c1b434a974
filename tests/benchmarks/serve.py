"""Send requests to `textclf serve` from the same machine: one text each, and lists, beside `predict` on the same texts.

    python tests/benchmarks/serve.py [--requests 1000000] [--connections 16] [--texts 100000] [--data FOLDER]

While single texts are sent, the runs are loaded anew 20 times (SIGHUP) and another model takes the place of the first
5 times. Every answer is compared: it must be that of one of the two models. The rows are printed, and go to serve.json
beside this file.
"""

import argparse
import asyncio
import atexit
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from corpora import SHARED, lines_file, short_texts
from measuring import CACHE, ROOT, TEXTCLF, measure, report, say
from score import trained_run

from textclf.inference.model_folder import checksum

RESULTS = Path(__file__).with_suffix(".json")
FOLDER = CACHE / "serve"
LISTS = (256, 1000)  # texts of a request
CONNECTIONS = 2  # for the lists: one is read or written while the other is computed
SINGLES = 2000  # distinct single texts
RELOADS, SWAPS = 20, 5
SAMPLES = 400  # of the memory
TURNS = 3  # of the server and of `predict` with the lists


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--data", type=Path, default=SHARED)
    arguments = parser.parse_args()
    train, _ = short_texts(arguments.data)
    run, lines = trained_run(train), lines_file(train, arguments.texts)
    results = {"lists": measure_lists(run, lines)}
    results["singles"] = measure_singles(run, lines, arguments.requests, arguments.connections)
    report(RESULTS, {"results": results}, table(results))


class Served:
    """`textclf serve` in a process of its own, on a free port."""

    def __init__(self, run: Path):
        command = [str(part) for part in [*TEXTCLF, "serve", "--run", run, "--port", "0"]]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)
        assert self.process.stderr
        line = self.process.stderr.readline()
        match = re.search(r":(\d+) \(", line)
        if not match:
            sys.exit(line + self.process.stderr.read())
        self.port = int(match[1])

    def memory(self) -> float:
        """Return its resident memory in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def cpu_seconds(self) -> float:
        """Return the processor's seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> str:
        """Stop it with SIGTERM; return what it wrote on stderr."""
        self.process.send_signal(signal.SIGTERM)
        _, stderr = self.process.communicate(timeout=10)
        if self.process.returncode:
            sys.exit(f"textclf serve ended with {self.process.returncode}:\n{stderr}")
        return stderr


def request_of(texts: Sequence[str]) -> bytes:
    """Return the bytes of a request for predictions."""
    body = json.dumps({"texts": texts}, ensure_ascii=False).encode()
    return b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n" + (
        b"content-length: %d\r\n\r\n%b" % (len(body), body)
    )


class Client(asyncio.Protocol):
    """A connection that sends requests one after the other, and keeps the seconds and, by number, the answers."""

    def __init__(self, numbers: Any, requests: Sequence[bytes], check: Any, seconds: "array[float]"):
        self._numbers = numbers
        self._requests = requests
        self._check = check
        self._seconds = seconds
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._number = next(self._numbers, None)
        if self._number is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._start = time.perf_counter()
        self._transport.write(self._requests[self._number % len(self._requests)])

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        self._seconds.append(time.perf_counter() - self._start)
        if not head.startswith(b"HTTP/1.1 200 "):
            sys.exit(f"request {self._number}: {self._buffer!r}")
        self._check(self._number, body)
        self._buffer = b""
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            sys.exit(f"request {self._number} was lost: {exc}")


async def send_all(
    port: int, requests: Sequence[bytes], count: int, *, connections: int, check: Any
) -> tuple[float, "array[float]"]:  # fmt: skip
    """Send requests over some connections at once; return the seconds in all, and of each."""
    seconds, numbers = array("d"), iter(range(count))
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: Client(numbers, requests, check, seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(client.done for client in clients))
    return time.perf_counter() - start, seconds


def measure_lists(run: Path, lines: Path) -> dict[str, Any]:
    """Return what the server and `predict` take for the same texts, taking turns, and how many answers differ."""
    texts = lines.read_text(encoding="utf-8").split("\n")[:-1]
    output = FOLDER / "lists.jsonl"
    output.parent.mkdir(parents=True, exist_ok=True)
    predict = [*TEXTCLF, "predict", lines, "--run", run, "--format", "jsonl", "--output", output, "--overwrite"]
    served = Served(run)
    turns: dict[str, list[tuple[float, float]]] = {"predict": []}
    differ = {}
    for _ in range(TURNS):
        whole = measure(predict)
        turns["predict"].append((whole.seconds, whole.cpu_seconds))
        for size in LISTS:
            requests = [request_of(texts[start : start + size]) for start in range(0, len(texts), size)]
            answers: dict[int, bytes] = {}
            before = served.cpu_seconds()
            taken, _ = asyncio.run(
                send_all(served.port, requests, len(requests), connections=CONNECTIONS, check=answers.__setitem__)
            )
            turns.setdefault(str(size), []).append((round(taken, 3), round(served.cpu_seconds() - before, 3)))
            differ[str(size)] = differing(output, answers)
        say(f"lists: {turns}")
    served.stop()
    return {"texts": len(texts), "turns": turns, "differ": differ}


def differing(output: Path, answers: dict[int, bytes]) -> int:
    """Return in how many rows a probability differs in the sixth digit; end the program where more does."""
    count = 0
    with output.open(encoding="utf-8") as file:
        for number in sorted(answers):
            predictions = json.loads(answers[number])["predictions"]
            for line, answer in zip(islice(file, len(predictions)), predictions, strict=True):
                expected = json.loads(line)
                gaps = [abs(answer["probabilities"][name] - p) for name, p in expected["probabilities"].items()]
                if answer["label"] != expected["label"] or max(gaps) > 1.5e-6:
                    sys.exit(f"predict has {line}, serve {answer}")
                count += max(gaps) > 0
    return count


def measure_singles(run: Path, lines: Path, count: int, connections: int) -> dict[str, Any]:
    """Return speed, latency and memory with one text a request, while models are loaded anew and swapped."""
    with lines.open(encoding="utf-8") as file:
        texts = [line.rstrip("\n") for line in islice(file, SINGLES)]
    requests = [request_of([text]) for text in texts]
    link, other = FOLDER / "served", relabelled(run)
    expected = [set[bytes]() for _ in texts]
    for model in (run, other):
        point(link, model)
        served = Served(link)
        asyncio.run(
            send_all(
                served.port, requests, len(texts), connections=1,
                check=lambda number, body: expected[number % SINGLES].add(body),
            )
        )  # fmt: skip
        served.stop()
    point(link, run)
    served = Served(link)
    done, wrong, models = 0, 0, [run, other]
    reloads = {count * (2 * step + 1) // (2 * RELOADS) for step in range(RELOADS)}
    swaps = {count * (step + 1) // (SWAPS + 1) for step in range(SWAPS)}
    memory: list[float] = []

    def check(number: int, body: bytes) -> None:
        nonlocal done, wrong
        done += 1
        wrong += body not in expected[number % SINGLES]
        if done in reloads:
            served.process.send_signal(signal.SIGHUP)
        if done in swaps:
            models.reverse()
            point(link, models[0])
        if done % max(1, count // SAMPLES) == 0:
            memory.append(round(served.memory(), 1))
        if done % max(1, count // 10) == 0:
            say(f"{done:,} requests, {memory[-1]} MB")

    before = served.cpu_seconds()
    taken, seconds = asyncio.run(send_all(served.port, requests, count, connections=connections, check=check))
    cpu = served.cpu_seconds() - before
    stderr = served.stop()
    ordered = sorted(seconds)
    return {
        "requests": done, "connections": connections, "seconds": round(taken, 1), "cpu_seconds": round(cpu, 1),
        "wrong": wrong,
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p99_ms": round(1000 * ordered[len(ordered) * 99 // 100], 2),
        "longest_ms": round(1000 * ordered[-1], 1), "memory_mb": [min(part) for part in quarters(memory)],
        "largest_mb": max(memory),
        "loaded": len(re.findall("^loaded ", stderr, re.MULTILINE)), "reloads": RELOADS, "swaps": SWAPS,
    }  # fmt: skip


def relabelled(run: Path) -> Path:
    """Make a model of the same size whose answers differ: its labels have other names."""
    other = FOLDER / "other"
    shutil.copytree(run / "model", other)
    document = json.loads((other / "model.json").read_text(encoding="utf-8"))
    document["labels"] = [f"{label}, by the other model" for label in document["labels"]]
    document["checksum"] = checksum(document)
    (other / "model.json").write_text(json.dumps(document), encoding="utf-8")
    return other


def quarters(values: list[float]) -> list[list[float]]:
    """Return the values in four parts; the least of a part is the memory while no model is loaded."""
    size = max(1, len(values) // 4)
    return [values[start : start + size] for start in range(0, 4 * size, size)]


def point(link: Path, run: Path) -> None:
    """Let a link lead to a run, from one moment to the next."""
    new = link.with_name(f"new-{random.randrange(10**6)}")
    new.parent.mkdir(parents=True, exist_ok=True)
    new.symlink_to(run.resolve(), target_is_directory=True)
    new.replace(link)


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the table of docs/serve.md."""
    lists, singles = results["lists"], results["singles"]
    rows = [["what", "a second", "beside `predict`", "p50", "p99", "processor's time", "memory"]]
    turns = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)]
        for name, pairs in lists["turns"].items()
    }
    predict = turns["predict"][0]
    for name, (taken, cpu) in turns.items():
        what = f"`predict`, {lists['texts']:,} texts" if name == "predict" else f"lists of {name}"
        each = f"{1e6 * cpu / lists['texts']:.0f} µs a text"
        rows.append([what, f"{lists['texts'] / taken:,.0f} texts", f"{100 * predict / taken:.0f} %", "", "", each, ""])
    memory = singles["memory_mb"]
    rows.append(
        [
            f"one text each, {singles['connections']} connections, {singles['requests']:,} requests",
            f"{singles['requests'] / singles['seconds']:,.0f} requests", "", f"{singles['p50_ms']:.1f} ms",
            f"{singles['p99_ms']:.1f} ms", f"{1e6 * singles['cpu_seconds'] / singles['requests']:.0f} µs a request",
            f"{memory[0]:.0f} MB in the first quarter, {memory[-1]:.0f} in the last; "
            f"{singles['largest_mb']:.0f} while a model is loaded",
        ]
    )  # fmt: skip
    return rows


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    main()
