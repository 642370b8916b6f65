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
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPEN_ROWS = 256  # rows that wait for a document that fits: abstracts then fill rows of 1024 to over 96 %


class RowFiller:
    """Best fit over the last rows begun. The rows depend on the documents and their order alone."""

    def __init__(self, sequence_length: int, end_of_text: int) -> None:
        self._length = sequence_length
        self._end_of_text = end_of_text
        self._number = count()
        self._open: list[tuple[int, int, list[NDArray[Any]]]] = []  # room, number, documents; least room first

    def rows(self, ids: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """The rows that were full or given up when the documents of `ids`, each with its end-of-text, were placed."""
        ends = np.flatnonzero(ids == self._end_of_text) + 1
        for document in np.split(ids, ends[:-1]):
            whole = (len(document) - 1) // self._length * self._length
            yield from document[:whole].reshape(-1, self._length)
            yield from self._place(document[whole:])

    def rest(self) -> Iterator[NDArray[Any]]:
        """The rows still open, in the order in which they were begun."""
        for room, _, documents in sorted(self._open, key=lambda row: row[1]):
            yield self._filled(room, documents)
        self._open = []

    def _place(self, document: NDArray[Any]) -> Iterator[NDArray[Any]]:
        size = len(document)
        at = bisect_left(self._open, (size,)) if size > 1 else len(self._open)
        room, number, documents = self._open.pop(at) if at < len(self._open) else (self._length, next(self._number), [])
        documents.append(document.copy())  # a view would keep all of its batch
        if room == size:
            yield self._filled(0, documents)
            return
        insort(self._open, (room - size, number, documents))
        if len(self._open) > _OPEN_ROWS:
            fullest, _, documents = self._open.pop(0)
            yield self._filled(fullest, documents)

    def _filled(self, room: int, documents: list[NDArray[Any]]) -> NDArray[Any]:
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
