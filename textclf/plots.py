"""Plots as inline SVG: drawn by matplotlib, coloured by the page, with a title and a description to be read out."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from textclf.curves import Curve, Reliability
from textclf.visible import visible

Array = npt.NDArray[Any]

# what the page's style sheet colours, light and dark
COLOURS = {"ink": "#010101", "soft": "#020202", "line": "#030303", "a": "#040404", "b": "#050505", "c": "#060606"}
INK, SOFT, LINE, A, B, C = COLOURS.values()
WIDTH, HEIGHT = 5.2, 3.2  # inches; read at 300 to 640 pixels
LONGEST_NAME = 28
MOST_WITH_COUNTS = 12  # labels up to which cells hold their counts
MOST_LABELS = 100

STYLE = {
    "svg.fonttype": "none", "text.parse_math": False, "font.family": "sans-serif", "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": LINE, "axes.labelcolor": SOFT,
    "axes.grid": True, "axes.axisbelow": True, "grid.color": LINE, "grid.linewidth": 0.6, "text.color": INK,
    "xtick.color": SOFT, "ytick.color": SOFT, "legend.frameon": False, "axes.titlesize": 11,
    "axes.titlelocation": "left", "lines.linewidth": 1.8,
}  # fmt: skip


def draw(
    name: str, title: str, description: str, paint: Callable[[Any], None], *, panels: int = 1, height: float = HEIGHT
) -> str:
    """An `<svg>` that `paint` draws on axes, or on an array of so many panels; `name` makes its ids its own."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # the reader's own fonts draw the text
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        axes = figure.subplots(1, panels)
        for each in np.ravel(axes):
            each.patch.set_visible(False)
        paint(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _inline(file.getvalue(), name, title, description)


def _inline(svg: str, name: str, title: str, description: str) -> str:
    """The drawing as part of a page: without what would reach beyond it, sized by the page."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*sans-serif", "system-ui, sans-serif", svg)
    svg = re.sub(r'="[^"]*"', lambda value: re.sub(r"(\d+\.\d{2})\d+", r"\1", value[0]), svg)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    box = re.search(r'viewBox="[^"]*"', svg)
    head = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-desc" {box[0] if box else ""} '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'stroke-linejoin="round" stroke-linecap="butt">'
        f'<title id="{name}-title">{escape(visible(title))}</title>'
        f'<desc id="{name}-desc">{escape(visible(description))}</desc>'
    )
    return head + svg[svg.index(">") + 1 :].strip()


def short(name: str, most: int = LONGEST_NAME) -> str:
    """A label's name, cut where it is too long for a plot."""
    name = visible(name)
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def learning_curves(history: Mapping[str, Sequence[float]]) -> str:
    """Loss and validation loss by epoch, and beside them the validation accuracy."""
    epochs = np.arange(1, len(history["loss"]) + 1)

    def paint(axes: Any) -> None:
        for key, colour, title in (("loss", A, "training"), ("val_loss", B, "validation")):
            axes[0].plot(epochs, history[key], color=colour, marker="o", markersize=3, label=title)
        axes[0].set(title="Loss", xlabel="epoch")
        axes[0].legend()
        axes[1].plot(epochs, history["val_accuracy"], color=B, marker="o", markersize=3)
        axes[1].set(title="Validation accuracy", xlabel="epoch")
        axes[1].set_ylim(top=min(1, axes[1].get_ylim()[1]))
        for each in axes:
            each.xaxis.get_major_locator().set_params(integer=True)

    best = int(np.argmin(history["val_loss"]))
    described = f"Validation loss is lowest, {history['val_loss'][best]:.4f}, in epoch {best + 1} of {len(epochs)}."
    return draw("learning", "Learning curves", described, paint, panels=2)


def confusion_matrix(matrix: Array, names: Sequence[str]) -> str:
    """Rows of each label (down) by the label that they were given (across), shape (labels, labels)."""
    described = f"{np.trace(matrix):,} of {matrix.sum():,} rows lie on the diagonal, where the label given is right."
    if len(names) > MOST_LABELS:
        wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
        kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_LABELS])
        matrix, names = matrix[np.ix_(kept, kept)], [names[label] for label in kept]
        described += f" Only the {MOST_LABELS} labels that are confused most often are drawn."
    labels = len(names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = 10 if labels <= MOST_WITH_COUNTS else max(3.2, min(8, 330 / labels))

    def paint(axes: Any) -> None:
        axes.grid(visible=False)
        for truth, chosen in zip(*np.nonzero(matrix), strict=True):
            share, colour = shares[truth, chosen], A if truth == chosen else B
            axes.add_patch(Rectangle((chosen - 0.5, truth - 0.5), 1, 1, color=colour, alpha=0.12 + 0.6 * share, lw=0))
        if labels <= MOST_WITH_COUNTS:
            for (truth, chosen), rows in np.ndenumerate(matrix):
                text = f"{rows:,}" if labels > 5 else f"{rows:,}\n{100 * shares[truth, chosen]:.0f} %"
                axes.text(chosen, truth, text, ha="center", va="center", fontsize=9 if labels <= 5 else 7)
        shown = [short(name, 22 if labels <= MOST_WITH_COUNTS else LONGEST_NAME) for name in names]
        tilt = 0 if labels <= 3 else 90
        axes.set_xticks(range(labels), shown, rotation=tilt, fontsize=size)
        axes.set_yticks(range(labels), shown, fontsize=size)
        axes.tick_params(length=0)
        axes.set(xlim=(-0.5, labels - 0.5), ylim=(labels - 0.5, -0.5), xlabel="given", ylabel="truth")

    height = HEIGHT if labels <= 4 else min(5.4, 2.4 + 0.35 * labels)
    return draw("confusion", "Confusion matrix", described, paint, height=height)


def roc(curves: Mapping[str, Curve], areas: Mapping[str, float]) -> str:
    """True against false positive rate, a line for each name."""
    named = ", ".join(f"{name} {area:.3f}" for name, area in areas.items())

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
        _lines(axes, curves, areas)
        axes.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.02))

    return draw("roc", "ROC curve", f"Area under the curve: {named}.", paint)


def precision_recall(curves: Mapping[str, Curve], areas: Mapping[str, float]) -> str:
    """Precision against recall, a line for each name."""
    named = ", ".join(f"{name} {area:.3f}" for name, area in areas.items())

    def paint(axes: Any) -> None:
        _lines(axes, curves, areas)
        axes.set(title="Precision and recall", xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))

    return draw("pr", "Precision-recall curve", f"Average precision: {named}.", paint)


def _lines(axes: Any, curves: Mapping[str, Curve], areas: Mapping[str, float]) -> None:
    colours = [A, B, C, SOFT, INK]
    for (name, curve), colour in zip(curves.items(), colours, strict=False):
        axes.plot(curve.x, curve.y, color=colour, label=f"{short(name)} {areas[name]:.3f}")
    axes.legend(loc="lower center" if len(curves) == 1 else "lower right", fontsize=8)


def reliability(now: Reliability, before: Reliability | None) -> str:
    """How often rows are right, by how sure the model is, and how many rows there are of each."""
    described = "; ".join(
        f"at {confidence:.2f} it is right in {accuracy:.2f} of {rows:,}"
        for confidence, accuracy, rows in zip(*now, strict=True)
    )

    def paint(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
        if before is not None:
            axes.plot(before.confidence, before.accuracy, color=B, linewidth=1, linestyle="--", label="before scaling")
        axes.plot(now.confidence, now.accuracy, color=A, marker="o", markersize=4, label="now")
        axes.vlines(now.confidence, 0, 0.15 * now.rows / now.rows.max(), color=A, linewidth=6, alpha=0.35)
        axes.set(title="Sure and right", xlabel="probability given", ylabel="share that is right")
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
        axes.legend(loc="upper left", fontsize=8)

    return draw("reliability", "Reliability diagram; the bars are the number of rows", f"{described}.", paint)


def score_histogram(groups: Mapping[str, Array], *, of: str) -> str:
    """How often each probability is given, by group."""
    described = ", ".join(
        f"{name}: {len(scores):,} rows, median {np.median(scores):.2f}"
        for name, scores in groups.items()
        if len(scores)
    )

    def paint(axes: Any) -> None:
        edges = np.linspace(0, 1, 26)
        for (name, scores), colour in zip(groups.items(), (A, B), strict=True):
            counts = np.histogram(scores, edges)[0]
            axes.stairs(counts, edges, color=colour, fill=True, alpha=0.25)
            axes.stairs(counts, edges, color=colour, label=short(name))
        axes.set(title="Scores", xlabel=short(of, 50), ylabel="rows", xlim=(0, 1))
        axes.legend(fontsize=8)

    return draw("scores", "Score histogram", f"{described}.", paint)


def thresholds(at: Array, measures: Mapping[str, Array], *, chosen: float) -> str:
    """Precision, recall and F1 by the threshold, shape (k,) each, with the one chosen."""
    place = int(np.abs(at - chosen).argmin())
    named = ", ".join(f"{name} {values[place]:.3f}" for name, values in measures.items())

    def paint(axes: Any) -> None:
        for (name, values), colour in zip(measures.items(), (A, B, C), strict=True):
            axes.plot(at, values, color=colour, label=name)
        axes.axvline(chosen, color=INK, linewidth=1)
        if chosen != 0.5:
            axes.axvline(0.5, color=SOFT, linewidth=0.8, linestyle=":")
        axes.set(title="By threshold", xlabel="probability from which the label is given", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(fontsize=8)

    return draw("thresholds", "Precision, recall and F1 by threshold", f"At {chosen:.3f}: {named}.", paint)


def coverage(curve: Curve) -> str:
    """Accuracy by the share of rows that are kept, the surest first."""
    half = curve.y[np.abs(curve.x - 0.5).argmin()]
    described = f"Of the surest half of the rows {100 * half:.1f} % are right, of all {100 * curve.y[-1]:.1f} %."

    def paint(axes: Any) -> None:
        axes.plot(100 * curve.x, 100 * curve.y, color=A)
        axes.set(title="If unsure rows are left out", xlabel="% of rows kept", ylabel="% of them right", xlim=(0, 100))

    return draw("coverage", "Accuracy against coverage", described, paint)


def text_lengths(edges: Sequence[int], counts: Sequence[int], *, cut: int) -> str:
    """How many texts have how many tokens; the last bar is that of all longer ones."""
    width = edges[1] - edges[0]

    def paint(axes: Any) -> None:
        beyond = np.array(edges) >= cut
        axes.bar(edges, counts, width=0.9 * width, align="edge", color=[B if far else A for far in beyond], alpha=0.7)
        if cut <= edges[-1] + width:
            axes.axvline(cut, color=INK, linewidth=1)
            axes.annotate(" cut", (cut, max(counts)), color=INK, fontsize=9)
        axes.set(xlabel="tokens of a text", ylabel="texts")

    described = f"Most texts, {max(counts):,}, have {edges[int(np.argmax(counts))]} tokens or up to {width - 1} more."
    return draw("lengths", "Text lengths", f"{described} They are cut at {cut}.", paint, height=2.4)


def slices(name: str, groups: Sequence[Mapping[str, Any]], *, overall: float, worst: str | None) -> str:
    """The accuracy of each group with its interval."""
    described = ", ".join(f"{each['name']} {each['accuracy']:.3f}" for each in groups)

    def paint(axes: Any) -> None:
        for place, each in enumerate(groups):
            colour = B if each["name"] == worst else A
            axes.plot(each["interval"], [place, place], color=colour, linewidth=1.4)
            axes.plot(each["accuracy"], place, color=colour, marker="o", markersize=5)
        axes.axvline(overall, color=SOFT, linewidth=0.8, linestyle=":")
        axes.set_yticks(range(len(groups)), [short(each["name"]) for each in groups])
        axes.set(xlabel="accuracy; dotted: of all rows", ylim=(len(groups) - 0.5, -0.5))

    described += f"; of all rows {overall:.3f}."
    return draw(name, "Accuracy by group", described, paint, height=0.9 + 0.28 * len(groups))
