"""S2ORC: annotations to text with and without markers, and what does not fit its text rejected."""

import json
from pathlib import Path
from typing import Any

import pytest

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.s2orc import read_s2orc

Record = dict[str, Any]

# «kind name|text» marks a span; names are ids, references to them or the numbers of headings.
PAPER = """
«title|Sweating  in mice» OPEN ACCESS

«author|Ann Lee «authoraffiliation|Somewhere»»

«title|Sweating in mice»
«abstract|We made mice sweat.»

«sectionheader 1.|Introduction»

«paragraph|Sweat is salty «bibref b0|[1]», «bibref b9|[9]» and cold. «bibref b1|2» See «bibref b0|Lee et al.»;
 («figureref fig_0|Fig. 1A», «tableref tab_0|Table 1»).»
left between
«sectionheader 2.|Methods»
«sectionheader 2.1.|Heat»
«paragraph|We heated «formula|T = 40» and»
«formula|T > «bibref b0|39»   (1)»
«sectionheader 3|RESULTS»
«sectionheader 4|Discussion»
«paragraph|So be it «figureref fig_7|(Figure 7)».»
«sectionheader|Acknowledgements»
«paragraph|Thanks to all.»
«sectionheader|Data availability»
«paragraph|On request.»
«figure fig_0|
Figure 1 .
«sectionheader|FIGURE 1»
1«figurecaption|Figure 1. A mouse that sweats a great deal in the very hot summer sun of Spain.»»
«figure tab_0|Table 1«figurecaption|Salt by mouse.»«table|a b c 1 2 3»»
not annotated, behind the figures
«bibentry b0|«bibtitle|On sweat: one two three four five six seven eight nine ten eleven», 
«bibauthor|J «bibauthorlastname|Doe»», «bibauthorlastname|Roe» 1999»
«bibentry b1|«bibvenue|Nowhere» 2000»
"""

MARKED = """\
Sweating in mice

# Abstract
We made mice sweat.

# Introduction
Sweat is salty [bib_ref]On sweat: one two three four five six seven eight nine ten, Doe[/bib_ref], [9] and cold. 2 \
See [bib_ref]On sweat: one two three four five six seven eight nine ten, Doe[/bib_ref]; \
[fig_ref]Figure 1: A mouse that sweats a great deal in the very hot summer[/fig_ref] \
[fig_ref]Table 1: Salt by mouse[/fig_ref].
left between

# Methods

## Heat
We heated [formula]T = 40[/formula] and
[formula]T > 39 (1)[/formula]

# Discussion
So be it (Figure 7).

## Data availability
On request.
[fig]Figure 1: A mouse that sweats a great deal in the very hot summer sun of Spain.[/fig]
[table]Table 1: Salt by mouse.[/table]"""

PLAIN = """\
Sweating in mice

# Abstract
We made mice sweat.

# Introduction
Sweat is salty [1], [9] and cold. 2 See Lee et al.; (Fig. 1A, Table 1).
left between

# Methods

## Heat
We heated T = 40 and
T > 39 (1)

# Discussion
So be it (Figure 7).

## Data availability
On request.
Figure 1: A mouse that sweats a great deal in the very hot summer sun of Spain.
Table 1: Salt by mouse."""


def annotated(marked: str) -> tuple[str, dict[str, list[Record]]]:
    """The text without the marks, and its spans as S2ORC has them."""
    text = ""
    spans: dict[str, list[Record]] = {}
    opened: list[tuple[str, str, int]] = []
    pieces = marked.replace("«", "\0«").replace("»", "\0»\0").split("\0")
    for piece in pieces:
        if piece.startswith("«"):
            head, _, piece = piece[1:].partition("|")
            kind, _, name = head.partition(" ")
            opened.append((kind, name, len(text)))
        elif piece == "»":
            kind, name, start = opened.pop()
            key = {"sectionheader": "n", "bibref": "ref_id", "figureref": "ref_id", "tableref": "ref_id"}.get(
                kind, "id"
            )
            span: Record = {"end": len(text), "start": start}
            spans.setdefault(kind, []).append({**span, "attributes": {key: name}} if name else span)
            continue
        text += piece
    assert not opened
    return text, spans


def paper(marked: str = PAPER, **others: Any) -> Record:
    text, spans = annotated(marked)
    annotations = {kind: json.dumps(of_kind) for kind, of_kind in spans.items()} | {"venue": None}
    identifiers = {"arxiv": None, "pubmed": "36589072", "pubmedcentral": "9798118", "doi": "10.3389/x"}
    content = {"source": {}, "text": text, "annotations": annotations}
    return {"corpusid": 7, "externalids": identifiers, "content": content, **others}


def read(path: Path, *records: Record, **keys: Any) -> list[Document | Reject | Skipped]:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    config = CorpusConfig(format="s2orc", inputs=[str(path)], out="unused", **{"markers": "gap_replay", **keys})
    return list(read_s2orc(InputFile(path, path.name), config, {}))


def reasons(items: list[Document | Reject | Skipped]) -> list[str]:
    return [getattr(item, "reason", "kept") for item in items]


@pytest.mark.parametrize("markers, expected", [("gap_replay", MARKED), ("none", PLAIN)])
def test_a_paper(tmp_path: Path, markers: str, expected: str) -> None:
    [document] = read(tmp_path / "a.jsonl", paper(), markers=markers)
    assert isinstance(document, Document)
    assert document.text == expected
    assert (document.id, document.source) == ("s2orc:7", "pubmed-papers")
    assert document.metadata == {
        "corpusid": 7,
        "pmid": 36589072,
        "pmcid": "PMC9798118",
        "doi": "10.3389/x",
        "title": "Sweating in mice",
        "journal": None,
        "year": None,
        "date": None,
        "publication_types": [],
    }


def test_records_joined_with_the_list_of_papers(tmp_path: Path) -> None:
    joined = {
        "title": "Of mice",
        "year": 2020,
        "publicationdate": "2020-03-01",
        "publicationtypes": ["Review", "MetaAnalysis"],
        "journal": {"name": "J  Mice"},
        "externalids": {"PubMed": None, "PubMedCentral": "PMC12", "DOI": None},
    }
    [document] = read(tmp_path / "a.jsonl", paper(**joined))
    assert isinstance(document, Document) and document.text.startswith("Of mice\n\n# Abstract\n")
    known = {"pmid": None, "pmcid": "PMC12", "year": 2020, "date": "2020-03-01", "journal": "J Mice"}
    assert known.items() <= document.metadata.items()
    assert document.metadata["publication_types"] == ["Review", "Meta-Analysis"]


def test_early_releases_write_offsets_as_strings(tmp_path: Path) -> None:
    text, spans = annotated("«paragraph|Salty é«bibref b0|1».»\n«bibentry b0|«bibtitle|T»«bibauthorlastname|L»»")
    late = paper("«paragraph|Salty é«bibref b0|1».»\n«bibentry b0|«bibtitle|T»«bibauthorlastname|L»»")
    early = {kind: [{**s, "start": str(s["start"]), "end": str(s["end"])} for s in of] for kind, of in spans.items()}
    same = {**late, "content": {"text": text, "annotations": early}}  # and lists that are no strings
    one, other = read(tmp_path / "a.jsonl", late, same)
    assert one == other and isinstance(one, Document) and one.text == "Salty é [bib_ref]T, L[/bib_ref]."


def test_papers_outside_of_pubmed_are_skipped_unless_wanted(tmp_path: Path) -> None:
    records = [paper(externalids={"doi": "10.1/x"}), paper(externalids=None), paper(externalids={"pubmed": 5})]
    skipped = Skipped("not_in_pubmed")
    assert read(tmp_path / "a.jsonl", *records)[:2] == [skipped, skipped]
    assert reasons(read(tmp_path / "a.jsonl", *records)) == ["not_in_pubmed", "not_in_pubmed", "kept"]
    assert reasons(read(tmp_path / "a.jsonl", *records, pubmed_only=False)) == ["kept"] * 3


def broken(kind: str, spans: Any) -> Record:
    record = paper("«paragraph|One.» «paragraph|Two.»")
    record["content"]["annotations"][kind] = spans
    return record


@pytest.mark.parametrize(
    "record, reason",
    [
        (broken("paragraph", '[{"start": 0, "end": 4}'), "annotations_not_json"),
        (broken("bibref", "[" * 100_000), "annotations_not_json"),
        (broken("paragraph", '{"start": 0}'), "annotations_not_spans"),
        (broken("paragraph", "[3]"), "annotations_not_spans"),
        (broken("paragraph", '[{"start": 0}]'), "annotations_not_spans"),
        (broken("paragraph", '[{"start": true, "end": 2}]'), "annotations_not_spans"),
        (broken("paragraph", '[{"start": "-1", "end": 2}]'), "annotations_not_spans"),
        (broken("paragraph", '[{"start": 0, "end": 10}]'), "span_outside_the_text"),
        (broken("bibref", '[{"start": -1, "end": 2}]'), "span_outside_the_text"),
        (broken("bibref", '[{"start": 3, "end": 2}]'), "span_outside_the_text"),
        (broken("paragraph", '[{"start": 0, "end": 5}, {"start": 3, "end": 8}]'), "spans_overlap"),
        (broken("bibref", '[{"start": 3, "end": 7}]'), "spans_overlap"),
        ({"externalids": {"pubmed": 1}}, "no_corpusid"),
        (paper(content=None), "no_content"),
        (paper(content={"text": "", "annotations": {}}), "no_text"),
        (paper(content={"text": 4, "annotations": {}}), "text_not_a_string"),
        (paper(content={"text": "Unannotated.", "annotations": None}), "no_body"),
        (paper("«title|T» «sectionheader|Results»"), "no_body"),
    ],
)
def test_what_does_not_fit_is_rejected(tmp_path: Path, record: Record, reason: str) -> None:
    assert reasons(read(tmp_path / "a.jsonl", record, paper())) == [reason, "kept"]


def lines(tmp_path: Path, marked: str) -> list[str]:
    [document] = read(tmp_path / "a.jsonl", paper(marked))
    assert isinstance(document, Document), document
    return document.text.splitlines()


def test_an_abstract_that_is_divided_is_its_parts(tmp_path: Path) -> None:
    marked = "«abstract|«sectionheader|Background»«paragraph|Old.»\nBare. «sectionheader|Methods»«paragraph|New.»»"
    assert lines(tmp_path, marked) == ["# Background", "Old.", "Bare.", "", "# Methods", "New."]


def test_headings_without_numbers(tmp_path: Path) -> None:
    marked = "".join(
        f"«sectionheader|{name}»\n«paragraph|Text {name[0]}.»\n"
        for name in ("Patients", "METHODS", "Ethics of mice", "A heading of many words on methods", "References")
    )
    assert [line for line in lines(tmp_path, marked) if line.startswith("#")] == [
        "# Patients",
        "# METHODS",
        "# Ethics of mice",
        "## A heading of many words on methods",
    ]
    assert "Text R." not in lines(tmp_path, marked)


@pytest.mark.parametrize(
    "figure, line",
    [
        ("«figure fig_1|\nFig. 3 .\n3«figurecaption|Mice.»»", "[fig]Figure 3: Mice.[/fig]"),
        ("«figure fig_1|«figurecaption|FIGURE 2 | Mice.»»", "[fig]Figure 2: Mice.[/fig]"),
        ("«figure fig_1|«figurecaption|Mice.»»", "[fig]Mice.[/fig]"),
        ("«figure tab_1|Table IV«figurecaption|Mice.»»", "[table]Table IV: Mice.[/table]"),
        ("«figure fig_1|Scheme.»", None),
    ],
)
def test_captions(tmp_path: Path, figure: str, line: str | None) -> None:
    first, *others = lines(tmp_path, "«paragraph|Text.»\n" + figure)
    assert first == "Text." and others == ([line] if line else [])
