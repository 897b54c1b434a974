"""`textclf train --verify`: whether training twice gives the same, to the bit, and if not, what differs first."""

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from textclf.config import Config, dump_config
from textclf.errors import UserError
from textclf.onnx_graph import read_graph
from textclf.run import Run, write_text

PRODUCTS = {
    "split.json": "rows held out",
    "model/model.json": "vocabulary and what the stored rows are given",
    "model/model.onnx": "weights",
    "history.csv": "losses",
    "predictions.csv": "probabilities",
    "metrics.json": "every number of the report",
}
"""What a training makes, in the order in which one follows from the other, and what it holds."""


def verify(config: Config) -> dict[str, Any]:
    """Digests of what two trainings of one epoch make, each in a process of its own; no run is written.

    Raises:
        UserError: the config cannot be trained on, or the trainings differ.
    """
    short = replace(config, training=replace(config.training, epochs=1))
    with tempfile.TemporaryDirectory(prefix="textclf-") as folder:
        path = Path(folder) / "config.yaml"
        write_text(path, dump_config(short))
        runs = [_train(path, Run(Path(folder) / name)) for name in ("first", "second")]
        first, second = map(_digests, runs)
        differing = [name for name in PRODUCTS if first[name] != second[name]]
        if differing:
            what = "; ".join(f"{name} ({PRODUCTS[name]})" for name in differing)
            raise UserError(
                f"two trainings of one epoch differ in {what}. Largest difference of a weight: "
                f"{_weight_difference(runs):.1e}. Set training.device to cpu: a GPU promises nothing."
            )
    return {"epochs": 1, "sha256": first}


def _train(config: Path, run: Run) -> Run:
    """The run that a process of its own trained.

    Raises:
        UserError: it failed, with what it said.
    """
    command = [sys.executable, "-m", "textclf", "train", str(config), "--run", str(run.path)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        raise UserError(*done.stderr.strip().splitlines())
    return run


def _digests(run: Run) -> dict[str, str]:
    return {name: hashlib.sha256((run.path / name).read_bytes()).hexdigest() for name in PRODUCTS}


def _weight_difference(runs: Sequence[Run]) -> float:
    (first, _), (second, _) = (read_graph((run.model / "model.onnx").read_bytes()) for run in runs)
    gaps = [
        np.abs(first[name] - second[name]).max()
        for name in first
        if first[name].dtype.kind == "f" and first[name].shape == second[name].shape
    ]
    return float(max(gaps, default=0))
