"""Labelled texts, some of which have a wrong label."""

FLIPPED = {7, 40, 90}
"""The rows with a wrong label."""

WORDS = {"pos": ["good", "lovely", "fine", "great"], "neg": ["bad", "awful", "poor", "cold"]}


def other(label: str) -> str:
    return "neg" if label == "pos" else "pos"


def rows() -> list[tuple[str, str]]:
    """Return the text and the label of 120 rows."""
    texts = [
        (f"{first} and {second} {thing}", label)
        for thing in ("tea", "room", "staff", "food", "bed")
        for label, words in WORDS.items()
        for first in words
        for second in words
        if first != second
    ]
    return [(text, other(label) if row in FLIPPED else label) for row, (text, label) in enumerate(texts)]
