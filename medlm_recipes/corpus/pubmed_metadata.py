"""What the records of PubMed say about themselves, as the metadata of their documents."""

from typing import Any

from medlm_recipes.corpus.pubmed_records import Key

# Publication types D016441 and D016440; the latter was renamed in 2025.
RETRACTED = {"Retracted Publication"}
RETRACTION_NOTICE = {"Retraction of Publication", "Retraction Notice"}

_NO_TITLE = "not available"  # NLM's "[Not Available]."
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def text_of(element: Any) -> str:
    """Everything written inside an element, markup left out; no character but white space is lost."""
    if element is None:
        return ""
    return normal("".join(element.itertext()) if len(element) else element.text or "")


def normal(text: str) -> str:
    """Runs of white space, line breaks and NLM's thin spaces among them, become one space."""
    return " ".join(text.split())


def citation_metadata(key: Key, record: Any, citation: Any, article: Any) -> dict[str, Any]:
    """Of a PubmedArticle. article: its Article, or None."""
    metadata = _nothing_known(key)
    for part in () if article is None else article:
        if part.tag == "Journal":
            _add_journal(metadata, part)
        elif part.tag == "ELocationID" and part.get("EIdType") == "doi":
            metadata["doi"] = metadata["doi"] or text_of(part) or None
        else:
            _add_common(metadata, part)
    for part in citation.iterchildren("MedlineJournalInfo", "MeshHeadingList"):
        if part.tag == "MeshHeadingList":
            metadata["mesh"] = [(one.text or "").strip() for one in part.iter("DescriptorName")]
        else:
            metadata["nlm_id"] = text_of(_child(part, "NlmUniqueID")) or None
            metadata["issn"] = text_of(_child(part, "ISSNLinking")) or metadata["issn"]
    for data in record.iterchildren("PubmedData"):
        for identifiers in data.iterchildren("ArticleIdList"):
            _add_identifiers(metadata, identifiers)
    return _flagged(metadata)


def book_metadata(key: Key, record: Any, document: Any) -> dict[str, Any]:
    """Of a PubmedBookArticle; `book` is the title of the book that it belongs to."""
    metadata = _nothing_known(key)
    for part in document:
        if part.tag == "Book":
            metadata["book"] = text_of(_child(part, "BookTitle")) or None
            metadata["year"], metadata["date"] = _date(_child(part, "PubDate"))
        elif part.tag == "PublicationType":
            metadata["publication_types"].append(text_of(part))
        elif part.tag == "ArticleIdList":
            _add_identifiers(metadata, part)
        else:
            _add_common(metadata, part)
    metadata["title"] = metadata["title"] or metadata["book"]
    for data in record.iterchildren("PubmedBookData"):
        for identifiers in data.iterchildren("ArticleIdList"):
            _add_identifiers(metadata, identifiers)
    return _flagged(metadata)


def _nothing_known(key: Key) -> dict[str, Any]:
    known = {"pmid": key.pmid, "version": key.version, "publication_types": [], "mesh": []}
    unknown = "title", "vernacular_title", "journal", "nlm_id", "issn", "year", "date", "doi", "pmcid", "language"
    return {**dict.fromkeys(unknown), **known}


def _add_common(metadata: dict[str, Any], part: Any) -> None:
    if part.tag == "ArticleTitle":
        title = text_of(part)
        metadata["title"] = None if title.strip("[]. ").lower() == _NO_TITLE else title or None
    elif part.tag == "VernacularTitle":
        metadata["vernacular_title"] = text_of(part) or None
    elif part.tag == "Language":
        metadata["language"] = ",".join(filter(None, (metadata["language"], text_of(part)))) or None
    elif part.tag == "PublicationTypeList":
        metadata["publication_types"] = [(one.text or "").strip() for one in part]


def _add_journal(metadata: dict[str, Any], journal: Any) -> None:
    for part in journal:
        if part.tag == "Title":
            metadata["journal"] = text_of(part) or None
        elif part.tag == "ISSN":
            metadata["issn"] = metadata["issn"] or text_of(part) or None
        elif part.tag == "JournalIssue":
            metadata["year"], metadata["date"] = _date(_child(part, "PubDate"))


def _add_identifiers(metadata: dict[str, Any], identifiers: Any) -> None:
    for one in identifiers:
        name = {"doi": "doi", "pmc": "pmcid"}.get(one.get("IdType"))
        if name and (value := text_of(one)):
            metadata[name] = value


def _flagged(metadata: dict[str, Any]) -> dict[str, Any]:
    types = metadata["publication_types"]
    metadata["retracted"] = not RETRACTED.isdisjoint(types)
    metadata["retraction_notice"] = not RETRACTION_NOTICE.isdisjoint(types)
    return metadata


def _date(date: Any) -> tuple[int | None, str | None]:
    """Year, and YYYY, YYYY-MM or YYYY-MM-DD. MedlineDate is free text that begins with the year."""
    if date is None:
        return None, None
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


def _child(element: Any, tag: str) -> Any:
    return next(element.iterchildren(tag), None)
