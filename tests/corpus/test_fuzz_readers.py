"""Whatever bytes a reader is given: a DataError or an account of every record; no crash, no hang, no network."""

import gzip
import json
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import ENDING, SPLITS, read_document_file
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_revisions import _scan_bytes, _scan_tree, scan
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.corpus.writing import Task, write_task
from medlm_recipes.errors import DataError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd.compress}
JSON_FORMS = ("pile", "guidelines", "jsonl", "s2orc")
A_FEW = settings(
    max_examples=40,
    deadline=5_000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked: list[Any] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host, **_: asked.append(host))
    monkeypatch.setattr(socket.socket, "connect", lambda *host: asked.append(host))
    yield
    assert not asked


def account(form: str, folder: Path, name: str, content: bytes) -> Tally | None:
    """Read one file as prepare_corpus does; None for a DataError. Everything written can be read back."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / name).write_bytes(content)
    config = CorpusConfig(format=form, inputs=[name], out="out", pubmed_only=False, markers="gap_replay")
    try:
        tally = write_task(Task(0, (InputFile(folder / name, name),), folder / "written", config)).tally
    except DataError as error:
        assert name in str(error)
        return None
    finally:
        assert {entry.name for entry in folder.iterdir()} <= {name, "written"}
    facts = tally.facts()  # asserts read = written + rejected + skipped
    written = [path for split in SPLITS for path in (folder / "written" / split).rglob(f"*{ENDING}")]
    assert sum(1 for path in written for _ in read_document_file(path)) == facts["written"]
    return tally


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
FIELDS = ("text", "meta", "id", "title", "clean_text", "source", "corpusid", "externalids", "content")
RECORDS = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES)) | st.fixed_dictionaries(
    {"text": st.text(max_size=40), "clean_text": st.text(max_size=40), "title": st.text(max_size=5)},
    optional={"meta": st.just({"pile_set_name": "PubMed Abstracts"}), "url": VALUES},
)
WITHIN = [(0, 10), (10, 20), (0, 20), (12, 18), (20, 40), (25, 30), (0, 40)]  # they nest
ODD = [(5, 15), ("0", "40"), (40, 41), (-1, 3), (9, 8), (None, 1), (0, 1.5)]
SPAN = st.builds(
    lambda ends, attributes: {"start": ends[0], "end": ends[1], "attributes": attributes},
    st.sampled_from(WITHIN * 6 + ODD),
    st.dictionaries(st.sampled_from(["id", "ref_id", "n"]), st.just("b0") | LEAVES, max_size=2),
)
SPANS = st.lists(SPAN, max_size=3).map(json.dumps)
KINDS = st.sampled_from(["title", "abstract", "paragraph", "sectionheader", "figure", "bibentry", "bibref", "formula"])
ANNOTATIONS = st.dictionaries(KINDS, SPANS, max_size=5) | st.dictionaries(KINDS, VALUES, max_size=2)
PAPERS = st.fixed_dictionaries(
    {
        "corpusid": st.integers(),
        "content": st.fixed_dictionaries({"text": st.text(min_size=40, max_size=40), "annotations": ANNOTATIONS}),
    }
)
LINES = st.lists(
    (RECORDS | PAPERS).map(lambda record: json.dumps(record).encode()) | st.binary(max_size=40), max_size=6
)


@pytest.mark.parametrize("form", JSON_FORMS)
@A_FEW
@given(lines=LINES, ending=st.sampled_from(sorted(COMPRESS)))
def test_json_lines(tmp_path: Path, form: str, lines: list[bytes], ending: str) -> None:
    content = b"\n".join(lines)
    tally = account(form, tmp_path, f"a.jsonl{ending}", COMPRESS[ending](content))
    assert tally is not None
    assert tally.read == sum(1 for line in content.split(b"\n") if line and not line.isspace())


@pytest.mark.parametrize("form", [*JSON_FORMS, "pubmed_xml", "text"])
@A_FEW
@given(content=st.binary(max_size=300), ending=st.sampled_from(sorted(COMPRESS)))
def test_arbitrary_bytes(tmp_path: Path, form: str, content: bytes, ending: str) -> None:
    name = {"pubmed_xml": "a.xml", "text": "a.txt"}.get(form, "a.jsonl") + ending
    account(form, tmp_path, name, content)


@pytest.mark.parametrize("form", [*JSON_FORMS, "pubmed_xml"])
@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_cut_files(tmp_path: Path, form: str, ending: str) -> None:
    whole = (PUBMED if form == "pubmed_xml" else b'{"text": "x"}\n' * 50) * 2
    packed = COMPRESS[ending](whole)
    name = ("a.xml" if form == "pubmed_xml" else "a.jsonl") + ending
    for length in random.Random(1).sample(range(1, len(packed)), 25):
        assert account(form, tmp_path, name, packed[:length]) is None


@pytest.mark.parametrize("depth", [200, 990, 100_000])
@pytest.mark.parametrize("form", JSON_FORMS)
def test_deep_json(tmp_path: Path, form: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    meta = b'{"pile_set_name": "PubMed Abstracts", "deep": ' + deep + b"}"
    record = b'{"text": "t", "clean_text": "t", "url": %b, "meta": %b, "corpusid": 1, "content": {"annotations": %b}}'
    line = record.replace(b"\n", b"") % (deep, meta, deep)
    tally = account(form, tmp_path, "a.jsonl", line + b'\n{"text": "sound"}\n')
    assert tally is not None and tally.read == 2
    if form in ("pile", "jsonl"):  # they keep what else a record holds
        assert tally.rejected["nested_too_deep"] + tally.rejected["not_json"] == (depth > 250)


PUBMED = b"""<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE PubmedArticleSet SYSTEM "http://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_190101.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation><PMID Version="1">12</PMID><Article><Journal><ISSN>1</ISSN><JournalIssue><PubDate>
<Year>1999</Year><Month>Jan</Month></PubDate></JournalIssue></Journal><ArticleTitle>A <i>b</i> c.</ArticleTitle>
<Abstract><AbstractText Label="D">E m<sup>2</sup>, P&lt;0.001 &#946;.</AbstractText></Abstract><Language>eng</Language>
</Article><OtherAbstract Language="fre"><AbstractText>F</AbstractText></OtherAbstract></MedlineCitation></PubmedArticle>
<PubmedBookArticle><BookDocument><PMID>13</PMID><Book><BookTitle>G</BookTitle></Book><Abstract>
<AbstractText>H</AbstractText></Abstract></BookDocument></PubmedBookArticle>
<DeleteCitation><PMID Version="1">14</PMID></DeleteCitation>
</PubmedArticleSet>
"""
MARKUP = """<!-- --> <![CDATA[ ]]> <?x ?> &e; &#0; &#x3b2; <i> </i> < > " <PubmedArticle> </PubmedArticle>
    </PubmedArticleSet> <PMID>5</PMID> <Abstract> </Article> <MedlineCitation/> <BookDocument/>"""
PIECES = st.sampled_from([*MARKUP.encode().split(), b" ", b"\xff", b"\0", b"<!DOCTYPE a [<!ENTITY e 'x'>]>"])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """The sound file with a few stretches cut out, doubled, or replaced by pieces of markup."""
    content = PUBMED
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 60)))
        middle = draw(st.just(b"") | PIECES | st.just(content[start:end] * 2) | st.binary(max_size=4))
        content = content[:start] + middle + content[end:]
    return content


@settings(A_FEW, max_examples=250)
@given(content=damaged())
def test_damaged_pubmed_files(tmp_path: Path, content: bytes) -> None:
    tally = account("pubmed_xml", tmp_path, "a.xml", content)
    path = tmp_path / "a.xml"
    if tally is not None:  # what the reader takes as sound, the first pass sees the same way by both its ways
        found = _scan_bytes(path)
        assert found is None or found == _scan_tree(path)
        assert len(scan(path).pmids) <= tally.read


def entity_bomb(levels: int) -> bytes:
    entities = b'<!ENTITY a0 "aaaaaaaaaa">' + b"".join(
        b'<!ENTITY a%d "%b">' % (level, b"&a%d;" % (level - 1) * 10) for level in range(1, levels)
    )
    return entities + b'<!ENTITY file SYSTEM "file:///etc/passwd"><!ENTITY web SYSTEM "http://127.0.0.1:9/x">'


@pytest.mark.parametrize("entity", [b"&a8;", b"&file;", b"&web;", b"%p;"])
@pytest.mark.parametrize("place", [b"E m", b'Label="D"', b"12<", b"1999", b"eng", b"<PubmedArticle>"])
def test_entities(tmp_path: Path, entity: bytes, place: bytes) -> None:
    used = b'Label="%b"' % entity if place.startswith(b"Label") else entity + place
    doctype = b"<!DOCTYPE PubmedArticleSet [" + entity_bomb(9) + b"]>"
    head, _, body = PUBMED.partition(b"<PubmedArticleSet>")
    content = head.splitlines()[0] + doctype + b"<PubmedArticleSet>" + body.replace(place, used, 1)
    account("pubmed_xml", tmp_path, "a.xml", content)
    for path in tmp_path.glob("written/*/*/*"):
        text = zstd.decompress(path.read_bytes()) if path.suffix == ".zst" else path.read_bytes()
        assert b"root:" not in text and b"aaaaaaaaaa" not in text


@pytest.mark.parametrize("depth", [100, 255, 5000])
def test_deep_xml(tmp_path: Path, depth: int) -> None:
    content = PUBMED.replace(b"E m", b"<i>" * depth + b"E m" + b"</i>" * depth)
    account("pubmed_xml", tmp_path, "a.xml", content)
    assert account("pubmed_xml", tmp_path, "b.xml", b"<PubmedArticleSet>" + b"<PubmedArticle>" * depth) is None
