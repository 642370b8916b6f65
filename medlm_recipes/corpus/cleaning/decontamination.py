"""Documents that stand in the benchmarks a model is scored on, and test items that stand in the corpus."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from medlm_recipes.config.cleaning import DecontaminateKeys
from medlm_recipes.corpus.cleaning.benchmark_index import BenchmarkIndex, Flags, Numbers
from medlm_recipes.corpus.cleaning.words import hash_runs
from medlm_recipes.corpus.document import Document

CONTAMINATED = "contaminated"

_MOST_LISTED = 20  # items a document; a review may share a run with hundreds


@dataclass(frozen=True)
class Overlap:
    """share: of the document's runs that stand in benchmarks. runs: their distinct numbers."""

    share: float
    runs: Numbers


def overlap_of(text: str, index: BenchmarkIndex, length: int) -> Overlap:
    """Runs stay inside a line: an abstract's sections, which a benchmark holds without their order and labels,
    would else have dozens that no benchmark has. A text without a run has no overlap.
    """
    hashes = hash_runs(text.split("\n"), length)
    found = index.find(hashes)
    return Overlap(len(found) / len(hashes) if len(hashes) else 0.0, np.unique(found))


class Decontamination:
    """Judges the documents of one task.

    A document is contaminated when `keys.share` of its runs, counted as often as they occur, stand in
    benchmarks (the MediTron paper's rule, B.5). seen: which runs the training documents hold that passed.
    lines: of decontamination.jsonl, for every document that is contaminated or holds, alone, `keys.share`
    of the distinct runs of what some item asks.
    """

    def __init__(self, index: BenchmarkIndex, keys: DecontaminateKeys) -> None:
        self.index = index
        self.keys = keys
        self.seen: Flags = np.zeros(len(index.runs), np.bool_)
        self.lines: list[bytes] = []

    def is_contaminated(self, document: Document, *, is_training: bool) -> bool:
        overlap = overlap_of(document.text, self.index, self.keys.words)
        if not len(overlap.runs):
            return False
        is_contaminated = overlap.share >= self.keys.share
        self._note(document, overlap, is_contaminated)
        if is_training and not is_contaminated:
            self.seen[overlap.runs] = True
        return is_contaminated

    def _note(self, document: Document, overlap: Overlap, is_contaminated: bool) -> None:
        items, shared, asked = self.index.shared(overlap.runs)
        of_question = asked / np.maximum(self.index.asked[items], 1)
        listed = np.lexsort((items, -shared)) if is_contaminated else np.flatnonzero(of_question >= self.keys.share)
        if not len(listed):
            return
        line: dict[str, Any] = {
            "id": document.id,
            "source": document.source,
            "removed": is_contaminated,
            "share": round(overlap.share, 4),
            "items": [
                {
                    "benchmark": self.index.items[items[place]][0],
                    "item": self.index.items[items[place]][1],
                    "shared_runs": int(shared[place]),
                    "share_of_question": round(float(of_question[place]), 4),
                }
                for place in listed[:_MOST_LISTED]
            ],
        }
        if len(listed) > _MOST_LISTED:
            line["items_left_out"] = len(listed) - _MOST_LISTED
        self.lines.append((json.dumps(line) + "\n").encode())


def coverage(index: BenchmarkIndex, seen: Flags, share: float) -> tuple[dict[str, Any], Iterator[bytes]]:
    """What of the benchmarks the training corpus holds, as all its documents together.

    By benchmark the number of items, of those too short to have a run, and of those covered by `share`;
    and a JSON line for every item that is.
    """
    covered = index.covered(seen)
    counts: dict[str, Any] = {}
    for (benchmark, _), asked, part in zip(index.items, index.asked, covered, strict=True):
        of = counts.setdefault(benchmark, {"items": 0, "too_short": 0, "covered": 0})
        of["items"] += 1
        of["too_short"] += int(asked == 0)
        of["covered"] += int(part >= share)
    lines = (
        (json.dumps({"benchmark": benchmark, "item": name, "covered": round(float(part), 4)}) + "\n").encode()
        for (benchmark, name), part in zip(index.items, covered, strict=True)
        if part >= share
    )
    return counts, lines
