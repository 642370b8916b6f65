"""Citations in the form of NLM's PubMed files: `pubmedYYnNNNN.xml.gz` and its `.md5` companion.

The element structure is that of the 2021 baseline. Nothing in a file tells when or where it was
written: the same citations give the same XML and, with the same zlib, the same gzip bytes.
"""

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from medlm_recipes.corpus.closed_world_text import Citation

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE PubmedArticleSet SYSTEM "http://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_190101.dtd">
<PubmedArticleSet>
"""
TAIL = "</PubmedArticleSet>\n"
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
ARTICLE = """  <PubmedArticle>
    <MedlineCitation Status="MEDLINE" Owner="NLM">
      <PMID Version="{version}">{pmid}</PMID>
      <DateCompleted>
{completed}
      </DateCompleted>
      <DateRevised>
{revised}
      </DateRevised>
      <Article PubModel="Print">
        <Journal>
          <ISSN IssnType="Print">0000-0000</ISSN>
          <JournalIssue CitedMedium="Print">
            <Volume>{volume}</Volume>
            <Issue>{issue}</Issue>
            <PubDate>
              <Year>{year}</Year>
              <Month>{month}</Month>
            </PubDate>
          </JournalIssue>
          <Title>Journal of closed-world medicine</Title>
          <ISOAbbreviation>J Closed World Med</ISOAbbreviation>
        </Journal>
        <ArticleTitle>{title}</ArticleTitle>
        <Pagination>
          <MedlinePgn>{page}-{last_page}</MedlinePgn>
        </Pagination>
        <Abstract>
{abstract}
        </Abstract>
        <AuthorList CompleteYN="Y">
          <Author ValidYN="Y">
            <LastName>Invented</LastName>
            <ForeName>A B</ForeName>
            <Initials>AB</Initials>
          </Author>
        </AuthorList>
        <Language>eng</Language>
        <PublicationTypeList>
          <PublicationType UI="D016428">Journal Article</PublicationType>
        </PublicationTypeList>
      </Article>
      <MedlineJournalInfo>
        <Country>United States</Country>
        <MedlineTA>J Closed World Med</MedlineTA>
        <NlmUniqueID>0000000</NlmUniqueID>
        <ISSNLinking>0000-0000</ISSNLinking>
      </MedlineJournalInfo>
      <CitationSubset>IM</CitationSubset>
      <MeshHeadingList>
        <MeshHeading>
          <DescriptorName UI="D006801" MajorTopicYN="N">Humans</DescriptorName>
        </MeshHeading>
      </MeshHeadingList>
    </MedlineCitation>
    <PubmedData>
      <History>
        <PubMedPubDate PubStatus="pubmed">
{published}
        </PubMedPubDate>
      </History>
      <PublicationStatus>ppublish</PublicationStatus>
      <ArticleIdList>
        <ArticleId IdType="pubmed">{pmid}</ArticleId>
        <ArticleId IdType="doi">10.0000/closed-world.{pmid}</ArticleId>
      </ArticleIdList>
    </PubmedData>
  </PubmedArticle>
"""


@dataclass(frozen=True)
class Record:
    """One citation as a file holds it: revision 0 is the baseline's, n that of its nth revision."""

    pmid: int
    version: int
    revision: int
    citation: Citation


def article(record: Record) -> str:
    """The `<PubmedArticle>` of a record."""
    published = date(2000, 1, 1) + timedelta(days=record.pmid % 9_000)
    # Every baseline record was last revised before 2026, when its update files begin.
    revised = date(2025, 12, 31) if record.revision else published + timedelta(days=200)
    revised += timedelta(days=record.revision)
    page = record.pmid % 900 + 1
    return ARTICLE.format(
        pmid=record.pmid,
        version=record.version,
        completed=_date(published + timedelta(days=90), 8),
        revised=_date(revised, 8),
        published=_date(published, 10),
        volume=published.year - 1990,
        issue=published.month,
        year=published.year,
        month=MONTHS[published.month - 1],
        page=page,
        last_page=page + 7,
        title=record.citation.title.text,
        abstract=_abstract(record.citation),
    )


def _date(day: date, indent: int) -> str:
    parts = (("Year", f"{day:%Y}"), ("Month", f"{day:%m}"), ("Day", f"{day:%d}"))
    return "\n".join(f"{' ' * indent}<{name}>{value}</{name}>" for name, value in parts)


def _abstract(citation: Citation) -> str:
    lines = []
    for label, sentences in citation.sections:
        attributes = f' Label="{label}" NlmCategory="{label}"' if label else ""
        text = " ".join(sentence.text for sentence in sentences)
        lines.append(f"          <AbstractText{attributes}>{text}</AbstractText>")
    return "\n".join(lines)


def write_file(path: Path, records: Iterable[Record], deleted: Iterable[tuple[int, int]] = ()) -> str:
    """Write a gzipped citation file and its `.md5`; `deleted` are (PMID, version). Returns the XML's sha256."""
    lines = [HEAD, *(article(record) for record in records)]
    deletions = [f'    <PMID Version="{version}">{pmid}</PMID>\n' for pmid, version in deleted]
    if deletions:
        lines += ["  <DeleteCitation>\n", *deletions, "  </DeleteCitation>\n"]
    lines.append(TAIL)
    xml = "".join(lines).encode()
    # Not gzip.compress: it names the operating system in its header.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
        packed.write(xml)
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    path.with_name(path.name + ".md5").write_text(f"MD5({path.name})= {md5}\n")
    return hashlib.sha256(xml).hexdigest()
