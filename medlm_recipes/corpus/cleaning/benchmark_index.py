"""The runs of words of all benchmark items: sorted, on disk, looked up in by every worker."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.corpus.cleaning.benchmarks import BenchmarkItem
from medlm_recipes.corpus.cleaning.words import Hashes, hash_runs
from medlm_recipes.manifest import write_json

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class BenchmarkIndex:
    """Distinct runs of words by number, and of each the items that hold it.

    items: benchmark and name of each. runs: hashes, ascending, shape (runs,). starts, shape (runs + 1,):
    run r stands in the items holders[starts[r] : starts[r + 1]], and is_asked says whether in what the
    item asks or in its answer alone. asked, shape (items,): distinct runs in what the item asks.
    """

    def __init__(
        self, items: Sequence[tuple[str, str]], runs: Hashes, starts: Numbers, holders: Numbers, is_asked: Flags
    ) -> None:
        self.items = items
        self.runs = runs
        self.starts = starts
        self.holders = holders
        self.is_asked = is_asked
        self.asked = np.bincount(holders[is_asked], minlength=len(items))
        # One look into this table, of eight slots or more a run, spares most texts' runs the search.
        bits = max(16, len(runs).bit_length() + 3)
        self._shift = np.uint64(64 - bits)
        self._sieve = np.zeros(1 << bits, np.bool_)
        self._sieve[runs >> self._shift] = True

    def find(self, hashes: Hashes) -> Numbers:
        """Numbers of the runs that are among `hashes`, one for each time."""
        likely = hashes[self._sieve[hashes >> self._shift]]
        if not len(likely):
            return np.empty(0, np.int64)
        places = np.minimum(np.searchsorted(self.runs, likely), len(self.runs) - 1)
        return places[self.runs[places] == likely]

    def shared(self, runs: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Items that hold any of these distinct runs, ascending; how many each holds; how many of them it asks."""
        first, last = self.starts[runs], self.starts[runs + 1]
        before = np.concatenate(([0], np.cumsum(last - first)))
        places = np.arange(before[-1]) + np.repeat(first - before[:-1], last - first)
        items, which = np.unique(self.holders[places], return_inverse=True)
        return items, np.bincount(which), np.bincount(which[self.is_asked[places]], minlength=len(items))

    def covered(self, seen: Flags) -> NDArray[np.float64]:
        """Share of each item's asked runs that are seen; 0 for an item without runs. seen: shape (runs,)."""
        is_seen = np.repeat(seen, np.diff(self.starts)) & self.is_asked
        return np.bincount(self.holders[is_seen], minlength=len(self.items)) / np.maximum(self.asked, 1)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("runs", "starts", "holders", "is_asked"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        write_json(folder / "items.json", self.items)


def build_index(items: Sequence[BenchmarkItem], length: int) -> BenchmarkIndex:
    """The index of runs of `length` words, none of which reaches over a line break or from one text into another."""
    parts = [(hash_runs([], length), np.empty(0, np.int64), True)]  # there may be no items
    for number, item in enumerate(items):
        asked = np.unique(hash_runs(_lines(item.asked), length))
        told_only = np.setdiff1d(hash_runs(_lines(item.told), length), asked)
        parts.append((asked, np.full(len(asked), number), True))
        parts.append((told_only, np.full(len(told_only), number), False))
    hashes = np.concatenate([part for part, _, _ in parts])
    holders = np.concatenate([holders for _, holders, _ in parts])
    is_asked = np.repeat([asked for _, _, asked in parts], [len(part) for part, _, _ in parts])
    order = np.lexsort((holders, hashes))
    runs, starts = np.unique(hashes[order], return_index=True)
    names = [(item.benchmark, item.name) for item in items]
    return BenchmarkIndex(names, runs, np.append(starts, len(order)), holders[order], is_asked[order])


def _lines(texts: Sequence[str]) -> list[str]:
    return [line for text in texts for line in text.split("\n")]


@lru_cache(maxsize=1)
def load_index(folder: Path) -> BenchmarkIndex:
    """What `save` wrote. The arrays are mapped: workers of one machine share their memory."""
    runs, starts, holders, is_asked = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("runs", "starts", "holders", "is_asked")
    )
    items = [(benchmark, name) for benchmark, name in json.loads((folder / "items.json").read_text())]
    return BenchmarkIndex(items, runs, starts, holders, is_asked)
