"""`textclf report`: the page drawn anew from the files of a run, without its data or its model."""

from pathlib import Path

from textclf.config import saved_config
from textclf.outcome import read_outcome
from textclf.report import write_report
from textclf.run import Run, read_json
from textclf.stage import recover
from textclf.tuning import Tuning
from textclf.tuning_report import write_tuning_report


def redraw(path: Path) -> Path:
    """Draws the report of a run, of an evaluation in it, or of a tuning; the path of the page.

    Raises:
        UserError: a file of the run is missing or damaged.
    """
    tuning = Tuning(path)
    if tuning.document.is_file():
        write_tuning_report(tuning, read_json(tuning.document))
        return tuning.report
    run = recover(Run(path))
    document = read_json(run.metrics)
    found = read_outcome(run.predictions, separator=saved_config(run.owner.config).data.label_separator)
    name = path.name if run.owner == run else f"{run.owner.path.name}: {path.name}"
    write_report(run, document, found, name=name)
    return run.report
