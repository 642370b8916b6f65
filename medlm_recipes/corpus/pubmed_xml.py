"""PubMed's citations and book articles (pubmedYYnNNNN.xml[.gz]) to documents: title, newline, abstract."""

from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Item, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_metadata import book_metadata, citation_metadata, normal, text_of
from medlm_recipes.corpus.pubmed_records import BOOK, DELETION, key_of, read_records

ENDINGS = (".xml", ".xml.gz")
SOURCE = "pubmed-abstracts"

_NO_LABEL = "UNLABELLED"  # NLM's mark for the unlabelled section of a structured abstract
_ELSEWHERE = "Abstract available from the publisher."  # all that many an OtherAbstract says
_DEFAULT_LANGUAGE = "eng"  # the DTD's, of an OtherAbstract
# The article's own document has these; with them a translation would pass for its copy.
_OF_THE_ARTICLE = ("pmid", "version", "pmcid", "doi", "title", "vernacular_title")


def read_pubmed_xml(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item for each PubmedArticle and PubmedBookArticle, and one for each OtherAbstract in them.

    leave_out: position among the file's articles -> why another record is kept in its stead; that is one
    item, its other abstracts included. Raises DataError for a damaged file.
    """
    position = -1
    for element in read_records(file.path):
        if element.tag == DELETION:
            continue
        position += 1
        if position in leave_out:
            yield Skipped(leave_out[position])
        else:
            yield from _read_record(file, element, position)


def _read_record(file: InputFile, record: Any, position: int) -> Iterator[Item]:
    key = key_of(record)
    if key is None:
        yield Reject(file.name, f"record {position + 1}", "no_pmid", "".join(record.itertext())[:2000].strip())
        return
    if record.tag == BOOK:
        body = article = record.find("BookDocument")
        metadata = book_metadata(key, record, body)
    else:
        body = record.find("MedlineCitation")
        article = next(body.iterchildren("Article"), None)
        metadata = citation_metadata(key, record, body, article)
    parts: dict[str, Any] = {}
    for part in () if article is None else article.iterchildren("ArticleTitle", "VernacularTitle", "Abstract"):
        parts.setdefault(part.tag, part)
    identifier = f"pmid:{key.pmid}"
    heading = metadata["title"] or metadata["vernacular_title"]
    yield _document(file, identifier, heading, parts.pop("Abstract", None), metadata, tuple(parts.values()))
    yield from _other_abstracts(file, identifier, body, metadata)


def _document(
    file: InputFile, identifier: str, heading: str | None, abstract: Any, metadata: dict[str, Any], titles: Any = ()
) -> Document | Reject:
    sections = [] if abstract is None else list(abstract.iterchildren("AbstractText"))
    paragraphs = [paragraph for paragraph in map(_paragraph, sections) if paragraph]
    where = identifier.replace(":", " ")
    if any(map(_has_entity, (*titles, *sections))):
        return Reject(file.name, where, "unresolved_entity", heading or "")
    if not paragraphs:
        return Reject(file.name, where, "no_abstract", heading or "")
    return Document(identifier, "\n".join([heading, *paragraphs] if heading else paragraphs), SOURCE, metadata)


def _other_abstracts(file: InputFile, identifier: str, body: Any, metadata: dict[str, Any]) -> Iterator[Item]:
    """Translations, plain-language summaries and other bodies' abstracts, under the title in their language."""
    times: dict[str, int] = {}
    for other in body.iterchildren("OtherAbstract"):
        language = other.get("Language", _DEFAULT_LANGUAGE)
        times[language] = times.get(language, 0) + 1
        number = f"-{times[language]}" if times[language] > 1 else ""
        if text_of(other) == _ELSEWHERE:
            yield Skipped("abstract_at_publisher")
            continue
        heading = None
        if language == _DEFAULT_LANGUAGE:
            heading = metadata["title"]
        elif language in (metadata["language"] or "").split(","):
            heading = metadata["vernacular_title"]
        own = {name: value for name, value in metadata.items() if name not in _OF_THE_ARTICLE}
        own |= {"language": language, "other_abstract": other.get("Type"), "other_abstract_of": metadata["pmid"]}
        yield _document(file, f"{identifier}/other-{language}{number}", heading, other, own)


def _paragraph(section: Any) -> str:
    """One section of an abstract, with the label that a structured one has."""
    text = text_of(section)
    label = normal(section.get("Label", ""))
    if not text or not label or label == _NO_LABEL:
        return text
    return f"{label} {text}" if label[-1] in ":.?!" else f"{label}: {text}"


def _has_entity(element: Any) -> bool:
    """Entities are not expanded, and a text with a hole in it is worse than none."""
    return len(element) > 0 and any(True for _ in element.iter(etree.Entity))
