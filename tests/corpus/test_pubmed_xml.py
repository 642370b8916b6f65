"""PubMed XML: text to the character, the right version of every citation, nothing expanded or fetched."""

import gzip
import socket
from pathlib import Path
from xml.etree import ElementTree

import pytest
from lxml import etree
from pubmed_samples import BOOK_ARTICLE, FULL_RECORD, SAMPLES, article, read, write

from medlm_recipes.corpus.document import Document, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_revisions import out_of_date, scan
from medlm_recipes.errors import DataError


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
