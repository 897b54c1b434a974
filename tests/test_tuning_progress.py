"""The progress of a search: a table on a terminal, a line per trial elsewhere."""

import io
import re
import sys
from dataclasses import replace

import pytest

from textclf.cli.progress import LiveTrialCallback, LogTrialCallback, trial_callback_for
from textclf.training.checkpoint import Epoch
from textclf.tuning.study import Trial
from textclf.tuning.trials import TrialProgress, TrialResult

FIRST = Trial(1, 0, {"model.units": 8, "model.pooling": "max"})
SECOND = Trial(2, 1, {"model.units": 64, "model.pooling": "mean"})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def search(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> type:
    """Show three trials, the second pruned and the third dropped, on the stream; return the kind of callback."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("click.utils._default_text_stderr", lambda: stream)
    first = replace(
        FIRST, state="complete", scores=TrialResult([Epoch(2, 0.1, 0.6, 0.5, 0.75)], 2).scores("val_loss", pruned=False)
    )
    second = replace(SECOND, state="pruned", scores=TrialResult([], 1).scores("val_loss", pruned=True))
    with trial_callback_for("val_loss") as callback:
        callback.on_change([])
        callback.on_change([FIRST])
        callback.on_change([replace(FIRST, progress=TrialProgress(1, 2, 0.625, 2))])
        callback.on_change([first])
        callback.on_change([first, SECOND])
        callback.on_change([first, second])
        callback.on_change([first, second, Trial(3, 2, FIRST.settings)])
        callback.on_change([first, second])  # the third was dropped
    return type(callback)


def test_a_log_gets_a_line_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    assert search(log, monkeypatch) is LogTrialCallback
    lines = [" ".join(line.split()) for line in log.getvalue().splitlines()]
    assert lines == [
        "trial 1 0.0 s val_loss 0.5000 best 0.5000 (trial 1) units 8, pooling max",
        "trial 2 0.0 s given up best 0.5000 (trial 1) units 64, pooling mean",
    ]


def test_a_terminal_shows_a_table_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    terminal = Terminal()
    assert search(terminal, monkeypatch) is LiveTrialCallback
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "epoch 2: 0.6250" in shown
    last = shown[shown.rindex("best 0.5000 (trial 1)") :]
    assert [" ".join(line.split()) for line in last.splitlines()[1:4]] == [
        "trial seconds score settings",
        "1 0 val_loss 0.5000 units 8, pooling max",
        "2 0 given up units 64, pooling mean",
    ]
