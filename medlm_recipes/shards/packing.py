"""Documents to rows of `sequence_length` tokens: cut from one stream, or each whole in a row.

wrap: the stream of all documents, each with its end-of-text token, is cut into rows; nothing is padded.
pad: a document stands whole in one row, beside others if they fit; one that is longer than a row fills
rows of its own and its rest is placed like a document. What is left of a row is filled with end-of-text
tokens. No text gives an end-of-text token, and one that stands alone (of a document as long as whole rows)
begins a row: so an end-of-text token behind another is filling, and nothing else is.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

_OPEN_ROWS = 256  # rows that wait for a document that fits: abstracts then fill rows of 1024 to over 96 %


class BestFit(Generic[T]):
    """Items of different lengths into rows of equal length, each into the row that it leaves the least room in.

    Over the last rows begun; which items share a row depends on their lengths and order alone.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._number = count()
        self._open: list[tuple[int, int, list[T]]] = []  # room, number, items; least room first

    def place(self, item: T, size: int, *, alone: bool = False) -> Iterator[tuple[list[T], int]]:
        """The rows, as their items and what room is left, that were full or given up when an item was placed.

        size: at most the rows' length. alone: it begins a row.
        """
        at = len(self._open) if alone else bisect_left(self._open, (size,))
        room, number, items = self._open.pop(at) if at < len(self._open) else (self._length, next(self._number), [])
        items.append(item)
        if room == size:
            yield items, 0
            return
        insort(self._open, (room - size, number, items), key=lambda row: row[:2])
        if len(self._open) > _OPEN_ROWS:
            fullest, _, items = self._open.pop(0)
            yield items, fullest

    def rest(self) -> Iterator[tuple[list[T], int]]:
        """The rows still open, in the order in which they were begun."""
        for room, _, items in sorted(self._open, key=lambda row: row[1]):
            yield items, room
        self._open = []


class RowFiller:
    """Documents of ids, each with its end-of-text token, into rows that end-of-text tokens fill up."""

    def __init__(self, sequence_length: int, end_of_text: int) -> None:
        self._length = sequence_length
        self._end_of_text = end_of_text
        self._rows: BestFit[NDArray[Any]] = BestFit(sequence_length)

    def rows(self, ids: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The rows that were full or given up when the documents of `ids`, each with its end-of-text, were placed."""
        ends = np.flatnonzero(ids == self._end_of_text) + 1
        for document in np.split(ids, ends[:-1]):
            whole = (len(document) - 1) // self._length * self._length
            yield from document[:whole].reshape(-1, self._length)
            rest = document[whole:].copy()  # a view would keep all of its batch
            yield from map(self._filled, self._rows.place(rest, len(rest), alone=len(rest) == 1))

    def rest(self) -> Iterator[NDArray[Any]]:
        """The rows still open, in the order in which they were begun."""
        yield from map(self._filled, self._rows.rest())

    def _filled(self, row: tuple[list[NDArray[Any]], int]) -> NDArray[Any]:
        documents, room = row
        return np.concatenate([*documents, np.full(room, self._end_of_text, documents[0].dtype)])


def is_padding(rows: Any, end_of_text: int) -> Any:
    """Which tokens of padded rows (..., sequence), a tensor or an array, are filling: True there."""
    ends = rows == end_of_text
    padding = ends & False
    padding[..., 1:] = ends[..., 1:] & ends[..., :-1]
    return padding


def in_batches(texts: Iterable[tuple[int, str]], characters: int) -> Iterator[list[tuple[int, str]]]:
    """Numbered texts in lists of at least so many characters, but for the last."""
    batch, size = [], 0
    for number, text in texts:
        batch.append((number, text))
        size += len(text)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
