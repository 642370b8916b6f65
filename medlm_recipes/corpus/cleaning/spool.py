"""Documents on their way from the readers to the output, with what tells duplicates among them.

A part is what one task read:

    NNNNN.jsonl.zst      the documents, those of an input file behind a line with its name
    NNNNN.rejects.jsonl  what is rejected already
    NNNNN.keys.npy       shape (documents,) of KEY
    NNNNN.ids.npy        shape (documents,) of bytes
    NNNNN.bands.npy      shape (buckets, documents), where near duplicates are looked for

Across parts a document is known by its index: its place among the documents of all parts.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medlm_recipes.config.cleaning import CleanKeys
from medlm_recipes.corpus.cleaning.identity import KEY, key_of
from medlm_recipes.corpus.cleaning.minhash import bands_of
from medlm_recipes.corpus.compressed import open_output, read_lines
from medlm_recipes.corpus.document import Document, Reject
from medlm_recipes.manifest import hash_json, write_json

Indices = NDArray[np.int64]


class PartWriter:
    """Writes one part. A context manager; after it `digest` stands for all that was written."""

    def __init__(self, folder: Path, number: int, clean: CleanKeys, journals: Collection[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._number, self._clean, self._journals = folder, number, clean, journals
        self._hash = hashlib.blake2b(digest_size=16)
        self._file = ""
        self._ids: list[bytes] = []
        self._keys = bytearray()
        self._bands = bytearray()
        with ExitStack() as stack:
            self._documents = stack.enter_context(open_output(_path(folder, number, "jsonl.zst")))
            self._rejects = stack.enter_context(open(_path(folder, number, "rejects.jsonl"), "wb"))
            self._stack = stack.pop_all()
        self._write(b'""\n')  # zstd makes no frame of nothing, and a file without one looks truncated

    @property
    def documents(self) -> int:
        return len(self._ids)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def add(self, file: str, document: Document, line: bytes) -> None:
        """line: of the document; file: the input's name."""
        if file != self._file:
            self._file = file
            self._write(json.dumps(file).encode() + b"\n")
        self._write(line)
        self._ids.append(document.id.encode())
        self._keys += np.array(key_of(document, self._clean, self._journals), KEY).tobytes()
        if self._clean.near_duplicates:
            self._bands += bands_of(document.text, self._clean.near_duplicates).tobytes()

    def reject(self, reject: Reject) -> None:
        self._rejects.write(reject.to_line())
        self._hash.update(reject.to_line())

    def _write(self, line: bytes) -> None:
        self._documents.write(line)
        self._hash.update(line)

    def _save(self, name: str, array: NDArray[Any]) -> None:
        np.save(_path(self._folder, self._number, f"{name}.npy"), array)
        self._hash.update(array.tobytes())

    def __enter__(self) -> "PartWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()
        if error is None:
            self._save("keys", np.frombuffer(self._keys, KEY))
            self._save("ids", np.array(self._ids, np.bytes_))
            if self._clean.near_duplicates:
                bands = np.frombuffer(self._bands, np.uint64).reshape(-1, self._clean.near_duplicates.buckets)
                self._save("bands", np.ascontiguousarray(bands.T))


class Spool:
    """All parts, whole. counts: the documents of each."""

    def __init__(self, folder: Path, counts: Sequence[int]) -> None:
        self.folder = folder
        self.counts = list(counts)
        self.firsts = [0, *accumulate(counts)]
        """Index of each part's first document, and at the end the number of documents."""

    @property
    def documents(self) -> int:
        return self.firsts[-1]

    def all_keys(self) -> Iterator[NDArray[np.void]]:
        """Of every part, shape (documents,), mapped into memory."""
        return (self._load(part, "keys") for part in range(len(self.counts)))

    def bands(self, bucket: int) -> Iterator[NDArray[np.uint64]]:
        """One band of the documents of every part."""
        return (self._load(part, "bands")[bucket] for part in range(len(self.counts)))

    def keys_of(self, indices: Indices) -> NDArray[np.void]:
        rows = np.empty(len(indices), KEY)
        for part, where, places in self._by_part(indices):
            rows[where] = self._load(part, "keys")[places]
        return rows

    def ids_of(self, indices: Indices) -> list[str]:
        found = [""] * len(indices)
        for part, where, places in self._by_part(indices):
            for number, identifier in zip(where, self._load(part, "ids")[places], strict=True):
                found[number] = identifier.decode()
        return found

    def _by_part(self, indices: Indices) -> Iterator[tuple[int, Indices, Indices]]:
        """Parts that hold any of the documents, where in `indices` these are, and their places in the part."""
        order = np.argsort(indices)
        borders = np.searchsorted(indices[order], self.firsts)
        for part in np.flatnonzero(np.diff(borders)):
            where = order[borders[part] : borders[part + 1]]
            yield int(part), where, indices[where] - self.firsts[part]

    def _load(self, part: int, name: str) -> Any:
        return np.load(_path(self.folder, part, f"{name}.npy"), mmap_mode="r")


def save_spool(folder: Path, counts: Sequence[int], digests: Sequence[str]) -> Path:
    """The file that stands for all parts; tasks that are given it are known again by its name, a hash of the parts."""
    digest = hash_json([list(counts), list(digests)])
    path = folder / f"{digest}.json"
    write_json(path, list(counts))
    return path


@lru_cache(maxsize=1)
def open_spool(path: Path) -> Spool:
    """What `save_spool` saved."""
    return Spool(path.parent, json.loads(path.read_text()))


def rejects_of(folder: Path, number: int) -> Path:
    """What of a part was rejected before it came here, as JSON lines."""
    return _path(folder, number, "rejects.jsonl")


def read_part(folder: Path, number: int) -> Iterator[tuple[str, Document]]:
    """The documents of a part, each with the name of its input file."""
    file = ""
    for _, line in read_lines(_path(folder, number, "jsonl.zst")):
        value = json.loads(line)
        if isinstance(value, str):
            file = value
        else:
            yield file, Document(**value)


def _path(folder: Path, number: int, kind: str) -> Path:
    return folder / f"{number:05d}.{kind}"
