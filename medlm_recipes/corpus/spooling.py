"""The tasks of prepare_corpus where duplicates are looked for: input files to a part, and a part to output files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from medlm_recipes.corpus.cleaning.duplicates import DUPLICATE, group_starts
from medlm_recipes.corpus.cleaning.finishing import Candidate, journals_of
from medlm_recipes.corpus.cleaning.identity import shared_standing
from medlm_recipes.corpus.cleaning.near_duplicates import NEAR_DUPLICATE
from medlm_recipes.corpus.cleaning.spool import Indices, PartWriter, open_spool, read_part, rejects_of
from medlm_recipes.corpus.cleaning.standing import Standing
from medlm_recipes.corpus.document import Document, Reject, Skipped
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.corpus.writing import Task, Writer, Written, line_of, read_cleaned
from medlm_recipes.partial import TASKS, unwritable


@dataclass(frozen=True)
class Part:
    """What a task read. tally: of all but its documents. digest: of what it wrote."""

    tally: Tally
    documents: int
    digest: str


@dataclass(frozen=True)
class Finish:
    """duplicates, near_duplicates: pairs of a document of the part, ascending, that is dropped and the one kept.

    lenders: pairs of a document that is dropped, of any part, and the document of this one that is kept,
    by which they are sorted.
    """

    task: Task
    spool: Path
    duplicates: Indices
    near_duplicates: Indices
    lenders: Indices


def spool_folder(task: Task) -> Path:
    return task.folder / TASKS / "parts"


def spool_task(task: Task) -> Part:
    """Read and clean the task's files. Raises DataError for damaged input or a full disk."""
    tally = Tally()
    try:
        with PartWriter(spool_folder(task), task.number, task.config.clean, journals_of(task.lookups)) as part:
            for file, item in read_cleaned(task, tally):
                line = line_of(Candidate(file, item)) if isinstance(item, Document) else item
                if isinstance(item, Document) and isinstance(line, bytes):
                    part.add(file, item, line)
                elif isinstance(line, Reject):
                    tally.rejected[line.reason] += 1
                    part.reject(line)
                elif isinstance(line, Skipped):
                    tally.skipped[line.reason] += 1
    except OSError as error:
        raise unwritable(task.config.out, error) from None
    return Part(tally, part.documents, part.digest)


def finish_task(finish: Finish) -> Written:
    """Write what is left of a part. Raises DataError for a full disk."""
    folder, number = spool_folder(finish.task), finish.task.number
    dropped = dict(_dropped(finish))
    standings = dict(_standings(finish))
    first = open_spool(finish.spool).firsts[number]
    with Writer(finish.task) as writer:
        writer.take_rejects(rejects_of(folder, number))
        for index, (file, document) in enumerate(read_part(folder, number), first):
            if index in dropped:
                reason, kept = dropped[index]
                writer.take(Reject(file, document.id, reason, document.text, kept))
            else:
                writer.take(Candidate(file, document, standings.get(index)))
    return writer.written()


def _dropped(finish: Finish) -> Iterator[tuple[int, tuple[str, str]]]:
    """Index of a dropped document -> reason, and id of the document that is kept."""
    spool = open_spool(finish.spool)
    for reason, pairs in ((DUPLICATE, finish.duplicates), (NEAR_DUPLICATE, finish.near_duplicates)):
        kept, which = np.unique(pairs[:, 1], return_inverse=True)
        ids = spool.ids_of(kept)
        yield from ((int(index), (reason, ids[place])) for index, place in zip(pairs[:, 0], which, strict=True))


def _standings(finish: Finish) -> Iterator[tuple[int, Standing]]:
    """Index of a kept document -> the standing that it shares with its duplicates."""
    spool = open_spool(finish.spool)
    dropped, kept = finish.lenders.T
    starts = group_starts(kept)
    own, lent = spool.keys_of(kept[starts]), spool.keys_of(dropped)
    for place, (start, end) in enumerate(pairwise([*starts, len(kept)])):
        yield int(kept[start]), shared_standing(np.append(own[place], lent[start:end]))
