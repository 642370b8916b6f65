"""Keys of prepare_corpus's cleaning: one a step, in the order in which they run; null or false: it does not."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

from medlm_recipes.config.fields import all_of, at_least, each, key, not_empty, one_of, optional_section, within

LANGUAGES = tuple(
    "ar bg cs da de el en es fa fi fr he hr hu id it ja ko nl no pl pt ro ru sr sv tr uk vi zh".split()  # noqa: SIM905
)
"""The languages, as ISO 639-1 codes, that are told apart: those of PubMed's records, down to a few thousand each."""

EXCLUSIONS = ("retracted", "preprint", "veterinary", "animals")

IDENTIFIERS = ("pmid", "pmcid", "doi", "title", "text")


@dataclass
class LanguageKeys:
    keep: list[str] = key(
        "ISO 639-1 codes of the languages to keep", ["en"], check=all_of(not_empty, each(one_of(*LANGUAGES)))
    )
    confidence: float = key(
        "a text is of another language when the detector gives that language at least this probability",
        0.9,
        check=within(0.5, 1),
    )


@dataclass
class LengthKeys:
    min_characters: int = key("documents with a shorter text are rejected as too_short", 1, check=at_least(1))
    max_characters: int | None = key(
        "documents with a longer text are rejected as too_long; null: no bound", None, check=at_least(1)
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.max_characters is not None and self.max_characters < self.min_characters:
            yield "max_characters", f"{self.max_characters} is below min_characters {self.min_characters}"


@dataclass
class DuplicateKeys:
    by: list[str] = key(
        "what makes two documents the same article: pmid, pmcid, doi, title, where two that differ in one of the "
        "former are two articles whatever the latter say; text: the same but for case and white space",
        list(IDENTIFIERS),
        check=all_of(not_empty, each(one_of(*IDENTIFIERS))),
    )
    min_title_words: int = key(
        "title: shorter ones (Editorial, Reply to the authors) tell nothing; years must agree to within one",
        6,
        check=at_least(1),
    )


@dataclass
class NearDuplicateKeys:
    words: int = key("a text is compared by its runs of this many words", 5, check=at_least(1))
    buckets: int = key(
        "bands of the signature; texts are near duplicates when one band is equal in both. 14 bands of 8 hashes, "
        "FineWeb's, find 56 % of the pairs whose sets of runs overlap (Jaccard) by 0.7, 92 % at 0.8, 99.96 % at 0.9",
        14,
        check=within(1, 1024),
    )
    hashes: int = key("minima in a band", 8, check=within(1, 64))


@dataclass
class DecontaminateKeys:
    against: list[str] = key(
        "benchmark files, folders or globs: MedQA and MedMCQA .jsonl, PubMedQA and BioASQ .json, MMLU .csv",
        check=not_empty,
    )
    words: int = key("runs of this many words are compared", 8, check=at_least(1))
    share: float = key(
        "a document is rejected as contaminated when at least this share of its runs stands in the benchmarks",
        0.8,
        check=within(0.01, 1),
    )


@dataclass
class UpsampleKeys:
    as_of: float = key("the date from which ages are counted, as a decimal year (2023.5: July 2023)")
    sources: list[str] = key("sources whose documents get copies; empty: all", [])
    journals: str | None = key(
        "file of approved journals, a title a line, each worth a score of 1; null: none", None, check=not_empty
    )
    citations: str | None = key(
        "CSV with the columns pmid and citations_per_year (iCite's metadata), plain or .gz; null: not scored",
        None,
        check=not_empty,
    )


@dataclass
class CleanKeys:
    urls: bool = key("URLs and DOIs are taken out, with the brackets that they leave empty", False)
    white_space: bool = key(
        "Unicode's composed form (NFC), one space for runs of spaces and tabs, at most one empty line, "
        "no control characters",
        False,
    )
    language: LanguageKeys | None = optional_section("texts in other languages are rejected as other_language")
    length: LengthKeys | None = optional_section("bounds of the text as the steps before left it")
    prefer: list[str] = key(
        "duplicates, near_duplicates: of several the one from the source named first here is kept, then the "
        "longest, then the first",
        [],
    )
    duplicates: DuplicateKeys | None = optional_section("of the documents of one article one is kept")
    near_duplicates: NearDuplicateKeys | None = optional_section("of texts that are nearly the same one is kept")
    exclude: list[str] = key(
        "kinds of publication that are skipped, by publication type or, animals, by MeSH heading, that the "
        f"document or one of its duplicates has: {', '.join(EXCLUSIONS)}",
        [],
        check=each(one_of(*EXCLUSIONS)),
    )
    decontaminate: DecontaminateKeys | None = optional_section(
        "documents that stand in benchmarks are rejected; decontamination.jsonl lists them with the test items"
    )
    upsample: UpsampleKeys | None = optional_section(
        "copies of training documents by quality: GAP-Replay's scores, 1 + score copies, rounded by chance"
    )

    def steps(self) -> list[str]:
        """Names of the steps that run, in their order."""
        return [entry.name for entry in fields(self) if entry.name != "prefer" and getattr(self, entry.name)]

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.prefer and self.duplicates is None and self.near_duplicates is None:
            yield "prefer", "says which of several duplicates is kept, but duplicates and near_duplicates are null"
