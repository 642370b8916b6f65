"""Texts as runs of words, each run a 64-bit number: the same on every machine and in every process."""

import hashlib
import re
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_HELD = 1 << 18  # words whose hashes are kept: some 40 MB; the frequent ones come first
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: multiplying by it is a bijection


class _WordHashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        value = hash64(word)
        if len(self) < _HELD:
            self[word] = value
        return value


_hashes = _WordHashes()


def hash64(text: str) -> int:
    """The first 64 bits of BLAKE2b of the text in UTF-8; lone surrogates are taken as they are."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def hash_runs(texts: Sequence[str], length: int) -> Hashes:
    """A hash for every run of `length` words inside one of the texts, in order; shape (runs,).

    Words are letters, digits and underscores in lower case, so that punctuation, white space and case
    make no difference.
    """
    by_text = [_WORD.findall(text.lower()) for text in texts]
    counts = [len(words) for words in by_text]
    total = sum(counts)
    if total < length:
        return np.empty(0, np.uint64)
    each = np.fromiter(map(_hashes.__getitem__, chain.from_iterable(by_text)), np.uint64, total)
    runs = each[: total - length + 1].copy()
    for place in range(1, length):
        runs *= _ODD
        runs += each[place : total - length + 1 + place]
    if len(texts) > 1:
        number = np.repeat(np.arange(len(texts)), counts)
        runs = runs[number[: len(runs)] == number[length - 1 :]]
    return mixed(runs)


def mixed(numbers: Hashes) -> Hashes:
    """A bijection after which every bit depends on all (the end of MurmurHash3); works in place."""
    shift = np.uint64(33)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        numbers ^= numbers >> shift
        numbers *= np.uint64(factor)
    numbers ^= numbers >> shift
    return numbers
