"""How often articles are cited, from iCite's table, as the scores of GAP-Replay's upsampling."""

import csv
import io
from array import array
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.corpus.compressed import DAMAGE, damaged, open_input
from medlm_recipes.errors import DataError

# The MediTron paper's table 10: percentile of citations a year among the articles of the table, and score.
TOP, TOP_SCORE = 75, 1.0
MIDDLE, MIDDLE_SCORE = 25, 0.5

_COLUMNS = ("pmid", "citations_per_year")
_LONGEST_FIELD = 1 << 27  # iCite's lists of references


def write_citation_scores(path: Path, out: Path) -> None:
    """The scores of the articles that have one, as an array (2, articles): PMIDs, ascending, and score * 10.

    Articles that share the border's number of citations share its score. Raises DataError, naming the
    line, for a table without the columns pmid and citations_per_year, and for cells that are no numbers.
    """
    pmids, rates = _read(path)
    top, middle = np.percentile(rates, [TOP, MIDDLE])
    scores = np.select([rates >= top, rates >= middle], [TOP_SCORE, MIDDLE_SCORE], 0.0)
    listed, first = np.unique(pmids, return_index=True)
    scores = scores[first]
    with open(out, "wb") as stream:  # np.save would add an ending to the name
        np.save(stream, np.stack([listed[scores > 0], (scores[scores > 0] * 10).astype(np.int64)]))


def citation_score(pmid: int, scores: Path) -> float:
    """Of an article; 0 for one that the table does not list."""
    pmids, tenths = _load(scores)
    place = int(np.searchsorted(pmids, pmid))
    return float(tenths[place]) / 10 if place < len(pmids) and pmids[place] == pmid else 0.0


@lru_cache(maxsize=1)
def _load(path: Path) -> NDArray[np.int64]:
    return np.load(path, mmap_mode="r")


def check_citations(path: Path) -> None:
    """Raises DataError when the table is missing or lacks a column."""
    _columns(path, _rows(path))


def _read(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = _rows(path)
    pmid, rate = _columns(path, rows)
    pmids, rates = array("q"), array("f")
    for line, row in rows:
        try:
            if row[rate].strip():  # the youngest articles have none yet
                rates.append(float(row[rate]))
                pmids.append(int(row[pmid]))
        except (ValueError, IndexError, OverflowError):
            raise DataError(
                f"{path}: line {line}: not a whole number as pmid and a number as citations_per_year"
            ) from None
    if not rates:
        raise DataError(f"{path}: lists no articles")
    return np.frombuffer(pmids, np.int64), np.frombuffer(rates, np.float32)


def _columns(path: Path, rows: Iterator[tuple[int, list[str]]]) -> tuple[int, int]:
    """Where the two columns stand, from the first row."""
    header = [name.strip().lower() for name in next(rows, (0, list[str]()))[1]]
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise DataError(f"{path}: has no column {' and '.join(missing)}; iCite's metadata table has both")
    return header.index(_COLUMNS[0]), header.index(_COLUMNS[1])


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        with open_input(path) as stream:
            reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True)
            for row in reader:
                if row:
                    yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV in UTF-8 ({error})") from None
    except DAMAGE as error:
        raise damaged(path, error, "as a table of citations") from None
