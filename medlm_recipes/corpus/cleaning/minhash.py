"""MinHash signatures: texts whose sets of word runs overlap are likely to have a band in common.

datatrove's MinHash has the same parameters but needs spaCy to split words and compares signatures one
at a time; these few lines of numpy do some ten times its rate.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.config.cleaning import NearDuplicateKeys
from medlm_recipes.corpus.cleaning.words import Hashes, hash64, hash_runs, mixed

NO_BAND = 0
"""In place of the bands of a text that is too short to have a run."""

_AT_ONCE = 1024  # runs: 0.9 MB of products for 112 hashes, which stays in the processor's cache


def bands_of(text: str, keys: NearDuplicateKeys) -> Hashes:
    """One number for each band of the text's signature, shape (buckets,)."""
    runs = np.unique(hash_runs([text], keys.words))
    if not len(runs):
        return np.full(keys.buckets, NO_BAND, np.uint64)
    factors, summands = _permutations(keys.buckets * keys.hashes)
    minima = np.full(len(factors), np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(runs), _AT_ONCE):
        products = factors[:, None] * runs[start : start + _AT_ONCE]
        products += summands[:, None]
        np.minimum(minima, products.min(axis=1), out=minima)
    bands = np.zeros(keys.buckets, np.uint64)
    for column in minima.reshape(keys.buckets, keys.hashes).T:
        bands = mixed(bands + column)
    return np.maximum(bands, 1)


@lru_cache(maxsize=1)
def _permutations(hashes: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Factors and summands of x -> factor * x + summand modulo 2^64, a bijection for an odd factor.

    The run's hash x is well mixed already, so that the minimum, which the upper bits decide, falls on any
    run alike. Fixed numbers: signatures are the same in every version of numpy.
    """
    factors = [hash64(f"factor {number}") | 1 for number in range(hashes)]
    summands = [hash64(f"summand {number}") for number in range(hashes)]
    return np.array(factors, np.uint64), np.array(summands, np.uint64)
