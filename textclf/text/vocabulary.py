"""The vocabulary: words counted while texts are read, and the most frequent kept."""

import heapq
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from textclf.text.encoding import RESERVED, UNKNOWN, Numbering, Splitter, Tokens
from textclf.text.tokenizer import TextOptions, tokenize


class WordCounts:
    """Words numbered in the order in which they come, and counted, in bounded memory.

    Where there are more than `most`, the rarer half is forgotten (as in lossy counting, Manku and Motwani 2002): a word
    of these that comes again is taken for a new one. So many words need some gigabytes of text, in which those that a
    vocabulary takes come thousands of times.
    """

    def __init__(self, options: TextOptions, *, most: int = 1 << 19):
        self.words = Numbering()
        self._options = options
        self._most = max(most, 4 * options.vocab_size)
        self._counts = np.zeros(0, np.int64)
        self._splitter = Splitter(self.words.__getitem__, options)

    def split(self, texts: Iterable[str]) -> Tokens:
        """The numbers of all words of the texts."""
        found = self._splitter.split(texts)
        before = self._counts
        self._counts = np.bincount(found.flat, minlength=self.words.given)
        self._counts[: len(before)] += before
        if len(self.words) > self._most:
            self._forget()
        return found

    def _forget(self) -> None:
        counts = self._counts[np.fromiter(self.words.values(), np.int64, len(self.words))]
        common = np.partition(counts, len(counts) // 2)[len(counts) // 2]
        for word in [word for word, count in zip(self.words, counts.tolist(), strict=True) if count <= common]:
            del self.words[word]
        self._splitter.forget()

    def most_frequent(self, counts: npt.NDArray[np.int64]) -> list[str]:
        """The vocabulary: the most frequent words, most frequent first, ties by the alphabet.

        Args:
            counts: how often each word comes in the rows that the vocabulary is made from, by its number.
        """
        options = self._options
        size = options.vocab_size - RESERVED
        numbers = self.words.items()
        found = [(-int(counts[number]), word) for word, number in numbers if counts[number] >= options.min_count]
        return [word for _, word in heapq.nsmallest(size, found)]

    def ids(self, vocabulary: Sequence[str]) -> npt.NDArray[np.int32]:
        """The token id of each word by its number; id = position in the vocabulary + RESERVED, else UNKNOWN."""
        ids = np.full(self.words.given, UNKNOWN, np.int32)
        for token_id, word in enumerate(vocabulary, start=RESERVED):
            if word in self.words:
                ids[self.words[word]] = token_id
        return ids


def fill_vocabulary(vocabulary: list[str], words: Iterable[str], options: TextOptions) -> list[str]:
    """The vocabulary, and behind it further words that texts can hold, until `vocab_size` is reached."""
    room = options.vocab_size - RESERVED - len(vocabulary)
    known = set(vocabulary)
    further = (word for word in words if word not in known and tokenize(word, options) == [word])
    return vocabulary + list(dict.fromkeys(islice(further, room)))
