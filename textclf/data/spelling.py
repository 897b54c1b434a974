"""Spellings of labels: those that are probably the same, lists as text, and advice on labels that training lacks."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from textclf.errors import UserError
from textclf.io.sanitize import excerpt, join_names

_JOINTS = re.compile("(?<=\\w)[\\s_\\-\u2010-\u2015]+(?=\\w)")  # blanks, hyphens and underscores within a label

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")

MAX_DIGITS = 25  # Decimal rounds longer numbers


def spelling_key(label: str) -> str:
    """Return a key that is the same for all spellings of a label.

    Spellings differ in case, blanks, hyphens, invisible characters, Unicode form, or the form of a number (1 and 1.0).
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    visible = "".join(character for character in folded if not _is_invisible(character)).strip()
    if _NUMBER.fullmatch(visible) and len(visible) < MAX_DIGITS:
        return f"{Decimal(visible).normalize() + 0:f}"  # + 0: no -0
    return _JOINTS.sub(" ", visible)


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"  # variation selectors


def spelling_groups(counts: Mapping[str, int]) -> list[list[str]]:
    """Return groups of labels that are spellings of one, the most frequent of each group first.

    Args:
        counts: number of rows of each label.
    """
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        groups[spelling_key(label)].append(label)
    return [group for group in groups.values() if len(group) > 1]


def other_spellings(labels: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Return the known label for each label that is another spelling of one."""
    by_key = {spelling_key(label): label for label in known}
    return {label: by_key[key] for label in labels if (key := spelling_key(label)) in by_key}


def is_list_as_text(label: str) -> bool:
    """Return True if this is a list of texts or numbers as Python writes it, such as `['a', 'b']`."""
    items = label[1:-1].strip(" \n,")
    if label[:1] + label[-1:] not in ("[]", "()"):
        return False
    has_texts = {items[:1], items[-1:]} <= {"'", '"'}
    return has_texts or (label[0] == "[" and not items.strip("0123456789-.,\n "))


LIST_ADVICE = "Write the labels of a row joined by |, as in a|b, and set data.label_separator to |."


def quoted(label: str) -> str:
    """Return the label in quotes, with escapes for invisible characters and for another Unicode form than NFC."""
    composed = unicodedata.is_normalized("NFC", label)
    shown = "".join(
        character if character.isascii() or (composed and character.isprintable()) else ascii(character)[1:-1]
        for character in label
    )
    return f"'{excerpt(shown)}'"


def spelling_advice(unknown: Iterable[str], known: Iterable[str], *, most: int = 3) -> str:
    """Return a sentence that names the known spelling of labels; empty if none is another spelling of a known one."""
    others = other_spellings(unknown, known)
    named = ", ".join(f"{quoted(known)} for {quoted(label)}" for label, known in list(others.items())[:most])
    return f"Write them as in training: {named}{', ...' if len(others) > most else ''}." if others else ""


def check_known_labels(name: str, counts: Counter[str], known: Sequence[str], *, key: str = "data.label") -> None:
    """Refuse rows if training knows none of their labels.

    Args:
        name: of the files, for messages.
        counts: number of rows of each label.
        key: setting that chose the column, for messages.

    Raises:
        UserError: there are labels, and none is known.
    """
    if counts and counts.keys().isdisjoint(known):
        advice = spelling_advice(sorted(counts), known) or f"Is {key} the right column?"
        raise UserError(
            f"{name}: training knows none of its labels: {join_names(sorted(counts))}; "
            f"it knows: {join_names(known)}. {advice}"
        )
