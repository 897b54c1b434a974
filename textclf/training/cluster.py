"""The workers that train a network together: who they are by TF_CONFIG or Slurm's variables, and how they meet."""

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textclf.config.schema import TrainingOptions
from textclf.errors import UserError

NO_WORKERS = (
    "training.strategy is 'workers', and neither TF_CONFIG nor Slurm's variables say which workers there are. Set "
    'TF_CONFIG to {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, "task": {"type": "worker", "index": 0}}, the '
    "index another one for each process, or start them with srun. For one machine set training.strategy to auto."
)

GO = b"go"

SECONDS_TO_SPEAK, SECONDS_TO_RETRY = 5.0, 0.2

MEETING_SECONDS = 300.0  # that a worker waits for the others at the start

FIRST_PORT, PORTS = 20_000, 10_000  # of Slurm's jobs: below those that Linux gives to outgoing connections


@dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is."""

    addresses: tuple[str, ...]
    """host:port of each worker; the first is the chief, which writes the run."""
    index: int

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def name(self, index: int) -> str:
        """Return a worker's number, counted from 0, and its address."""
        return f"worker {index} ({self.addresses[index]})"


def find_cluster(options: TrainingOptions, environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Return the workers to train with; None: this process trains alone.

    Slurm's variables are set for any process in a job, so they count only where the strategy is `workers`.

    Raises:
        UserError: the strategy is `workers` and nothing names them, or what names them is wrong.
    """
    if options.strategy not in ("auto", "workers"):
        return None
    cluster = None
    if "TF_CONFIG" in environment:
        cluster = _from_tf_config(environment["TF_CONFIG"])
    elif options.strategy == "workers" and "SLURM_STEP_NODELIST" in environment:
        cluster = _from_slurm(environment)
    if options.strategy == "workers" and not (cluster and len(cluster.addresses) > 1):
        raise UserError(
            "training.strategy is 'workers', and there is one only. Set it to auto." if cluster else NO_WORKERS
        )
    if not cluster or len(cluster.addresses) == 1:
        return None
    if options.accumulate > 1:
        raise UserError(
            f"training.accumulate: found {options.accumulate}; {len(cluster.addresses)} workers take a part of each "
            "batch anyway. Set it to 1 and training.batch_size to what all workers hold together."
        )
    return cluster


def _from_tf_config(text: str) -> Cluster | None:
    """Return the cluster of TF_CONFIG; None: it names none."""
    try:
        document: Any = json.loads(text)
        jobs, task = document.get("cluster", {}), document.get("task", {})
        addresses = [*jobs.get("chief", []), *jobs.get("worker", [])]
        index = task.get("index", 0) + (len(jobs.get("chief", [])) if task.get("type") == "worker" else 0)
        valid = all(re.fullmatch(r".+:\d+", address) for address in addresses) and (
            not addresses or (task.get("type") in jobs and 0 <= index < len(addresses))
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"TF_CONFIG is damaged: {error}. Found {text[:200]}") from None
    others = sorted(set(jobs) - {"chief", "worker"})
    if others or not valid:
        reason = f"it names {', '.join(others)}" if others else "an address is no HOST:PORT, or no worker has its index"
        raise UserError(f"TF_CONFIG: {reason}; textclf takes a cluster of chief and workers. Found {text[:200]}")
    return Cluster(tuple(addresses), index) if addresses else None


def _from_slurm(environment: Mapping[str, str]) -> Cluster:
    """Return the tasks of a step of Slurm, each on a port of its own."""
    try:
        hosts = list(_expand_hosts(environment["SLURM_STEP_NODELIST"]))
        counts = list(_expand_counts(environment["SLURM_STEP_TASKS_PER_NODE"]))
        index, node = int(environment["SLURM_PROCID"]), int(environment["SLURM_NODEID"])
        port = FIRST_PORT + int(environment["SLURM_JOB_ID"]) * 16 % PORTS  # 16 tasks a node until jobs meet
        tasks = [(host, local) for host, count in zip(hosts, counts, strict=True) for local in range(count)]
        in_blocks = tasks[index][0] == hosts[node]
    except (KeyError, ValueError, IndexError) as error:
        raise UserError(f"Slurm's variables are damaged or incomplete: {error}. Start the workers with srun.") from None
    if not in_blocks:
        raise UserError("Slurm has dealt the tasks in turns. Start them with srun --distribution=block.")
    return Cluster(tuple(f"{host}:{port + local}" for host, local in tasks), index)


def _expand_hosts(text: str) -> Iterator[str]:
    """Yield each host of a list such as `gpu[01-03,07],login`."""
    for name, ranges in re.findall(r"([^,\[\]]+)(?:\[([^\]]+)\])?", text):
        if not ranges:
            yield name
        for part in filter(None, ranges.split(",")):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield f"{name}{number:0{len(first)}}"


def _expand_counts(text: str) -> Iterator[int]:
    """Yield each number of a list such as `2(x3),1`."""
    for part in text.split(","):
        count, _, times = part.rstrip(")").partition("(x")
        yield from [int(count)] * int(times or 1)


# Meeting: TensorFlow waits without end for a worker that does not come, and ignores Ctrl-C and SIGTERM meanwhile


def meet(cluster: Cluster) -> None:
    """Wait until all workers are there and have their ports.

    Each tells the chief its number, at the address at which TensorFlow will listen afterwards; the chief answers when
    it knows all.

    Raises:
        UserError: a port is taken, or a worker does not come.
    """
    deadline = time.monotonic() + MEETING_SECONDS
    with _listen(cluster) as server:
        try:
            missing = (
                _wait_for_all(cluster, server, deadline) if cluster.is_chief else _wait_for_chief(cluster, deadline)
            )
        except OSError as error:
            raise UserError(f"{cluster.name(cluster.index)}: {error.strerror or error}.") from None
    if missing:
        raise UserError(
            f"{cluster.name(cluster.index)} has waited {MEETING_SECONDS:.0f} s for "
            f"{', '.join(map(cluster.name, missing))}. Start all workers, where these addresses can be reached."
        )


def _address(cluster: Cluster, index: int) -> tuple[str, int]:
    host, _, port = cluster.addresses[index].rpartition(":")
    return host.strip("[]"), int(port)


def _listen(cluster: Cluster) -> socket.socket:
    address = _address(cluster, cluster.index)
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server(address, family=family, backlog=len(cluster.addresses))
    except OSError as error:
        raise UserError(
            f"{cluster.name(cluster.index)} cannot listen at its address: {error.strerror or error}. Name a free "
            "port of this machine."
        ) from None


def _wait_for_all(cluster: Cluster, server: socket.socket, deadline: float) -> list[int]:
    """Answer all workers when they are there; return those that are missing at the deadline."""
    there: dict[int, socket.socket] = {}
    missing = list(range(1, len(cluster.addresses)))
    try:
        while missing and (seconds := deadline - time.monotonic()) > 0:
            server.settimeout(seconds)
            with contextlib.suppress(OSError, ValueError):  # nobody came, or a stranger
                connection, _ = server.accept()
                connection.settimeout(SECONDS_TO_SPEAK)
                index = int.from_bytes(connection.recv(4), "big")
                there[index] = connection
            missing = [index for index in missing if index not in there]
        for index in () if missing else range(1, len(cluster.addresses)):
            there[index].sendall(GO)
    finally:
        for connection in there.values():
            connection.close()
    return missing


def _wait_for_chief(cluster: Cluster, deadline: float) -> list[int]:
    """Tell the chief that this worker is there and wait for its answer; return the chief if there is none."""
    while (seconds := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError), socket.create_connection(_address(cluster, 0), timeout=seconds) as chief:
            chief.sendall(cluster.index.to_bytes(4, "big"))
            if chief.recv(len(GO)) == GO:
                return []
        time.sleep(SECONDS_TO_RETRY)
    return [0]
