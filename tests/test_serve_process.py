"""`textclf serve` as a process: signals, what is under way when it stops, and runs that change while it serves."""

import json
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import FROZEN, JSON, REVIEWS, TOPICS, Process

from textclf.inference.model_folder import checksum

pytestmark = pytest.mark.slow


@pytest.fixture
def started() -> Iterator[Callable[..., Process]]:
    """A function that starts a server, which is gone after the test."""
    processes: list[Process] = []

    def start(*arguments: str | Path, **environment: str) -> Process:
        processes.append(Process(*arguments, environment=environment))
        return processes[-1]

    yield start
    for server in processes:
        server.process.kill()
        server.process.communicate()


def put(model: Path, run: Path) -> None:
    """Put a model in the place of a run's."""
    new = run.with_name("new")
    shutil.copytree(model, new)
    if run.exists():
        run.rename(run.with_name("old"))
        shutil.rmtree(run.with_name("old"))
    new.rename(run)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


BEGUN = (
    b'POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{"texts"'
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_at_once(started: Callable[..., Process], number: int) -> None:
    server = started("--run", REVIEWS)
    assert server.first_line == f"serving reviews on http://127.0.0.1:{server.port} (Ctrl-C stops)\n"
    server.predict(["x"])
    start = time.monotonic()
    assert server.stop(number) == (0, ["stopped"])
    assert time.monotonic() - start < 6


def test_what_is_under_way_is_answered_and_ready_turns_off(started: Callable[..., Process]) -> None:
    server = started("--run", REVIEWS)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(BEGUN)
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        answer = server.get("/v2/health/ready")
        assert (answer.status, answer.json, answer.headers["connection"]) == (503, {"ready": False}, "close")
        assert server.get("/v2/health/live").status == 200
        time.sleep(1)
        with pytest.raises(ConnectionRefusedError):
            server.get("/v2/health/live")
        connection.sendall(b': ["x"]}')
        answer = connection.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.process.wait(10) == 0


def test_what_is_computed_is_answered(started: Callable[..., Process]) -> None:
    server, answers = started("--run", REVIEWS), []
    texts = [f"number {number} is a fine film " * 20 for number in range(20)]
    thread = threading.Thread(target=lambda: answers.extend(server.predict(texts, explain=True)))
    thread.start()
    wait_for(lambda: b"textclf_requests_under_way 1\n" in server.get("/metrics").body)
    assert server.stop() == (0, ["stopped"])
    thread.join()
    assert len(answers) == 20


@pytest.mark.parametrize(("signals", "seconds"), [(1, 10), (2, 6)])
def test_what_does_not_come_to_an_end_is_left(started: Callable[..., Process], signals: int, seconds: float) -> None:
    server = started("--run", REVIEWS, "--timeout", "60")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(BEGUN)
        time.sleep(0.2)
        start = time.monotonic()
        for _ in range(signals - 1):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        code, _ = server.stop(signal.SIGINT)
    assert (code, time.monotonic() - start < seconds) == (0, True)


def test_a_run_that_changed_is_served_and_no_request_is_lost(started: Callable[..., Process], tmp_path: Path) -> None:
    run = tmp_path / "mine"
    put(REVIEWS, run)
    server = started("--run", run)
    models, stop, labels = [TOPICS, FROZEN / "questions", REVIEWS], threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            labels.append(frozenset(server.predict(["who was the waiter?"])[0]["probabilities"]))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    versions = [server.get("/models").json["models"][0]["version"]]
    for model in models:
        put(model, run)
        wait_for(lambda: server.get("/models").json["models"][0]["version"] != versions[-1])
        versions.append(server.get("/models").json["models"][0]["version"])
    stop.set()
    for thread in threads:
        thread.join()
    assert server.stop() == (0, [*(f"loaded mine anew, version {version}" for version in versions[1:]), "stopped"])
    assert versions[0] == versions[-1]
    assert len({*labels}) == 3


def damaged_graph(run: Path) -> str:
    (run / "model.onnx").write_bytes(b"no graph")
    return f"{run}/model.onnx is not the file that {run}/model.json describes: another sha256. Copy the folder again."


def other_probabilities(run: Path) -> str:
    path = run / "model.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["probe"]["probabilities"][0] = [0.5, 0.5]
    document["checksum"] = checksum(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    return f"{run}: probabilities differ by [0-9.e-]+ from those when it was saved; .*"


def no_model(run: Path) -> str:
    shutil.rmtree(run)
    return f"{run} holds no model: {run}/model.json is missing. Name a run or a model/ folder."


@pytest.mark.parametrize("damage", [damaged_graph, other_probabilities, no_model])
@pytest.mark.parametrize("by", ["watching", "SIGHUP"])
def test_a_model_with_a_fault_is_not_taken(
    started: Callable[..., Process], tmp_path: Path, damage: Callable[[Path], str], by: str
) -> None:
    run = tmp_path / "mine"
    put(REVIEWS, run)
    server = started("--run", run)
    before = server.predict(["a fine film"])
    message = damage(run)
    if by == "SIGHUP":
        server.process.send_signal(signal.SIGHUP)
    failed = b'textclf_reloads_total{model="mine",result="failed"} 1'
    wait_for(lambda: failed in server.get("/metrics").body)
    assert server.predict(["a fine film"]) == before
    time.sleep(2.5 if by == "watching" else 0)
    put(REVIEWS, run)
    done = b'textclf_reloads_total{model="mine",result="done"} 1'
    wait_for(lambda: done in server.get("/metrics").body)
    assert server.predict(["a fine film"]) == before
    code, (first, second, last) = server.stop()
    start = "warning: mine is served as it was, since the new one cannot be loaded: "
    assert re.fullmatch(re.escape(start) + message, first)
    assert second.startswith("loaded mine anew, version ")
    assert (code, last) == (0, "stopped")


def test_hangups_load_all_models_anew(started: Callable[..., Process]) -> None:
    server = started("--run", REVIEWS, "--run", TOPICS)
    for count in (1, 2, 3):
        server.process.send_signal(signal.SIGHUP)
        line = b'textclf_reloads_total{model="topics",result="done"} %d' % count
        wait_for(lambda line=line: line in server.get("/metrics").body)
    code, lines = server.stop()
    assert (code, len(lines), len({*lines})) == (0, 7, 3)


def test_the_token_of_the_environment_is_asked_for_everywhere(started: Callable[..., Process]) -> None:
    server = started("--run", REVIEWS, "--host", "0.0.0.0", TEXTCLF_TOKEN="a-secret-of-many-letters")
    assert server.post("/predict", {"texts": ["x"]}).status == 401
    headers = {"authorization": "Bearer a-secret-of-many-letters", "host": "any.example"}
    assert server.post("/predict", {"texts": ["x"]}, headers).status == 200


def test_nothing_of_a_text_is_written(started: Callable[..., Process]) -> None:
    server = started("--run", REVIEWS)
    server.predict(["a secret text"], explain=True)
    server.post("/predict", {"texts": ["a secret text", 5]})
    server.post("/predict", b'{"texts": ["a secret text')
    server.get("/a/secret/path", JSON)
    assert server.stop() == (0, ["stopped"])


def test_neither_tensorflow_nor_the_training_is_imported(started: Callable[..., Process]) -> None:
    server = started("--run", REVIEWS)
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.is_file():
        pytest.skip("only Linux tells what a process has loaded")
    assert "onnxruntime" in maps.read_text(encoding="utf-8")
    assert not {"tensorflow", "sklearn", "pyarrow"} & {*re.findall(r"/site-packages/(\w+)/", maps.read_text("utf-8"))}
