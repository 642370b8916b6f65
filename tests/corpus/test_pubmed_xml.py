"""PubMed XML: text to the character, the right version of every citation, nothing expanded or fetched."""

import gzip
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest
from launch import SHARED
from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus import pubmed_records, pubmed_revisions, pubmed_slices
from medlm_recipes.corpus.document import Document, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_records import read_records
from medlm_recipes.corpus.pubmed_revisions import Scan, out_of_date, scan
from medlm_recipes.corpus.pubmed_xml import read_pubmed_xml
from medlm_recipes.errors import DataError

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


def test_a_full_record(tmp_path: Path) -> None:
    document, french, plain, elsewhere = read(write(tmp_path / "a.xml", FULL_RECORD))
    both = {
        "journal": "The Journal",
        "nlm_id": "0372351",
        "issn": "2222-2222",
        "year": 1998,
        "date": "1998",
        "publication_types": ["Journal Article"],
        "mesh": ["Animals"],
        "retracted": False,
        "retraction_notice": False,
    }
    assert document == Document(
        id="pmid:123",
        text="Effect of in vivo H2O on Na+.\nBACKGROUND: Area 5 m2, P<0.001 & so on.\nβ-blockers only.",
        source="pubmed-abstracts",
        metadata={
            "pmid": 123,
            "version": 2,
            "title": "Effect of in vivo H2O on Na+.",
            "vernacular_title": "Effet in vivo.",
            "doi": "10.1/right",
            "pmcid": "PMC9",
            "language": "eng,fre",
            **both,
        },
    )
    # A translation is no copy of the article: it has none of the identifiers that deduplication looks at.
    assert french == Document(
        "pmid:123/other-fre",
        "Effet in vivo.\nBUT: En français.",
        "pubmed-abstracts",
        {**both, "language": "fre", "other_abstract": "Publisher", "other_abstract_of": 123},
    )
    assert isinstance(plain, Document) and plain.id == "pmid:123/other-eng"
    assert plain.text == "Effect of in vivo H2O on Na+.\nIn plain words."
    assert elsewhere == Skipped("abstract_at_publisher")


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


def test_book_articles_are_read_and_revised_as_citations_are(tmp_path: Path) -> None:
    file = write(tmp_path / "a.xml", BOOK_ARTICLE, article(5), BOOK_ARTICLE.replace("Rare.", "Rarer."))
    assert scan(file.path).pmids.tolist() == [20301295, 5, 20301295]
    [gone] = out_of_date([scan(file.path)])
    skipped, _, book = read(file, gone)
    assert skipped == Skipped("superseded") and isinstance(book, Document)
    assert book.text == "Rare ABC1 Disease\nCLINICAL CHARACTERISTICS? Rarer."
    known = {"pmid": 20301295, "book": "GeneReviews", "date": "1993-02-09", "doi": "10.1/book", "language": "eng"}
    assert known.items() <= book.metadata.items() and book.metadata["publication_types"] == ["Review"]


@pytest.mark.parametrize(
    "kind, retracted, notice",
    [
        ("Retracted Publication", True, False),
        ("Retraction of Publication", False, True),
        ("Retraction Notice", False, True),
        ("Journal Article", False, False),
    ],
)
def test_retractions_are_flagged(tmp_path: Path, kind: str, retracted: bool, notice: bool) -> None:
    types = f"<PublicationTypeList><PublicationType>{kind}</PublicationType></PublicationTypeList></Article>"
    [document] = read(write(tmp_path / "a.xml", article(1).replace("</Article>", types)))
    assert isinstance(document, Document)
    assert (document.metadata["retracted"], document.metadata["retraction_notice"]) == (retracted, notice)


@pytest.mark.parametrize(
    "titles, first_line",
    [
        ("<ArticleTitle>[On the heart].</ArticleTitle><VernacularTitle>Du coeur.</VernacularTitle>", "[On the heart]."),
        ("<ArticleTitle>[Not Available].</ArticleTitle><VernacularTitle>Du coeur.</VernacularTitle>", "Du coeur."),
        ("<ArticleTitle>[Not Available].</ArticleTitle>", "Text."),
        ("<ArticleTitle/>", "Text."),
    ],
)
def test_vernacular_titles(tmp_path: Path, titles: str, first_line: str) -> None:
    [document] = read(write(tmp_path / "a.xml", article(1).replace("<ArticleTitle>T1.</ArticleTitle>", titles)))
    assert isinstance(document, Document) and document.text.splitlines()[0] == first_line


def test_math_is_kept_as_text(tmp_path: Path) -> None:
    math = '<mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:msup><mml:mi>x</mml:mi><mml:mn>2</mml:mn>'
    formula = f"if {math}</mml:msup></mml:math>&lt;<b>y</b> <i>z</i>"
    [document] = read(write(tmp_path / "a.xml", article(1, formula)))
    assert isinstance(document, Document) and document.text == "T1.\nif x2<y z"


@pytest.mark.parametrize(
    "date, expected",
    [
        ("<Year>2019</Year><Month>Jun</Month><Day>3</Day>", (2019, "2019-06-03")),
        ("<Year>2019</Year><Month>12</Month>", (2019, "2019-12")),
        ("<Year>2019</Year><Season>Summer</Season>", (2019, "2019")),
        ("<Year>2019</Year><Month>13</Month><Day>99</Day>", (2019, "2019")),
        ("<MedlineDate>Winter 2000</MedlineDate>", (None, None)),
        ("<Year>٢٠١٩</Year>", (None, None)),
        ("", (None, None)),
    ],
)
def test_dates(tmp_path: Path, date: str, expected: tuple[int | None, str | None]) -> None:
    journal = f"<Article><Journal><JournalIssue><PubDate>{date}</PubDate></JournalIssue></Journal>"
    [document] = read(write(tmp_path / "a.xml", article(1).replace("<Article>", journal)))
    assert isinstance(document, Document) and (document.metadata["year"], document.metadata["date"]) == expected


def test_records_without_abstract_pmid_or_article(tmp_path: Path) -> None:
    records = [
        "<PubmedArticle><MedlineCitation><PMID>7</PMID><Article><ArticleTitle>Only.</ArticleTitle></Article>"
        "</MedlineCitation></PubmedArticle>",
        "<PubmedArticle><MedlineCitation><PMID>x7</PMID></MedlineCitation></PubmedArticle>",
        "<PubmedArticle/>",
        "<PubmedBookArticle><BookDocument/></PubmedBookArticle>",
        "<PubmedBookArticle/>",
        "<PubmedArticle><MedlineCitation><PMID>8</PMID></MedlineCitation></PubmedArticle>",
    ]
    items = read(write(tmp_path / "a.xml", *records))
    assert [item if isinstance(item, Skipped) else (item.record, item.reason) for item in items] == [
        ("pmid 7", "no_abstract"),
        ("record 2", "no_pmid"),
        ("record 3", "no_pmid"),
        ("record 4", "no_pmid"),
        ("record 5", "no_pmid"),
        ("pmid 8", "no_abstract"),
    ]
    assert items[0].excerpt == "Only."


@pytest.mark.parametrize("name", ["pubmed21n0001.xml.gz", "pubmed21n1000.xml.gz"])
def test_every_character_of_real_abstracts_is_kept(name: str) -> None:
    path = SAMPLES / name
    if not path.is_file():
        pytest.skip(f"no real sample at {path}")
    documents = {item.id: item for item in read(InputFile(path, name)) if isinstance(item, Document)}
    tree = etree.fromstring(gzip.decompress(path.read_bytes()), etree.XMLParser(load_dtd=False, no_network=True))
    seen = 0
    for citation in tree.iter("MedlineCitation"):
        parts = citation.xpath("Article/Abstract/AbstractText")
        if not any("".join(part.xpath(".//text()")).strip() for part in parts):
            continue
        seen += 1
        written = documents.pop("pmid:" + citation.findtext("PMID")).text
        expected = "".join(citation.xpath("Article/ArticleTitle//text()"))
        for part in parts:
            expected += part.get("Label", "") + (":" if part.get("Label") else "") + "".join(part.xpath(".//text()"))
        assert "".join(written.split()) == "".join(expected.split())
    assert seen and not documents


def kept(scans: list[Scan]) -> list[list[int]]:
    gone = out_of_date(scans)
    return [[int(p) for at, p in enumerate(s.pmids) if at not in out] for s, out in zip(scans, gone, strict=True)]


def test_the_latest_version_wins_across_files_and_deletions_reach_back(tmp_path: Path) -> None:
    files = [
        write(
            tmp_path / "pubmed21n0001.xml.gz",
            *(article(pmid) for pmid in (1, 2, 3, 4, 5, 6)),
            article(6, "Again."),
        ),
        write(tmp_path / "pubmed21n0002.xml", article(2), article(3, version=2), article(5), deletion(4, 5, 99)),
        write(tmp_path / "pubmed21n0003.xml", article(3), article(5, "Back.")),
    ]
    scans = [scan(file.path) for file in files]
    assert out_of_date(scans) == [
        {1: "superseded", 2: "superseded", 3: "deleted", 4: "deleted", 5: "superseded"},
        {2: "deleted"},
        {0: "superseded"},
    ]
    assert kept(scans) == [[1, 6], [2, 3], [5]]
    assert [item.text for item in read(files[2], out_of_date(scans)[2]) if isinstance(item, Document)] == ["T5.\nBack."]


def test_resolving_in_slices_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{n}.xml", *(article((7 * n + k) % 11 + 1, version=k % 3 + 1) for k in range(9)), deletion(n))
        for n in range(1, 5)
    ]
    scans = [scan(file.path) for file in files]
    whole = out_of_date(scans)
    monkeypatch.setattr(pubmed_revisions, "_RECORDS_AT_ONCE", 5)
    assert out_of_date(scans) == whole
    best: dict[int, tuple[int, int, int]] = {}
    for number, one in enumerate(scans):  # the rule again, told record by record
        for at, (pmid, version) in enumerate(zip(one.pmids.tolist(), one.versions.tolist(), strict=True)):
            best[pmid] = max(best.get(pmid, (0, 0, 0)), (version, number, at))
        for pmid in one.deleted.tolist():
            best.pop(pmid, None)
    assert {(number, at) for _, number, at in best.values()} == {
        (number, at) for number, one in enumerate(scans) for at in range(len(one.pmids)) if at not in whole[number]
    }


@pytest.mark.parametrize(
    "records, quick",
    [
        ([article(1), article(2, version=3), deletion(4, 5), article(6)], True),
        ([deletion()], True),
        ([], True),
        ([article(1, "a<?pi x?>b")], True),
        ([article(1), "<?pi x?>"], False),
        ([article(1), "<!-- " + article(2) + " -->"], False),
        ([article(1, f"<![CDATA[{article(2)}]]>")], False),
        ([article(1).replace("<PubmedArticle>", "<PubmedArticle >"), article(2)], False),
        ([article(1).replace("<PMID", "<X/><PMID")], False),
        (["<PubmedArticle/>", article(2)], False),
        ([article(1).replace(' Version="1"', " Version='2' x='1'")], False),
        ([deletion(1).replace("<PMID", "<Y/><PMID")], False),
    ],
)
def test_the_quick_scan_agrees_with_the_parser_or_stands_aside(tmp_path: Path, records: list[str], quick: bool) -> None:
    path = write(tmp_path / "a.xml", *records).path
    found = pubmed_revisions._scan_bytes(path)
    assert (found is not None) == quick
    if quick:
        assert found == pubmed_revisions._scan_tree(path)


def test_the_quick_scan_loses_nothing_at_block_borders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.xml", *(article(n) + deletion(n + 50) for n in range(1, 40))).path
    tree = pubmed_revisions._scan_tree(path)
    for chunk in (1, 7, 64, 500, 5000):
        monkeypatch.setattr(pubmed_slices, "_CHUNK", chunk)
        assert pubmed_revisions._scan_bytes(path) == tree


def test_other_encodings_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    body = "<PubmedArticleSet>" + article(1, "Größe β") + "</PubmedArticleSet>"
    path.write_bytes(('<?xml version="1.0" encoding="utf-16"?>' + body).encode("utf-16"))
    assert pubmed_revisions._scan_bytes(path) is None
    assert scan(path).pmids.tolist() == [1]
    assert [item.text for item in read(InputFile(path, "a.xml"))] == ["T1.\nGröße β"]


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.dtd"
        secret = (tmp_path / "secret.txt").as_uri()
        head = (
            f'<!DOCTYPE PubmedArticleSet SYSTEM "{url}" [<!ENTITY e SYSTEM "{secret}">'
            f'<!ENTITY w SYSTEM "{url}"><!ENTITY inner "boom"><!ENTITY % p SYSTEM "{url}">%p;]>'
        )
        records = [article(n, f"before {entity} after") for n, entity in enumerate(("&e;", "&w;", "&inner;"), 1)]
        file = write(tmp_path / "a.xml", *records, article(4), head=head)
        assert scan(file.path).pmids.tolist() == [1, 2, 3, 4]
        items = read(file)
        with pytest.raises(TimeoutError):
            server.accept()
    assert [getattr(item, "reason", "kept") for item in items] == ["unresolved_entity"] * 3 + ["kept"]
    assert "SECRET" not in str(items) and "boom" not in str(items)


@pytest.mark.parametrize("use", ["<AbstractText>&a9;</AbstractText>", '<AbstractText Label="&a9;">x</AbstractText>'])
def test_an_entity_bomb_is_a_data_error(tmp_path: Path, use: str) -> None:
    entities = '<!ENTITY a0 "aaaaaaaaaa">' + "".join(
        f'<!ENTITY a{n} "' + f"&a{n - 1};" * 10 + '">' for n in range(1, 10)
    )
    record = article(1).replace("<AbstractText>Text.</AbstractText>", use)
    file = write(tmp_path / "bomb.xml", record, head=f"<!DOCTYPE PubmedArticleSet [{entities}]>")
    with pytest.raises(DataError, match=r"bomb\.xml"):
        read(file)


def test_memory_of_records_is_freed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.xml", *(article(n) for n in range(1, 200)))
    behind = [sum(1 for _ in element.itersiblings(preceding=True)) for element in read_records(file.path)]
    assert len(behind) == 199 and max(behind) <= 1


def test_the_records_text_is_covered() -> None:
    """Characters of titles and abstracts that the documents have, by a walk with another parser."""
    files = sorted(SAMPLES.glob("*.xml.gz"))
    if not files:
        pytest.skip(f"no real samples in {SAMPLES}")
    there = kept = 0
    for path in files:
        documents = {item.id: item.text for item in read(InputFile(path, path.name)) if isinstance(item, Document)}
        squeezed = {name: "".join(text.split()) for name, text in documents.items()}
        for citation in ElementTree.parse(gzip.open(path)).iter("MedlineCitation"):
            name = f"pmid:{citation.findtext('PMID')}"
            pieces = [(name, part) for part in citation.iterfind("Article/Abstract/AbstractText")]
            pieces += [(name, citation.find("Article/ArticleTitle"))] if pieces else []
            for other in citation.iterfind("OtherAbstract"):
                pieces += [(f"{name}/other-{other.get('Language', 'eng')}", part) for part in other]
            for of, piece in pieces:
                text = "".join("".join(piece.itertext()).split())
                there += len(text)
                kept += len(text) if text in squeezed.get(of, "") else 0
    assert there > 50_000 and kept / there >= 0.999


def by_the_whole(file: InputFile, monkeypatch: pytest.MonkeyPatch) -> list[Document | Reject | Skipped]:
    with monkeypatch.context() as patched:
        patched.setattr(pubmed_records, "_read_slices", pubmed_records._read_whole)
        return read(file)


def test_both_ways_of_reading_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = [
        article(
            2, "a &#x2009;&lt;i&gt; <i>b</i> <b>c</b>\n  <sup>d</sup> <![CDATA[<e> </PubmedArticle> ]]> <!-- f --> g"
        ),
        article(3).replace("<PubmedArticle>", "\t<PubmedArticle  >"),
        article(4).replace("</PubmedArticle>", "</PubmedArticle >"),
        article(5, "&undeclared; entity"),
    ]
    made = [write(tmp_path / f"{n}.xml", FULL_RECORD, one, BOOK_ARTICLE, deletion(9)) for n, one in enumerate(odd)]
    plain = write(tmp_path / "plain.xml", FULL_RECORD, deletion(7), article(8, "x<?pi?>y"), BOOK_ARTICLE)
    for file in (plain, *made, *(InputFile(path, path.name) for path in sorted(SAMPLES.glob("*.xml.gz")))):
        assert read(file) == by_the_whole(file, monkeypatch)
    assert len(list(pubmed_records._read_slices(plain.path))) == 4  # and no other way was needed for it


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0"?>\r\n<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle//EN" "https://x/p.dtd">',
        "\ufeff",
        "",
    ],
)
def test_heads_as_nlm_and_its_services_write_them(tmp_path: Path, head: str) -> None:
    file = write(tmp_path / "a.xml", article(1), head=head)
    assert len(list(pubmed_records._read_slices(file.path))) == 1 and len(read(file)) == 1


@pytest.mark.parametrize("tail", ["<PubmedArticle>", "</PubmedArticleSet>x", "&#0;", "</PubmedArticleSet>" + " " * 300])
def test_what_follows_the_records_is_looked_at(tmp_path: Path, tail: str) -> None:
    file = write(tmp_path / "a.xml", article(1), article(2))
    content = file.path.read_text().replace("</PubmedArticleSet>", tail)
    file.path.write_text(content)
    if tail.endswith(" "):
        assert len(read(file)) == 2
        return
    with pytest.raises(DataError, match=r"a\.xml: not well-formed XML after 2 records"):
        read(file)
