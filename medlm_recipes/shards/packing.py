"""Documents to rows of exactly `sequence_length` tokens, without gaps."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.corpus.document import Document

_DOCUMENTS_AT_ONCE = 1_000  # a batch of the tokenizer, which encodes it on all cores


@dataclass
class PackingCounts:
    """documents, bytes (UTF-8) and tokens that went in; samples that came out; tokens left over.

    tokens = samples · sequence_length + tokens_left_over, end-of-text tokens included.
    """

    documents: int = 0
    bytes: int = 0
    tokens: int = 0
    samples: int = 0
    tokens_left_over: int = 0


def smallest_dtype(vocab_size: int) -> np.dtype[Any]:
    """The smallest unsigned type that holds every id below `vocab_size`."""
    return np.min_scalar_type(vocab_size - 1)


def pack(
    documents: Iterable[Document], tokenizer: Any, sequence_length: int, counts: PackingCounts
) -> Iterator[NDArray[Any]]:
    """Yield arrays (sequence_length,) of ids: each document followed by one end-of-text token, and
    the stream of all of them cut into rows. The last, incomplete row is counted as left over.
    """
    dtype = smallest_dtype(len(tokenizer))
    rest = np.empty(0, dtype)
    for batch in _batches(documents):
        pieces = [rest, *_encode(batch, tokenizer, dtype)]
        counts.documents += len(batch)
        counts.bytes += sum(len(document.text.encode()) for document in batch)
        counts.tokens += sum(len(piece) for piece in pieces[1:])
        stream = np.concatenate(pieces)
        whole = len(stream) // sequence_length
        yield from stream[: whole * sequence_length].reshape(whole, sequence_length)
        counts.samples += whole
        rest = stream[whole * sequence_length :]
    counts.tokens_left_over = len(rest)


def _encode(batch: list[Document], tokenizer: Any, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    # A text that spells out a special token is text: only the end of a document is an end-of-text token.
    encoded = tokenizer(
        [document.text for document in batch], add_special_tokens=False, split_special_tokens=True, verbose=False
    )
    for ids in encoded["input_ids"]:
        yield np.array([*ids, tokenizer.eos_token_id], dtype)


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    stream = iter(documents)
    while batch := list(islice(stream, _DOCUMENTS_AT_ONCE)):
        yield batch
