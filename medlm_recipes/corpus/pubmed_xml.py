"""PubMed's citations (pubmedYYnNNNN.xml[.gz]) to documents: title, newline, abstract."""

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Item, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_records import ARTICLE, BOOK, Key, key_of, read_records

ENDINGS = (".xml", ".xml.gz")
SOURCE = "pubmed-abstracts"

_NO_LABEL = "UNLABELLED"  # NLM's mark for the unlabelled section of a structured abstract


def read_pubmed_xml(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a PubmedArticle or PubmedBookArticle.

    leave_out: position among the file's articles -> why another record is kept in its stead.
    Raises DataError for a damaged file.
    """
    position = -1
    for element in read_records(file.path):
        if element.tag == BOOK:
            yield Skipped("book")
        elif element.tag == ARTICLE:
            position += 1
            if position in leave_out:
                yield Skipped(leave_out[position])
            else:
                yield _read_article(file, element, position)


def _read_article(file: InputFile, element: Any, position: int) -> Document | Reject:
    key = key_of(element)
    if key is None:
        return Reject(file.name, f"record {position + 1}", "no_pmid", "".join(element.itertext())[:2000].strip())
    citation = element.find("MedlineCitation")
    article = citation.find("Article")
    title = None if article is None else article.find("ArticleTitle")
    parts = [] if article is None else article.findall("Abstract/AbstractText")
    heading = _text(title)
    paragraphs = [paragraph for paragraph in map(_paragraph, parts) if paragraph]
    if any(_has_entity(part) for part in (title, *parts)):
        return Reject(file.name, f"pmid {key.pmid}", "unresolved_entity", heading)
    if not paragraphs:
        return Reject(file.name, f"pmid {key.pmid}", "no_abstract", heading)
    text = "\n".join([heading, *paragraphs] if heading else paragraphs)
    return Document(f"pmid:{key.pmid}", text, SOURCE, _metadata(key, element, citation, article))


def _paragraph(part: Any) -> str:
    """One section of an abstract, with the label that a structured one has."""
    text = _text(part)
    label = _normal(part.get("Label", ""))
    return f"{label}: {text}" if text and label and label != _NO_LABEL else text


def _text(element: Any) -> str:
    """Everything written inside an element, markup left out; no character but white space is lost."""
    if element is None:
        return ""
    return _normal("".join(element.itertext()) if len(element) else element.text or "")


def _normal(text: str) -> str:
    """Runs of white space, line breaks and NLM's thin spaces among them, become one space."""
    return " ".join(text.split())


def _has_entity(element: Any) -> bool:
    """Entities are not expanded, and a text with a hole in it is worse than none."""
    return element is not None and len(element) > 0 and any(True for _ in element.iter(etree.Entity))


def _metadata(key: Key, element: Any, citation: Any, article: Any) -> dict[str, Any]:
    identifiers = {
        one.get("IdType"): (one.text or "").strip() for one in element.iterfind("PubmedData/ArticleIdList/ArticleId")
    }
    doi = identifiers.get("doi") or next(
        (_text(one) for one in article.iterfind("ELocationID") if one.get("EIdType") == "doi"), None
    )
    return {
        "pmid": key.pmid,
        "version": key.version,
        "journal": _text(article.find("Journal/Title")) or None,
        "year": _year(article.find("Journal/JournalIssue/PubDate")),
        "doi": doi or None,
        "pmcid": identifiers.get("pmc") or None,
        "language": ",".join(_text(one) for one in article.iterfind("Language")) or None,
        "publication_types": [_text(one) for one in article.iterfind("PublicationTypeList/PublicationType")],
        "mesh": [_text(one) for one in citation.iterfind("MeshHeadingList/MeshHeading/DescriptorName")],
    }


def _year(date: Any) -> int | None:
    """Year of the issue; MedlineDate is free text that begins with it (1998 Dec-1999 Jan)."""
    if date is None:
        return None
    year = (date.findtext("Year") or date.findtext("MedlineDate") or "").strip()[:4]
    return int(year) if year.isascii() and year.isdigit() else None
