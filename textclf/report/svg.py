"""An inline <svg> from a matplotlib figure, in the colours and the font of the page around it."""

import html
import io
import re
import unicodedata
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from textclf.io.sanitize import printable

# matplotlib draws with these colours, which are then replaced by the page's variables
INK, SOFT, LINE, BLUE, ORANGE, GREEN = "#010101", "#020202", "#030303", "#0a0a0a", "#0b0b0b", "#0c0c0c"

VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line", BLUE: "--blue", ORANGE: "--orange", GREEN: "--green"}

FONT = 10.5  # in units of the drawing; a phone is about 370 units wide

POINTS = 72  # units in an inch

LARGEST = 1.6  # pixels per unit: makes the font as large as that of the page

WIDEST = 400  # units that a phone can show; a wider drawing is scrolled instead of shrunk

SCALES_OF_WIDE = (1.1, 1.25)  # fewest and most pixels per unit of a wide drawing

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib; only to measure, the page has its own
    "font.size": FONT,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": FONT,
    "axes.titlecolor": SOFT,
    "axes.titlelocation": "left",
    "axes.labelcolor": SOFT,
    "axes.labelpad": 3,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.02,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.bottom": False,
    "ytick.left": False,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "butt",
    "path.simplify_threshold": 0.25,  # units: thousands of points of a curve become about a hundred
    "legend.frameon": False,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "svg.fonttype": "none",
    **{f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")},
}


def clean_name(name: str, most: int = 24) -> str:
    """Return a label or file name cut to `most` columns, with unprintable characters as U+FFFD."""
    shown = printable(name[: 4 * most])
    if columns(shown) > most or len(name) > 4 * most:
        while columns(shown) >= most:
            shown = shown[:-1]
        shown = shown.rstrip() + "…"
    if any(unicodedata.bidirectional(sign) in ("R", "AL", "AN") for sign in shown):
        return f"\u2068{shown}\u2069"  # so that it does not turn the words around it
    return shown if shown.strip() else "(blank)"


def columns(text: str) -> int:
    """Return the width of a text in columns; Chinese, Japanese, Korean and emoji take two."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


class Drawing:
    """A figure to draw on, within a `with` that keeps out the user's own matplotlib settings.

    Args:
        key: prefix of its ids; no two drawings of a page may have the same.
        width: in inches.
        height: in inches.
    """

    def __init__(self, key: str, *, width: float = 5.2, height: float = 3.2) -> None:
        self.key, self.width, self.height = key, width, height
        self._names: list[str] = []

    def __enter__(self) -> "Drawing":
        defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
        self._settings = matplotlib.rc_context({**defaults, **STYLE, "svg.hashsalt": self.key})
        self._settings.__enter__()
        self.figure = Figure(figsize=(self.width, self.height))
        self.figure.patch.set_visible(False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settings.__exit__(kind, error, trace)

    def axes(
        self, *, left: float = 0.55, bottom: float = 0.5, right: float = 0.15, top: float = 0.35, grid: str = "both"
    ) -> Any:
        """Add axes with these margins in inches, and grid lines along `grid`: x, y, both or none."""
        width, height = self.width - left - right, self.height - bottom - top
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.patch.set_visible(False)
        for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
            axis.grid(grid in (name, "both"))
        return axes

    def name(self, name: str, most: int = 24) -> str:
        """Return a placeholder of the same width for a name of the user's data, so that matplotlib needs no glyphs."""
        self._names.append(clean_name(name, most))
        placeholder = f"[[{len(self._names) - 1}"
        return f"{placeholder}{'x' * (columns(self._names[-1]) - len(placeholder) - 2)}]]"

    def squares(self, axes: Any, corners: Iterable[tuple[int, int]], color: str, opacity: float) -> None:
        """Draw unit squares at corners (x, y), a small gap between them, as one path: thousands stay cheap."""
        outline = [(0.03, 0.03), (0.97, 0.03), (0.97, 0.97), (0.03, 0.97), (0.03, 0.03)]
        points = [(x + right, y + down) for x, y in corners for right, down in outline]
        if points:
            codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * (len(points) // 5)
            # matplotlib leaves out an opacity of 1, and `fill-opacity` must be there
            axes.add_patch(PathPatch(Path(points, codes), facecolor=color, linewidth=0, alpha=min(opacity, 0.99)))

    def svg(self, title: str, description: str) -> str:
        """Return the drawing as `<svg>...</svg>` for an HTML page, titled and described for screen readers."""
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        drawn = buffer.getvalue()
        drawn = _own_ids(_page_style(drawn[drawn.index('<g id="figure_1">') :]), self.key)
        drawn = re.sub(r"\[\[(\d+)x*\]\]", lambda match: html.escape(self._names[int(match[1])]), drawn)
        width, height = self.width * POINTS, self.height * POINTS
        least, most = SCALES_OF_WIDE if width > WIDEST else (0.0, LARGEST)
        size = f"width:100%;min-width:{least * width:.0f}px;max-width:{most * width:.0f}px;height:auto"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{self.key}-title {self.key}-desc" '
            f'viewBox="0 0 {width:.5g} {height:.5g}" style="display:block;{size};stroke-linejoin:round">\n'
            f'<title id="{self.key}-title">{html.escape(title)}</title>\n'
            f'<desc id="{self.key}-desc">{html.escape(description)}</desc>\n{drawn}'
        )


def _page_style(drawn: str) -> str:
    """Replace matplotlib's colours and font by the page's, and round coordinates to two decimals."""
    drawn = re.sub(r"#0[0-9a-c]{5}", lambda match: f"var({VARIABLES.get(match[0], '--ink')})", drawn)
    drawn = re.sub(r" ?font-family: [^;\"]*;?", "", drawn)
    drawn = re.sub(r' transform="rotate\(-0 [^"]*"', "", drawn)
    drawn = re.sub(r'(?<= d=")[^"]*', lambda match: " ".join(match[0].split()), drawn)
    return re.sub(r'(?<= (?:d|x|y)=")[^"]*', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), drawn)


def _own_ids(drawn: str, key: str) -> str:
    """Prefix the ids that are referred to with the key, remove the others, and write links as HTML does."""
    drawn = drawn.replace("xlink:href", "href")
    used = set(re.findall(r"(?:url\(|href=\")#(\w+)", drawn))
    drawn = re.sub(r' id="([^"]*)"', lambda match: f' id="{key}-{match[1]}"' if match[1] in used else "", drawn)
    return re.sub(r"((?:url\(|href=\")#)", rf"\g<1>{key}-", drawn)


def note(
    axes: Any, text: str, at: tuple[Any, Any], shift: tuple[float, float], coords: Any = "data", **style: Any
) -> None:
    """Write a text at a point, shifted by (right, up) units so that it does not cover the point."""
    axes.annotate(text, at, xycoords=coords, xytext=shift, textcoords="offset points", **style)


def percent(share: float) -> str:
    """Format a share as a percentage with one decimal, which is left out if 0: 12.3 %, 100 %."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def tick(axis: Any, values: Iterable[float]) -> None:
    """Set ticks at the values, labelled in as few digits as possible."""
    values = list(values)
    axis.set_ticks(values, [f"{value:g}" for value in values])


def count_axis(axes: Any) -> None:
    """Set a few ticks at integers on the vertical axis, with thousands separators."""
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value == round(value) else "")
