"""Any tree of JATS elements, any bytes, any archive: every character and every record is accounted for."""

import gzip
import io
import random
import re
import tarfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import Document, Item, Reject
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.jats_text import read_article
from medlm_recipes.corpus.pmc_jats import read_pmc_jats
from medlm_recipes.errors import DataError

SETTINGS = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CONFIG = CorpusConfig(format="pmc_jats", inputs=["x"], out="unused", markers="gap_replay")
TAGS = [
    *("sec", "p", "p", "p", "italic", "sup", "xref", "fn", "break", "title", "label", "caption", "abstract"),
    *("fig", "fig-group", "table-wrap", "table", "td", "table-wrap-foot", "supplementary-material", "media"),
    *("list", "list-item", "def-list", "def-item", "term", "def", "boxed-text", "statement", "disp-quote"),
    *("disp-formula", "inline-formula", "alternatives", "tex-math", "math", "preformat", "verse-line"),
    *("speech", "speaker", "glossary", "app", "notes", "ack", "ref-list", "fn-group", "alt-text", "unheard-of"),
]


def tree(seed: int) -> str:
    """An article of JATS's elements in any order, with words of their own wherever text can stand."""
    draw = random.Random(seed)
    number = iter(range(10**6))

    def text() -> str:
        return draw.choice(["", " ", f"q{next(number)}z", f"\n  q{next(number)}z "])

    def element(depth: int) -> str:
        tag = draw.choice(TAGS)
        inner = text() + "".join(element(depth + 1) for _ in range(draw.randint(0, 3 if depth < 6 else 0)))
        return f'<{tag} id="{tag}{next(number) % 9}" rid="B1 fig1" ref-type="bibr">{inner}</{tag}>{text()}'

    parts = [f"<{part}>{text()}{element(0)}{element(0)}</{part}>" for part in ("body", "back", "floats-group")]
    reply = f"<response><front-stub/>{parts.pop(draw.randint(0, 2))}</response>"
    return (
        f"<article><front><article-meta><title-group><article-title>{text()}{element(4)}</article-title></title-group>"
        f"<abstract>{element(3)}</abstract></article-meta></front>{''.join(parts)}<back><ref-list><ref id='B1'>"
        f"<mixed-citation><source>Cited</source></mixed-citation></ref></ref-list></back>{reply}</article>"
    )


@SETTINGS
@given(st.integers(0, 10**9))
def test_every_character_is_kept_once_or_counted_as_dropped(seed: int) -> None:
    source = tree(seed)
    article = etree.fromstring(source)
    meta = article.find("front/article-meta")
    assert meta is not None
    content = [*meta.iterfind("title-group/article-title"), *meta.iterfind("abstract"), *article[1:]]
    words = [word for part in content for word in re.findall(r"q\d+z|Cited", "".join(part.itertext()))]
    for with_markers in (False, True):
        coverage = Coverage()
        text = read_article(etree.fromstring(source), with_markers, coverage).text
        assert coverage.read.total() == sum(map(len, words))
        assert not re.search(r"[\x00-\x08]", text)
        if not with_markers:
            written = Counter(re.findall(r"q\d+z", text))
            assert not written or max(written.values()) == 1
            assert sum(map(len, written)) == coverage.kept.total()


def read(path: Path, content: bytes) -> list[Item]:
    path.write_bytes(content)
    items = list(read_pmc_jats(InputFile(path, path.name), CONFIG, {}))
    for item in items:
        if isinstance(item, Document | Reject):
            item.to_line()
    assert isinstance(items[-1], Coverage) and len(items) > 1
    return items[:-1]


ARTICLE = (
    b'<?xml version="1.0"?><!DOCTYPE article [<!ENTITY e "x">]><article article-type="a"><front><article-meta>'
    b'<article-id pub-id-type="pmc">1</article-id><title-group><article-title>T</article-title></title-group>'
    b'</article-meta></front><body><sec><title>S</title><p>See <xref rid="B1 f1">1</xref>.</p><fig id="f1"><label>'
    b'Fig. 1</label><caption><p>C &#8805;</p></caption></fig></sec></body><back><ref-list><ref id="B1"><citation>'
    b"<source>B</source></citation></ref></ref-list></back></article>"
)


def mutated(content: bytes, seed: int) -> bytes:
    """Some bytes replaced, a piece repeated, the end cut off, or several of these."""
    draw = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        start, end = sorted(draw.randrange(len(damaged) + 1) for _ in range(2))
        kind = draw.randrange(4)
        if kind == 0:
            damaged[start : start + 1] = draw.choice([b"<", b">", b"&e;", b"\xff", b"\0", b"</p>", b"<a>", b"]]>"])
        elif kind == 1:
            damaged[end:end] = damaged[start:end][:2000]
        elif kind == 2:
            del damaged[max(start, 1) :]
        else:
            del damaged[start : min(end, start + 20)]
    return bytes(damaged)


@SETTINGS
@given(st.one_of(st.binary(max_size=300), st.integers(0, 10**9).map(lambda seed: mutated(ARTICLE * 2, seed))))
def test_any_bytes_are_articles_or_rejects(tmp_path: Path, content: bytes) -> None:
    items = read(tmp_path / "a.nxml", content)
    assert all(isinstance(item, Document | Reject) for item in items)
    try:
        assert len(read(tmp_path / "a.nxml.gz", gzip.compress(content, mtime=0))) == len(items)
        read(tmp_path / "b.xml.gz", content)
    except DataError as error:
        assert "b.xml.gz" in str(error)  # what is no gzip


def package(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@SETTINGS
@given(st.integers(0, 10**9), st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), st.booleans())
def test_any_damage_to_an_archive_is_found_or_changes_only_what_it_hit(
    tmp_path: Path, seed: int, form: int, is_compressed: bool
) -> None:
    names = ["PMC1/a.nxml", "long" * 60 + "/ü.nxml", "notes.txt", "b.xml"]
    whole = package(*((member(name), ARTICLE) for name in names), form=form)
    content = mutated(whole, seed)
    try:
        if is_compressed:
            items = read(tmp_path / "a.tar.gz", gzip.compress(content))
        else:
            items = read(tmp_path / "a.tar", content)
    except DataError as error:
        assert "fetch the file again" in str(error)
    else:
        assert len(items) >= 3
    assert sorted(path.suffix for path in tmp_path.iterdir()) in ([".tar"], [".gz"], [".gz", ".tar"])
