"""A perfect hash table of n-grams: each of a fixed set has a slot of its own, and any other is told from them.

Hash, displace and compress (Belazzougui, Botelho, Dietzfelbinger 2009). Each n-gram has two hashes. The first chooses
its group, and the group's displacement together with the second its slot; displacements are chosen, group by group, so
that no two n-grams share a slot. A slot keeps the first hash of its n-gram as a fingerprint, so one that is not in the
table is taken for one that is with a chance of 1 in 2 billion.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textclf.models.hashing import PRIME, hash_ids

Array = npt.NDArray[Any]

LONGEST = 3  # words of an n-gram

GROUP_FACTORS = 1_540_483_477, 1_181_783_497, 827_301_913

SLOT_FACTORS = 918_273_645, 2_005_117_381, 1_377_401_989

GROUP_SIZE = 3  # n-grams of a group, on average; larger ones are harder to place

LOAD = 0.95  # share of the slots that are filled; an empty slot costs as much memory as a full one

MAX_DISPLACEMENT = 4096  # where a group finds no slots by then, the table gets more

EMPTY = -1  # fingerprint of an empty slot; no hash is negative


class GramTable(NamedTuple):
    """A perfect hash table of n-grams."""

    displacements: npt.NDArray[np.int32]
    """Shape (groups,)."""
    fingerprints: npt.NDArray[np.int32]
    """First hash of the n-gram in each slot, EMPTY if there is none, shape (slots,)."""

    def find(self, grams: Array) -> npt.NDArray[np.int64]:
        """Return the slot of each n-gram, -1 for those that the table does not have, shape (n,).

        Args:
            grams: token ids, zeros behind shorter n-grams, shape (n, 2) or (n, 3).
        """
        if not len(self.fingerprints):
            return np.full(len(grams), EMPTY, np.int64)
        group_hash, slot_hash = _hashes(grams)
        displacements = self.displacements[group_hash % len(self.displacements)].astype(np.int64)
        slots: Array = slot(slot_hash, displacements, len(self.fingerprints))
        return np.where(self.fingerprints[slots] == group_hash, slots, EMPTY)


def slot(slot_hash: Any, displacement: Any, slots: int) -> Any:
    """Return the slot of each n-gram, given its second hash and its group's displacement as int64."""
    return slot_hash * displacement % PRIME % slots


def build_gram_table(grams: Array) -> GramTable:
    """Return the perfect hash table of distinct n-grams.

    Args:
        grams: token ids, zeros behind shorter n-grams, shape (n, 2) or (n, 3).

    Raises:
        ValueError: two n-grams have equal hashes: they are the same, or one of them has three words. Of a million
            n-grams, two do with a chance of 1 in 10 million.
    """
    group_hash, slot_hash = _hashes(grams)
    order = np.lexsort((slot_hash, group_hash))
    equal = (np.diff(group_hash[order]) == 0) & (np.diff(slot_hash[order]) == 0)
    if equal.any():
        first = int(equal.argmax())
        raise ValueError(f"n-grams {grams[order[first]]} and {grams[order[first + 1]]} have equal hashes")
    groups, slots = -(-len(grams) // GROUP_SIZE), int(len(grams) / LOAD) + (len(grams) > 0)
    while (displacements := _place(group_hash, slot_hash, groups, slots)) is None:
        # other groups too, since those with equal second hashes could not be placed however many slots there are
        groups, slots = groups + 1, slots + slots // 32 + 1
    fingerprints = np.full(slots, EMPTY, np.int32)
    if len(grams):
        fingerprints[slot(slot_hash, displacements[group_hash % groups], slots)] = group_hash
    return GramTable(displacements.astype(np.int32), fingerprints)


def _hashes(grams: Array) -> tuple[Array, Array]:
    """Return the two hashes of each n-gram, shape (n,) each."""
    columns = list(grams.astype(np.int64).T)
    return hash_ids(columns, GROUP_FACTORS), hash_ids(columns, SLOT_FACTORS)


def _place(group_hash: Array, slot_hash: Array, groups: int, slots: int) -> Array | None:
    """Return the displacement of each group, shape (groups,); None if a group finds no slots.

    Large groups come first. All groups of one size try a displacement together; of those that want a slot, the first
    gets it.
    """
    group = group_hash % groups if groups else group_hash  # (n,)
    by_group = np.argsort(group, kind="stable")
    sizes = np.bincount(group, minlength=groups)  # (groups,)
    starts = np.cumsum(sizes) - sizes
    displacements = np.zeros(groups, np.int64)
    owners = np.full(slots, EMPTY)  # group of each slot
    for size in range(sizes.max(initial=0), 0, -1):
        waiting = np.flatnonzero(sizes == size)  # (waiting groups,)
        members = slot_hash[by_group[starts[waiting, None] + np.arange(size)]]  # (waiting groups, size)
        for displacement in range(1, MAX_DISPLACEMENT):
            if not len(waiting):
                break
            wanted = slot(members, displacement, slots)  # (waiting groups, size)
            placed = _claim(owners, waiting, wanted)
            displacements[waiting[placed]] = displacement
            waiting, members = waiting[~placed], members[~placed]
        if len(waiting):
            return None
    return displacements


def _claim(owners: Array, groups: Array, wanted: Array) -> npt.NDArray[np.bool_]:
    """Give groups the slots that they want, in place; return True for those that got all, shape (groups,)."""
    ordered = np.sort(wanted, axis=1)
    distinct = (ordered[:, 1:] != ordered[:, :-1]).all(axis=1)
    placed: npt.NDArray[np.bool_] = distinct & (owners[wanted] == EMPTY).all(axis=1)
    groups, wanted = groups[placed], wanted[placed]
    owners[wanted[::-1]] = groups[::-1, None]  # of equal indices NumPy keeps the last
    complete = (owners[wanted] == groups[:, None]).all(axis=1)
    returned = wanted[~complete]
    owners[returned[owners[returned] == groups[~complete, None]]] = EMPTY
    placed[placed] = complete
    return placed
