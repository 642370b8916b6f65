"""Records of PubMed for tests, written by hand, and where the real ones are."""

import gzip
from pathlib import Path

from launch import SHARED

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_xml import read_pubmed_xml

SAMPLES = SHARED / "pubmed_baseline"
HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE PubmedArticleSet SYSTEM "http://dtd.nlm.nih.gov/x.dtd">\n'
FULL_RECORD = """
<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM">
  <PMID Version="2">123</PMID>
  <Article PubModel="Print">
    <Journal><ISSN IssnType="Print">1111-1111</ISSN><JournalIssue CitedMedium="Print">
      <PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate></PubDate>
      </JournalIssue><Title>The   Journal</Title></Journal>
    <ArticleTitle>Effect of <i>in vivo</i> H<sub>2</sub>O&#8201;on
      Na<sup>+</sup>.</ArticleTitle>
    <ELocationID EIdType="doi" ValidYN="Y">10.1/other</ELocationID>
    <Abstract>
      <AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">Area 5 m<sup>2</sup>, P&lt;0.001 &amp;
        <b><i>so</i> on</b>.</AbstractText>
      <AbstractText Label="METHODS" NlmCategory="METHODS"/>
      <AbstractText Label="UNLABELLED">&#946;-blockers<!-- gone --> only.</AbstractText>
      <CopyrightInformation>Copyright 1998.</CopyrightInformation>
    </Abstract>
    <Language>eng</Language><Language>fre</Language>
    <PublicationTypeList><PublicationType UI="D1">Journal Article</PublicationType></PublicationTypeList>
    <VernacularTitle>Effet <i>in vivo</i>.</VernacularTitle>
  </Article>
  <MedlineJournalInfo><MedlineTA>J</MedlineTA><NlmUniqueID>0372351</NlmUniqueID><ISSNLinking>2222-2222</ISSNLinking>
    </MedlineJournalInfo>
  <MeshHeadingList><MeshHeading><DescriptorName UI="D2">Animals</DescriptorName></MeshHeading></MeshHeadingList>
  <OtherAbstract Type="Publisher" Language="fre"><AbstractText Label="BUT">En fran&#231;ais.</AbstractText>
    </OtherAbstract>
  <OtherAbstract Type="plain-language-summary"><AbstractText>In plain words.</AbstractText></OtherAbstract>
  <OtherAbstract Type="Publisher" Language="spa"><AbstractText>Abstract available from the publisher.</AbstractText>
    </OtherAbstract>
</MedlineCitation><PubmedData>
  <ArticleIdList><ArticleId IdType="pubmed">123</ArticleId><ArticleId IdType="doi">10.1/right</ArticleId>
    <ArticleId IdType="pmc">PMC9</ArticleId></ArticleIdList>
  <ReferenceList><Reference><ArticleIdList><ArticleId IdType="doi">10.1/cited</ArticleId></ArticleIdList></Reference>
  </ReferenceList></PubmedData></PubmedArticle>
"""

BOOK_ARTICLE = """
<PubmedBookArticle><BookDocument><PMID Version="1">20301295</PMID>
  <ArticleIdList><ArticleId IdType="bookaccession">NBK1103</ArticleId></ArticleIdList>
  <Book><Publisher><PublisherName>University</PublisherName></Publisher><BookTitle book="gene">GeneReviews</BookTitle>
    <PubDate><Year>1993</Year><Month>02</Month><Day>9</Day></PubDate></Book>
  <ArticleTitle book="gene" part="x">Rare <i>ABC1</i> Disease</ArticleTitle><Language>eng</Language>
  <PublicationType UI="D016454">Review</PublicationType>
  <Abstract><AbstractText Label="CLINICAL CHARACTERISTICS?">Rare.</AbstractText></Abstract>
</BookDocument><PubmedBookData><ArticleIdList><ArticleId IdType="doi">10.1/book</ArticleId></ArticleIdList>
</PubmedBookData></PubmedBookArticle>
"""


def article(pmid: int, text: str = "Text.", version: int = 1) -> str:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article><ArticleTitle>T{pmid}.'
        f"</ArticleTitle><Abstract><AbstractText>{text}</AbstractText></Abstract></Article></MedlineCitation>"
        "</PubmedArticle>\n"
    )


def deletion(*pmids: int) -> str:
    listed = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in pmids)
    return f"<DeleteCitation>{listed}</DeleteCitation>\n"


def write(path: Path, *records: str, head: str = HEAD) -> InputFile:
    content = f"{head}<PubmedArticleSet>\n{''.join(records)}</PubmedArticleSet>\n".encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return InputFile(path, path.name)


def read(file: InputFile, leave_out: dict[int, str] | None = None) -> list[Document | Reject | Skipped]:
    config = CorpusConfig(format="pubmed_xml", inputs=[str(file.path)], out="unused")
    return list(read_pubmed_xml(file, config, leave_out or {}))
