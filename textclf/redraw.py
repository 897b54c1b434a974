"""`textclf report`: the page drawn anew from the files of a run, without its data or its model."""

from pathlib import Path

from textclf.config import saved_config
from textclf.outcome import read_outcome
from textclf.report import write_report
from textclf.run import Run, read_json
from textclf.stage import recover


def redraw(path: Path) -> Path:
    """Draws the report of a run, or of an evaluation in it; the path of the page.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    run = recover(Run(path))
    document = read_json(run.metrics)
    found = read_outcome(run.predictions, separator=saved_config(run.owner.config).data.label_separator)
    name = path.name if run.owner == run else f"{run.owner.path.name}: {path.name}"
    write_report(run, document, found, name=name)
    return run.report
