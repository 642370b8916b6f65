"""Keys of prepare_corpus."""

from dataclasses import dataclass

from medlm_recipes.config.fields import at_least, key, not_empty, one_of, within

PILE_SETS = ["PubMed Abstracts", "PubMed Central"]


@dataclass
class CorpusConfig:
    format: str = key(
        "form of the inputs: pile (.jsonl, .jsonl.gz or .jsonl.zst records with text and meta.pile_set_name), "
        "pubmed_xml (NLM's pubmedYYnNNNN.xml or .xml.gz) or text (a document a .txt file)",
        check=one_of("pile", "pubmed_xml", "text"),
    )
    inputs: list[str] = key("files, folders or globs to read", check=not_empty)
    out: str = key("folder to write: <split>/<source>/*.jsonl.zst, rejected/*.jsonl, manifest.json")
    pile_sets: list[str] = key("format pile: the pile_set_names to keep; each becomes a source", PILE_SETS)
    source: str = key("format text: name of the source that the documents belong to", "text")
    min_characters: int = key("documents with a shorter text are rejected as too_short", 1, check=at_least(1))
    validation_fraction: float = key(
        "share of documents that go to the validation split, chosen by a hash of their id",
        0.01,
        check=within(0, 0.5),
    )
    seed: int = key("seed of the split's hash; another seed gives another split", 17)
    workers: int = key("processes that read inputs side by side; 0: one a core", 0, check=at_least(0))
