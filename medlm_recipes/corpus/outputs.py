"""The output files of one task of prepare_corpus, each opened when it is first written to."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

from medlm_recipes.corpus.compressed import open_output
from medlm_recipes.corpus.document import ENDING

REJECTED = "rejected"
PART_BYTES = 1 << 24
"""Lines before compression after which a part of documents ends."""


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


class Outputs:
    """number: names the files, whichever worker writes them."""

    def __init__(self, folder: Path, number: int, stack: ExitStack) -> None:
        self._folder = folder
        self._number = number
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
        """What was written, relative to the folder."""
        paths = [path for parts in self._documents.values() for path in parts.paths]
        if self._rejects:
            paths.append(Path(self._rejects.name))
        return sorted(path.relative_to(self._folder) for path in paths)

    def _path(self, *folders: str, ending: str) -> Path:
        folder = self._folder.joinpath(*folders)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self._number:05d}{ending}"
