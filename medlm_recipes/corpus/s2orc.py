"""S2ORC's bulk records: {"corpusid", "externalids", "content": {"text", "annotations"}} a line."""

from collections.abc import Iterator, Mapping
from typing import Any

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Item, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import read_json_lines, text_in
from medlm_recipes.corpus.markers import PLACEHOLDERS
from medlm_recipes.corpus.s2orc_annotations import BrokenAnnotations, read_annotations
from medlm_recipes.corpus.s2orc_text import lines_of, title_of

ENDINGS = (".jsonl", ".gz", ".jsonl.zst")  # as downloaded they are just .gz
SOURCE = "pubmed-papers"

# Semantic Scholar's names of what PubMed names otherwise.
_PUBLICATION_TYPES = {
    "CaseReport": "Case Reports",
    "ClinicalTrial": "Clinical Trial",
    "JournalArticle": "Journal Article",
    "LettersAndComments": "Letter",
    "MetaAnalysis": "Meta-Analysis",
}
_NO_PLACEHOLDERS = str.maketrans(dict.fromkeys(PLACEHOLDERS, " "))


def read_s2orc(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a line. Raises DataError for a missing or damaged file."""
    assert not leave_out
    return read_json_lines(file, lambda record: _read_record(record, config))


def _read_record(record: dict[str, Any], config: CorpusConfig) -> Document | Skipped | str:
    number = record.get("corpusid")
    content = record.get("content")
    if not isinstance(number, str | int) or number == "":
        return "no_corpusid"
    if not isinstance(content, dict):
        return "no_content"
    metadata = _metadata(record)
    if config.pubmed_only and not (metadata["pmid"] or metadata["pmcid"]):
        return Skipped("not_in_pubmed")
    text, missing = text_in(content, "text")
    if missing or not text.strip():
        return missing or "no_text"
    text = text.translate(_NO_PLACEHOLDERS)
    annotations = content.get("annotations")
    try:
        spans = read_annotations(annotations if isinstance(annotations, dict) else {}, len(text))
    except BrokenAnnotations as broken:
        return str(broken)
    title = metadata["title"] = metadata["title"] or title_of(text, spans) or None
    lines = list(lines_of(text, spans, with_markers=config.markers == "gap_replay"))
    if not lines:
        return "no_body"
    return Document(f"s2orc:{number}", "\n".join([title, *lines] if title else lines).strip(), SOURCE, metadata)


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    """Identifiers, and what a record has from S2ORC's list of papers where the two were joined."""
    given = record.get("externalids")
    identifiers = {str(name).lower(): value for name, value in given.items()} if isinstance(given, dict) else {}
    journal = record.get("journal")
    year, types = record.get("year"), record.get("publicationtypes")
    return {
        "corpusid": record["corpusid"],
        "pmid": _digits(identifiers.get("pubmed")),
        "pmcid": f"PMC{pmc}" if (pmc := _digits(identifiers.get("pubmedcentral"))) else None,
        "doi": _string(identifiers.get("doi")),
        "title": _string(record.get("title")),
        "journal": _string(journal.get("name")) if isinstance(journal, dict) else None,
        "year": year if isinstance(year, int) else None,
        "date": _string(record.get("publicationdate")),
        "publication_types": [_PUBLICATION_TYPES.get(str(one), str(one)) for one in types]
        if isinstance(types, list)
        else [],
    }


def _digits(value: Any) -> int | None:
    """Identifiers come as strings and as numbers, with PMC before them and without."""
    digits = str(value).strip().upper().removeprefix("PMC")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def _string(value: Any) -> str | None:
    return " ".join(value.split()) or None if isinstance(value, str) else None
