"""A task of prepare_corpus: some input files to one output file a split and source."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.cleaning.finishing import Candidate, Finishing
from medlm_recipes.corpus.cleaning.lookups import Lookups
from medlm_recipes.corpus.cleaning.steps import clean
from medlm_recipes.corpus.cleaning.upsampling import copies, original_id
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import SPLITS, Document, Reject, Skipped
from medlm_recipes.corpus.formats import FORMATS
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.outputs import REJECTED, Outputs
from medlm_recipes.corpus.split import split_of
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.partial import TASKS, unwritable


@dataclass(frozen=True)
class Task:
    """number: names the output files, whichever worker writes them. leave_out: see the readers."""

    number: int
    files: tuple[InputFile, ...]
    folder: Path
    config: CorpusConfig
    lookups: Lookups = field(default_factory=Lookups)
    leave_out: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """runs_seen: of the benchmarks, those that the written training documents hold, as packed bits."""

    tally: Tally
    runs_seen: bytes = b""


def write_task(task: Task) -> Written:
    """Read the task's files and write what they hold. Raises DataError for damaged input or a full disk."""
    with Writer(task) as writer:
        for file, item in read_cleaned(task, writer.tally):
            writer.take(Candidate(file, item) if isinstance(item, Document) else item)
    return writer.written()


def read_cleaned(task: Task, tally: Tally) -> Iterator[tuple[str, Document | Reject | Skipped]]:
    """Input file's name and item of every record of a task, cleaned; `tally` counts them and adds up coverage."""
    read = FORMATS[task.config.format].read
    for file in task.files:
        for item in clean(read(file, task.config, task.leave_out), task.config.clean, file.name):
            if isinstance(item, Coverage):
                tally.coverage.add(item)
                continue
            tally.read += 1
            yield file.name, item


class Writer:
    """Decides what becomes of a task's items, writes and counts them. Raises DataError when it cannot write."""

    def __init__(self, task: Task) -> None:
        self.tally = Tally()
        self._task = task
        self._stack = ExitStack()
        self._outputs = Outputs(task.folder, task.number, self._stack)
        self._finishing = Finishing(task.config, task.lookups)

    def take(self, item: Candidate | Reject | Skipped) -> None:
        if isinstance(item, Candidate):
            item = self._write(item) or item
        if isinstance(item, Skipped):
            self.tally.skipped[item.reason] += 1
        elif isinstance(item, Reject):
            self.tally.rejected[item.reason] += 1
            self._outputs.rejects().write(item.to_line())

    def take_rejects(self, path: Path) -> None:
        """Lines of rejects that are counted elsewhere."""
        if path.stat().st_size:
            with open(path, "rb") as stream:
                shutil.copyfileobj(stream, self._outputs.rejects())

    def written(self) -> Written:
        """What there is to say when all is written."""
        self.tally.files = self._outputs.files()
        lines, runs_seen = self._finishing.overlaps()
        path = overlaps_of(self._task.folder, self._task.number)
        if lines:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"".join(lines))
        else:
            path.unlink(missing_ok=True)
        return Written(self.tally, runs_seen)

    def _write(self, candidate: Candidate) -> Reject | Skipped | None:
        """Write a document and its copies, or say why it is none after all."""
        document, config = candidate.document, self._task.config
        line = line_of(candidate)
        if isinstance(line, Reject):
            return line
        fraction = config.validation_fractions.get(document.source, config.validation_fraction)
        split = split_of(original_id(document), config.seed, fraction)
        reason = self._finishing.against(candidate, split)
        if reason:
            return reason
        output = self._outputs.documents(split, document.source)
        output.write(line)
        self.tally.wrote(split, document)
        for copy in copies(document, self._finishing.times(candidate, split)):
            output.write(copy.to_line())
            self.tally.wrote(split, document, is_copy=True)
        return None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._stack.close()
        except OSError as late:
            error = error or late
        if isinstance(error, OSError):  # the readers raise DataError, so this is about writing
            raise unwritable(self._task.config.out, error) from None


def line_of(candidate: Candidate) -> bytes | Reject:
    """The line of a document, or why it is none."""
    document = candidate.document
    if not document.text.strip():
        return Reject(candidate.file, document.id, "empty", "")
    try:
        return document.to_line()
    except UnicodeEncodeError:
        return Reject(candidate.file, document.id, "not_utf8", document.text)
    except RecursionError:
        return Reject(candidate.file, document.id, "nested_too_deep", document.text)


def overlaps_of(folder: Path, task: int) -> Path:
    """The lines for decontamination.jsonl that a task has, if any."""
    return folder / TASKS / "overlaps" / f"{task:05d}.jsonl"


def drop_leftovers(folder: Path, written: Collection[Path]) -> None:
    """Remove what an earlier run wrote into `folder` and this one did not, its inputs having changed since."""
    for top in (*SPLITS, REJECTED):
        for here, _, names in os.walk(folder / top, topdown=False):
            for name in names:
                if Path(here, name).relative_to(folder) not in written:
                    Path(here, name).unlink()
            with suppress(OSError):  # not empty
                Path(here).rmdir()
