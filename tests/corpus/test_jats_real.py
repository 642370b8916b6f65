"""Four open-access articles as PubMed Central distributes them, against a walk of their trees that shares no code."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from launch import SHARED
from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import Document
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pmc_jats import read_pmc_jats

FOLDER = SHARED / "pmc_oa"
NO_PROSE = {"ref-list", "ack", "fn-group", "table", "object-id"}


@dataclass(frozen=True)
class Expected:
    """metadata: some of it. left_out: titles of sections. headings, citations, ...: counts in the marked-up text.

    sha256: beginnings of those of the plain and the marked-up text.
    """

    metadata: dict[str, object]
    left_out: tuple[str, ...]
    headings: int
    citations: int
    references: int
    figures: int
    tables: int
    sha256: tuple[str, str]


EXPECTED = {
    "1471-2180-11-174": Expected(
        {"pmcid": "PMC3166277", "pmid": 21810267, "doi": "10.1186/1471-2180-11-174", "journal": "BMC Microbiology"}
        | {"year": 2011, "license": "http://creativecommons.org/licenses/by/2.0", "subjects": ["Research Article"]},
        ("Competing interests", "Authors' contributions", "Acknowledgements"),
        headings=22,
        citations=97,
        references=32,
        figures=4,
        tables=3,
        sha256=("3d6a603e842a6ad5", "17d5903148f855b4"),
    ),
    "6605965a": Expected(
        {"pmcid": "PMC2994229", "pmid": 21045829, "year": 2010, "license": None, "subjects": ["Epidemiology"]}
        | {"keywords": ["oral contraceptives", "reproductive history", "colorectal cancer", "cohort study"]},
        (),
        headings=4,
        citations=59,
        references=3,
        figures=0,
        tables=2,
        sha256=("a84ab33e0be3ffdf", "14d105763c52268a"),
    ),
    "ehp-116-1694": Expected(
        {"pmcid": "PMC2599765", "doi": "10.1289/ehp.11570", "year": 2008, "article_type": "research-article"},
        (),
        headings=19,
        citations=82,
        references=6,
        figures=3,
        tables=0,
        sha256=("efde27cb9525d1e6", "8f6a8170465183bb"),
    ),
    "mds526": Expected(
        {"pmcid": "PMC3574550", "year": 2012, "language": "en", "retracted": False, "version": 1},
        ("funding", "disclosure"),
        headings=8,
        citations=44,
        references=7,
        figures=2,
        tables=4,
        sha256=("d8aef3d7a590bbda", "b6dc83f935a7afea"),
    ),
}
each_article = pytest.mark.parametrize("name", EXPECTED)


def prose(element: Any, left_out: tuple[str, ...]) -> list[str]:
    """Text nodes of an element in their order, but those under NO_PROSE and in sections with these titles."""
    if element.tag in NO_PROSE or (element.tag == "sec" and element.findtext("title") in left_out):
        return []
    found = [element.text or ""]
    for child in element:
        found += [*prose(child, left_out), child.tail or ""]
    return found


def squeezed(text: str) -> str:
    return "".join(text.split())


def read(name: str, markers: str) -> tuple[Document, Coverage]:
    path = FOLDER / f"{name}.nxml"
    if not path.is_file():
        pytest.skip(f"no real sample at {path}")
    config = CorpusConfig(format="pmc_jats", inputs=["x"], out="unused", source="pmc-papers", markers=markers)
    document, coverage = read_pmc_jats(InputFile(path, path.name), config, {})
    assert isinstance(document, Document) and isinstance(coverage, Coverage)
    return document, coverage


def parse(name: str) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
    return etree.parse(str(FOLDER / f"{name}.nxml"), parser).getroot()


@each_article
def test_no_prose_is_lost(name: str) -> None:
    document, coverage = read(name, "none")
    text = squeezed(document.text)
    article, expected = parse(name), EXPECTED[name]
    roots = [article.find("front/article-meta/title-group/article-title"), *article.iter("abstract"), *article[1:]]
    given = Counter("".join(squeezed(node) for root in roots for node in prose(root, expected.left_out)))
    missing = (given - Counter(text)).total()
    assert missing <= given.total() / 1000, f"{missing} of {given.total()} characters are missing"
    assert coverage.kept.total() >= given.total() * 0.999
    everything = squeezed("".join("".join(root.itertext()) for root in roots))
    assert coverage.read.total() == len(everything)
    # Word for word, paragraph for paragraph: what floats in one is read behind it, and so compared apart.
    for root in roots:
        for element in [*root.iter("p", "title", "article-title")]:
            is_kept = not any(one.tag in NO_PROSE for one in element.iterancestors()) and not any(
                one.findtext("title") in expected.left_out for one in element.iterancestors("sec")
            )
            words = squeezed("".join(element.itertext()))
            is_whole = element.find(".//fig") is None and element.find(".//table-wrap") is None
            if is_whole:
                assert (words in text) is is_kept, words


@each_article
def test_form(name: str) -> None:
    expected = EXPECTED[name]
    plain, marked_up = (read(name, markers)[0] for markers in ("none", "gap_replay"))
    assert expected.metadata.items() <= plain.metadata.items() and plain.metadata == marked_up.metadata
    assert plain.id == f"pmcid:{plain.metadata['pmcid']}" and plain.source == "pmc-papers"
    lines = plain.text.split("\n")
    assert lines[:3] == [plain.metadata["title"], "", "# Abstract"]
    assert not re.search(r"\[/?(bib_ref|fig_ref|fig|table|formula)\]|  |\n\n\n|[ \t]\n", plain.text)
    headings = [line for line in marked_up.text.split("\n") if re.match("#+ ", line)]
    assert headings == [line for line in lines if re.match("#+ ", line)]
    assert len(headings) == expected.headings and not set(expected.left_out) & {one.strip("# ") for one in headings}
    counts = [
        marked_up.text.count(f"[{marker}]") for marker in ("bib_ref", "fig_ref", "fig", "table", "bib", "formula")
    ]
    assert counts == [expected.citations, expected.references, expected.figures, expected.tables, 0, 0]
    for marker in ("bib_ref", "fig_ref", "fig", "table"):
        assert marked_up.text.count(f"[/{marker}]") == marked_up.text.count(f"[{marker}]")
    for reference in re.findall(r"\[fig_ref\](.*?)\[/fig_ref\]", marked_up.text):
        assert re.match(r"(Figure|Table) \d+: \w", reference) and len(reference.split(": ", 1)[1].split()) <= 12
    digests = tuple(hashlib.sha256(one.text.encode()).hexdigest()[:16] for one in (plain, marked_up))
    assert digests == expected.sha256


def test_excerpts() -> None:
    plain, marked_up = (read("1471-2180-11-174", markers)[0].text for markers in ("none", "gap_replay"))
    avery = "[bib_ref]Microbial cell individuality and the underlying sources of heterogeneity, Avery[/bib_ref]"
    veening = "[bib_ref]Bistability, epigenetics, and bet-hedging in bacteria, Veening[/bib_ref]"
    assert "identical environments and genotypes [1-9]. Population" in plain
    assert f"identical environments and genotypes {avery} {veening}. Population" in marked_up
    assert "\nTable 3: Bacterial strains used in this study.\n" in plain
    assert "\n[table]Table 3: Bacterial strains used in this study.[/table]\n" in marked_up
    assert "Competing interests" not in plain and "Both authors" not in plain
