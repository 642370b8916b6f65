"""The first half of convert_text_to_mds: files of documents to files of ids, in a worker process."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.corpus.document import read_texts
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import hash_file
from medlm_recipes.partial import unwritable
from medlm_recipes.shards.packing import RowFiller, in_batches
from medlm_recipes.tokenization.encoding import Backend, Encoder, HuggingFaceEncoder
from medlm_recipes.tokenization.fast import FastEncoder

BATCH_CHARACTERS = 1 << 19

_CHECKED_EVERY = 512  # documents; the reference is about ten times slower, so that the check costs some 2 %
_LONGEST_CHECKED = 1 << 20  # characters: the reference takes over 100 bytes a token


@dataclass(frozen=True)
class EncoderFile:
    """A backend kept as JSON for the workers. sha256: of the file, so that a task is known by it. fast: by tiktoken."""

    path: Path
    sha256: str
    fast: bool


@dataclass(frozen=True)
class EncodeTask:
    """files: documents, in order. out: the file of ids to write. sequence_length: of padded rows; None: no padding."""

    files: tuple[Path, ...]
    out: Path
    encoder: EncoderFile
    padded_to: int | None


@dataclass(frozen=True)
class TaskCounts:
    """documents; tokens, one end-of-text a document included; positions: ids in the file, padding included."""

    documents: int
    tokens: int
    positions: int


def keep_encoder(encoder: "CheckedEncoder", path: Path) -> EncoderFile:
    """Write what a worker makes the encoder of; those that are forked from this process have it already."""
    path.write_text(json.dumps(asdict(encoder.backend)))
    kept = EncoderFile(path, hash_file(path), encoder.fast)
    _loaded[kept] = encoder
    return kept


def encode_task(task: EncodeTask) -> TaskCounts:
    """Write the ids of the task's documents. Raises DataError for damaged documents, a full disk, or when the
    fast encoder differs from the reference on one of the documents that are encoded by both.
    """
    encoder = _load(task.encoder)
    filler = RowFiller(task.padded_to, encoder.backend.end_of_text) if task.padded_to else None
    documents = tokens = positions = 0
    try:
        with open(task.out, "wb") as stream:
            for path in task.files:
                for batch in in_batches(read_texts(path), BATCH_CHARACTERS):
                    ids = encoder.encode(path, batch)
                    documents += len(batch)
                    tokens += len(ids)
                    for piece in filler.rows(ids) if filler else (ids,):
                        positions += len(piece)
                        stream.write(piece.data)
            for piece in filler.rest() if filler else ():
                positions += len(piece)
                stream.write(piece.data)
    except OSError as error:  # the readers raise DataError, so this is about writing
        raise unwritable(task.out, error) from None
    return TaskCounts(documents, tokens, positions)


class CheckedEncoder:
    """Encodes documents, counts their end-of-text tokens, and encodes one in 512 by the reference too."""

    def __init__(self, backend: Backend, reference: HuggingFaceEncoder, fast: FastEncoder | None) -> None:
        self.backend = backend
        self.fast = fast is not None
        self._reference = reference
        self._encoder: Encoder = fast or reference

    def encode(self, path: Path, documents: Sequence[tuple[int, str]]) -> NDArray[Any]:
        """The ids of documents of `path`, numbered by their lines. Raises DataError, see `encode_task`."""
        ids = self._encoder.encode([text for _, text in documents])
        ends = np.flatnonzero(ids == self.backend.end_of_text)
        if len(ends) != len(documents):
            raise DataError(
                f"{path}: lines {documents[0][0]:,} to {documents[-1][0]:,}: {len(documents):,} documents have "
                f"{len(ends):,} end-of-text tokens; a text must not give one, choose another eos_token"
            )
        for number, (line, text) in enumerate(documents if self.fast else ()):
            if line % _CHECKED_EVERY == 1 and len(text) <= _LONGEST_CHECKED:
                own = ids[ends[number - 1] + 1 if number else 0 : ends[number] + 1]
                if not np.array_equal(own, self._reference.encode([text])):
                    raise DataError(
                        f"{path}: line {line:,}: the fast encoder differs from the Hugging Face tokenizer on this "
                        "document; convert with encoder=huggingface, and please report the document"
                    )
        return ids


_loaded: dict[EncoderFile, CheckedEncoder] = {}


def _load(kept: EncoderFile) -> CheckedEncoder:
    if kept not in _loaded:
        backend = Backend(**json.loads(kept.path.read_bytes()))
        reference = HuggingFaceEncoder(backend)
        _loaded[kept] = CheckedEncoder(backend, reference, FastEncoder(backend, reference) if kept.fast else None)
    return _loaded[kept]
