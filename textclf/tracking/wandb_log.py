"""Weights & Biases: a run with config, history, summary, report and model, where wandb's own variables say."""

import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from textclf.tracking.tracker import EndedTrial, Results, Start, State
from textclf.training.checkpoint import Epoch

EXIT_CODES = {"finished": 0, "failed": 1, "killed": 130}


def open_wandb(start: Start) -> "Wandb":
    """Begin a run, or go on with the one that was begun; those of a search are a group."""
    run_id = start.id or secrets.token_hex(4)  # as long as wandb's own
    search = run_id if start.kind == "search" else start.search
    group = f"search-{search}" if search else None
    name = start.name if search else os.environ.get("WANDB_NAME") or start.name
    run = _init(name, start.project, start.params, kind=start.kind, group=group, id=run_id)
    return Wandb(run, start, group)


def wandb_faults() -> tuple[type[Exception], ...]:
    """Return the exceptions by which wandb fails."""
    import wandb

    return (wandb.Error, OSError)


def _init(
    name: str, project: str, config: Mapping[str, Any], *, kind: str, group: str | None, id: str | None = None,
    silent: bool = False,
) -> Any:  # fmt: skip
    import wandb

    settings = wandb.Settings(
        console="off",  # messages may quote texts
        disable_git=True,  # wandb would upload changes that are not committed, such as those of data
        **({"silent": True} if silent else {}),  # else as WANDB_SILENT says
    )
    return wandb.init(
        project=os.environ.get("WANDB_PROJECT") or re.sub(r"[/\\#?%:]", "-", project),
        name=name, group=group, job_type=kind, config=dict(config), id=id, resume="allow", reinit="create_new",
        settings=settings,
    )  # fmt: skip


class Wandb:
    """A run of wandb."""

    def __init__(self, run: Any, start: Start, group: str | None):
        self._run, self._start, self._group = run, start, group
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")

    @property
    def id(self) -> str:
        return str(self._run.id)

    def epoch(self, epoch: Epoch, prefix: str) -> None:
        scores = asdict(epoch)
        self._run.log({"epoch": scores.pop("epoch"), **{f"{prefix}{name}": value for name, value in scores.items()}})

    def trial(self, trial: EndedTrial) -> None:
        """Add a run of the search's group."""
        run = _init(
            f"trial {trial.number}", self._start.project, trial.settings, kind="trial", group=self._group, silent=True
        )
        run.define_metric("*", step_metric="epoch")
        for step, score in trial.steps.items():
            run.log({"epoch": step, f"epoch_{trial.monitor}": score})
        run.summary.update({**trial.scores, "complete": trial.complete})
        run.finish()

    def results(self, results: Results) -> None:
        import wandb

        self._run.summary.update(dict(results.metrics))
        self._run.log({"report": wandb.Html(str(results.report), inject=False)})
        name = re.sub(r"[^\w.-]", "-", f"{self._start.name}-{self.id}", flags=re.ASCII)
        artifact = wandb.Artifact(name, type="model" if results.model else "search", metadata=dict(results.metrics))
        if results.model:
            artifact.add_dir(str(results.model), name="model")
        for file in (results.report, *results.files):
            artifact.add_file(str(file))
        self._run.log_artifact(artifact)

    def end(self, state: State) -> None:
        self._run.finish(exit_code=EXIT_CODES[state])
