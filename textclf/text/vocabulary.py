"""The vocabulary: word counts from the texts, and the most frequent words."""

import heapq
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from textclf.text.encoding import RESERVED, UNKNOWN, CachedTokenizer, Tokens
from textclf.text.pieces import ConsecutiveIds
from textclf.text.tokenizer import TextOptions, tokenize


class WordCounts:
    """Word counts in bounded memory, with a word id for each word in order of first occurrence.

    Where there are more than `max_words`, the rarer half is forgotten, as in lossy counting (Manku and Motwani 2002): a
    forgotten word that occurs again is counted from 0. That needs gigabytes of text, in which the words of a
    vocabulary occur thousands of times.
    """

    def __init__(self, options: TextOptions, *, max_words: int = 1 << 19):
        self.words = ConsecutiveIds()
        self._options = options
        self._max_words = max(max_words, 4 * options.vocab_size)
        self._counts = np.zeros(0, np.int64)  # by word id
        self._tokenizer = CachedTokenizer(self.words.__getitem__, options)

    def tokenize(self, texts: Iterable[str]) -> Tokens:
        """Return the word ids of the texts, and count them."""
        tokens = self._tokenizer.tokenize(texts)
        before = self._counts
        self._counts = np.bincount(tokens.flat, minlength=self.words.next_id)
        self._counts[: len(before)] += before
        if len(self.words) > self._max_words:
            self._forget_rare_words()
        return tokens

    def _forget_rare_words(self) -> None:
        counts = self._counts[np.fromiter(self.words.values(), np.int64, len(self.words))]  # (words,)
        median = np.partition(counts, len(counts) // 2)[len(counts) // 2]
        for word in [word for word, count in zip(self.words, counts.tolist(), strict=True) if count <= median]:
            del self.words[word]
        self._tokenizer.clear()

    def most_frequent(self, counts: npt.NDArray[np.int64], *, min_count: int, limit: int) -> list[str]:
        """Return the `limit` most frequent words, most frequent first, ties in alphabetical order.

        Args:
            counts: occurrences of each word, by word id, in the rows for the vocabulary.
            min_count: least occurrences of a word.
        """
        candidates = [
            (-int(counts[word_id]), word) for word, word_id in self.words.items() if counts[word_id] >= min_count
        ]
        return [word for _, word in heapq.nsmallest(limit, candidates)]

    def token_ids(self, vocabulary: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return the token id of each word id: index in the vocabulary + RESERVED, else UNKNOWN."""
        token_ids = np.full(self.words.next_id, UNKNOWN, np.int32)
        for token_id, word in enumerate(vocabulary, start=RESERVED):
            if word in self.words:
                token_ids[self.words[word]] = token_id
        return token_ids


def fill_vocabulary(vocabulary: list[str], words: Iterable[str], options: TextOptions) -> list[str]:
    """Return the vocabulary followed by further words that can be tokens, up to `vocab_size`."""
    room = options.vocab_size - RESERVED - len(vocabulary)
    known = set(vocabulary)
    new_words = (word for word in words if word not in known and tokenize(word, options) == [word])
    return vocabulary + list(dict.fromkeys(islice(new_words, room)))
