"""What a source of files offers to fetch_corpus."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from medlm_recipes.fetching.download import FileRecord
from medlm_recipes.fetching.transport import FetchError


@dataclass(frozen=True)
class Job:
    """One unit of work: a file, or an article with its metadata.

    name: of the file below `out`. bytes: its size, where the listing tells it (rounded, for some).
    entry: what the source keeps of the listing.
    """

    name: str
    url: str
    bytes: int | None = None
    entry: Any = None


@dataclass
class Outcome:
    """What became of a job. files: those that stand now. not_wanted: why the job's own file is none of them.

    notes: things to count, like retracted articles.
    """

    files: list[FileRecord] = field(default_factory=list)
    not_wanted: str | None = None
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """A listing that was read, and how each of its jobs is done.

    what: the listing in a few words. count: jobs. facts: what the manifest adds. endings: of the files that
    are the source's own, to tell which of the folder's files it no longer lists.
    """

    what: str
    count: int
    endings: tuple[str, ...]

    @property
    def facts(self) -> Mapping[str, Any]: ...

    def jobs(self) -> Iterator[Job]:
        """The jobs in an order that depends on the listing only, a folder's files one after another."""

    def fetch(self, job: Job, out: Path) -> Outcome:
        """Do one job, on any thread. Raises FetchError."""

    def finish(self, out: Path) -> None:
        """Write what the source itself leaves beside the files."""


def safe_name(name: str) -> str:
    """A server's name for a file, as a path that stays below its folder. Raises FetchError for any other."""
    parts = PurePosixPath(name).parts
    printable = name.isprintable() and "\\" not in name
    if not parts or not printable or name.startswith("/") or ".." in parts or str(PurePosixPath(*parts)) != name:
        raise FetchError(f"{name!r}: the server's name for a file, but no path inside a folder")
    return name
