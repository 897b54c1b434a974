"""MLflow: a run with parameters, metrics, artifacts and a model, in the store that MLflow's own variables name."""

import contextlib
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from textclf import __version__
from textclf.inference.standalone import standalone_files, with_relative_imports
from textclf.io.run_folder import TOKENIZER
from textclf.tracking.tracker import EndedTrial, Results, Start, State, as_text
from textclf.training.checkpoint import Epoch

logger = logging.getLogger(__name__)

STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}

EXPERIMENT = ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID")
"""Variables by which MLflow chooses the experiment itself."""


def open_mlflow(start: Start) -> "MLflow":
    """Begin a run, or go on with the one that was begun."""
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)  # it tells of each table of a new database
    with _quiet():
        if start.id:
            run = mlflow.start_run(run_id=start.id, nested=start.search is not None)
        else:
            if not any(os.environ.get(name) for name in EXPERIMENT):
                mlflow.set_experiment(start.project)
            tags = {"textclf.version": __version__}
            run = mlflow.start_run(run_name=start.name, nested=start.search is not None, tags=tags)
            mlflow.log_params({key: as_text(value) for key, value in start.params.items()})
    logger.info("mlflow: run %s in %s", run.info.run_id, mlflow.get_tracking_uri())
    return MLflow(run.info)


def mlflow_faults() -> tuple[type[Exception], ...]:
    """Return the exceptions by which MLflow fails."""
    from mlflow.exceptions import MlflowException

    return (MlflowException, OSError)


class MLflow:
    """An active run of MLflow."""

    def __init__(self, info: Any):
        self._info = info

    @property
    def id(self) -> str:
        return str(self._info.run_id)

    def epoch(self, epoch: Epoch, prefix: str) -> None:
        import mlflow

        scores = {f"{prefix}{name}": value for name, value in asdict(epoch).items() if name != "epoch"}
        mlflow.log_metrics(scores, step=epoch.epoch)

    def trial(self, trial: EndedTrial) -> None:
        """Add a child run, begun and ended when the trial was."""
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param

        client, now = MlflowClient(), round(1000 * time.time())
        child = client.create_run(
            self._info.experiment_id,
            start_time=now - round(1000 * trial.seconds),
            tags={"mlflow.parentRunId": self.id},
            run_name=f"trial {trial.number}",
        )
        metrics = [Metric(f"epoch_{trial.monitor}", value, now, step) for step, value in trial.steps.items()]
        metrics += [Metric(name, value, now, 0) for name, value in trial.scores.items()]
        params = [Param(key, as_text(value)) for key, value in trial.settings.items()]
        client.log_batch(child.info.run_id, metrics, params)
        client.set_terminated(child.info.run_id, "FINISHED" if trial.complete else "KILLED", now)

    def results(self, results: Results) -> None:
        import mlflow

        with _quiet():
            model = _log_model(results.model) if results.model else None
            mlflow.log_metrics(dict(results.metrics), model_id=model)
            for file in (results.report, *results.files):
                mlflow.log_artifact(str(file))

    def end(self, state: State) -> None:
        import mlflow

        with _quiet():
            mlflow.end_run(STATUS[state])


def _log_model(model: Path) -> str:
    """Log a `model/` folder and return the id of MLflow's model.

    With it goes the code that loads it, so that it works where textclf is not installed. Nothing is pickled: MLflow
    imports the code's module `pyfunc`, which reads the folder.
    """
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    files = standalone_files() | {"pyfunc.py": with_relative_imports(Path(__file__).with_name("pyfunc.py"), ".")}
    digest = sha256(b"".join(content for _, content in sorted(files.items()))).hexdigest()
    name = f"textclf_{digest[:12]}"  # two models in one process may be of two versions
    packages = ["numpy", "onnxruntime", "pandas", *(["tokenizers"] if (model / TOKENIZER).is_file() else [])]
    with TemporaryDirectory() as folder:
        for path, content in files.items():
            file = Path(folder, name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*input example was not provided")  # it would be a text of the user's
            info = mlflow.pyfunc.log_model(
                name="model",
                loader_module=f"{name}.pyfunc",
                data_path=str(model),
                code_paths=[str(Path(folder, name))],
                pip_requirements=[f"{package}=={version(package)}" for package in packages],
                signature=ModelSignature(
                    Schema([ColSpec("string")]), Schema([ColSpec("string", "label"), ColSpec("double", "probability")])
                ),
            )
    return str(info.model_id)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send what MLflow prints on stdout, such as the address of a run, to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
