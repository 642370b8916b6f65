"""prepare_corpus where duplicates are looked for: parts are read, compared, and what is left of each is written."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from medlm_recipes.config.cleaning import CleanKeys
from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.corpus.cleaning.duplicates import choose, joined, matchings, same_articles
from medlm_recipes.corpus.cleaning.near_duplicates import alike, bandings
from medlm_recipes.corpus.cleaning.spool import Indices, open_spool, save_spool
from medlm_recipes.corpus.spooling import Finish, Part, finish_task, spool_folder, spool_task
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.corpus.writing import Task, Written
from medlm_recipes.execution.tasks import run_tasks
from medlm_recipes.progress import track

_NONE = np.empty((0, 2), np.int64)


class Deduplication:
    """pairs: found by each kind of identifier, before they are joined, for the manifest."""

    def __init__(self, tasks: Sequence[Task], clean: CleanKeys, execution: ExecutionKeys) -> None:
        self.tasks = tasks
        self.clean = clean
        self.execution = execution
        self.folder = tasks[0].folder
        self.tally = Tally()
        self.pairs: dict[str, int] = {}

    def run(self) -> Iterator[Written]:
        """What every task wrote, in order. `tally` counts what had been read and rejected before."""
        spool = self._read()
        duplicates = self._duplicates(spool)
        near = self._near_duplicates(spool, duplicates)
        finishes = list(_finishes(self.tasks, spool, duplicates, near))
        written = run_tasks(finish_task, finishes, self.execution, self.folder, "finish")
        return track(written, "writing documents", "part", len(finishes))

    def _read(self) -> Path:
        parts: list[Part] = []
        read = run_tasks(spool_task, self.tasks, self.execution, self.folder, "read")
        for part in track(read, "reading documents", "part", len(self.tasks)):
            self.tally.add(part.tally)
            parts.append(part)
        return save_spool(
            spool_folder(self.tasks[0]), [part.documents for part in parts], [part.digest for part in parts]
        )

    def _duplicates(self, spool: Path) -> Indices:
        """Pairs of a dropped document, ascending, and the one kept."""
        if self.clean.duplicates is None:
            return _NONE
        tasks = matchings(spool, self.clean.duplicates.by)
        found = run_tasks(same_articles, tasks, self.execution, self.folder, "duplicates")
        trees = _NONE
        for task, pairs in zip(tasks, track(found, "finding duplicates", "slice", len(tasks)), strict=True):
            self.pairs[task.kind] = self.pairs.get(task.kind, 0) + len(pairs)
            trees = joined(trees, pairs)
        return choose(spool, trees)

    def _near_duplicates(self, spool: Path, duplicates: Indices) -> Indices:
        if self.clean.near_duplicates is None:
            return _NONE
        dropped = spool.with_suffix(".dropped.npy")
        np.save(dropped, duplicates[:, 0])
        tasks = bandings(spool, dropped, self.clean.near_duplicates)
        found = run_tasks(alike, tasks, self.execution, self.folder, "near_duplicates")
        trees = _NONE
        for pairs in track(found, "finding near duplicates", "slice", len(tasks)):
            trees = joined(trees, pairs)
        return choose(spool, trees)


def _finishes(tasks: Sequence[Task], spool: Path, duplicates: Indices, near: Indices) -> Iterator[Finish]:
    by_kept = duplicates[np.lexsort((duplicates[:, 0], duplicates[:, 1]))]
    firsts = open_spool(spool).firsts
    borders = [np.searchsorted(ascending, firsts) for ascending in (duplicates[:, 0], near[:, 0], by_kept[:, 1])]
    for part, task in enumerate(tasks):
        mine = [slice(border[part], border[part + 1]) for border in borders]
        yield Finish(task, spool, duplicates[mine[0]].copy(), near[mine[1]].copy(), by_kept[mine[2]].copy())
