"""Rows of tokens back to the texts of documents, which rows and shards cut wherever they end.

Every shard is read by itself, so that many can be at once: a document belongs to the shard in which it
begins, and is followed into the next ones for REACH tokens. What of a document lies further behind the
end of a shard is read with the later shard, as a piece. Pieces overlap, so that every run of words is
whole in one of them, unless it is longer than OVERLAP tokens.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[Any]

REACH = 1 << 16
OVERLAP = 1 << 10
LONGEST = 1 << 20
"""Tokens that are decoded at once, of one document or of several."""

# A piece that begins or ends within a document may do so within a word, or within a character (U+FFFD).
_FIRST_WORD = re.compile(r"^[\w\ufffd]*")
_LAST_WORD = re.compile(r"[\w\ufffd]*$")


@dataclass(frozen=True)
class Piece:
    """Tokens of one document; whether it begins before them, and goes on behind them."""

    tokens: Tokens
    begins_before: bool = False
    goes_on: bool = False


def stream_of(rows: Tokens, end_of_text: int, is_padded: bool) -> Tokens:
    """The tokens of rows (samples, sequence_length), end to end.

    In padded rows an end of text is put before every row that has one: only a document that fills several
    rows goes on from one to the next, and these rows have none. Where its rest stands is not known.
    """
    flat = rows.reshape(-1)
    if not is_padded:
        return flat
    begins = np.flatnonzero((rows == end_of_text).any(axis=1)) * rows.shape[1]
    return np.insert(flat, begins, end_of_text)


def documents_of(shard: Tokens, following: Iterable[Tokens], end_of_text: int, is_first: bool) -> Iterator[Piece]:
    """The documents that begin in a shard, and its part of longer ones, as pieces of at most LONGEST + REACH tokens.

    following: the shards after it, of which as many are read as it takes. is_first: of its stream.
    """
    ends = np.flatnonzero(shard == end_of_text)
    if len(ends):
        head = shard[: ends[0]]
        if is_first:
            yield from _cut(Piece(head))
        elif len(head) >= REACH:
            yield from _cut(Piece(head[REACH - OVERLAP :], begins_before=True))
        for before, end in pairwise(ends.tolist()):
            yield from _cut(Piece(shard[before + 1 : end]))
    tail = shard[ends[-1] + 1 :] if len(ends) else shard
    rest, goes_on = _rest(following, end_of_text)
    yield from _cut(Piece(np.concatenate([tail, *rest]), begins_before=not is_first and not len(ends), goes_on=goes_on))


def _rest(following: Iterable[Tokens], end_of_text: int) -> tuple[list[Tokens], bool]:
    """What comes before the next end of text, at most REACH tokens, and whether there is more of it."""
    rest: list[Tokens] = []
    left = REACH
    for shard in following:
        ends = np.flatnonzero(shard[:left] == end_of_text)
        if len(ends):
            return [*rest, shard[: ends[0]]], False
        rest.append(shard[:left])
        left -= len(rest[-1])
        if not left:
            return rest, True
    return rest, False


def _cut(piece: Piece) -> Iterator[Piece]:
    tokens, begins_before = piece.tokens, piece.begins_before
    while len(tokens) > LONGEST:
        yield Piece(tokens[:LONGEST], begins_before, goes_on=True)
        tokens, begins_before = tokens[LONGEST - OVERLAP :], True
    if len(tokens):
        yield Piece(tokens, begins_before, piece.goes_on)


class Decoder:
    """Pieces to texts by the tokenizers library alone, since transformers takes seconds to import."""

    def __init__(self, backend: str) -> None:
        from tokenizers import Tokenizer

        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers are the parallelism
        self._tokenizer = Tokenizer.from_str(backend)

    def texts(self, pieces: Iterable[Piece]) -> Iterator[list[str]]:
        """The texts of batches of pieces, without the words that the pieces' ends may have cut."""
        for batch in _batches(pieces):
            ids = [piece.tokens.tolist() for piece in batch]
            decoded = self._tokenizer.decode_batch(ids, skip_special_tokens=False)
            yield [_whole_words(text, piece) for text, piece in zip(decoded, batch, strict=True)]


@lru_cache(maxsize=1)
def load_decoder(backend: Path) -> Decoder:
    """backend: a file with the state of a `tokenizers.Tokenizer`."""
    return Decoder(backend.read_text())


def _batches(pieces: Iterable[Piece]) -> Iterator[Sequence[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece.tokens)
        if size >= LONGEST // 4:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _whole_words(text: str, piece: Piece) -> str:
    if piece.begins_before:
        text = _FIRST_WORD.sub("", text, count=1)
    return _LAST_WORD.sub("", text, count=1) if piece.goes_on else text
