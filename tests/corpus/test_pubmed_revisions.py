"""Which records of PubMed files are kept, and that the quick ways through a file find what its parser finds."""

from pathlib import Path

import pytest
from pubmed_samples import BOOK_ARTICLE, FULL_RECORD, SAMPLES, article, deletion, read, write

from medlm_recipes.corpus import pubmed_records, pubmed_revisions, pubmed_slices
from medlm_recipes.corpus.document import Document, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pubmed_records import read_records
from medlm_recipes.corpus.pubmed_revisions import Scan, out_of_date, scan
from medlm_recipes.errors import DataError


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


def test_memory_of_records_is_freed(tmp_path: Path) -> None:
    file = write(tmp_path / "a.xml", *(article(n) for n in range(1, 200)))
    behind = [sum(1 for _ in element.itersiblings(preceding=True)) for element in read_records(file.path)]
    assert len(behind) == 199 and max(behind) <= 1
