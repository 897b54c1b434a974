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

# drawn with these, which then give way to the page's variables
INK, SOFT, LINE, A, B, C = "#010101", "#020202", "#030303", "#0a0a0a", "#0b0b0b", "#0c0c0c"

VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line", A: "--a", B: "--b", C: "--c"}

FONT = 10.5  # in units of the drawing, of which a phone shows about 370

POINTS = 72  # units in an inch

LARGEST = 1.6  # pixels a unit: lets the font come out as that of the page

WIDEST = 400  # units that a phone can still show; a wider drawing does not shrink but is scrolled

SCALES_OF_WIDE = (1.1, 1.25)  # least and most pixels a unit

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
    """A name of the user's data on one line, at most `most` columns wide, what cannot be seen shown as U+FFFD."""
    shown = printable(name[: 4 * most])
    if columns(shown) > most or len(name) > 4 * most:
        while columns(shown) >= most:
            shown = shown[:-1]
        shown = shown.rstrip() + "…"
    if any(unicodedata.bidirectional(sign) in ("R", "AL", "AN") for sign in shown):
        return f"\u2068{shown}\u2069"  # so that it does not turn the words around it
    return shown if shown.strip() else "(blank)"


def columns(text: str) -> int:
    """Width in columns; Chinese, Japanese, Korean and emoji take two."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


class Drawing:
    """A figure to draw on, within a `with` that holds off the user's own matplotlib settings.

    Args:
        key: what its ids begin with; no two drawings of a page may have the same.
        width: of the figure, in inches.
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
        """Axes with these margins in inches, and grid lines along `grid`: x, y, both or none."""
        width, height = self.width - left - right, self.height - bottom - top
        box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.patch.set_visible(False)
        for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
            axis.grid(grid in (name, "both"))
        return axes

    def name(self, name: str, most: int = 24) -> str:
        """What to draw for a name of the user's data: it is put in at the end, so matplotlib needs no glyphs for it."""
        self._names.append(clean_name(name, most))
        number = f"[[{len(self._names) - 1}"
        return f"{number}{'x' * (columns(self._names[-1]) - len(number) - 2)}]]"  # as wide as the name

    def squares(self, axes: Any, corners: Iterable[tuple[int, int]], color: str, opacity: float) -> None:
        """Unit squares at corners (x, y), a small gap between them, as one path: thousands stay cheap."""
        steps = [(0.03, 0.03), (0.97, 0.03), (0.97, 0.97), (0.03, 0.97), (0.03, 0.03)]
        points = [(x + right, y + down) for x, y in corners for right, down in steps]
        if points:
            codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * (len(points) // 5)
            # an opacity of 1 would not be written, nor then be seen to belong to the fill
            axes.add_patch(PathPatch(Path(points, codes), facecolor=color, linewidth=0, alpha=min(opacity, 0.99)))

    def svg(self, title: str, description: str) -> str:
        """The drawing as `<svg>...</svg>` for a HTML page, with words for those who do not see it."""
        buffer = io.StringIO()
        self.figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        drawn = buffer.getvalue()
        drawn = _own_ids(_page_style(drawn[drawn.index('<g id="figure_1">') :]), self.key)
        drawn = re.sub(r"\[\[(\d+)x*\]\]", lambda found: html.escape(self._names[int(found[1])]), drawn)
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
    """Page colours and font in place of matplotlib's, and numbers no finer than can be seen."""
    drawn = re.sub(r"#0[0-9a-c]{5}", lambda found: f"var({VARIABLES.get(found[0], '--ink')})", drawn)
    drawn = re.sub(r" ?font-family: [^;\"]*;?", "", drawn)
    drawn = re.sub(r' transform="rotate\(-0 [^"]*"', "", drawn)
    drawn = re.sub(r'(?<= d=")[^"]*', lambda found: " ".join(found[0].split()), drawn)
    return re.sub(r'(?<= (?:d|x|y)=")[^"]*', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), drawn)


def _own_ids(drawn: str, key: str) -> str:
    """Only the ids that something refers to, each with the key before it; links as HTML has them."""
    drawn = drawn.replace("xlink:href", "href")
    used = set(re.findall(r"(?:url\(|href=\")#(\w+)", drawn))
    drawn = re.sub(r' id="([^"]*)"', lambda found: f' id="{key}-{found[1]}"' if found[1] in used else "", drawn)
    return re.sub(r"((?:url\(|href=\")#)", rf"\g<1>{key}-", drawn)


def note(
    axes: Any, text: str, at: tuple[Any, Any], shift: tuple[float, float], coords: Any = "data", **style: Any
) -> None:
    """A text at a point, moved by (right, up) units so that it stands clear of what it names."""
    axes.annotate(text, at, xycoords=coords, xytext=shift, textcoords="offset points", **style)


def percent(share: float) -> str:
    """To a tenth, where there is one: 12.3 %, 100 %."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def tick(axis: Any, values: Iterable[float]) -> None:
    """Ticks at the values, written as short as they are."""
    values = list(values)
    axis.set_ticks(values, [f"{value:g}" for value in values])


def count_axis(axes: Any) -> None:
    """A few ticks at whole numbers on the upright axis, with commas between thousands."""
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value == round(value) else "")
