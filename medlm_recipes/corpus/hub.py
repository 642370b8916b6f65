"""Datasets of the Hugging Face hub, streamed by id, or folders downloaded from it. No code of theirs runs."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.fields import did_you_mean
from medlm_recipes.corpus.document import EXCERPT_CHARACTERS, Item, Reject
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.jsonl import read_record
from medlm_recipes.errors import ConfigError, DataError

BUILDERS = ("arrow", "csv", "json", "parquet", "text")
"""Of `datasets`' own readers those for tables of text; none of them unpickles or runs anything."""

_IDENTIFIER = re.compile(r"[\w.-]+/[\w.-]+")
_ON_THE_HUB = re.compile(r"hf://datasets/[^@]+@(?P<commit>[0-9a-f]+)/(?P<path>.+)")
_OPTIONS = {"csv": ("sep",), "json": ("field",)}  # what a dataset's card may say of its files


@dataclass(frozen=True)
class HubFile(InputFile):
    """One data file of a dataset. url: where `datasets` finds it. builder: which of its readers takes it."""

    url: str = ""
    builder: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def find_hub_files(config: CorpusConfig) -> list[InputFile]:
    """The data files of config.hub_split of every dataset in `inputs`, at one commit each.

    Raises DataError for what is no dataset, cannot be reached or is of another kind, and ConfigError for
    a configuration or split that a dataset lacks.
    """
    files: list[InputFile] = []
    for given in dict.fromkeys(config.inputs):
        splits = hub_splits(given, config.hub_config, config.hub_revision)
        files += choose_split(given, splits, "hub_split", config.hub_split)
    return files


def hub_splits(given: str, name: str | None, revision: str | None) -> dict[str, list[HubFile]]:
    """The data files of every split of a dataset, an id or a folder, in its configuration `name`, at one commit.

    Raises DataError for what is no dataset, cannot be reached or is of another kind.
    """
    folder = Path(given) if Path(given).is_dir() else None
    if folder is None and not _IDENTIFIER.fullmatch(given):
        raise DataError(f"inputs: {given!r} is neither a folder nor a dataset's id, owner/name")
    try:
        builder = _datasets().load_dataset_builder(given, name=name, revision=revision)
    except Exception as error:  # of a dozen libraries, and of the network
        raise DataError(
            f"inputs: {given}: no dataset can be read there ({_first_line(error)}); check the id, log in to the hub "
            "for a gated one, or give the folder of a download"
        ) from None
    kind = str(builder.__module__).rpartition(".")[2]
    if kind not in BUILDERS:
        raise DataError(f"inputs: {given}: its files are read as {kind}; {', '.join(BUILDERS)} can be read here")
    options = {option: getattr(builder.config, option, None) for option in _OPTIONS.get(kind, ())}
    options = {option: value for option, value in options.items() if value is not None}
    return {
        str(split): [_file(given, folder, str(url), kind, options) for url in urls]
        for split, urls in (builder.config.data_files or {}).items()
    }


def choose_split(given: str, splits: Mapping[str, list[HubFile]], key: str, wanted: str) -> list[HubFile]:
    """The files of the split that `key` of the recipe names. Raises ConfigError when the dataset lacks it."""
    if wanted not in splits:
        near = did_you_mean(wanted, splits)
        raise ConfigError(f"{key}: {given} has no {wanted!r}{near}; it has {', '.join(splits)}")
    return splits[wanted]


def _file(given: str, folder: Path | None, url: str, builder: str, options: Mapping[str, Any]) -> HubFile:
    """Raises DataError when a dataset names a file outside of itself: its card may say anything."""
    if folder is not None:
        path = Path(url)
        if not path.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"inputs: {given}: names the file {url}, which is not in it")
        relative = path.resolve().relative_to(folder.resolve()).as_posix()
        return HubFile(path, f"{folder.resolve().name}/{relative}", url=url, builder=builder, options=options)
    found = _ON_THE_HUB.fullmatch(url)
    if not found or not url.startswith(f"hf://datasets/{given}@"):
        raise DataError(f"inputs: {given}: names the file {url}, which is not in it")
    name = f"{given}/{found['path']}"
    return HubFile(Path(name), name, f"commit {found['commit']}", url, builder, options)


def read_hub(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a record. Raises DataError when the file cannot be read to its end."""
    assert not leave_out and isinstance(file, HubFile)
    for number, record in enumerate(hub_records(file), 1):
        item = read_record(record, config)
        if isinstance(item, str):
            yield Reject(file.name, f"record {number}", item, str(record)[: 4 * EXCERPT_CHARACTERS])
        else:
            yield item


def hub_records(file: HubFile) -> Iterator[dict[str, Any]]:
    """The records of a file, of what JSON can hold. Raises DataError when it cannot be read to its end."""
    number = 0
    try:
        load = _datasets().load_dataset
        for record in load(file.builder, data_files=[file.url], split="train", streaming=True, **file.options):
            number += 1
            yield {name: _json(value) for name, value in record.items()}
    except Exception as error:  # of a dozen libraries, and of the network
        raise DataError(f"{file.name}: cannot be read after {number:,} records ({_first_line(error)})") from None


def _datasets() -> Any:
    """The library, without its report of every load to the hub: a folder is read without a network."""
    import datasets

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    return datasets


def _json(value: Any) -> Any:
    """What JSON can hold: dates as text, bytes (of pictures) not at all."""
    if isinstance(value, dict):
        return {str(name): _json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if isinstance(value, bytes):
        return None
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
