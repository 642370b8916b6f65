"""Keys of prepare_corpus."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medlm_recipes.config.cleaning import CleanKeys
from medlm_recipes.config.execution import ExecutionKeys
from medlm_recipes.config.fields import each, each_value, key, not_empty, one_of, positive, section, tokens, within

FORMATS = ("pile", "pubmed_xml", "pmc_jats", "s2orc", "guidelines", "jsonl", "hub", "text", "documents")
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
        "pubmed_xml (NLM's pubmedYYnNNNN.xml or .xml.gz), pmc_jats (full texts: .nxml, .xml, either as .gz, or "
        "packages of them as .tar or .tar.gz), s2orc (Semantic Scholar's full texts with annotations), "
        "guidelines (records of epfl-llm/guidelines), jsonl (any records with a text), hub (datasets of the Hugging "
        "Face hub by id), text (a document a .txt file) or documents (folders that prepare_corpus wrote)",
        check=one_of(*FORMATS),
    )
    inputs: list[str] = key(
        "files, folders or globs to read; format hub: ids (owner/name) or folders downloaded from there",
        check=not_empty,
    )
    out: str = key("folder to write: <split>/<source>/*.jsonl.zst, rejected/*.jsonl, manifest.json", check=not_empty)
    pile_sets: list[str] = key(
        "format pile: the pile_set_names to keep; each becomes a source", PILE_SETS, check=each(sluggable)
    )
    source: str = key(
        "formats text, jsonl, hub and pmc_jats: name of the source that the documents belong to",
        "text",
        check=source_name,
    )
    markers: str = key(
        "formats pmc_jats and s2orc: gap_replay puts [bib_ref], [fig_ref], [fig], [table] and [formula] around "
        "citations, references to figures and tables, captions and formulas; none leaves them as they are in the text",
        "none",
        check=one_of("gap_replay", "none"),
    )
    pubmed_only: bool = key("format s2orc: papers without a PMID or PMCID are skipped as not_in_pubmed", True)
    text_key: str = key("formats jsonl, hub: field of a record that holds its text", "text", check=not_empty)
    id_key: str | None = key(
        "formats jsonl, hub: field that holds a record's id; null: a hash of the text is the id", None, check=not_empty
    )
    sample_fraction: float = key(
        "formats jsonl, hub: share of the records that are kept, chosen by a hash of their id; the others are "
        "skipped as not_sampled",
        1.0,
        check=within(0, 1),
    )
    sample_tokens: str | None = key(
        "format jsonl: about so many tokens are kept (420_000_000tok); sample_fraction then follows from the size of "
        "all texts, which takes a first pass over them; null: no such target",
        None,
        check=tokens,
    )
    bytes_per_token: float = key(
        "sample_tokens: bytes of UTF-8 that one token stands for; Llama's tokenizers have about 4 on English "
        "web text, terms.json of a tokenizer folder tells what another one has",
        4.0,
        check=positive,
    )
    hub_config: str | None = key("format hub: configuration of the datasets; null: their default", None)
    hub_split: str = key("format hub: split of the datasets to read", "train", check=not_empty)
    hub_revision: str | None = key("format hub: commit, tag or branch; null: the newest commit", None)
    validation_fraction: float = key(
        "share of documents that go to the validation split, chosen by a hash of their id",
        0.01,
        check=within(0, 0.5),
    )
    validation_fractions: dict[str, float] = key(
        "source -> its own share, where it is to have another", {}, check=each_value(within(0, 0.5))
    )
    clean: CleanKeys = section(CleanKeys, "steps that every document goes through; null or false: it does not")
    seed: int = key("seed of the split's hash; another seed gives another split", 17)
    execution: ExecutionKeys = section(ExecutionKeys, "where the work runs; it does not decide what is written")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.sample_tokens is not None and self.format != "jsonl":
            yield "sample_tokens", f"is for format jsonl, not {self.format}; download hub datasets to sample them"
        if self.sample_fraction != 1 and (self.format not in ("jsonl", "hub") or self.sample_tokens is not None):
            yield "sample_fraction", "is for formats jsonl and hub, and not beside sample_tokens"
        if self.sample_fraction == 0:
            yield "sample_fraction", "must be above 0: nothing would be kept"
        if self.id_key is not None and self.id_key == self.text_key:
            yield "id_key", f"is the text_key too ({self.text_key!r}); null makes a hash of the text the id"
        if self.format == "pile" and not self.pile_sets:
            yield "pile_sets", "must not be empty for format pile"
        names = [slug(name) for name in self.pile_sets]
        if len(set(names)) < len(names):
            yield "pile_sets", f"{self.pile_sets} give the same source twice: {', '.join(names)}"
