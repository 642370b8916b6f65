"""The files that steps look documents up in: benchmarks, approved journals, citations."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes.config.cleaning import CleanKeys
from medlm_recipes.corpus.cleaning.benchmark_index import build_index
from medlm_recipes.corpus.cleaning.benchmarks import ENDINGS, read_benchmark_items
from medlm_recipes.corpus.cleaning.citations import check_citations, write_citation_scores
from medlm_recipes.corpus.cleaning.standing import read_journals
from medlm_recipes.corpus.inputs import InputFile, expand_inputs
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import hash_json

BENCHMARK, JOURNALS, CITATIONS = "benchmark", "journals", "citations"


@dataclass(frozen=True)
class Lookups:
    """What the steps read. Every name holds a hash of what it was made from, so that tasks are known by it."""

    benchmarks: Path | None = None
    journals: Path | None = None
    citations: Path | None = None


def lookup_files(clean: CleanKeys) -> list[tuple[str, InputFile]]:
    """The files that the recipe names, each with what it is. Raises DataError for one that is missing."""
    files: list[tuple[str, InputFile]] = []
    if clean.decontaminate:
        try:
            found = expand_inputs(clean.decontaminate.against, ENDINGS)
        except DataError as error:
            raise DataError(f"clean.decontaminate.against{str(error).removeprefix('inputs')}") from None
        files += [(BENCHMARK, file) for file in found]
    if clean.upsample:
        for kind, given in ((JOURNALS, clean.upsample.journals), (CITATIONS, clean.upsample.citations)):
            if given:
                if not Path(given).is_file():
                    raise DataError(f"clean.upsample.{kind}: {given}: no such file")
                files.append((kind, InputFile(Path(given), Path(given).name)))
    return files


def check_lookups(files: Sequence[tuple[str, InputFile]]) -> None:
    """Read what can be read quickly, so that a wrong file is found now. Raises DataError."""
    for kind, file in files:
        {BENCHMARK: read_benchmark_items, JOURNALS: _journals, CITATIONS: _citations}[kind](file)


def _journals(file: InputFile) -> Any:
    return read_journals(file.path)


def _citations(file: InputFile) -> Any:
    return check_citations(file.path)


def make_lookups(files: Sequence[tuple[str, InputFile]], clean: CleanKeys, folder: Path) -> Lookups:
    """Write into `folder` what the steps look up, unless a killed run has. The files' digests are known."""
    folder.mkdir(parents=True, exist_ok=True)
    benchmarks = [file for kind, file in files if kind == BENCHMARK]
    one = {kind: file for kind, file in files if kind != BENCHMARK}
    made: dict[str, Path] = {}
    if clean.decontaminate:
        words = clean.decontaminate.words
        digest = hash_json([words, [(file.name, file.digest) for file in benchmarks]])
        made["benchmarks"] = _made(folder / f"benchmarks-{digest}", lambda to: _index(benchmarks, words, to))
    if JOURNALS in one:
        made["journals"] = _made(
            folder / f"journals-{one[JOURNALS].digest}", lambda to: shutil.copyfile(one[JOURNALS].path, to)
        )
    if CITATIONS in one:
        made["citations"] = _made(
            folder / f"citations-{one[CITATIONS].digest}.npy",
            lambda to: write_citation_scores(one[CITATIONS].path, to),
        )
    return Lookups(**made)


def _index(files: Sequence[InputFile], words: int, to: Path) -> None:
    items = [item for file in files for item in read_benchmark_items(file)]
    if not items:
        raise DataError("clean.decontaminate.against: there are labels only; give the files of the questions too")
    build_index(items, words).save(to)


def _made(path: Path, make: Callable[[Path], object]) -> Path:
    """The path, made whole or not at all."""
    if not path.exists():
        aside = path.with_name(f"partial-{path.name}")
        make(aside)
        aside.replace(path)
    return path
