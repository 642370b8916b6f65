"""From `inputs` (files, folders, globs) to the files to read, each under a name without machine paths."""

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import UNFINISHED

_MOST_BYTES = 1 << 28  # of a group: a package of many articles is one alone


@dataclass(frozen=True)
class InputFile:
    """path: where it is read. name: what manifests, rejects and ids call it; unique in a corpus.

    digest: sha256 of its bytes, or what else stands for its content, once known; a task is known by it when a
    rerun asks what is finished.
    """

    path: Path
    name: str
    digest: str = ""


def expand_inputs(patterns: Sequence[str], endings: Sequence[str]) -> list[InputFile]:
    """The input files, sorted by file name: NLM's numbers, so PubMed's updates follow their baseline.

    A folder gives every file below it with one of `endings`. A file is named by its path below the
    given folder or below the fixed part of the glob, so that a moved corpus keeps its names.
    Raises DataError for a pattern that matches nothing, a file with another ending, and a folder that
    fetch_corpus has not finished.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # by resolved path: a file given twice is read once
    for pattern in patterns:
        matches = list(_matches(pattern, endings))
        if not matches:
            raise DataError(f"inputs: {pattern!r} matches no file ending in {' or '.join(endings)}")
        for root, path in matches:
            found.setdefault(path.resolve(), (root, path))
    _refuse_unfinished({folder for root, path in found.values() for folder in (root.parent, root, path.parent)})
    short = [_name(root, path) for root, path in found.values()]
    times = Counter(short)
    names = [
        name if times[name] == 1 else _name(root.absolute().parent, path.absolute())
        for name, (root, path) in zip(short, found.values(), strict=True)
    ]
    files = [InputFile(path, name) for (_, path), name in zip(found.values(), _numbered(names), strict=True)]
    return sorted(files, key=lambda file: (Path(file.name).name, file.name))


def _refuse_unfinished(folders: Iterable[Path]) -> None:
    for folder in sorted(folders):
        if (folder / UNFINISHED).is_file():
            raise DataError(
                f"inputs: {folder}: fetch_corpus has not finished there; run it again, or remove {UNFINISHED} to read "
                "what there is"
            )


def grouped(files: Sequence[InputFile], most: int) -> Iterator[tuple[InputFile, ...]]:
    """The files in their order in groups of at most `most` files and, unless one alone is larger, 256 MiB."""
    group: list[InputFile] = []
    total = 0
    for file in files:
        size = file.path.stat().st_size if file.path.is_file() else 0  # an id of the hub is no file
        if group and (len(group) == most or total + size > _MOST_BYTES):
            yield tuple(group)
            group, total = [], 0
        group.append(file)
        total += size
    if group:
        yield tuple(group)


def _matches(pattern: str, endings: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """Pairs of the folder that names are relative to and a file."""
    path = Path(pattern)
    if path.is_dir():
        yield from ((path, file) for file in _files_below(path, endings))
    elif path.exists():
        if not path.is_file():
            raise DataError(f"inputs: {pattern}: not a regular file")
        if not pattern.endswith(tuple(endings)):
            raise DataError(f"inputs: {pattern}: this format reads files ending in {' or '.join(endings)}")
        yield path.parent, path
    elif not glob.has_magic(pattern):
        raise DataError(f"inputs: {pattern}: no such file or folder")
    else:
        parts = Path(pattern).parts
        magic = next(index for index, part in enumerate(parts) if glob.has_magic(part))
        root = Path(*parts[:magic])
        for match in sorted(root.glob(str(Path(*parts[magic:])))):
            if match.is_dir():
                yield from ((root, file) for file in _files_below(match, endings))
            elif match.name.endswith(tuple(endings)):
                yield root, match


def _files_below(folder: Path, endings: Sequence[str]) -> Iterator[Path]:
    for here, folders, names in os.walk(folder, onerror=_refuse):
        folders.sort()
        yield from (Path(here, name) for name in sorted(names) if name.endswith(tuple(endings)))


def _name(root: Path, path: Path) -> str:
    """Relative path with bytes that are no UTF-8 spelled out: names go into JSON."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _refuse(error: OSError) -> None:
    raise DataError(f"inputs: {error.filename}: cannot be listed ({error.strerror})")


def _numbered(names: list[str]) -> list[str]:
    """Equal names, of equally named folders, get #2, #3 in the order in which the inputs were given."""
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return unique
