"""Which documents are the same article, and which of them is kept.

Two documents are the same article when the strongest identifier that both have is the same: PMID before
PMCID before DOI before title. Texts that are equal but for case and white space are duplicates whatever
their identifiers. A kind of identifier is looked at for one slice of its hashes at a time, so that memory
does not grow with the corpus; the pairs that all of them yield are joined at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.config.cleaning import IDENTIFIERS
from medlm_recipes.corpus.cleaning.identity import best_first
from medlm_recipes.corpus.cleaning.spool import Indices, open_spool

DUPLICATE = "duplicate"

_AT_ONCE = 1 << 21  # documents of a slice: some 300 MB while they are sorted
_YEARS_APART = 1  # an article's dates, online and in print


@dataclass(frozen=True)
class Matching:
    """One task: the documents whose hash of `kind` leaves the remainder `part` when divided by `parts`."""

    spool: Path
    kind: str
    part: int
    parts: int


def matchings(spool: Path, kinds: Sequence[str]) -> list[Matching]:
    parts = 1 + open_spool(spool).documents // _AT_ONCE
    return [Matching(spool, kind, part, parts) for kind in kinds for part in range(parts)]


def same_articles(task: Matching) -> Indices:
    """Pairs of documents that are the same article by one kind of identifier, shape (pairs, 2).

    The second is the best of those that the first is the same as.
    """
    keys, index = _slice(task)
    order = np.lexsort((*best_first(keys, index), keys[task.kind]))
    keys, index = keys[order], index[order]
    starts = group_starts(keys[task.kind])
    sizes = np.diff(starts, append=len(keys))
    several = sizes > 1
    pairs = [
        (index[first + other], index[first + best])
        for first, end in zip(starts[several], (starts + sizes)[several], strict=True)
        for other, best in _matched(keys[first:end], task.kind)
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _slice(task: Matching) -> tuple[NDArray[np.void], Indices]:
    """Keys of the task's documents that have the identifier, and their indices."""
    spool = open_spool(task.spool)
    keys, indices = [], []
    for first, part in zip(spool.firsts[:-1], spool.all_keys(), strict=True):
        hashes = part[task.kind]
        places = np.flatnonzero((hashes != 0) & (hashes % np.uint64(task.parts) == task.part))
        keys.append(part[places])
        indices.append(first + places)
    return np.concatenate(keys), np.concatenate(indices)


def _matched(group: NDArray[np.void], kind: str) -> Iterator[tuple[int, int]]:
    """Pairs of places in a group of documents with the same identifier, best first.

    What a document lacks it takes from those that join it, so that of several articles under one wrong
    identifier it stands for one alone.
    """
    stronger = IDENTIFIERS[: IDENTIFIERS.index(kind)] if kind != "text" else ()
    known = [{name: row[name].item() for name in (*stronger, "published")} for row in group]
    bests: list[int] = []
    for place, one in enumerate(known):
        for best in bests:
            if _agree(one, known[best], stronger, kind):
                known[best] = {name: value or one[name] for name, value in known[best].items()}
                yield place, best
                break
        else:
            bests.append(place)


def _agree(one: dict[str, Any], other: dict[str, Any], stronger: Sequence[str], kind: str) -> bool:
    """Whether a stronger identifier, or of equal titles the year, does not tell the two apart."""
    for name in stronger:
        if one[name] and other[name]:
            return one[name] == other[name]
    if kind == "title" and one["published"] and other["published"]:
        return abs(int(one["published"]) - int(other["published"])) <= _YEARS_APART
    return True


def joined(trees: Indices, pairs: Indices) -> Indices:
    """Connected sets, and pairs that may connect them further: each document but one of a set, with that one.

    trees: as this function returns them, shape (n, 2); none to begin with.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs):
        return trees
    nodes, ends = np.unique(np.concatenate([trees, pairs]), return_inverse=True)
    first, second = ends.reshape(-1, 2).T
    graph = coo_array((np.ones(len(first), np.bool_), (first, second)), shape=(len(nodes), len(nodes)))
    _, labels = connected_components(graph, directed=False)
    roots = nodes[np.unique(labels, return_index=True)[1][labels]]
    return np.stack([nodes, roots], axis=1)[nodes != roots]


def choose(spool: Path, trees: Indices) -> Indices:
    """Of every set that `joined` found the best is kept: pairs of a dropped document, ascending, and the kept one."""
    nodes = np.unique(trees)
    if not len(nodes):
        return trees
    roots = nodes.copy()
    roots[np.searchsorted(nodes, trees[:, 0])] = trees[:, 1]
    keys = open_spool(spool).keys_of(nodes)
    order = np.lexsort((*best_first(keys, nodes), roots))
    starts = group_starts(roots[order])
    kept = np.empty_like(nodes)
    kept[order] = np.repeat(nodes[order][starts], np.diff(starts, append=len(nodes)))
    return np.stack([nodes, kept], axis=1)[nodes != kept]


def group_starts(values: NDArray[Any]) -> Indices:
    """Where the runs of equal numbers in a sorted array begin."""
    return np.flatnonzero(np.append(len(values) > 0, values[1:] != values[:-1]))
