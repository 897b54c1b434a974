"""The plots of a tuning's report, each as an inline <svg>: scores by trial, importances, and settings by score."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from textclf.io.tuning_contract import TrialDocument
from textclf.report.svg import BLUE, INK, ORANGE, SOFT, Drawing, clean_name, note

HIGHLIGHTED = 5  # best trials, highlighted in parallel coordinates

Ticks = list[tuple[float, str]]
"""Height, 0 to 1, and text of each tick of an axis."""

Scale = tuple[Callable[[Any], float], Ticks]
"""Returns the height of a value on an axis; and the ticks of the axis."""


def history(trials: Sequence[TrialDocument], best: int, score_name: str, *, maximize: bool) -> str:
    """Draw the score of each trial in the order in which they started, and the best score so far.

    Args:
        best: number of the best trial.
        maximize: whether a greater score is better.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    pruned = [trial for trial in trials if trial["state"] == "pruned" and trial["steps"]]
    numbers, scores = [trial["number"] for trial in complete], np.array([trial["score"] for trial in complete], float)
    best_so_far = np.maximum.accumulate(scores) if maximize else np.minimum.accumulate(scores)  # (complete,)
    best_score, last = scores[numbers.index(best)], max(trial["number"] for trial in trials)
    with Drawing("history") as drawing:
        axes = drawing.axes(left=0.7)
        axes.plot(
            [*numbers, last], [*best_so_far, best_so_far[-1]],
            color=BLUE, linewidth=1.4, drawstyle="steps-post", clip_on=False,
        )  # fmt: skip
        axes.plot(numbers, scores, "o", color=BLUE, markersize=4.5, clip_on=False)
        if pruned:
            reached = [max(trial["steps"]) if maximize else min(trial["steps"]) for trial in pruned]
            axes.plot([trial["number"] for trial in pruned], reached, "x", color=SOFT, markersize=5, clip_on=False)
        axes.plot(best, best_score, "o", color=ORANGE, markersize=7, clip_on=False)
        alignment = "right" if best > last / 2 else "left"
        offset = (0, 9 if maximize else -16)
        note(axes, f"trial {best}: {best_score:.4f}", (best, best_score), offset, color=ORANGE, ha=alignment)
        axes.margins(y=0.15)
        axes.locator_params(axis="y", nbins=5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        legend = "; ×: best score of one given up" if pruned else ""
        axes.set(xlim=(1, max(len(trials), 2)), xlabel=f"trial{legend}", title=f"{score_name}, and the best until then")
        return drawing.svg(
            "Scores of the trials",
            f"{len(complete)} trials complete, {len(trials) - len(complete)} given up. First: {score_name} "
            f"{scores[0]:.4f}. Best: trial {best}, {best_score:.4f}.",
        )


def importance(importances: Mapping[str, float]) -> str:
    """Draw a bar for the importance of each setting.

    Args:
        importances: share of the scores' variance, 0 to 1, by setting, the greatest first.
    """
    with Drawing("importance", height=0.75 + 0.3 * len(importances)) as drawing:
        axes = drawing.axes(left=2.05, right=0.5, top=0.3, grid="x")
        shares = list(importances.values())
        axes.barh(range(len(shares)), shares, 0.6, color=BLUE)
        for row, share in enumerate(shares):
            note(axes, f"{share:.2f}", (share, row), (5, 0), va="center")
        axes.set_yticks(range(len(shares)), [drawing.name(name, 24) for name in importances], color=INK)
        axes.set(ylim=(len(shares) - 0.4, -0.6), xlim=(0, max(*shares, 0.01)))
        axes.set_xlabel("share of the scores' variance")
        axes.locator_params(axis="x", nbins=4)
        description = ", ".join(f"{clean_name(name, 60)} {share:.2f}" for name, share in importances.items())
        return drawing.svg("Importance of the settings", f"Share of the scores' variance: {description}.")


def parallel(ranked: Sequence[TrialDocument], space: Mapping[str, Any], score_name: str) -> str:
    """Draw parallel coordinates: each trial is a line through its settings to its score; the best are highlighted.

    Args:
        ranked: complete trials, the best first.
        space: candidates by setting, as in tuning.json.
    """
    scales = [_scale(candidates, [trial["settings"][name] for trial in ranked]) for name, candidates in space.items()]
    scales.append(_score_scale(_score(ranked[0]), _score(ranked[-1])))
    names = [name.rpartition(".")[2] for name in space] + [score_name.removeprefix("validation ")]
    with Drawing("parallel", width=max(5.2, 0.5 + 1.05 * len(names)), height=3.6) as drawing:
        axes = drawing.axes(left=0.45, right=0.75, top=0.3, bottom=0.5, grid="none")
        for column, (_, ticks) in enumerate(scales):
            axes.axvline(column, color=SOFT, linewidth=0.8)
            for height, text in ticks:
                note(axes, drawing.name(text, 9), (column, height), (3, 2), color=SOFT, fontsize=8.5, bbox=None)
        for rank, trial in reversed(list(enumerate(ranked))):
            values = [*(trial["settings"][name] for name in space), trial["score"]]
            heights = [height_of(value) for (height_of, _), value in zip(scales, values, strict=True)]
            color, width, alpha = _line_style(rank)
            axes.plot(range(len(heights)), heights, color=color, linewidth=width, alpha=alpha, clip_on=False)
        axes.set_xticks(range(len(names)), [drawing.name(name, 13) for name in names], fontsize=8.5, color=INK)
        axes.set_yticks([])
        axes.set(xlim=(0, len(names) - 1), ylim=(-0.02, 1.05))
        settings = ranked[0]["settings"].items()
        best = ", ".join(f"{clean_name(name, 60)} {clean_name(_tick_text(value), 40)}" for name, value in settings)
        return drawing.svg(
            "Settings and scores of the trials",
            f"{len(ranked)} trials. The best, trial {ranked[0]['number']}, has {best}.",
        )


def _line_style(rank: int) -> tuple[str, float, float]:
    """Return color, width and opacity of a trial's line."""
    if rank == 0:
        return ORANGE, 2.2, 1.0
    return (BLUE, 1.4, 0.9) if rank < HIGHLIGHTED else (SOFT, 0.8, 0.45)


def _scale(candidates: Any, values: Sequence[Any]) -> Scale:
    """Return the scale of a setting; values outside the space widen it."""
    if isinstance(candidates, list):
        known = [*candidates, *(value for value in values if value not in candidates)]
        distinct = [value for index, value in enumerate(known) if value not in known[:index]]
        if all(isinstance(value, int | float) for value in distinct):
            distinct.sort()
        heights = {_tick_text(value): index / max(1, len(distinct) - 1) for index, value in enumerate(distinct)}
        return (lambda value: heights[_tick_text(value)]), [(height, text) for text, height in heights.items()]
    low, high = min([candidates["low"], *values]), max([candidates["high"], *values])
    transform = math.log if candidates.get("log") else float
    span = (transform(high) - transform(low)) or 1.0
    ticks = [(0.0, _tick_text(low)), (1.0, _tick_text(high))]
    return (lambda value: (transform(value) - transform(low)) / span), ticks


def _score_scale(best: float, worst: float) -> Scale:
    """Return the scale of the scores, the best on top."""
    span = (best - worst) or 1.0
    return (lambda score: (score - worst) / span), [(0.0, _tick_text(worst)), (1.0, _tick_text(best))]


def _score(trial: TrialDocument) -> float:
    assert trial["score"] is not None
    return trial["score"]


def _tick_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
