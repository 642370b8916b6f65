"""files.tsv: a line a fetched file, written as the files come, so that millions need no memory."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from medlm_recipes.errors import DataError
from medlm_recipes.fetching.download import DAMAGED, PART, VERSION, FileRecord
from medlm_recipes.manifest import FILE_NAME, UNFINISHED

TABLE = "files.tsv"
"""Its name. Not one that prepare_corpus reads as an input in any format."""

_HEAD = "name\tbytes\tmd5\tsha256\turl\n"
_OPEN_FOLDERS = 8  # files come folder by folder, of a few trees side by side


class FileTable:
    """Counts and lists the files of `out`, and finds what else with the source's `endings` lies among them.

    new, files: fetched by this run, and all. bytes: of all. others: files that are none of the source's,
    and one of them. Becomes `files.tsv` with `finish`; until then what an earlier run wrote stands.
    """

    def __init__(self, out: Path, endings: tuple[str, ...]) -> None:
        self.new = self.files = self.bytes = self.others = 0
        self.other: Path | None = None
        self.sha256 = ""
        self._out, self._endings = out, endings
        self._part = out / f"{TABLE}{PART}"
        self._hash = hashlib.sha256()
        self._folders: dict[Path, set[str]] = {}
        try:
            self._stream = open(self._part, "wb")
        except OSError as error:
            raise DataError(f"{self._part}: cannot be written ({error.strerror})") from None
        self._line(_HEAD)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stream.close()
        self._part.unlink(missing_ok=True)

    def add(self, file: FileRecord) -> None:
        digests = file.digests
        self._line(f"{file.name}\t{digests.bytes}\t{digests.md5}\t{digests.sha256}\t{file.url}\n")
        self.files += 1
        self.new += file.new
        self.bytes += digests.bytes
        self.visit(file.name).add(Path(file.name).name)

    def visit(self, name: str) -> set[str]:
        """Take the folder of a file, fetched or not wanted, among those to look around in; returns its files so far."""
        folder = (self._out / name).parent
        if folder not in self._folders and len(self._folders) == _OPEN_FOLDERS:
            self._look_around(next(iter(self._folders)))
        return self._folders.setdefault(folder, set())

    def finish(self) -> None:
        for folder in list(self._folders):
            self._look_around(folder)
        self._stream.close()
        self._part.replace(self._out / TABLE)
        self.sha256 = self._hash.hexdigest()

    def facts(self) -> Mapping[str, Any]:
        return {"files": self.files, "bytes": self.bytes}

    def _line(self, line: str) -> None:
        content = line.encode()
        self._hash.update(content)
        self._stream.write(content)

    def _look_around(self, folder: Path) -> None:
        ours = self._folders.pop(folder)
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            aside = entry.name.endswith((PART, VERSION, DAMAGED)) or entry.name in (FILE_NAME, UNFINISHED, TABLE)
            if entry.name.endswith(self._endings) and entry.name not in ours and not aside and entry.is_file():
                self.others += 1
                self.other = self.other or entry
