"""Which texts are nearly the same: those that have a band of their MinHash signatures in common."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medlm_recipes.config.cleaning import NearDuplicateKeys
from medlm_recipes.corpus.cleaning.duplicates import group_starts
from medlm_recipes.corpus.cleaning.minhash import NO_BAND
from medlm_recipes.corpus.cleaning.spool import Indices, open_spool

NEAR_DUPLICATE = "near_duplicate"

_AT_ONCE = 1 << 22  # documents of a slice: some 200 MB while they are sorted


@dataclass(frozen=True)
class Banding:
    """One task: the documents whose band `bucket` leaves the remainder `part` when divided by `parts`.

    dropped: .npy file of the indices, ascending, of documents that are not looked at.
    """

    spool: Path
    dropped: Path
    bucket: int
    part: int
    parts: int


def bandings(spool: Path, dropped: Path, keys: NearDuplicateKeys) -> list[Banding]:
    parts = 1 + open_spool(spool).documents // _AT_ONCE
    return [Banding(spool, dropped, bucket, part, parts) for bucket in range(keys.buckets) for part in range(parts)]


def alike(task: Banding) -> Indices:
    """Pairs of a document and the first one with the same band, shape (pairs, 2)."""
    spool = open_spool(task.spool)
    dropped = np.load(task.dropped, mmap_mode="r")
    found, indices = [], []
    for first, bands in zip(spool.firsts[:-1], spool.bands(task.bucket), strict=True):
        places = np.flatnonzero((bands != NO_BAND) & (bands % np.uint64(task.parts) == task.part))
        places = places[~np.isin(first + places, dropped, assume_unique=True)]
        found.append(bands[places])
        indices.append(first + places)
    bands, index = np.concatenate(found), np.concatenate(indices)
    order = np.argsort(bands, kind="stable")
    bands, index = bands[order], index[order]
    starts = group_starts(bands)
    heads = np.repeat(index[starts], np.diff(starts, append=len(bands)))
    return np.stack([index, heads], axis=1)[index != heads]
