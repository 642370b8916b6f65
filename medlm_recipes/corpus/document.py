"""The documents of a prepared corpus: what they are, and how later stages stream them back."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from medlm_recipes.config.fields import did_you_mean
from medlm_recipes.corpus.compressed import read_lines
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.errors import ConfigError, DataError

SPLITS = TRAIN, VALIDATION = ("train", "validation")
ENDING = ".jsonl.zst"
EXCERPT_CHARACTERS = 200

# For what orjson refuses: integers above 64 bits, and strings that cannot be encoded.
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Document:
    """One text. `id` decides its split; `source` names its folder and MDS stream."""

    id: str
    text: str
    source: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """One JSON line.

        Raises UnicodeEncodeError when a string holds lone surrogates, RecursionError when the metadata
        is nested deeper than 250 levels or so.
        """
        try:
            return orjson.dumps(self.__dict__, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError as error:
            if "Recursion" in str(error):
                raise RecursionError from None
            return (_encoder.encode(self.__dict__) + "\n").encode()


@dataclass(frozen=True)
class Reject:
    """A record that is kept aside: input file, line or PMID, a reason in one word, how it begins or what is wrong.

    kept: of a duplicate, id of the document that is kept in its stead.
    """

    file: str
    record: str
    reason: str
    excerpt: str
    kept: str = ""

    def to_line(self) -> bytes:
        shortened = {**self.__dict__, "excerpt": self.excerpt[:EXCERPT_CHARACTERS]}
        if not self.kept:
            del shortened["kept"]
        return (json.dumps(shortened) + "\n").encode()  # ASCII: an excerpt may hold anything


@dataclass(frozen=True)
class Skipped:
    """A sound record that is not wanted; it is counted by reason and not kept."""

    reason: str


Item = Document | Reject | Skipped | Coverage
"""What a reader yields: one of the first three for every record that it reads, and what it measured."""


def list_sources(folder: str | Path, split: str) -> list[str]:
    """Names of the sources in a split of a prepared corpus, sorted; empty when the split has none."""
    root = Path(folder) / split
    return sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []


def choose_sources(folder: str | Path, split: str, wanted: Sequence[str]) -> list[str]:
    """`wanted`, or every source of the split when it is empty.

    Raises DataError when the split has no source, ConfigError for a wanted one that it lacks.
    """
    there = list_sources(folder, split)
    if not there:
        raise DataError(f"{folder}: has no {split} documents; prepare a larger corpus or another validation_fraction")
    for name in wanted:
        if name not in there:
            raise ConfigError(
                f"sources: {folder}/{split} has no source {name!r}{did_you_mean(name, there)}; "
                f"it has {', '.join(there)}"
            )
    return list(dict.fromkeys(wanted)) or there


def document_files(folder: str | Path, split: str, source: str) -> list[Path]:
    """The files of one source in the order in which they are read."""
    return sorted((Path(folder) / split / source).glob(f"*{ENDING}"))


def read_documents(folder: str | Path, split: str, source: str) -> Iterator[Document]:
    """Stream the documents of one source, files in sorted order.

    Raises DataError for a damaged file. A source without files yields nothing.
    """
    for path in document_files(folder, split, source):
        yield from read_document_file(path)


def read_document_file(path: Path) -> Iterator[Document]:
    """Stream one file of documents. Raises DataError, naming the line, for anything else."""
    for number, line in read_lines(path):
        try:
            yield Document(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: line {number} is not a document ({error}); prepare the corpus again") from None


def read_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers and texts of one file of documents; quicker than whole ones. Raises DataError as they do."""
    for number, line in read_lines(path):
        try:
            text = orjson.loads(line)["text"]
            if not isinstance(text, str):
                raise TypeError(f"text is {text!r}")
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path}: line {number} is not a document ({error}); prepare the corpus again") from None
        yield number, text
