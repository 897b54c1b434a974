"""A tuning: the files of its folder, and the document of what was tried and found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textclf.config.schema import Config
from textclf.io.contract import MetricsDocument, TrialDocument, TrialScores, TuningDocument
from textclf.io.files import read_json, write_text
from textclf.io.run_folder import RUNS, Run, run_for_config
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
    def begun(self) -> Path:
        """The settings, the space and the data that the search began with."""
        return self.path / "begun.json"

    @property
    def journal(self) -> Path:
        """All trials, as Optuna's JournalStorage keeps them."""
        return self.path / "study.jsonl"

    @property
    def best_config(self) -> Path:
        return self.path / "best.yaml"

    @property
    def best(self) -> Run:
        """What training with the best settings gave."""
        return Run(self.path / "best")

    @property
    def document(self) -> Path:
        """Every number of the report; written last, but for the report."""
        return self.path / "tuning.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"


def tuning_for_config(config: Path) -> Tuning:
    """Where the tuning of a config goes by default: runs/imdb-tune for configs/imdb.yaml."""
    return Tuning(RUNS / f"{run_for_config(config).path.name}-tune")


def rank(scores: TrialScores, *, monitor: str) -> tuple[float, float]:
    """Return the sort key of a complete trial: the best score first, of equal scores the lowest loss."""
    assert scores["score"] is not None
    assert scores["loss"] is not None
    return -scores["score"] if higher_is_better(monitor) else scores["score"], scores["loss"]


def best_trial(trials: Sequence[Trial], *, monitor: str) -> Trial:
    """Return the best of the complete trials, of equal ones the first."""
    complete = [(trial, trial.scores) for trial in trials if trial.state == "complete" and trial.scores]
    return min(complete, key=lambda pair: rank(pair[1], monitor=monitor))[0]


def tuning_document(
    trials: Sequence[Trial], best: Trial, config: Config, space: Space, folds: int, *,
    importance: dict[str, float], metrics: MetricsDocument,
) -> TuningDocument:  # fmt: skip
    """Return the document of tuning.json; it holds no times, so that a repeated search gives the same.

    Args:
        metrics: metrics.json of the run with the best settings.
    """
    baseline = baseline_settings(config, space)
    of_baseline = [trial.number for trial in trials if trial.settings == baseline and trial.state == "complete"]
    return {
        "format": FORMAT,
        "monitor": config.training.monitor,
        "folds": folds,
        "space": {key: candidates.document() for key, candidates in space.items()},
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


SCORES = {"val_loss": "validation loss", "val_accuracy": "validation accuracy"}

SECTIONS = {
    "found": "What was found?",
    "search": "How did the search go?",
    "settings": "Which settings matter?",
    "trials": "What was tried?",
}


def write_tuning_report(tuning: Tuning, document: TuningDocument) -> None:
    """Draws the report of a document of tuning.json."""
    write_text(tuning.report, render(document, name=tuning.path.name))


def redraw_tuning(tuning: Tuning) -> Path:
    """Draw the report of a tuning anew from its tuning.json; return the path of the page."""
    write_tuning_report(tuning, read_json(tuning.document))
    return tuning.report


def render(document: TuningDocument, *, name: str) -> str:
    """The report as HTML; every text in it is escaped, and shows what it holds."""
    from textclf.tuning import plots as tuning_plots  # matplotlib takes a second to import

    monitor = document["monitor"]
    score, up = SCORES[monitor], higher_is_better(monitor)
    figures = {
        "history": tuning_plots.history(document["trials"], best=document["best"]["trial"], score=score, up=up),
        "importance": tuning_plots.importance(document["importance"]) if document["importance"] else "",
        "parallel": tuning_plots.parallel(ranked(document), document["space"], score=score),
    }
    return (
        page_environment()
        .get_template("tuning.html")
        .render(
            name=name,
            document=document,
            sentences=sentences(document),
            sections=SECTIONS,
            settings_rows=settings_rows(document),
            trial_rows=trial_rows(document),
            figures=figures,
        )
    )


def sentences(document: TuningDocument) -> list[str]:
    """What the search gained, and how far that can be believed."""
    trials = {trial["number"]: trial for trial in document["trials"]}
    pruned = sum(trial["state"] == "pruned" for trial in document["trials"])
    best, own = trials[document["best"]["trial"]], trials.get(document["own"]["trial"] or 0)
    given_up = f", of which {pruned} {'was' if pruned == 1 else 'were'} given up as hopeless" if pruned else ""
    said = [f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}{given_up}.", _gain(document, best, own)]
    if best is not own and len(trials) > 1:
        said.append(
            "The best of several scores is in part the luckiest: expect less of it on other rows than on those that "
            "it was chosen by."
        )
    measured = document["measured"]
    accuracy, (low, high) = measured["metrics"]["accuracy"], measured["intervals"]["accuracy"]
    interval = f"accuracy {accuracy:.4f} (95 % interval {low:.4f} to {high:.4f})"
    rows = f"{measured['data']['rows']:,} {measured['data']['part']} rows"
    if measured["data"]["part"] == "test":
        said.append(f"Trained with the best settings and measured once, on {rows} that no trial saw: {interval}.")
    else:
        said.append(f"On {rows}, which had a part in choosing the settings: {interval}. Name data.test for more.")
    return said


def _gain(document: TuningDocument, best: TrialDocument, own: TrialDocument | None) -> str:
    """How the best trial stands against the config as it stands."""
    score = SCORES[document["monitor"]]
    of = f"the mean of {document['folds']} folds, " if document["folds"] > 1 else ""
    which = f"Trial {best['number']} is the best: {of}{score} {best['score']:.4f}"
    if own is None:
        return f"{which}."
    if best is own:
        return f"None was better than the config as it stands: {of}{score} {own['score']:.4f}."
    against = f"that of the config as it stands (trial {own['number']}: {own['score']:.4f})"
    if best["score"] == own["score"]:
        return f"{which}, the same as {against}, with less validation loss."
    gap = score_of(best) - score_of(own)
    if higher_is_better(document["monitor"]):
        return f"{which}, {100 * gap:.2f} points over {against}."
    return f"{which}, {-gap:.4f} below {against}."


def score_of(trial: TrialDocument) -> float:
    """Return the score of a trial that completed."""
    if trial["score"] is None:
        raise ValueError(f"trial {trial['number']} did not complete")
    return trial["score"]


def settings_rows(document: TuningDocument) -> list[list[str]]:
    """Head and rows of the table of the options: as they stood, the best, and how much each matters."""
    rows = [["setting", "as it stood", "best", "share of the scores' variance"]]
    own, best = document["own"]["settings"], document["best"]["settings"]
    for key in document["space"]:
        share = document["importance"].get(key)
        rows.append([key, shown(own[key]), shown(best[key]), "-" if share is None else f"{share:.2f}"])
    return rows


def trial_rows(document: TuningDocument, most: int | None = None) -> list[list[str]]:
    """Head and rows of the table of the trials, the best first, those given up last."""
    several = document["folds"] > 1
    head = ["trial", "loss", "accuracy", *(["standard deviation"] if several else []), "epochs"]
    rows = [[*head, *short_names(document["space"])]]
    pruned = [trial for trial in document["trials"] if trial["state"] == "pruned"]
    for trial in [*ranked(document), *pruned][:most]:
        numbers = [trial["loss"], trial["accuracy"], *([trial["deviation"]] if several else [])]
        cells = ["given up" if value is None else f"{value:.4f}" for value in numbers]
        settings = [shown(trial["settings"][key]) for key in document["space"]]
        rows.append([str(trial["number"]), *cells, str(trial["epochs"]), *settings])
    return rows


def ranked(document: TuningDocument) -> list[TrialDocument]:
    """The complete trials, the best first."""
    complete = [trial for trial in document["trials"] if trial["state"] == "complete"]
    return sorted(complete, key=lambda trial: rank(trial, monitor=document["monitor"]))


def short_names(keys: Iterable[str]) -> list[str]:
    """The dotted keys without their sections, unless two would be the same."""
    keys = list(keys)
    short = [key.rpartition(".")[2] for key in keys]
    return [name if short.count(name) == 1 else key for name, key in zip(short, keys, strict=True)]


def shown(value: Any) -> str:
    """A setting as short as it is."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
