"""The folder of a tuning: its files, tuning.json, and the tables and the report made from that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.config.schema import Config
from textclf.io.contract import MetricsDocument
from textclf.io.files import read_json, write_text
from textclf.io.run_folder import RUNS, Run, run_for_config
from textclf.io.tuning_contract import TrialDocument, TrialScores, TuningDocument
from textclf.report.page import page_environment
from textclf.training.checkpoint import higher_is_better
from textclf.tuning.search_space import Space, baseline_settings
from textclf.tuning.study import Trial

FORMAT = 1


@dataclass(frozen=True)
class Tuning:
    """A folder that `textclf tune` wrote."""

    path: Path

    @property
    def fingerprint(self) -> Path:
        """The settings, the space and the data that the search started with."""
        return self.path / "begun.json"

    @property
    def journal(self) -> Path:
        """All trials, in the format of Optuna's JournalStorage."""
        return self.path / "study.jsonl"

    @property
    def best_config(self) -> Path:
        return self.path / "best.yaml"

    @property
    def best(self) -> Run:
        """The run trained with the best settings."""
        return Run(self.path / "best")

    @property
    def document(self) -> Path:
        """tuning.json, written last but for the report."""
        return self.path / "tuning.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def tracking(self) -> Path:
        """The ids of the runs that trackers have for the search."""
        return self.path / "tracking.json"

    @property
    def files(self) -> list[Path]:
        """The files of a search without those of the best run; the first marks the folder as that of a search."""
        lock = self.journal.with_name(f"{self.journal.name}.lock")
        return [self.fingerprint, self.journal, lock, self.tracking, self.best_config, self.document, self.report]


def tuning_for_config(config: Path) -> Tuning:
    """Return the default folder for tuning a config: runs/imdb-tune for configs/imdb.yaml."""
    return Tuning(RUNS / f"{run_for_config(config).path.name}-tune")


def rank(scores: TrialScores, *, monitor: str) -> tuple[float, float]:
    """Return the sort key of a complete trial: best score first, ties by the lowest loss."""
    assert scores["score"] is not None
    assert scores["loss"] is not None
    return -scores["score"] if higher_is_better(monitor) else scores["score"], scores["loss"]


def best_trial(trials: Sequence[Trial], *, monitor: str) -> Trial:
    """Return the best complete trial; of equal ones the first."""
    complete = [(trial, trial.scores) for trial in trials if trial.state == "complete" and trial.scores]
    return min(complete, key=lambda pair: rank(pair[1], monitor=monitor))[0]


def tuning_document(
    trials: Sequence[Trial], best: Trial, config: Config, space: Space, folds: int, *,
    importance: dict[str, float], metrics: MetricsDocument,
) -> TuningDocument:  # fmt: skip
    """Return the document of tuning.json; it holds no times, so that a repeated search gives the same file.

    Args:
        metrics: metrics.json of the run with the best settings.
    """
    baseline = baseline_settings(config, space)
    of_baseline = [trial.number for trial in trials if trial.settings == baseline and trial.state == "complete"]
    return {
        "format": FORMAT,
        "monitor": config.training.monitor,
        "folds": folds,
        "space": {key: candidates.as_config() for key, candidates in space.items()},
        "trials": [_trial_document(trial) for trial in trials],
        "own": {"settings": baseline, "trial": of_baseline[0] if of_baseline else None},
        "best": {"settings": best.settings, "trial": best.number},
        "importance": importance,
        "validation_rows": metrics["validation"]["rows"],
        "measured": {"data": metrics["data"], "metrics": metrics["metrics"], "intervals": metrics["intervals"]},
    }


def _trial_document(trial: Trial) -> TrialDocument:
    assert trial.scores is not None
    return {
        "number": trial.number,
        "state": trial.state,
        "settings": trial.settings,
        **trial.scores,
        "steps": list(trial.steps.values()),
    }


SCORE_NAMES = {"val_loss": "validation loss", "val_accuracy": "validation accuracy"}

SECTIONS = {
    "found": "What was found?",
    "search": "How did the search go?",
    "settings": "Which settings matter?",
    "trials": "What was tried?",
}


def write_tuning_report(tuning: Tuning) -> Path:
    """Write the report from tuning.json; return the path of the page."""
    write_text(tuning.report, render(read_json(tuning.document), name=tuning.path.name))
    return tuning.report


def render(document: TuningDocument, *, name: str) -> str:
    """Return the report as HTML."""
    from textclf.tuning import plots  # matplotlib takes a second to import

    monitor, trials = document["monitor"], document["trials"]
    score_name = SCORE_NAMES[monitor]
    figures = {
        "history": plots.history(trials, document["best"]["trial"], score_name, maximize=higher_is_better(monitor)),
        "importance": plots.importance(document["importance"]) if document["importance"] else "",
        "parallel": plots.parallel(ranked_trials(document), document["space"], score_name),
    }
    template = page_environment().get_template("tuning.html")
    return template.render(
        name=name,
        document=document,
        sentences=summary(document),
        sections=SECTIONS,
        settings_rows=settings_table(document),
        trial_rows=trials_table(document),
        figures=figures,
    )


def summary(document: TuningDocument) -> list[str]:
    """Return sentences on what the search gained, and on how reliable that gain is."""
    trials = {trial["number"]: trial for trial in document["trials"]}
    pruned = sum(trial["state"] == "pruned" for trial in trials.values())
    best, baseline = trials[document["best"]["trial"]], trials.get(document["own"]["trial"] or 0)
    given_up = f", of which {pruned} {'was' if pruned == 1 else 'were'} given up as hopeless" if pruned else ""
    sentences = [
        f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}{given_up}.",
        _gain(document, best, baseline),
    ]
    if best is not baseline and len(trials) > 1:
        sentences.append(
            "The best of several scores is in part the luckiest: expect less of it on other rows than on those that "
            "it was chosen by."
        )
    best_run = document["measured"]
    accuracy, (low, high) = best_run["metrics"]["accuracy"], best_run["intervals"]["accuracy"]
    interval = f"accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f})"
    rows = f"{best_run['data']['rows']:,} {best_run['data']['part']} rows"
    if best_run["data"]["part"] == "test":
        sentences.append(f"Trained with the best settings and measured once, on {rows} that no trial saw: {interval}.")
    else:
        sentences.append(f"On {rows}, which had a part in choosing the settings: {interval}. Name data.test for more.")
    return sentences


def _gain(document: TuningDocument, best: TrialDocument, baseline: TrialDocument | None) -> str:
    """Return a sentence that compares the best trial with the trial of the config as it stands."""
    folds = f"the mean of {document['folds']} folds, " if document["folds"] > 1 else ""
    score_name = folds + SCORE_NAMES[document["monitor"]]
    is_best = f"Trial {best['number']} is the best: {score_name} {best['score']:.4f}"
    if baseline is None:
        return f"{is_best}."
    if best is baseline:
        return f"None was better than the config as it stands: {score_name} {baseline['score']:.4f}."
    assert best["score"] is not None
    assert baseline["score"] is not None
    gap = best["score"] - baseline["score"]
    that = f"that of the config as it stands (trial {baseline['number']}: {baseline['score']:.4f})"
    if gap == 0:
        return f"{is_best}, the same as {that}, with less validation loss."
    if higher_is_better(document["monitor"]):
        return f"{is_best}, {100 * gap:.2f} points over {that}."
    return f"{is_best}, {-gap:.4f} below {that}."


def settings_table(document: TuningDocument) -> list[list[str]]:
    """Return the header and the rows of the table of options: value in the config, best value, importance."""
    rows = [["setting", "as it stood", "best", "share of the scores' variance"]]
    baseline, best = document["own"]["settings"], document["best"]["settings"]
    for key in document["space"]:
        importance = document["importance"].get(key)
        cell = "-" if importance is None else f"{importance:.2f}"
        rows.append([key, format_setting(baseline[key]), format_setting(best[key]), cell])
    return rows


def trials_table(document: TuningDocument, limit: int | None = None) -> list[list[str]]:
    """Return the header and the rows of the table of trials, the best first, pruned ones last."""
    deviation = ["standard deviation"] if document["folds"] > 1 else []
    rows = [["trial", "loss", "accuracy", *deviation, "epochs", *short_names(document["space"])]]
    pruned = [trial for trial in document["trials"] if trial["state"] == "pruned"]
    for trial in [*ranked_trials(document), *pruned][:limit]:
        scores = [trial["loss"], trial["accuracy"], *([trial["deviation"]] if deviation else [])]
        cells = ["given up" if score is None else f"{score:.4f}" for score in scores]
        settings = [format_setting(trial["settings"][key]) for key in document["space"]]
        rows.append([str(trial["number"]), *cells, str(trial["epochs"]), *settings])
    return rows


def ranked_trials(document: TuningDocument) -> list[TrialDocument]:
    """Return the complete trials, the best first."""
    complete = [trial for trial in document["trials"] if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: rank(trial, monitor=document["monitor"]))


def short_names(keys: Iterable[str]) -> list[str]:
    """Return dotted keys without their sections, except where that would make two equal."""
    keys = list(keys)
    short = [key.rpartition(".")[2] for key in keys]
    return [name if short.count(name) == 1 else key for name, key in zip(short, keys, strict=True)]


def format_setting(value: Any) -> str:
    """Return the value of an option as text, in as few characters as it needs."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
