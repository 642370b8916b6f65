"""What decontamination found in the whole corpus: two files beside the documents, and counts for the manifest."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medlm_recipes.config.cleaning import CleanKeys
from medlm_recipes.corpus.cleaning.benchmark_index import load_index
from medlm_recipes.corpus.cleaning.decontamination import coverage
from medlm_recipes.corpus.cleaning.lookups import Lookups
from medlm_recipes.corpus.writing import overlaps_of

DOCUMENTS = "decontamination.jsonl"
ITEMS = "covered_test_items.jsonl"


class OverlapReport:
    """Of all tasks; empty when nothing was decontaminated."""

    def __init__(self, lookups: Lookups, clean: CleanKeys) -> None:
        self._keys = clean.decontaminate
        self._index = load_index(lookups.benchmarks) if lookups.benchmarks else None
        self._seen = np.zeros(len(self._index.runs) if self._index else 0, np.bool_)

    def add(self, runs_seen: bytes) -> None:
        """runs_seen: of one task, as packed bits."""
        if self._index:
            self._seen |= np.unpackbits(np.frombuffer(runs_seen, np.uint8), count=len(self._seen)).view(np.bool_)

    def write(self, folder: Path, tasks: int) -> dict[str, Any]:
        """Write the files into `folder`; the facts for the manifest, which `summary` tells to people."""
        if not self._index or not self._keys:
            return {}
        with open(folder / DOCUMENTS, "wb") as stream:
            for task in range(tasks):
                path = overlaps_of(folder, task)
                if path.is_file():
                    with open(path, "rb") as lines:
                        shutil.copyfileobj(lines, stream)
        counts, items = coverage(self._index, self._seen, self._keys.share)
        with open(folder / ITEMS, "wb") as stream:
            stream.writelines(items)
        return {"benchmarks": counts}


def summary(facts: dict[str, Any], clean: CleanKeys) -> Iterator[str]:
    """Lines of a table for people."""
    benchmarks = facts.get("benchmarks")
    if benchmarks and clean.decontaminate:
        yield f"test items of which the training documents hold {clean.decontaminate.share:.0%} or more: {ITEMS}"
        for name, counts in benchmarks.items():
            of = f"of {counts['items']:,} ({counts['too_short']:,} too short to tell)"
            yield f"  {name:<44}{counts['covered']:>8,} {of}"
