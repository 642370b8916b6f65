"""Shards of rows of equal length in MosaicML Streaming's MDS format, version 2, without importing it.

What `streaming.MDSWriter` writes for the one column `tokens`, byte for byte (a test compares them),
made of whole shards instead of sample by sample: importing streaming takes 5 s and 700 MB a process.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from backports import zstd
from numpy.typing import NDArray

from medlm_recipes.errors import DataError
from medlm_recipes.partial import unwritable

_OFFSET = np.dtype(np.uint32)
_ZSTD_LEVEL = 3  # streaming's for "zstd"


@dataclass(frozen=True)
class ShardFormat:
    """size_limit: bytes of a shard before compression, exceeded only where a single row is longer."""

    dtype: str
    sequence_length: int
    compression: str | None
    size_limit: int

    @property
    def row_bytes(self) -> int:
        return self.sequence_length * np.dtype(self.dtype).itemsize

    @property
    def rows(self) -> int:
        """Rows of every shard but the last."""
        room = self.size_limit - 2 * _OFFSET.itemsize - len(self.header())
        return max(1, room // (self.row_bytes + _OFFSET.itemsize))

    def config(self) -> dict[str, Any]:
        return {
            "version": 2,
            "format": "mds",
            "compression": self.compression,
            "hashes": ["sha1"],
            "size_limit": self.size_limit,
            "column_names": ["tokens"],
            "column_encodings": [f"ndarray:{self.dtype}:{self.sequence_length}"],
            "column_sizes": [self.row_bytes],
        }

    def header(self) -> bytes:
        return json.dumps(self.config(), sort_keys=True).encode()

    def encode(self, tokens: NDArray[Any]) -> bytes:
        """A shard of `tokens`, whole rows flattened: number of samples, their offsets and the end's, header, rows."""
        samples = len(tokens) // self.sequence_length
        header = self.header()
        first = (samples + 2) * _OFFSET.itemsize + len(header)
        offsets = first + np.arange(samples + 1) * self.row_bytes
        return _OFFSET.type(samples).tobytes() + offsets.astype(_OFFSET).tobytes() + header + tokens.tobytes()


@dataclass(frozen=True)
class Stretch:
    """Ids `start` to `start + count` of a file that holds nothing else."""

    path: Path
    start: int
    count: int


@dataclass(frozen=True)
class ShardTask:
    """stretches: whole rows, end to end."""

    folder: Path
    number: int
    stretches: tuple[Stretch, ...]
    form: ShardFormat


def shard_tasks(folder: Path, files: Iterable[tuple[Path, int]], form: ShardFormat) -> Iterator[ShardTask]:
    """The shards of the stream `folder`, laid out over the ids of `files` (path, ids in it), end to end.

    What is left after the last whole row belongs to no shard.
    """
    size = form.rows * form.sequence_length
    number, taken, stretches = 0, 0, list[Stretch]()
    for path, count in files:
        start = 0
        while start < count:
            stretch = Stretch(path, start, min(count - start, size - taken))
            stretches.append(stretch)
            start += stretch.count
            taken += stretch.count
            if taken == size:
                yield ShardTask(folder, number, tuple(stretches), form)
                number, taken, stretches = number + 1, 0, []
    left_over = taken % form.sequence_length
    if taken > left_over:
        yield ShardTask(folder, number, tuple(_without_last(stretches, left_over)), form)


def _without_last(stretches: Sequence[Stretch], count: int) -> Iterator[Stretch]:
    kept = sum(stretch.count for stretch in stretches) - count
    for stretch in stretches:
        if kept > 0:
            yield Stretch(stretch.path, stretch.start, min(stretch.count, kept))
        kept -= stretch.count


def write_shard(task: ShardTask) -> dict[str, Any]:
    """Write a shard; its entry in the index. Raises DataError when the disk does not take it."""
    form = task.form
    dtype = np.dtype(form.dtype)
    tokens = np.concatenate(
        [np.fromfile(one.path, dtype, one.count, offset=one.start * dtype.itemsize) for one in task.stretches]
    )
    return _store(task.folder, task.number, tokens, form)


def copy_first_rows(stream: Path, to: Path, most: int) -> int:
    """Make a stream `to` of at most `most` rows, the first shard's first of another; how many they are."""
    entry = json.loads((stream / "index.json").read_text())["shards"][0]
    _, dtype, length = entry["column_encodings"][0].split(":")
    form = ShardFormat(dtype, int(length), entry["compression"], entry["size_limit"])
    packed = stream / entry["zip_data"]["basename"] if entry["zip_data"] else None
    if packed and packed.is_file():
        raw = zstd.decompress(packed.read_bytes())
    else:
        raw = (stream / entry["raw_data"]["basename"]).read_bytes()
    rows = min(most, entry["samples"])
    first = int(np.frombuffer(raw, _OFFSET, 2)[1])  # after the number of samples
    tokens = np.frombuffer(raw, dtype, rows * form.sequence_length, offset=first)
    write_index(to, [_store(to, 0, tokens, form)])
    return rows


def _store(folder: Path, number: int, tokens: NDArray[Any], form: ShardFormat) -> dict[str, Any]:
    name = f"shard.{number:05}.mds"
    raw = form.encode(tokens)
    raw_data = _describe(name, raw)
    zip_data = None
    if form.compression:
        name, raw = f"{name}.zstd", zstd.compress(raw, _ZSTD_LEVEL)
        zip_data = _describe(name, raw)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    except OSError as error:
        raise unwritable(folder, error) from None
    samples = len(tokens) // form.sequence_length
    return {"samples": samples, "raw_data": raw_data, "zip_data": zip_data, **form.config()}


def _describe(name: str, data: bytes) -> dict[str, Any]:
    return {"basename": name, "bytes": len(data), "hashes": {"sha1": hashlib.sha1(data).hexdigest()}}  # noqa: S324


def write_index(folder: Path, shards: Sequence[dict[str, Any]]) -> None:
    """Write the stream's index whole or not at all."""
    aside = folder / "index.json.partial"
    aside.write_text(json.dumps({"version": 2, "shards": list(shards)}, sort_keys=True))
    aside.replace(folder / "index.json")


def read_index(folder: Path) -> list[dict[str, Any]]:
    """The entries of a stream's shards, in order. Raises DataError when the index is missing or damaged."""
    path = folder / "index.json"
    try:
        return json.loads(path.read_bytes())["shards"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not the index of a stream ({error}); convert the documents again") from None


def shard_file(entry: dict[str, Any]) -> str:
    """Name of the file that holds an index's shard."""
    return (entry["zip_data"] or entry["raw_data"])["basename"]


def read_shard(path: Path, entry: dict[str, Any]) -> NDArray[Any]:
    """The rows of a shard of an index, shape (samples, sequence_length).

    Raises DataError when the file is missing or is not what its entry says.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    stated = entry["zip_data"] or entry["raw_data"]
    if len(raw) != stated["bytes"] or _describe(stated["basename"], raw)["hashes"] != stated["hashes"]:
        raise DataError(f"{path}: damaged: its index states another sha1; convert the documents again")
    if entry["zip_data"]:
        raw = zstd.decompress(raw)
    _, dtype, length = entry["column_encodings"][0].split(":")
    first = int(np.frombuffer(raw, _OFFSET, 1, _OFFSET.itemsize)[0])
    return np.frombuffer(raw, dtype, offset=first).reshape(entry["samples"], int(length))
