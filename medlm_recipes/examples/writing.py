"""Laid-out examples to the rows of one MDS stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from medlm_recipes.examples.layout import LaidOut
from medlm_recipes.shards.packing import BestFit
from medlm_recipes.shards.tasks import columns_of

Row = dict[str, Any]


@dataclass(frozen=True)
class RowForm:
    """What the rows of every stream of a folder have in common. dtype: of tokens. options: of a question, at most."""

    task: str
    dtype: str
    sequence_length: int
    options: int
    filling: int
    pack: bool


@dataclass
class StreamCounts:
    """documents: examples. bytes: of their texts in UTF-8. cut: examples that were cut on the left.

    tokens: in the rows, filling left out. learnt: tokens with a loss, or labels. samples: rows.
    """

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    learnt: int = 0
    samples: int = 0
    cut: int = 0


class StreamWriter:
    """Writes one stream; its folder is made with the first row."""

    def __init__(self, folder: Path, form: RowForm) -> None:
        self.counts = StreamCounts()
        self._folder = folder
        self._form = form
        self._packed: BestFit[LaidOut] = BestFit(form.sequence_length)
        self._writer: Any = None

    def add(self, example: LaidOut, size: int) -> None:
        """size: bytes of the example's texts."""
        counts = self.counts
        counts.documents += 1
        counts.bytes += size
        counts.cut += example.cut > 0
        counts.tokens += sum(map(len, example.sequences))
        counts.learnt += 1 if example.learnt is None else int(example.learnt.sum())
        for row in self._rows(example):
            self._write(row)

    def _rows(self, example: LaidOut) -> Iterator[Row]:
        if example.learnt is None:
            yield {"tokens": self._grid(example), "label": example.label}
        elif self._form.pack:
            for examples, _ in self._packed.place(example, len(example.sequences[0])):
                yield packed_row(examples, self._form)
        else:
            yield packed_row([example], self._form)

    def _grid(self, example: LaidOut) -> Any:
        """(options, sequence_length), or (sequence_length,) where there is one sequence."""
        form = self._form
        tokens = np.full((form.options, form.sequence_length), form.filling, form.dtype)
        for number, ids in enumerate(example.sequences):
            tokens[number, : len(ids)] = ids
        return tokens if form.task == "multiple_choice" else tokens[0]

    def _write(self, row: Row) -> None:
        if self._writer is None:
            from streaming import MDSWriter

            columns = columns_of(self._form.task, self._form.dtype, self._form.sequence_length, self._form.options)
            self._writer = MDSWriter(out=str(self._folder), columns=columns, compression="zstd", hashes=["sha1"])
        self._writer.write(row)
        self.counts.samples += 1

    def __enter__(self) -> "StreamWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is None:
            for examples, _ in self._packed.rest():
                self._write(packed_row(examples, self._form))
        if self._writer is not None:
            self._writer.finish()


def packed_row(examples: list[LaidOut], form: RowForm) -> Row:
    """Examples end to end and filling behind them; begins is 1 at the first token of each and of the filling."""
    tokens = np.full(form.sequence_length, form.filling, form.dtype)
    loss, begins = (np.zeros(form.sequence_length, np.uint8) for _ in range(2))
    at = 0
    for example in examples:
        (ids,) = example.sequences
        tokens[at : at + len(ids)] = ids
        loss[at : at + len(ids)] = example.learnt
        begins[at] = 1
        at += len(ids)
    begins[at:][:1] = 1
    return {"tokens": tokens, "loss": loss, "begins": begins}
