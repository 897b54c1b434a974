"""TensorBoard: event files under `logs/`, named as by Keras's callback, and its plugin of hyperparameters."""

import itertools
import logging
import os
import socket
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from textclf.io.run_folder import numbered
from textclf.tracking.tracker import EndedTrial, Results, Start, State, as_text
from textclf.training.checkpoint import Epoch

logger = logging.getLogger(__name__)

LOGS = Path("logs")

_numbers = itertools.count()


def open_tensorboard(start: Start) -> "TensorBoard":
    """Begin event files in a new folder of `logs/`, or go on in the one that was begun."""
    folder = Path(start.id) if start.id else _new_folder(start)
    folder.mkdir(parents=True, exist_ok=True)
    logger.info("tensorboard: writing %s; look at it with: tensorboard --logdir %s", folder, LOGS)
    return TensorBoard(folder, start)


def tensorboard_faults() -> tuple[type[Exception], ...]:
    """Return the exceptions by which TensorBoard's files fail."""
    return (OSError,)


def _new_folder(start: Start) -> Path:
    if start.search:
        return Path(start.search) / start.name
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")  # local time, as in TensorBoard's own examples
    return next(folder for folder in numbered(LOGS / start.name / stamp) if not folder.exists())


class TensorBoard:
    """The event files of a training or a search, a folder for each of what TensorBoard calls runs."""

    def __init__(self, folder: Path, start: Start):
        self._folder, self._start = folder, start
        self._files: dict[str, EventFile] = {}
        if start.kind == "train":
            self._in(".").add(_session_start(folder, start.params))

    @property
    def id(self) -> str:
        return self._folder.as_posix()

    def epoch(self, epoch: Epoch, prefix: str) -> None:
        self._in("train").scalars(
            {f"{prefix}epoch_loss": epoch.loss, f"{prefix}epoch_learning_rate": epoch.learning_rate}, epoch.epoch
        )
        self._in("validation").scalars(
            {f"{prefix}epoch_loss": epoch.val_loss, f"{prefix}epoch_accuracy": epoch.val_accuracy}, epoch.epoch
        )

    def trial(self, trial: EndedTrial) -> None:
        folder = self._folder / f"trial-{trial.number:03}"
        file = EventFile(folder)
        config = {key: value for key, value in self._start.params.items() if not key.startswith("tune.")}
        file.add(_session_start(folder, {**config, **trial.settings}, seconds_ago=trial.seconds))
        for step, score in trial.steps.items():
            file.scalars({f"epoch_{trial.monitor}": score}, step)
        file.scalars(trial.scores)
        file.add(_session_end(success=trial.complete))
        file.close()

    def results(self, results: Results) -> None:
        file = self._in(".")
        if self._start.kind == "train":
            file.scalars({name: value for name, value in results.metrics.items() if not _is_end(name)})
        file.text("results", f"{_table(results.metrics)}\n\n{results.report.absolute().as_posix()}")

    def end(self, state: State) -> None:
        if self._start.kind == "train":
            self._in(".").add(_session_end(success=state == "finished"))
        for file in self._files.values():
            file.close()

    def _in(self, name: str) -> "EventFile":
        if name not in self._files:
            self._files[name] = EventFile(self._folder / name)
        return self._files[name]


class EventFile:
    """A new file of events in a folder, written without TensorFlow."""

    def __init__(self, folder: Path):
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._records = RecordWriter((folder / name).open("xb"))
        self._event(file_version="brain.Event:2")

    def add(self, summary: Any, step: int = 0) -> None:
        """Write a summary at once, so that TensorBoard shows it."""
        self._event(summary=summary, step=step)

    def scalars(self, values: Mapping[str, float], step: int = 0) -> None:
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        for tag, value in values.items():
            self.add(scalar_pb(tag, value), step)

    def text(self, tag: str, markdown: str) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self.add(text_pb(tag, markdown))

    def close(self) -> None:
        self._records.close()

    def _event(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self._records.flush()


def _session_start(folder: Path, params: Mapping[str, Any], *, seconds_ago: float = 0) -> Any:
    """Return the summary that tells the plugin of hyperparameters of a training."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    values = {key: value if isinstance(value, bool | int | float) else as_text(value) for key, value in params.items()}
    name, *date_and_trial = folder.relative_to(LOGS).parts
    trial_id = " ".join([*date_and_trial[1:], name, *date_and_trial[:1]])  # the page shows its first letters
    return hparams_pb(values, trial_id=trial_id, start_time_secs=time.time() - seconds_ago)


def _session_end(*, success: bool) -> Any:
    """Return the summary that tells the plugin of hyperparameters how a training ended."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    summary = Summary()
    summary.value.add(
        tag=metadata.SESSION_END_INFO_TAG, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )
    return summary


def _table(metrics: Mapping[str, float]) -> str:
    """Return a table in Markdown of the metrics, with their intervals where they have one."""
    lines = ["| metric | value | 95 % interval |", "|---|---|---|"]
    for name, value in metrics.items():
        if not _is_end(name):
            ends = [metrics.get(name.replace("/", f"{end}/")) for end in ENDS]
            interval = " to ".join(f"{end:.4f}" for end in ends if end is not None)
            lines.append(f"| {name} | {value:.4f} | {interval} |")
    return "\n".join(lines)


ENDS = ("_low", "_high")  # of intervals: see `scores`


def _is_end(name: str) -> bool:
    return name.partition("/")[0].endswith(ENDS)
