"""Text from elsewhere made safe to look at."""

import unicodedata

JOINERS = "\u200d\ufe0f"  # parts of emoji


def visible(text: str) -> str:
    """The text with a mark in place of what cannot be seen: control characters, turns of the writing direction."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    hidden = unicodedata.category(character)[0] == "C" and character not in JOINERS
    return "\N{REPLACEMENT CHARACTER}" if hidden else character
