"""Keys of prepare_corpus."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.config.fields import at_least, each, key, not_empty, one_of, section, within

PILE_SETS = ["PubMed Abstracts", "PubMed Central"]


def slug(name: str) -> str:
    """The name of a source, fit for a folder: "PubMed Abstracts" is pubmed-abstracts."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def source_name(value: Any) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", value):
        raise ValueError("must be a folder's name of letters, digits, - and _")


def sluggable(value: Any) -> None:
    if not slug(value):
        raise ValueError("must hold a letter or digit")


@dataclass
class CorpusConfig:
    format: str = key(
        "form of the inputs: pile (.jsonl, .jsonl.gz or .jsonl.zst records with text and meta.pile_set_name), "
        "pubmed_xml (NLM's pubmedYYnNNNN.xml or .xml.gz) or text (a document a .txt file)",
        check=one_of("pile", "pubmed_xml", "text"),
    )
    inputs: list[str] = key("files, folders or globs to read", check=not_empty)
    out: str = key("folder to write: <split>/<source>/*.jsonl.zst, rejected/*.jsonl, manifest.json", check=not_empty)
    pile_sets: list[str] = key(
        "format pile: the pile_set_names to keep; each becomes a source", PILE_SETS, check=each(sluggable)
    )
    source: str = key("format text: name of the source that the documents belong to", "text", check=source_name)
    min_characters: int = key("documents with a shorter text are rejected as too_short", 1, check=at_least(1))
    validation_fraction: float = key(
        "share of documents that go to the validation split, chosen by a hash of their id",
        0.01,
        check=within(0, 0.5),
    )
    seed: int = key("seed of the split's hash; another seed gives another split", 17)
    execution: ExecutionKeys = section(ExecutionKeys, "where the work runs; it does not decide what is written")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.format == "pile" and not self.pile_sets:
            yield "pile_sets", "must not be empty for format pile"
        names = [slug(name) for name in self.pile_sets]
        if len(set(names)) < len(names):
            yield "pile_sets", f"{self.pile_sets} give the same source twice: {', '.join(names)}"
