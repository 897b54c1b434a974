"""tune --storage: processes that share a search in a real PostgreSQL, or in a journal, and are killed."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import psycopg
import pytest
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

ROOT = Path(__file__).parents[2]
TRIALS = 20
CONFIG = f"""data:
  train: {ROOT}/data/sample/questions.csv
model: {{type: mlp, hidden: [8]}}
training: {{epochs: 2}}
report: {{baseline: false, texts: false}}
tune:
  model.hidden: [[4], [8], [4, 4]]
  model.dropout: {{low: 0.0, high: 0.5, step: 0.1}}
  training.learning_rate: {{low: 1e-3, high: 1e-1, log: true}}
"""
# A machine that is gone is noticed sooner, so that the tests take less time
PROGRAM = """
from textclf.tuning import machines, study
machines.BEAT_SECONDS, machines.STALE_SECONDS, study.STALE_SECONDS = 1, 15, 15
from textclf.cli.main import main
if __name__ == "__main__":
    main()
"""
USER, PASSWORD, ENCODED = "tuner", "se/cr@t{%1}", "se%2Fcr%40t{%251}"

optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass
class Server:
    """A PostgreSQL of its own, in a temporary folder, which listens on 127.0.0.1 only."""

    folder: Path
    port: int

    def run(self, program: str, *arguments: str) -> None:
        """Run one of its programs, as the user postgres where this one is root, whom it refuses."""
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
        user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*user, str(binaries / program), *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    def control(self, *arguments: str) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", *arguments)

    def url(self, database: str, *, password: str = ENCODED) -> str:
        return f"postgresql://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def query(self, database: str, sql: str) -> list[Any]:
        with psycopg.connect(self.url(database).replace("{", "%7B").replace("}", "%7D"), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="textclf-postgresql-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = Server(folder, free.getsockname()[1])
    try:
        (folder / "password").write_text(PASSWORD)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, pwd.getpwnam("postgres").pw_uid)
        password = f"--pwfile={folder / 'password'}"
        server.run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", password)
        server.control("start")
        try:
            yield server
        finally:
            server.control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Search:
    """A search in a storage, with a folder for each machine."""

    folder: Path
    storage: str

    def start(self, machine: str, *options: str) -> subprocess.Popen[str]:
        run = self.folder / machine / "tuned"
        run.parent.mkdir(exist_ok=True)
        (self.folder / "tune.py").write_text(PROGRAM)
        (self.folder / "mine.yaml").write_text(CONFIG)
        command = [sys.executable, "tune.py", "tune", "mine.yaml", "--run", str(run), "--storage", self.storage]
        return subprocess.Popen(
            [*command, *options], cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Wait for the end of a machine; return its exit code and what it said, in which no password is."""
        stdout, stderr = process.communicate(timeout=1800)
        for secret in (PASSWORD, ENCODED):
            assert secret not in stdout + stderr
        return process.returncode, stderr

    def study(self) -> optuna.Study:
        if not self.storage.startswith("postgresql"):
            backend = optuna.storages.journal.JournalFileBackend(self.storage)
            return optuna.load_study(study_name="tuned", storage=optuna.storages.JournalStorage(backend))
        url = self.storage.replace("postgresql", "postgresql+psycopg").replace("{", "%7B").replace("}", "%7D")
        storage = optuna.storages.RDBStorage(url, {"poolclass": NullPool})
        return optuna.load_study(study_name="tuned", storage=storage)

    def wait_until(self, condition: Callable[[optuna.Study], bool]) -> None:
        """Wait until the study exists and fulfils a condition."""
        end = time.monotonic() + 900
        while time.monotonic() < end:
            try:
                if condition(self.study()):
                    return
            except (KeyError, SQLAlchemyError, optuna.exceptions.StorageInternalError):  # it is being made
                pass
            time.sleep(0.1)
        raise AssertionError("it took too long")

    def states(self) -> dict[str, int]:
        names = [trial.state.name for trial in self.study().trials]
        return {name: names.count(name) for name in sorted(set(names) - {"PRUNED", "COMPLETE"})} | {
            "done": names.count("PRUNED") + names.count("COMPLETE")
        }

    def best_runs(self) -> list[str]:
        """The machines whose folder holds a best run."""
        return [path.parts[-4] for path in sorted(self.folder.glob("*/tuned/best/metrics.json"))]

    def check_files(self) -> None:
        """Check that no file holds the password."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert not any(secret.encode() in content for secret in (PASSWORD, ENCODED)), path


@pytest.fixture(params=["postgresql", "journal"])
def search(request: pytest.FixtureRequest, tmp_path: Path) -> Search:
    if request.param == "journal":
        return Search(tmp_path, str(tmp_path / "shared.journal"))
    return database_search(request.getfixturevalue("server"), tmp_path)


def database_search(server: Server, folder: Path) -> Search:
    database = f"tune_{os.urandom(4).hex()}"
    server.query("postgres", f"CREATE DATABASE {database}")
    return Search(folder, server.url(database))


def done(study: optuna.Study) -> int:
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.trials)


def tuning_json(folder: Path) -> Any:
    return json.loads((folder / "tuned" / "tuning.json").read_text(encoding="utf-8"))


def best_of_the_storage(search: Search, server: Server) -> tuple[int, float]:
    """The number and the score of the best trial: by SQL, or by Optuna from a journal."""
    if not search.storage.startswith("postgresql"):
        best = search.study().best_trial
        return best.number, best.value
    sql = """SELECT number, value FROM trials JOIN trial_values USING (trial_id) WHERE state = 'COMPLETE'
             ORDER BY value, number LIMIT 1"""
    [best] = server.query(search.storage.rpartition("/")[2], sql)
    return best


def test_one_of_two_machines_is_killed_and_all_trials_are_done(search: Search, server: Server) -> None:
    first, second = search.start("first"), search.start("second")
    search.wait_until(lambda study: done(study) >= 6)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    code, stderr = search.finish(first)
    assert code == 0, stderr
    states = search.states()
    lost = states.pop("FAIL", 0)
    assert (states, lost <= 1) == ({"done": TRIALS}, True)
    trials = search.study().trials
    # a trial without a machine was only about to start when its process was killed: the next one that asks fails it
    begun = [trial for trial in trials if trial.state.name == "FAIL" and "machine" in trial.user_attrs]
    assert stderr.count("was not heard of for 15 seconds: what it was at is done again") == len(begun)
    for trial in begun:
        again = [other for other in trials if other.user_attrs.get("settings") == trial.user_attrs["settings"]]
        assert len(again) >= 2
    document = tuning_json(search.folder / "first")
    assert [trial["number"] for trial in document["trials"]] == [
        trial.number + 1 for trial in trials if trial.state.name != "FAIL"
    ]
    number, score = best_of_the_storage(search, server)
    best = document["best"]["trial"]
    assert (best, [trial["score"] for trial in document["trials"] if trial["number"] == best]) == (number + 1, [score])
    assert search.best_runs() == ["first"]

    code, stderr = search.finish(search.start("second"))  # the same command, once more
    assert (code, "epoch" in stderr) == (0, False)
    assert tuning_json(search.folder / "second") == document
    assert search.best_runs() == ["first"]
    search.check_files()


def test_the_machine_that_trains_the_best_run_is_killed_and_another_trains_it(search: Search) -> None:
    first = search.start("first", "--trials", "3")
    search.wait_until(lambda study: any(key.startswith("best ") for key in study.user_attrs))
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert search.best_runs() == []
    code, stderr = search.finish(search.start("second", "--trials", "3"))
    assert (code, stderr.count("was not heard of for 15 seconds: what it was at is done again")) == (0, 1), stderr
    assert search.best_runs() == ["second"]
    assert search.states() == {"done": 3}


def test_machines_that_end_together_train_the_best_run_once(search: Search) -> None:
    machines = [search.start(name, "--trials", "6", "--jobs", jobs) for name, jobs in (("first", "2"), ("second", "1"))]
    for machine in machines:
        code, stderr = search.finish(machine)
        assert code == 0, stderr
    assert search.states() == {"done": 6}
    [trained] = search.best_runs()
    assert len(tuning_json(search.folder / trained)["trials"]) == 6


def test_machines_may_share_the_folder_too(tmp_path: Path) -> None:
    search = Search(tmp_path, str(tmp_path / "shared.journal"))
    machines = [search.start("both", "--trials", "4") for _ in range(2)]
    for machine in machines:
        code, stderr = search.finish(machine)
        assert code == 0, stderr
    assert (search.states(), search.best_runs()) == ({"done": 4}, ["both"])


def test_a_database_that_stops_is_named_and_the_same_command_goes_on(server: Server, tmp_path: Path) -> None:
    search = database_search(server, tmp_path)
    machine = search.start("first", "--trials", "4")
    search.wait_until(lambda study: done(study) >= 1)
    server.control("-m", "immediate", "stop")
    code, stderr = search.finish(machine)
    server.control("start")
    place = f"postgresql://127.0.0.1:{server.port}/{search.storage.rpartition('/')[2]}"
    last = stderr.splitlines()[-1]
    assert (code, last.startswith(f"{place} cannot be read or written: ")) == (1, True), stderr
    assert last.endswith(". Once that is mended, the same command goes on.")
    assert "Traceback" not in stderr
    code, stderr = search.finish(search.start("first", "--trials", "4"))
    assert (code, search.states()["done"]) == (0, 4), stderr
    search.check_files()


def test_a_wrong_password_is_told_without_it(server: Server, tmp_path: Path) -> None:
    search = Search(tmp_path, server.url("postgres", password="wr%2Fong"))
    code, stderr = search.finish(search.start("first"))
    assert (code, stderr) == (
        1,
        f"postgresql://127.0.0.1:{server.port}/postgres cannot be read or written: connection failed: connection to "
        f'server at "127.0.0.1", port {server.port} failed: FATAL:  password authentication failed for user "{USER}". '
        "Once that is mended, the same command goes on.\n",
    )
