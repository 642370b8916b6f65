"""PubMed's citations and book articles (pubmedYYnNNNN.xml[.gz]) to documents: title, newline, abstract."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Item, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_metadata import Record, normal, read_book_article, read_citation, text_of
from medlm_recipes.corpus.pubmed_records import BOOK, DELETION, read_records

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


def _read_record(file: InputFile, element: Any, position: int) -> Iterator[Item]:
    record = read_book_article(element) if element.tag == BOOK else read_citation(element)
    if record.key is None:
        yield Reject(file.name, f"record {position + 1}", "no_pmid", "".join(element.itertext())[:2000].strip())
        return
    identifier = f"pmid:{record.key.pmid}"
    heading = record.metadata["title"] or record.metadata["vernacular_title"]
    yield _document(file, identifier, heading, record.abstract, record.metadata, record.titles)
    if record.others:
        yield from _other_abstracts(file, identifier, record)


def _document(
    file: InputFile,
    identifier: str,
    heading: str | None,
    abstract: Any,
    metadata: dict[str, Any],
    titles: Sequence[Any] = (),
) -> Document | Reject:
    sections = [] if abstract is None else [part for part in abstract if part.tag == "AbstractText"]
    paragraphs = [paragraph for paragraph in map(_paragraph, sections) if paragraph]
    where = identifier.replace(":", " ")
    if any(map(_has_entity, (*titles, *sections))):
        return Reject(file.name, where, "unresolved_entity", heading or "")
    if not paragraphs:
        return Reject(file.name, where, "no_abstract", heading or "")
    return Document(identifier, "\n".join([heading, *paragraphs] if heading else paragraphs), SOURCE, metadata)


def _other_abstracts(file: InputFile, identifier: str, record: Record) -> Iterator[Item]:
    """Translations, plain-language summaries and other bodies' abstracts, under the title in their language."""
    metadata = record.metadata
    times: dict[str, int] = {}
    for other in record.others:
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
