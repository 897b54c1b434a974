"""Pieces of texts, between blanks, as integers: each new piece gets the next one.

A dictionary holds all pieces. Long texts are split and looked up in NumPy, in half of Python's time and mostly without
the GIL: the bytes of a short piece are two integers, which are looked up in a hash table. A slot of the table keeps one
piece, and both integers are compared, so that no piece is taken for another. Pieces that are not in the table, which
are the long ones and those that found their slot taken, are looked up in the dictionary.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

FEW_CHARACTERS = 1 << 14  # shorter texts are split faster by Python

MANY_CHARACTERS = 1 << 22  # of longer texts, NumPy's arrays would take gigabytes

MANY_BYTES = 1.25  # for each character; where they are more, as in Russian or Chinese, most pieces are long

KEY_BYTES = 16  # of the longest piece in the table

SLOT_BITS = 17  # a table of 2.6 MB; twice as many slots hold few more of the frequent pieces

FACTORS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)  # odd, bits mixed; see Fibonacci hashing

# Ones behind so many bytes of an integer: no byte of UTF-8 has all bits set, so that equal keys are equal pieces
FILLS = np.array([(1 << 64) - (1 << 8 * length) for length in range(9)], np.uint64)

MANY_MISSING = 0.25  # share of the pieces; where more are missing, as at first, Python splits and looks up faster

EMPTY = -1  # id in a slot without a piece

# What `str.split` takes for a blank
ASCII_BLANKS = "\t\n\v\f\r\x1c\x1d\x1e\x1f "
OTHER_BLANKS = (
    "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def _is_byte_in(data: bytes) -> npt.NDArray[np.bool_]:
    """Return whether each byte is in the data, shape (256,)."""
    return np.isin(np.arange(256), list(data))


_IS_BLANK, _BEGINS_BLANK = _is_byte_in(ASCII_BLANKS.encode()), _is_byte_in(bytes(c.encode()[0] for c in OTHER_BLANKS))

_BLANKS_BY_SIZE = {
    size: np.array([int.from_bytes(c.encode(), "big") for c in OTHER_BLANKS if len(c.encode()) == size])
    for size in (2, 3)
}
"""The bytes of the other blanks as one integer, by their number."""


class ConsecutiveIds(dict[str, int]):
    """A dictionary that gives each new key the next integer: 0, 1, 2 and so on."""

    def __init__(self) -> None:
        super().__init__()
        self.next_id = 0

    def __missing__(self, key: str) -> int:
        new_id = self[key] = self.next_id
        self.next_id += 1
        return new_id


class Pieces:
    """All pieces of the texts that were split so far, with their ids. Not thread-safe."""

    def __init__(self) -> None:
        self.ids = ConsecutiveIds()
        self._keys = np.zeros((2, 1 << SLOT_BITS), np.uint64)
        self._slot_ids = np.full(1 << SLOT_BITS, EMPTY, np.int32)

    def look_up(self, pieces: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return the ids of pieces, shape (pieces,)."""
        return np.fromiter(map(self.ids.__getitem__, pieces), np.int32, len(pieces))

    def split(self, text: str) -> npt.NDArray[np.int32]:
        """Return the ids of the pieces that `str.split` splits a text into, shape (pieces,)."""
        if not FEW_CHARACTERS <= len(text) <= MANY_CHARACTERS:
            return self.look_up(text.split())
        data = b" " + text.encode("utf-8", "surrogatepass") + b" " * KEY_BYTES
        if len(data) > MANY_BYTES * len(text):
            return self.look_up(text.split())
        starts, ends = _find_pieces(data)  # (pieces,) each
        first, second = _read_keys(data, starts, ends - starts)  # (pieces,) each
        slots = ((first * FACTORS[0] ^ second * FACTORS[1]) >> np.uint64(64 - SLOT_BITS)).astype(np.int64)
        ids = self._slot_ids[slots]
        is_short = ends - starts <= KEY_BYTES
        known = is_short & (ids != EMPTY) & (self._keys[0][slots] == first) & (self._keys[1][slots] == second)
        missing = np.flatnonzero(~known)
        if len(missing) > MANY_MISSING * len(ids):
            ids = self.look_up(text.split())
        else:
            edges = zip(starts[missing].tolist(), ends[missing].tolist(), strict=True)
            ids[missing] = self.look_up([data[start:end].decode("utf-8", "surrogatepass") for start, end in edges])
        new = missing[is_short[missing] & (self._slot_ids[slots[missing]] == EMPTY)]
        taken, indices = np.unique(slots[new], return_index=True)  # of pieces that want the same slot, one gets it
        new = new[indices]
        self._keys[0][taken], self._keys[1][taken], self._slot_ids[taken] = first[new], second[new], ids[new]
        return ids


def _find_pieces(data: bytes) -> tuple[Integers, Integers]:
    """Return where each piece starts and ends, shape (pieces,) each.

    Args:
        data: UTF-8, a blank before it and KEY_BYTES behind it.
    """
    octets = np.frombuffer(data, np.uint8)
    blank = _IS_BLANK[octets]
    candidates = np.flatnonzero(_BEGINS_BLANK[octets])  # bytes that may begin another blank than those of ASCII
    for size, blanks in _BLANKS_BY_SIZE.items():
        if len(candidates):
            positions = candidates[:, None] + np.arange(size)  # (candidates, size), the last ones in the padding
            numbers = octets[positions] @ (1 << 8 * np.arange(size)[::-1])
            blank[positions[np.isin(numbers, blanks)]] = True
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    return edges[::2], edges[1::2]


def _read_keys(data: bytes, starts: Integers, lengths: Integers) -> tuple[Keys, Keys]:
    """Return the first eight bytes of each piece as an integer, and the next eight, shape (pieces,) each."""
    from_each: Keys = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))  # byte: eight bytes from there on
    first = from_each[starts] | FILLS[np.minimum(lengths, 8)]
    longer = np.flatnonzero(lengths > 8)
    second = np.full_like(first, FILLS[0])
    second[longer] = from_each[starts[longer] + 8] | FILLS[np.minimum(lengths[longer] - 8, 8)]
    return first, second
