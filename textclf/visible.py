"""Text from elsewhere made safe to look at."""

import unicodedata

JOINERS = "\u200c\u200d\ufe0f"  # parts of emoji, and written in Persian


def visible(text: str) -> str:
    """The text with a mark in place of each control character, line end and turn of the writing direction."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    hidden = (category[0] == "C" or category in ("Zl", "Zp")) and character not in JOINERS
    return "\N{REPLACEMENT CHARACTER}" if hidden else character
