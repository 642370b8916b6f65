"""What a record of PubMed holds: its metadata, and the elements that its texts come from.

Each element's children are looked at once, because this is most of the time beside the parser's own.
"""

from dataclasses import dataclass, field
from typing import Any

from medlm_recipes.corpus.pubmed_records import Key, parse_key

# Publication types D016441 and D016440; the latter was renamed in 2025.
RETRACTED = {"Retracted Publication"}
RETRACTION_NOTICE = {"Retraction of Publication", "Retraction Notice"}

_NO_TITLE = "not available"  # NLM's "[Not Available]."
_IDENTIFIERS = {"doi": "doi", "pmc": "pmcid"}
_ODD_SPACES = ("  ", "\n", "\t", "\r")  # in ASCII XML has no other white space but single ones
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass
class Record:
    """titles: elements of the titles. others: its OtherAbstract elements. key: None when it has no PMID."""

    metadata: dict[str, Any]
    key: Key | None = None
    titles: list[Any] = field(default_factory=list)
    abstract: Any = None
    others: list[Any] = field(default_factory=list)


def text_of(element: Any) -> str:
    """Everything written inside an element, markup left out; no character but white space is lost."""
    return normal("".join(element.itertext()) if len(element) else element.text or "")


def normal(text: str) -> str:
    """Runs of white space, line breaks and NLM's thin spaces among them, become one space."""
    if len(text) > 200 and text.isascii() and text == text.strip() and not any(map(text.__contains__, _ODD_SPACES)):
        return text  # splitting a long text takes longer than all the rest here
    return " ".join(text.split())


def read_citation(article: Any) -> Record:
    """Of a PubmedArticle."""
    record = Record(_nothing_known())
    for part in article:
        if part.tag == "MedlineCitation":
            _read_medline_citation(record, part)
        elif part.tag == "PubmedData":
            _read_identifiers(record, part)
    _finish(record)
    return record


def read_book_article(article: Any) -> Record:
    """Of a PubmedBookArticle; `book` is the title of the book that it belongs to."""
    record = Record({**_nothing_known(), "book": None})
    for part in article:
        if part.tag == "BookDocument":
            _read_book_document(record, part)
        elif part.tag == "PubmedBookData":
            _read_identifiers(record, part)
    record.metadata["title"] = record.metadata["title"] or record.metadata["book"]
    _finish(record)
    return record


def _nothing_known() -> dict[str, Any]:
    return {
        "pmid": None,
        "version": None,
        "title": None,
        "vernacular_title": None,
        "journal": None,
        "nlm_id": None,
        "issn": None,
        "year": None,
        "date": None,
        "doi": None,
        "pmcid": None,
        "language": None,
        "publication_types": [],
        "mesh": [],
    }


def _finish(record: Record) -> None:
    metadata = record.metadata
    if record.key:
        metadata["pmid"], metadata["version"] = record.key
    metadata["retracted"] = not RETRACTED.isdisjoint(metadata["publication_types"])
    metadata["retraction_notice"] = not RETRACTION_NOTICE.isdisjoint(metadata["publication_types"])


def _read_medline_citation(record: Record, citation: Any) -> None:
    metadata = record.metadata
    for part in citation:
        tag = part.tag
        if tag == "PMID":
            record.key = record.key or parse_key(part)
        elif tag == "Article":
            _read_article(record, part)
        elif tag == "MedlineJournalInfo":
            for one in part:
                if one.tag == "NlmUniqueID":
                    metadata["nlm_id"] = text_of(one) or None
                elif one.tag == "ISSNLinking":
                    metadata["issn"] = text_of(one) or metadata["issn"]
        elif tag == "MeshHeadingList":
            metadata["mesh"] = [(one.text or "").strip() for one in part.iter("DescriptorName")]
        elif tag == "OtherAbstract":
            record.others.append(part)


def _read_article(record: Record, article: Any) -> None:
    metadata = record.metadata
    for part in article:
        tag = part.tag
        if tag == "Journal":
            _read_journal(metadata, part)
        elif tag == "ELocationID":
            if part.get("EIdType") == "doi":
                metadata["doi"] = metadata["doi"] or text_of(part) or None
        elif tag == "PublicationTypeList":
            metadata["publication_types"] = [(one.text or "").strip() for one in part]
        else:
            _read_common(record, part, tag)


def _read_book_document(record: Record, document: Any) -> None:
    metadata = record.metadata
    for part in document:
        tag = part.tag
        if tag == "PMID":
            record.key = record.key or parse_key(part)
        elif tag == "Book":
            for one in part:
                if one.tag == "BookTitle":
                    metadata["book"] = text_of(one) or None
                elif one.tag == "PubDate":
                    metadata["year"], metadata["date"] = _date(one)
        elif tag == "PublicationType":
            metadata["publication_types"].append((part.text or "").strip())
        elif tag == "ArticleIdList":
            _add_identifiers(metadata, part)
        elif tag == "OtherAbstract":
            record.others.append(part)
        else:
            _read_common(record, part, tag)


def _read_common(record: Record, part: Any, tag: str) -> None:
    """What an Article and a BookDocument both have."""
    metadata = record.metadata
    if tag == "ArticleTitle":
        title = text_of(part)
        metadata["title"] = None if title.strip("[]. ").lower() == _NO_TITLE else title or None
        record.titles.append(part)
    elif tag == "VernacularTitle":
        metadata["vernacular_title"] = text_of(part) or None
        record.titles.append(part)
    elif tag == "Abstract":
        record.abstract = part if record.abstract is None else record.abstract
    elif tag == "Language":
        metadata["language"] = ",".join(filter(None, (metadata["language"], text_of(part)))) or None


def _read_journal(metadata: dict[str, Any], journal: Any) -> None:
    for part in journal:
        tag = part.tag
        if tag == "Title":
            metadata["journal"] = text_of(part) or None
        elif tag == "ISSN":
            metadata["issn"] = metadata["issn"] or text_of(part) or None
        elif tag == "JournalIssue":
            for one in part:
                if one.tag == "PubDate":
                    metadata["year"], metadata["date"] = _date(one)


def _read_identifiers(record: Record, data: Any) -> None:
    for part in data:
        if part.tag == "ArticleIdList":
            _add_identifiers(record.metadata, part)


def _add_identifiers(metadata: dict[str, Any], identifiers: Any) -> None:
    for one in identifiers:
        name = _IDENTIFIERS.get(one.get("IdType"))
        if name and (value := text_of(one)):
            metadata[name] = value


def _date(date: Any) -> tuple[int | None, str | None]:
    """Year, and YYYY, YYYY-MM or YYYY-MM-DD. MedlineDate is free text that begins with the year."""
    parts = {part.tag: (part.text or "").strip() for part in date}
    year = (parts.get("Year") or parts.get("MedlineDate", ""))[:4]
    if not (len(year) == 4 and year.isascii() and year.isdigit()):
        return None, None
    month, day = _month(parts.get("Month", "")), parts.get("Day", "")
    if not month:
        return int(year), year
    is_day = day.isascii() and day.isdigit() and 1 <= int(day) <= 31
    return int(year), f"{year}-{month:02d}" + (f"-{int(day):02d}" if is_day else "")


def _month(written: str) -> int:
    """1 to 12 for Jan, January, 1 or 01; 0 for anything else."""
    if written.isascii() and written.isdigit():
        return int(written) if int(written) <= 12 else 0
    name = written[:3].lower()
    return _MONTHS.index(name) + 1 if name in _MONTHS else 0
