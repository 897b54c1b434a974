"""N-grams of tokens, chosen by how many texts have them and counted in each text, and n-grams of characters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, hstack

from textclf.text.encoding import UNKNOWN, Tokens

Array = npt.NDArray[Any]

NONE = -1  # index where there is no chosen n-gram

MAX_TABLE = 1 << 24  # smaller keys, such as those of tokens, index a table, which takes a tenth of the time of sorting


@dataclass(frozen=True)
class NGrams:
    """The chosen n-grams, each a column of the counts: first single tokens, then pairs, and so on."""

    keys: list[npt.NDArray[np.int64]]
    """Of the n-grams of each order, ascending. The key of a token is its id. That of a longer n-gram is 2 ** 32 times
    the index of its prefix, which is all but the last token, among the n-grams of the order below, plus the id of the
    last token."""

    def __len__(self) -> int:
        return sum(map(len, self.keys))

    def count(self, tokens: Tokens) -> csr_matrix:
        """Return how often each text has each n-gram, shape (texts, n-grams)."""
        rows, columns, first = [], [], 0
        row_of_token, indices = _row_of_token(tokens), None
        for keys in self.keys:
            indices = _search(keys, _keys(tokens, indices))  # (tokens,)
            present = np.flatnonzero(indices != NONE)
            rows.append(row_of_token[present])
            columns.append(indices[present] + first)
            first += len(keys)
        return _count(np.concatenate(rows), np.concatenate(columns), shape=(len(tokens), first))

    def token_ids(self) -> npt.NDArray[np.int64]:
        """Return the token ids of each n-gram, zeros behind those of shorter ones, shape (n-grams, order)."""
        orders: list[Array] = []
        for position, keys in enumerate(self.keys):
            token_ids = np.zeros((len(keys), len(self.keys)), np.int64)
            if position:
                token_ids += orders[-1][keys >> 32]
            token_ids[:, position] = keys & 0xFFFFFFFF
            orders.append(token_ids)
        return np.concatenate(orders)


def choose_ngrams(tokens: Tokens, *, order: int, min_texts: int) -> tuple[NGrams, csr_matrix]:
    """Choose all n-grams of up to `order` tokens that at least `min_texts` texts have; UNKNOWN is part of none.

    Returns:
        The n-grams, and how often each text has each, shape (texts, n-grams).
    """
    chosen: list[npt.NDArray[np.int64]] = []
    counts: list[csr_matrix] = []
    rows, indices = _row_of_token(tokens), None
    for _ in range(order):
        keys = _keys(tokens, indices)  # (tokens,)
        ends = np.flatnonzero(keys != NONE)  # the tokens that end an n-gram
        candidates, inverse, occurrences = _distinct(keys[ends])
        frequent = occurrences >= min_texts  # the exact test follows, of fewer n-grams
        ends, columns = _keep_columns(ends, inverse, frequent)
        counted = _count(rows[ends], columns, shape=(len(tokens), int(frequent.sum())))
        kept = np.bincount(counted.indices, minlength=counted.shape[1]) >= min_texts
        ends, columns = _keep_columns(ends, columns, kept)
        indices = np.full(len(keys), NONE)
        indices[ends] = columns
        chosen.append(candidates[frequent][kept])
        counts.append(counted[:, kept])
    return NGrams(chosen), hstack(counts, "csr")


def _keep_columns(ends: Array, columns: Array, kept: Array) -> tuple[Array, Array]:
    """Return the ends of the n-grams that are kept, and their columns among these.

    Args:
        ends: index of the last token of each n-gram, shape (n,).
        columns: of each, shape (n,).
        kept: True for the columns that are kept, shape (columns,).
    """
    present = kept[columns]
    return ends[present], (np.cumsum(kept) - 1)[columns[present]]


def _keys(tokens: Tokens, prefixes: Array | None) -> npt.NDArray[np.int64]:
    """Return the key of the n-gram that ends at each token, shape (tokens,).

    NONE where it would begin in another text, where its prefix is not chosen, and where the token is UNKNOWN.

    Args:
        prefixes: index of the n-gram of the order below that ends at each token, or NONE; None: for single tokens.
    """
    token_ids = tokens.flat.astype(np.int64)
    known = token_ids != UNKNOWN
    if prefixes is None:
        return np.where(known, token_ids, NONE)
    before = np.full(len(token_ids), NONE)
    before[1:] = prefixes[:-1]
    before[tokens.starts[tokens.counts > 0]] = NONE
    return np.where(known & (before != NONE), (before << 32) + token_ids, NONE)


def _distinct(keys: Array) -> tuple[Array, Array, Array]:
    """Return the distinct keys, ascending, the index of each key among them, and how often each occurs."""
    if keys.max(initial=0) < MAX_TABLE:
        occurrences = np.bincount(keys)
        present = occurrences > 0
        return np.flatnonzero(present), (np.cumsum(present) - 1)[keys], occurrences[present]
    return np.unique(keys, return_inverse=True, return_counts=True)


def _search(keys: Array, wanted: Array) -> npt.NDArray[np.int64]:
    """Return the index of each wanted key among the ascending keys, or NONE."""
    if not len(keys):
        return np.full(len(wanted), NONE)
    largest = int(max(keys[-1], wanted.max(initial=0)))
    if largest < MAX_TABLE:
        table = np.full(largest + 2, NONE)  # the last one is for NONE
        table[keys] = np.arange(len(keys))
        return table[wanted]
    indices = np.searchsorted(keys, wanted)
    indices[indices == len(keys)] = 0
    return np.where(keys[indices] == wanted, indices, NONE)


def _row_of_token(tokens: Tokens) -> npt.NDArray[np.int32]:
    return np.repeat(np.arange(len(tokens), dtype=np.int32), tokens.counts)


def _count(rows: Array, columns: Array, *, shape: tuple[int, int]) -> csr_matrix:
    """Count the pairs of a row and a column, shape as given."""
    counts = csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)
    counts.sum_duplicates()
    return counts


EDGE = "\0"  # before and behind a word, so that its beginning and its end differ from the same letters inside


def character_ngrams(words: Sequence[str], *, shortest: int, longest: int) -> csr_matrix:
    """Count the character n-grams of each word, its edges included, that at least two of the words have.

    Returns:
        Counts, shape (words, character n-grams).
    """
    indices: dict[str, int] = {}
    columns, starts = [], [0]
    for word in words:
        padded = f"{EDGE}{word}{EDGE}"
        columns += [
            indices.setdefault(padded[start : start + length], len(indices))
            for length in range(shortest, longest + 1)
            for start in range(len(padded) - length + 1)
        ]
        starts.append(len(columns))
    counts = csr_matrix((np.ones(len(columns), np.float32), columns, starts), (len(words), len(indices)))
    counts.sum_duplicates()
    return counts[:, np.bincount(counts.indices, minlength=len(indices)) > 1]
