"""From a recipe's inputs to the records of each split, of the authors' files or of a dataset on the hub."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from medlm_recipes.checksums import verified_sha256
from medlm_recipes.config.benchmark import BenchmarkConfig
from medlm_recipes.corpus.cleaning.benchmarks import ENDINGS, read_records
from medlm_recipes.corpus.hub import HubFile, choose_split, hub_records, hub_splits
from medlm_recipes.corpus.inputs import InputFile, expand_inputs
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.originals.record import Original, Raw


@dataclass(frozen=True)
class Found:
    """splits: the files of each. test_labels: PubMedQA's file of them. Digests are filled in."""

    splits: dict[str, list[InputFile]] = field(default_factory=dict)
    test_labels: InputFile | None = None

    def digests(self) -> dict[str, str]:
        """Of every file, by its name; of those on the hub, their commit."""
        files = [file for files in self.splits.values() for file in files]
        return {file.name: file.digest for file in [*files, *([self.test_labels] if self.test_labels else [])]}


def find_files(config: BenchmarkConfig) -> Found:
    """The files of every split, hashed.

    Raises DataError for inputs, patterns and names that match nothing, or several files where one is
    meant, and for a file in two splits, unless it is PubMedQA's, whose split is decided by item.
    """
    splits = _on_hub(config) if config.source == "hub" else _below_inputs(config)
    labels = _test_labels(config) if config.format == "pubmedqa" else None
    if config.format != "pubmedqa":
        _refuse_twice(splits)
    hashed = {file.name: _hashed(file) for files in splits.values() for file in files}
    return Found({split: [hashed[file.name] for file in files] for split, files in splits.items()}, labels)


def read_original(config: BenchmarkConfig, found: Found) -> Original:
    """Every record of the files. Raises DataError for one that cannot be read."""
    records = {split: list(_numbered(files)) for split, files in found.splits.items()}
    return Original(config, records, dict(read_records(found.test_labels.path)) if found.test_labels else {})


def _numbered(files: Sequence[InputFile]) -> Iterator[Raw]:
    every = ((file.name, name, fields) for file in files for name, fields in _records(file))
    for number, (file, name, fields) in enumerate(every, 1):
        yield Raw(file, name, number, fields)


def _records(file: InputFile) -> Iterator[tuple[str, Any]]:
    if isinstance(file, HubFile):
        yield from ((str(number), record) for number, record in enumerate(hub_records(file), 1))
    else:
        yield from read_records(file.path)


def _on_hub(config: BenchmarkConfig) -> dict[str, list[InputFile]]:
    assert config.hub is not None
    [given] = config.inputs
    there = hub_splits(given, config.hub.config, config.hub.revision)
    return {
        split: list(choose_split(given, there, f"hub.{split}", getattr(config.hub, split))) for split in config.made()
    }


def _below_inputs(config: BenchmarkConfig) -> dict[str, list[InputFile]]:
    files = expand_inputs(config.inputs, ENDINGS)
    return {
        split: [
            file
            for pattern in getattr(config.files, split)
            for file in _matching(files, pattern, f"files.{split}", f"or do without: files.{split}=[]")
        ]
        for split in config.made()
    }


def _matching(files: Sequence[InputFile], pattern: str, key: str, remedy: str) -> list[InputFile]:
    found = [file for file in files if PurePosixPath(file.name).match(pattern)]
    if not found:
        names = ", ".join(file.name for file in files[:5]) + (", ..." if len(files) > 5 else "")
        raise DataError(
            f"{key}: no file {pattern!r} among the inputs ({names}); give the folder that holds it, {remedy}"
        )
    if len(found) > 1 and not set(pattern) & set("*?["):
        raise DataError(
            f"{key}: {pattern!r} is {' and '.join(file.name for file in found[:3])}"
            f"{' and more' if len(found) > 3 else ''}; give the folder of the one that is meant as inputs"
        )
    return found


def _test_labels(config: BenchmarkConfig) -> InputFile:
    path = Path(config.test_labels)
    if path.is_file():
        return _hashed(InputFile(path, path.name))
    if config.source == "hub":
        raise DataError(
            f"test_labels: {path}: no such file; the hub does not say which items are the test's: give the path of "
            "test_ground_truth.json from github.com/pubmedqa/pubmedqa"
        )
    files = expand_inputs(config.inputs, ENDINGS)
    return _hashed(_matching(files, config.test_labels, "test_labels", "or the path of the file itself")[0])


def _refuse_twice(splits: dict[str, list[InputFile]]) -> None:
    of: dict[str, str] = {}
    for split, files in splits.items():
        for file in files:
            if file.name in of:
                raise DataError(f"{file.path}: given twice, for {of[file.name]} and for {split}")
            of[file.name] = split


def _hashed(file: InputFile) -> InputFile:
    """With its sha256, checked against a companion; a file on the hub is known by its commit."""
    if file.digest:
        return file
    try:
        return replace(file, digest=verified_sha256(file.path))
    except OSError as error:
        raise DataError(f"{file.path}: cannot be read ({error.strerror})") from None
