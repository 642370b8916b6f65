"""JATS files, however they are wrapped: every record accounted for, nothing expanded or fetched."""

import gzip
import json
import socket
import tarfile
from pathlib import Path

import pytest
from launch import ROOT, done, recipe, refused

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus import inputs, pmc_jats
from medlm_recipes.corpus.coverage import Coverage
from medlm_recipes.corpus.document import Document, Item, Reject, Skipped, read_documents
from medlm_recipes.corpus.inputs import InputFile, grouped
from medlm_recipes.corpus.pipeline import prepare_corpus
from medlm_recipes.corpus.pmc_jats import read_pmc_jats
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import read_manifest

CONFIG = CorpusConfig(format="pmc_jats", inputs=["x"], out="unused", source="pubmed-papers")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE article SYSTEM "http://dtd.nlm.nih.gov/x.dtd">\n'


NAMESPACE = 'xmlns="https://jats.nlm.nih.gov/ns/archiving/1.3/"'


def article(number: int, body: str = "<p>Text.</p>", meta: str = "", attributes: str = "") -> str:
    return (
        f'<article xmlns:xlink="http://www.w3.org/1999/xlink" {attributes}><front><article-meta><article-id '
        f'pub-id-type="pmc">{number}</article-id><title-group><article-title>T{number}</article-title></title-group>'
        f"{meta}</article-meta></front><body>{body}</body></article>\n"
    )


def read(path: Path, content: bytes | str) -> list[Item]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    *items, coverage = read_pmc_jats(InputFile(path, path.name), CONFIG, {})
    assert isinstance(coverage, Coverage)
    return items


def summary(items: list[Item]) -> list[tuple[str, str]]:
    """Id and text of documents, place and reason of rejects, reason alone of what was skipped."""
    found = []
    for item in items:
        if isinstance(item, Document):
            found.append((item.id, item.text))
        elif isinstance(item, Reject):
            found.append((item.record, item.reason))
        elif isinstance(item, Skipped):
            found.append(("", item.reason))
    return found


@pytest.mark.parametrize(
    "wrapped",
    [
        HEAD + article(7),
        "\ufeff" + article(7),
        (HEAD.replace("UTF-8", "utf-16") + article(7)).encode("utf-16"),
        f"<pmc-articleset>{article(7)}</pmc-articleset>",
        '<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><ListRecords><record><header><identifier>oai:7'
        f"</identifier></header><metadata>{article(7, attributes=NAMESPACE)}</metadata></record></ListRecords>"
        "</OAI-PMH>",
    ],
)
def test_an_article_however_it_is_wrapped(tmp_path: Path, wrapped: str | bytes) -> None:
    content = wrapped if isinstance(wrapped, bytes) else wrapped.encode()
    for items in (read(tmp_path / "a.xml", content), read(tmp_path / "a.nxml.gz", gzip.compress(content))):
        assert summary(items) == [("pmcid:PMC7", "T7\n\nText.")]


def test_many_articles_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [article(number) for number in range(1, 400)]
    items = read(tmp_path / "a.xml", f"<articles>{''.join(many)}</articles>")
    assert [identifier for identifier, _ in summary(items)] == [f"pmcid:PMC{number}" for number in range(1, 400)]
    damaged = "".join([*many[:3], article(4, ""), many[5], "<article><body></article>", many[6]])
    assert summary(read(tmp_path / "a.xml", f"<articles>{damaged}</articles>"))[3:] == [
        ("article 4", "no_body"),
        ("pmcid:PMC6", "T6\n\nText."),
        ("article 6", "not_well_formed"),
    ]
    monkeypatch.setattr(pmc_jats, "MAX_RECORD_BYTES", 100_000)
    long = article(2, f"<p>{'word ' * 40_000}</p>")
    for content in (f"<articles>{''.join(many)}{long}{many[0]}</articles>", f"{many[0]}{' ' * 200_000}"):
        *sound, last = summary(read(tmp_path / "a.xml", content))
        assert {text.split()[1] for _, text in sound} == {"Text."} and last[1] == "too_long"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not_well_formed"),
        ("no XML", "not_well_formed"),
        (article(1)[:-20], "not_well_formed"),
        (article(1, "<p>&#1;</p>"), "not_well_formed"),
        (article(1).encode() + b"\xff", "not_well_formed"),
        ("<html><body><p>Text.</p></body></html>", "no_article"),
        (article(1, "<sec><title>Title alone</title></sec>"), "no_body"),
        (article(1, "<p>" * 200 + "x" + "</p>" * 200), "too_deep"),
        (article(1, "<p>" * 10_000), "too_deep"),
        (HEAD + article(1, "<p>&alpha;-helix</p>"), "unresolved_entity"),
    ],
)
def test_what_is_no_article_is_rejected(tmp_path: Path, content: str | bytes, reason: str) -> None:
    reject = read(tmp_path / "a.nxml", content)[-1]
    assert isinstance(reject, Reject) and reject.reason == reason and reject.file == "a.nxml"
    if reason in ("no_body", "unresolved_entity"):
        assert reject.excerpt == "T1"


def test_damaged_compression_is_a_data_error(tmp_path: Path) -> None:
    whole = gzip.compress(f"<articles>{''.join(map(article, range(2000)))}</articles>".encode())
    for content in (whole[: len(whole) // 2], b"no gzip", whole[:-8] + b"\0" * 8):
        with pytest.raises(DataError, match=r"a\.xml\.gz: (truncated|damaged|cannot be read).*fetch"):
            read(tmp_path / "a.xml.gz", content)
    with pytest.raises(DataError, match=r"b\.xml: no such file"):
        list(read_pmc_jats(InputFile(tmp_path / "b.xml", "b.xml"), CONFIG, {}))


def test_entities_are_neither_expanded_nor_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("SECRET")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.dtd"
        head = (
            f'<!DOCTYPE article SYSTEM "{url}" [<!ENTITY e SYSTEM "{(tmp_path / "secret.txt").as_uri()}">'
            f'<!ENTITY w SYSTEM "{url}"><!ENTITY inner "boom"><!ENTITY % p SYSTEM "{url}">%p;]>'
        )
        records = "".join(article(n, f"<p>before {entity}</p>") for n, entity in enumerate(("&e;", "&w;", "&inner;")))
        inclusion = article(8, f'<p><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{url}"/>x</p>')
        items = read(tmp_path / "a.xml", f"{head}<articles>{records}{inclusion}{article(9)}</articles>")
        with pytest.raises(TimeoutError):
            server.accept()
    assert [getattr(item, "reason", "kept") for item in items] == ["unresolved_entity"] * 3 + ["kept"] * 2
    assert "SECRET" not in str(items) and "boom" not in str(items)


@pytest.mark.parametrize("use", ["<p>&a9;</p>", '<p id="&a9;">x</p>'])
def test_an_entity_bomb_is_rejected(tmp_path: Path, use: str) -> None:
    entities = '<!ENTITY a0 "aaaaaaaaaa">' + "".join(
        f'<!ENTITY a{n} "' + f"&a{n - 1};" * 10 + '">' for n in range(1, 10)
    )
    [item] = read(tmp_path / "bomb.nxml", f"<!DOCTYPE article [{entities}]>{article(1, use)}")
    assert isinstance(item, Reject) and item.reason in ("unresolved_entity", "not_well_formed")


META = """
<article-id pub-id-type="pmid">21</article-id><article-id pub-id-type="doi">10.1/ABC</article-id>
<article-categories><subj-group subj-group-type="heading"><subject>Review</subject></subj-group><subj-group>
  <subject>Other</subject></subj-group></article-categories>
<pub-date pub-type="ppub"><year>2013</year></pub-date><pub-date pub-type="epub"><year>2012</year></pub-date>
<permissions><license><license-p>See <ext-link xlink:href="https://creativecommons.org/licenses/by/4.0/">it</ext-link>
</license-p></license></permissions><kwd-group><kwd>H<sub>2</sub>O</kwd><kwd/></kwd-group>"""


def metadata(tmp_path: Path, source: str, name: str = "a.nxml") -> dict[str, object]:
    [item] = read(tmp_path / name, source)
    assert isinstance(item, Document)
    return {**item.metadata, "id": item.id}


def test_metadata(tmp_path: Path) -> None:
    source = article(5, meta=META, attributes='article-type="review-article" xml:lang="de"')
    journal = "<front><journal-meta><journal-title>The  J</journal-title></journal-meta>"
    assert metadata(tmp_path, source.replace("<front>", journal)) == {
        "id": "pmcid:PMC5",
        "pmcid": "PMC5",
        "pmid": 21,
        "doi": "10.1/ABC",
        "version": 1,
        "title": "T5",
        "journal": "The J",
        "year": 2012,
        "article_type": "review-article",
        "language": "de",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "retracted": False,
        "subjects": ["Review"],
        "keywords": ["H2O"],
    }
    bare = metadata(tmp_path, "<article><body><p>x</p></body></article>")
    assert bare.pop("id") == "a.nxml/article 1" and bare.pop("language") == "en" and bare.pop("version") == 1
    assert not any(bare.values())


@pytest.mark.parametrize(
    ("identifiers", "name", "expected"),
    [
        ({"pmc": "7"}, "a.nxml", ("pmcid:PMC7", 1)),
        ({"pmc": "PMC7", "pmcid-ver": "PMC7.2", "pmcaid": "9"}, "a.nxml", ("pmcid:PMC7", 2)),
        ({"pmcid": "PMC7"}, "PMC7.3/PMC7.3.xml", ("pmcid:PMC7", 3)),
        ({"doi": "10.1/X"}, "PMC8.1/PMC8.1.xml", ("pmcid:PMC8", 1)),
        ({"pmc": "7"}, "PMC8.4.xml", ("pmcid:PMC7", 1)),
        ({"doi": "10.1/X", "pmid": "3"}, "a.nxml", ("doi:10.1/x", 1)),
        ({"pmid": "3"}, "a.nxml", ("pmid:3", 1)),
        ({"pmc": "none", "pmid": "0x3"}, "a.nxml", ("a.nxml/article 1", 1)),
    ],
)
def test_identifiers(tmp_path: Path, identifiers: dict[str, str], name: str, expected: tuple[str, int]) -> None:
    given = "".join(f'<article-id pub-id-type="{kind}">{value}</article-id>' for kind, value in identifiers.items())
    found = metadata(
        tmp_path, f"<article><front><article-meta>{given}</article-meta></front><body>x</body></article>", name
    )
    assert (found["id"], found["version"]) == expected


@pytest.mark.parametrize(
    ("source", "is_retracted"),
    [
        (article(1), False),
        (article(1, attributes='article-type="retraction"'), True),
        (article(1, meta='<related-article related-article-type="retraction-forward"/>'), True),
        (article(1).replace("T1", "[RETRACTED]: T1"), True),
        (article(1).replace("T1", "Retracted Article: T1"), True),
        (article(1).replace("T1", "Retraction of the eyelid"), False),
        (article(1).replace("T1", "Withdrawn patients: a cohort"), False),
    ],
)
def test_retractions(tmp_path: Path, source: str, is_retracted: bool) -> None:
    assert metadata(tmp_path, source)["retracted"] is is_retracted


@pytest.mark.parametrize(
    ("given", "license"),
    [
        ('<permissions><license license-type="open" xlink:href="http://l"/></permissions>', "http://l"),
        ('<permissions><license><a:license_ref xmlns:a="http://www.niso.org/schemas/ali/1.0/">http://r'
         "</a:license_ref></license></permissions>", "http://r"),
        ('<permissions><license license-type="open-access"/></permissions>', "open-access"),
        ("<custom-meta-group><custom-meta><meta-name>pmc-license-ref</meta-name><meta-value>CC BY</meta-value>"
         "</custom-meta></custom-meta-group>", "CC BY"),
    ],
)  # fmt: skip
def test_licenses(tmp_path: Path, given: str, license: str) -> None:
    assert metadata(tmp_path, article(1, meta=given))["license"] == license


def test_groups_of_files_are_bounded_by_number_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_MOST_BYTES", 100)
    files = []
    for number, size in enumerate((40, 40, 40, 500, 10, 10, 10, 10)):
        path = tmp_path / f"{number}.xml"
        path.write_bytes(b"x" * size)
        files.append(InputFile(path, path.name))
    assert [[file.name[0] for file in group] for group in grouped(files, 3)] == [
        ["0", "1"], ["2"], ["3"], ["4", "5", "6"], ["7"],
    ]  # fmt: skip
    assert list(grouped([], 3)) == []


def test_the_recipe_from_the_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "PMC1.1").mkdir(parents=True)
    cited = '<p>Known [<xref ref-type="bibr" rid="B1">1</xref>].</p>'
    reference = '<back><ref-list><ref id="B1"><citation><source>S</source></citation></ref></ref-list></back></article>'
    (folder / "PMC1.1" / "PMC1.1.xml").write_text(article(1, cited).replace("</article>", reference))
    (folder / "b.nxml.gz").write_bytes(gzip.compress(article(2, "").encode()))
    with tarfile.open(folder / "c.tar.gz", "w:gz") as archive:
        for name in ("x.nxml", "x.jpg"):
            (tmp_path / name).write_text(article(3))
            archive.add(tmp_path / name, name)
    arguments = ("yamls/corpus/pmc_jats.yaml", f"inputs={folder}", "markers=gap_replay", "validation_fraction=0")
    described = done(recipe("prepare_corpus", *arguments, f"out={tmp_path / 'out'}", "--dry-run")).stdout
    assert "pmc_jats: 3 files" in described and "{pubmed-papers}" in described
    printed = done(recipe("prepare_corpus", *arguments, f"out={tmp_path / 'out'}")).stdout
    assert "read 4 = written 2 + rejected 1 (no_body 1) + skipped 1 (not_an_article 1)" in printed
    assert "coverage by element" in printed and "ref-list" in printed
    facts = read_manifest(tmp_path / "out", "prepare_corpus").facts
    assert facts["coverage"]["ref-list"] == {"characters": 1, "kept": 0}
    assert facts["coverage"]["xref"] == {"characters": 3, "kept": 0}
    assert [
        (document.id, document.text) for document in read_documents(tmp_path / "out", "train", "pubmed-papers")
    ] == [
        ("pmcid:PMC1", "T1\n\nKnown [bib_ref]S[/bib_ref]."),
        ("pmcid:PMC3", "T3\n\nText."),
    ]
    reject = json.loads((tmp_path / "out" / "rejected" / "00000.jsonl").read_text())
    assert reject == {"file": "b.nxml.gz", "record": "article 1", "reason": "no_body", "excerpt": "T2"}
    refused(recipe("prepare_corpus", *arguments[:2], f"out={tmp_path / 'o'}", "markers=all"), "gap_replay, none")


def test_output_does_not_depend_on_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_MOST_BYTES", 1)
    for number in range(6):
        (tmp_path / f"PMC{number}.nxml").write_text(article(number))
    made = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        given = [f"inputs={tmp_path}/*.nxml", f"out={out}", f"execution.workers={workers}"]
        prepare_corpus(load_config(CorpusConfig, ROOT / "yamls/corpus/pmc_jats.yaml", given), dry_run=False)
        made.append({str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert made[0] == made[1] and len(made[0]) == 7
