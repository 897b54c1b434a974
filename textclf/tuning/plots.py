"""The plots of a tuning's report, each as an inline <svg>: how the search went, and which settings did well.

As in `plots`, `key` begins the ids of a plot. A trial is one of tuning.json.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from textclf.report.svg import INK, SOFT, A, B, Drawing, clean_name, note

Trials = Sequence[Mapping[str, Any]]

BRIGHT = 5  # best trials that stand out in parallel coordinates


def history(trials: Trials, *, best: int, score: str, up: bool, key: str = "history") -> str:
    """The score of each trial in the order in which they began, and the best until then.

    Args:
        best: number of the best trial.
        score: name of the score.
        up: whether a greater one is better.
    """
    complete = [trial for trial in trials if trial["state"] == "complete"]
    pruned = [trial for trial in trials if trial["state"] == "pruned" and trial["steps"]]
    numbers, scores = [trial["number"] for trial in complete], np.array([trial["score"] for trial in complete], float)
    until = np.maximum.accumulate(scores) if up else np.minimum.accumulate(scores)
    with Drawing(key) as drawing:
        axes = drawing.axes(left=0.7)
        axes.plot(
            [*numbers, len(trials)], [*until, until[-1]], color=A, linewidth=1.4, drawstyle="steps-post", clip_on=False
        )
        axes.plot(numbers, scores, "o", color=A, markersize=4.5, clip_on=False)
        if pruned:
            reached = [max(trial["steps"]) if up else min(trial["steps"]) for trial in pruned]
            axes.plot([trial["number"] for trial in pruned], reached, "x", color=SOFT, markersize=5, clip_on=False)
        at = numbers.index(best)
        axes.plot(best, scores[at], "o", color=B, markersize=7, clip_on=False)
        side = "right" if best > len(trials) / 2 else "left"
        shift = (0, 9 if up else -16)
        note(axes, f"trial {best}: {scores[at]:.4f}", (best, scores[at]), shift, color=B, ha=side)
        axes.margins(y=0.15)
        axes.locator_params(axis="y", nbins=5)
        axes.xaxis.get_major_locator().set_params(integer=True)
        given_up = "; ×: best score of one given up" if pruned else ""
        axes.set(xlim=(1, max(len(trials), 2)), xlabel=f"trial{given_up}", title=f"{score}, and the best until then")
        return drawing.svg(
            "Scores of the trials",
            f"{len(complete)} trials complete, {len(trials) - len(complete)} given up. First: {score} {scores[0]:.4f}. "
            f"Best: trial {best}, {scores[at]:.4f}.",
        )


def importance(shares: Mapping[str, float], *, key: str = "importance") -> str:
    """How much each setting matters, greatest first.

    Args:
        shares: of the scores' variance, 0 to 1, by setting.
    """
    with Drawing(key, height=0.75 + 0.3 * len(shares)) as drawing:
        axes = drawing.axes(left=2.05, right=0.5, top=0.3, grid="x")
        values = list(shares.values())
        axes.barh(range(len(values)), values, 0.6, color=A)
        for row, value in enumerate(values):
            note(axes, f"{value:.2f}", (value, row), (5, 0), va="center")
        axes.set_yticks(range(len(values)), [drawing.name(name, 24) for name in shares], color=INK)
        axes.set(ylim=(len(values) - 0.4, -0.6), xlim=(0, max(*values, 0.01)))
        axes.set_xlabel("share of the scores' variance")
        axes.locator_params(axis="x", nbins=4)
        said = ", ".join(f"{clean_name(name, 60)} {value:.2f}" for name, value in shares.items())
        return drawing.svg("Importance of the settings", f"Share of the scores' variance: {said}.")


def parallel(ranked: Trials, space: Mapping[str, Any], *, score: str, key: str = "parallel") -> str:
    """A line a trial through its settings to its score, the best of which is on top; the best lines stand out.

    Args:
        ranked: complete trials, the best first.
        space: candidates by setting, as tuning.json has them.
        score: name of the score.
    """
    scales = [_scale(candidates, [trial["settings"][name] for trial in ranked]) for name, candidates in space.items()]
    scales.append(_score_scale(ranked[0]["score"], ranked[-1]["score"]))
    names = [name.rpartition(".")[2] for name in space] + [score.removeprefix("validation ")]
    with Drawing(key, width=max(5.2, 0.5 + 1.05 * len(names)), height=3.6) as drawing:
        axes = drawing.axes(left=0.45, right=0.75, top=0.3, bottom=0.5, grid="none")
        for place, (_, ticks) in enumerate(scales):
            axes.axvline(place, color=SOFT, linewidth=0.8)
            for height, text in ticks:
                label = drawing.name(text, 9)
                note(axes, label, (place, height), (3, 2), color=SOFT, fontsize=8.5, bbox=None)
        for rank in reversed(range(len(ranked))):
            values = [*(ranked[rank]["settings"][name] for name in space), ranked[rank]["score"]]
            heights = [scale(value) for (scale, _), value in zip(scales, values, strict=True)]
            color, width, alpha = (B, 2.2, 1.0) if rank == 0 else (A, 1.4, 0.9) if rank < BRIGHT else (SOFT, 0.8, 0.45)
            axes.plot(range(len(heights)), heights, color=color, linewidth=width, alpha=alpha, clip_on=False)
        axes.set_xticks(range(len(names)), [drawing.name(name, 13) for name in names], fontsize=8.5, color=INK)
        axes.set_yticks([])
        axes.set(xlim=(0, len(names) - 1), ylim=(-0.02, 1.05))
        best = ranked[0]["settings"]
        said = ", ".join(f"{clean_name(name, 60)} {clean_name(_text(value), 40)}" for name, value in best.items())
        return drawing.svg(
            "Settings and scores of the trials",
            f"{len(ranked)} trials. The best, trial {ranked[0]['number']}, has {said}.",
        )


def _scale(candidates: Any, values: Sequence[Any]) -> tuple[Any, list[tuple[float, str]]]:
    """What gives the height of a value, 0 to 1, and heights with what stands there; values outside the space too."""
    if isinstance(candidates, list):
        known = [*candidates, *(value for value in values if value not in candidates)]
        kept = [value for number, value in enumerate(known) if value not in known[:number]]
        if all(isinstance(value, int | float) for value in kept):
            kept.sort()
        heights = {_text(value): place / max(1, len(kept) - 1) for place, value in enumerate(kept)}
        return (lambda value: heights[_text(value)]), [(height, text) for text, height in heights.items()]
    low, high = min([candidates["low"], *values]), max([candidates["high"], *values])
    place = math.log if candidates.get("log") else float
    span = (place(high) - place(low)) or 1.0
    return (lambda value: (place(value) - place(low)) / span), [(0.0, _text(low)), (1.0, _text(high))]


def _score_scale(best: float, worst: float) -> tuple[Any, list[tuple[float, str]]]:
    """The same for scores, the best on top."""
    span = (best - worst) or 1.0
    return (lambda score: (score - worst) / span), [(0.0, _text(worst)), (1.0, _text(best))]


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
