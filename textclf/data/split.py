"""Splits into training and validation rows: stratified, seeded, equal texts in the same part."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textclf.data.rows import Labels, split_labels


@dataclass(frozen=True)
class SplitRows:
    """Row ids of training and validation rows, ascending."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]


TOLERANCE = 0.01  # largest difference between the requested and the actual fraction of held-out rows

MIN_HELD_OUT = 2  # rows; fewer cannot validate even two labels


def split(
    labels: Labels, keys: npt.NDArray[np.uint64], *, fraction: float, seed: int, separator: str | None = None
) -> SplitRows:
    """Split rows into training and validation rows, stratified by label, with equal texts in the same part.

    Rows with equal keys form a group, which stays together. Groups are split label by label; multilabel: by the
    rarest label of each row, so that rare labels reach both parts. Each label has at least one row in both, unless too
    many labels have few rows to keep the fraction.

    Args:
        keys: hash of each row's text, shape (n,).
        fraction: of the rows that become validation rows.
    """
    first_rows, group = _group_rows(keys)
    sizes = np.bincount(group, minlength=len(first_rows))  # (groups,)
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(first_rows), bool)  # (groups,)
    strata = [stratum[rng.permutation(len(stratum))] for stratum in _strata(labels, first_rows, separator)]
    for stratum in strata:
        _hold_out(stratum, sizes, held_out, rows=max(1, round(fraction * int(sizes[stratum].sum()))))
    _keep_fraction(strata, sizes, held_out, fraction, rng)
    return _split_rows(labels, group, held_out, separator)


def folds(
    labels: Labels, keys: npt.NDArray[np.uint64], *, count: int, seed: int, separator: str | None = None
) -> list[SplitRows]:
    """Return stratified splits for cross-validation, in which each row is a validation row once.

    Groups are formed as by `split`. Each goes to the fold that has the fewest rows of its label, and of those to the
    one that has the fewest rows in all. A row whose label no other text has is a validation row of no fold.
    """
    first_rows, group = _group_rows(keys)
    sizes = np.bincount(group, minlength=len(first_rows))  # (groups,)
    rng = np.random.default_rng(seed)
    fold = np.empty(len(first_rows), np.int64)  # (groups,)
    rows = np.zeros(count, np.int64)  # (folds,)
    for stratum in _strata(labels, first_rows, separator):
        rows_of_label = np.zeros(count, np.int64)  # (folds,)
        for member in stratum[rng.permutation(len(stratum))].tolist():
            fold[member] = np.lexsort((rows, rows_of_label))[0]
            rows_of_label[fold[member]] += sizes[member]
            rows[fold[member]] += sizes[member]
    return [_split_rows(labels, group, fold == index, separator) for index in range(count)]


def _group_rows(keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Group rows with equal keys.

    Returns:
        The first row of each group, ascending, shape (groups,), and the group of each row, shape (n,).
    """
    _, first_rows, group = np.unique(keys, return_index=True, return_inverse=True)  # groups in the order of keys
    order = np.argsort(first_rows)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first_rows[order], rank[group]


def _strata(labels: Labels, first_rows: npt.NDArray[np.int64], separator: str | None) -> list[npt.NDArray[np.int64]]:
    """Return the groups of each label, given their first rows; multilabel: of the rarest label of each row."""
    counts = labels.counts(separator)
    rarest = [
        min(split_labels(field, separator), key=lambda name: (counts[name], name), default="")
        for field in labels.fields
    ]
    index = {name: position for position, name in enumerate(sorted(set(rarest)))}
    stratum = np.array([index[name] for name in rarest], np.int64)[labels.codes[first_rows]]  # (groups,)
    by_stratum = np.argsort(stratum, kind="stable")  # (groups,)
    return np.split(by_stratum, np.flatnonzero(np.diff(stratum[by_stratum])) + 1)


def _hold_out(
    stratum: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], *, rows: int
) -> int:
    """Hold out up to `rows` more rows of a stratum, but never its last group; return how many it held out."""
    missing = rows
    kept = len(stratum) - int(held_out[stratum].sum())
    for group in stratum.tolist():
        if missing == 0 or kept <= 1:
            break
        # a larger group is skipped: one repeated text must not fill the validation rows
        if not held_out[group] and sizes[group] <= missing:
            held_out[group] = True
            missing -= int(sizes[group])
            kept -= 1
    return rows - missing


def _keep_fraction(
    strata: list[npt.NDArray[np.int64]],
    sizes: npt.NDArray[np.int64],
    held_out: npt.NDArray[np.bool_],
    fraction: float,
    rng: np.random.Generator,
) -> None:
    """Return groups to training, or hold out more, until the held-out rows are the fraction of all rows.

    Where many labels have two rows, one of each is held out, which can be half of all rows. Where many labels round
    down, or have a single text, too few rows are held out.
    """
    total = int(sizes.sum())
    target = max(fraction * total, min(MIN_HELD_OUT, total))
    missing = target - int(sizes[held_out].sum())
    if abs(missing) <= max(TOLERANCE * total, 1):
        return
    rows = np.array([sizes[stratum].sum() for stratum in strata])  # (strata,)
    held_rows = np.array([sizes[stratum][held_out[stratum]].sum() for stratum in strata])
    fewest_first = np.lexsort((rng.random(len(strata)), held_rows - fraction * rows))  # (strata,)
    missing += _return_rows([strata[index] for index in fewest_first[::-1]], sizes, held_out, rows=-missing)
    _hold_out_evenly([strata[index] for index in fewest_first], sizes, held_out, rows=missing)


def _return_rows(
    strata: list[npt.NDArray[np.int64]], sizes: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], *, rows: float
) -> int:
    """Return the last held-out group of each stratum to training, up to `rows` in all; return how many these are."""
    excess = rows
    for stratum in strata:
        held = stratum[held_out[stratum]]
        if len(held) and sizes[held[-1]] <= excess:
            held_out[held[-1]] = False
            excess -= int(sizes[held[-1]])
    return int(rows - excess)


def _hold_out_evenly(
    strata: list[npt.NDArray[np.int64]], sizes: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], *, rows: float
) -> None:
    """Hold out up to `rows` more rows, from each stratum by its size, until no stratum has one to spare."""
    total = int(sizes.sum())
    missing, before = rows, float("inf")
    while 1 <= missing < before:
        before = missing
        for stratum in strata:
            smallest = int(sizes[stratum][~held_out[stratum]].min())
            quota = min(missing, max(smallest, before * sizes[stratum].sum() / total))
            missing -= _hold_out(stratum, sizes, held_out, rows=int(quota))


def _split_rows(
    labels: Labels, group: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], separator: str | None
) -> SplitRows:
    """Return the split that holds out groups, except those without which training would have no row of some label.

    Args:
        group: group of each row, shape (n,).
        held_out: True for held-out groups, shape (groups,).
    """
    held_out = held_out.copy()
    held_out[_groups_of_lost_labels(labels, group, held_out[group], separator)] = False
    return SplitRows(np.flatnonzero(~held_out[group]), np.flatnonzero(held_out[group]))


def _groups_of_lost_labels(
    labels: Labels, group: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], separator: str | None
) -> npt.NDArray[np.int64]:
    """Return the held-out groups without which training has no row of some label.

    Args:
        held_out: True for held-out rows, shape (n,).
    """
    counts, validated = labels.counts(separator), labels.take(np.flatnonzero(held_out)).counts(separator)
    lost = {name for name in counts if validated[name] == counts[name]}
    loses_label = np.array([not lost.isdisjoint(split_labels(field, separator)) for field in labels.fields], bool)
    return group[held_out & loses_label[labels.codes]]
