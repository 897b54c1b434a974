"""Texts with the labels that were predicted for them, as a table in a notebook."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.io.notebook import html_table
from textclf.io.sanitize import excerpt

SHOWN_ROWS, SHOWN_CHARACTERS = 50, 100  # at most, in a notebook


class LabelledText(NamedTuple):
    """A text, its predicted label and the probability of that label."""

    text: str
    label: str
    """Several labels are joined by the separator of the training data."""
    probability: float


@dataclass(frozen=True)
class LabelledTexts:
    """The predictions for n texts, which a notebook shows as a table."""

    texts: list[str]
    labels: list[str]
    """The predicted label of each text; several are joined by the separator of the training data."""
    confidence: npt.NDArray[np.float64] = field(repr=False)
    """The probability of each text's label, shape (n,)."""

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[LabelledText]:
        return map(LabelledText, self.texts, self.labels, self.confidence.tolist())

    def _repr_html_(self) -> str:
        """Return the first rows as a table."""
        rows = [
            (excerpt(row.text, longest=SHOWN_CHARACTERS), row.label, f"{row.probability:.4f}")
            for row, _ in zip(self, range(SHOWN_ROWS), strict=False)
        ]
        shown = f"the first {SHOWN_ROWS} of " if len(self) > SHOWN_ROWS else ""
        return html_table(("text", "label", "probability"), rows, caption=f"{shown}{len(self):,} texts")
