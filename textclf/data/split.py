"""Rows dealt to training and validation: stratified, seeded, a text never on both sides."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textclf.data.rows import Labels, split_labels


@dataclass(frozen=True)
class SplitRows:
    """Numbers of the rows on each side, ascending."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    rare: list[str]
    """Labels with too few texts to be on both sides; their rows are all in train."""


def split(
    labels: Labels, keys: npt.NDArray[np.uint64], *, fraction: float, seed: int, separator: str | None = None
) -> SplitRows:
    """A stratified split in which no text stands on both sides.

    Rows with the same key form a group, which goes to one side whole. Groups are dealt label by label; with several
    labels a row, by its rarest, so that rare labels reach both sides first.
    """
    first, group = _groups(keys)
    sizes = np.bincount(group, minlength=len(first))
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(first), bool)
    for groups in _strata(labels, first, separator):
        held_out[_deal(groups, sizes, fraction, rng)] = True
    return _sides(labels, group, held_out, separator)


def folds(
    labels: Labels, keys: npt.NDArray[np.uint64], *, count: int, seed: int, separator: str | None = None
) -> list[SplitRows]:
    """So many stratified splits for cross-validation: no row is held out by two, and no text stands on both sides.

    Groups are dealt as by `split`, each to the fold that has the fewest rows of its label; of several, to the one with
    the fewest rows of all. A row is held out by none where only it has its label.
    """
    first, group = _groups(keys)
    sizes = np.bincount(group, minlength=len(first))
    rng = np.random.default_rng(seed)
    fold = np.empty(len(first), np.int64)
    rows = np.zeros(count, np.int64)
    for groups in _strata(labels, first, separator):
        own = np.zeros(count, np.int64)
        for each in groups[rng.permutation(len(groups))].tolist():
            fold[each] = np.lexsort((rows, own))[0]
            own[fold[each]] += sizes[each]
            rows[fold[each]] += sizes[each]
    return [_sides(labels, group, fold == number, separator) for number in range(count)]


def _strata(labels: Labels, first: npt.NDArray[np.int64], separator: str | None) -> list[npt.NDArray[np.int64]]:
    """The groups that begin with these rows, by the label of that row, of several the rarest."""
    counts = labels.counts(separator)
    rarest = [
        min(split_labels(field, separator), key=lambda name: (counts[name], name), default="")
        for field in labels.fields
    ]
    numbers = {name: index for index, name in enumerate(sorted(set(rarest)))}
    stratum = np.array([numbers[name] for name in rarest], np.int64)[labels.codes[first]]
    by_stratum = np.argsort(stratum, kind="stable")
    return np.split(by_stratum, np.flatnonzero(np.diff(stratum[by_stratum])) + 1)


def _sides(
    labels: Labels, group: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], separator: str | None
) -> SplitRows:
    """The split that holds these groups out, given the group of each row."""
    held_out = held_out.copy()
    held_out[_unlearnable(labels, group, held_out[group], separator)] = False
    validation, train = np.flatnonzero(held_out[group]), np.flatnonzero(~held_out[group])
    seen = labels.take(validation).counts(separator)
    return SplitRows(train, validation, [name for name in sorted(labels.counts(separator)) if name not in seen])


def _groups(keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First row of each group of equal keys, in the order of the rows, and the group of each row, shape (n,)."""
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[group]


def _deal(
    groups: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64], fraction: float, rng: np.random.Generator
) -> list[int]:
    """Groups to hold out: as many rows as the fraction asks for, at least one, and never all groups."""
    wanted = max(1, round(fraction * int(sizes[groups].sum())))
    held_out: list[int] = []
    for found in groups[rng.permutation(len(groups))].tolist():
        if wanted == 0 or len(held_out) == len(groups) - 1:
            break
        # a group that is too large is passed over: one text that recurs must not fill the validation rows
        if sizes[found] <= wanted:
            held_out.append(found)
            wanted -= int(sizes[found])
    return held_out


def _unlearnable(
    labels: Labels, group: npt.NDArray[np.int64], held_out: npt.NDArray[np.bool_], separator: str | None
) -> npt.NDArray[np.int64]:
    """Groups among the rows held out with a label that would be in no other row."""
    counts, seen = labels.counts(separator), labels.take(np.flatnonzero(held_out)).counts(separator)
    lost = {name for name in counts if seen[name] == counts[name]}
    fields = np.array([not lost.isdisjoint(split_labels(field, separator)) for field in labels.fields], bool)
    return group[held_out & fields[labels.codes]]
