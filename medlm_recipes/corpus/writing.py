"""One task of prepare_corpus: some input files to one output file a split and source."""

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.compressed import open_output
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import ENDING, SPLITS, Document, Reject, Skipped
from medlm_recipes.corpus.formats import FORMATS
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.split import split_of
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.partial import unwritable

REJECTED = "rejected"
PART_BYTES = 1 << 24
"""Lines before compression after which a part of documents ends."""


@dataclass(frozen=True)
class Task:
    """number: names the output files, whichever worker writes them. leave_out: see the readers."""

    number: int
    files: tuple[InputFile, ...]
    folder: Path
    config: CorpusConfig
    leave_out: Mapping[int, str] = field(default_factory=dict)


def write_task(task: Task) -> Tally:
    """Read the task's files and write what they hold. Raises DataError for damaged input or a full disk."""
    tally = Tally()
    read = FORMATS[task.config.format].read
    try:
        with ExitStack() as stack:
            outputs = _Outputs(task, stack)
            for file in task.files:
                for item in read(file, task.config, task.leave_out):
                    if isinstance(item, Coverage):
                        tally.coverage.add(item)
                        continue
                    tally.read += 1
                    if isinstance(item, Document):
                        item = _write(item, file, outputs, tally) or item
                    if isinstance(item, Skipped):
                        tally.skipped[item.reason] += 1
                    elif isinstance(item, Reject):
                        tally.rejected[item.reason] += 1
                        outputs.rejects().write(item.to_line())
            tally.files = outputs.files()
    except OSError as error:  # the readers raise DataError, so this is about writing
        raise unwritable(task.config.out, error) from None
    return tally


def drop_leftovers(folder: Path, written: Collection[Path]) -> None:
    """Remove what an earlier run wrote into `folder` and this one did not, its inputs having changed since."""
    for top in (*SPLITS, REJECTED):
        for here, _, names in os.walk(folder / top, topdown=False):
            for name in names:
                if Path(here, name).relative_to(folder) not in written:
                    Path(here, name).unlink()
            with suppress(OSError):  # not empty
                Path(here).rmdir()


def _write(document: Document, file: InputFile, outputs: "_Outputs", tally: Tally) -> Reject | None:
    """Write a document, or say why it is none after all."""
    config = outputs.task.config
    if not document.text.strip():
        return Reject(file.name, document.id, "empty", "")
    if len(document.text) < config.min_characters:
        return Reject(file.name, document.id, "too_short", document.text)
    try:
        line = document.to_line()
    except UnicodeEncodeError:
        return Reject(file.name, document.id, "not_utf8", document.text)
    split = split_of(document.id, config.seed, config.validation_fraction)
    outputs.documents(split, document.source).write(line)
    tally.wrote(split, document)
    return None


class DocumentParts:
    """Lines of documents in files of some 16 MB before compression, which later stages read side by side.

    NNNNN.jsonl.zst, NNNNN_0001.jsonl.zst and so on, in the order of their names.
    """

    def __init__(self, first: Path) -> None:
        self.paths = [first]
        self._stream = open_output(first)
        self._size = 0

    def write(self, line: bytes) -> None:
        if self._size >= PART_BYTES:
            self.close()
            name = self.paths[0].name.removesuffix(ENDING)
            self.paths.append(self.paths[0].with_name(f"{name}_{len(self.paths):04d}{ENDING}"))
            self._stream = open_output(self.paths[-1])
            self._size = 0
        self._stream.write(line)
        self._size += len(line)

    def close(self) -> None:
        self._stream.close()


class _Outputs:
    """The task's output files, each opened when it is first written to."""

    def __init__(self, task: Task, stack: ExitStack) -> None:
        self.task = task
        self._stack = stack
        self._documents: dict[tuple[str, str], DocumentParts] = {}
        self._rejects: IO[bytes] | None = None

    def documents(self, split: str, source: str) -> DocumentParts:
        if (split, source) not in self._documents:
            parts = DocumentParts(self._path(split, source, ending=ENDING))
            self._documents[split, source] = self._stack.enter_context(closing(parts))
        return self._documents[split, source]

    def rejects(self) -> IO[bytes]:
        if self._rejects is None:
            self._rejects = self._stack.enter_context(open(self._path(REJECTED, ending=".jsonl"), "wb"))
        return self._rejects

    def files(self) -> list[Path]:
        paths = [path for parts in self._documents.values() for path in parts.paths]
        if self._rejects:
            paths.append(Path(self._rejects.name))
        return sorted(path.relative_to(self.task.folder) for path in paths)

    def _path(self, *folders: str, ending: str) -> Path:
        folder = self.task.folder.joinpath(*folders)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.task.number:05d}{ending}"
