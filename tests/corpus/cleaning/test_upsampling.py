"""GAP-Replay's table 10: scores, exclusions, citations and the number of copies."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from medlm_recipes.config.cleaning import EXCLUSIONS
from medlm_recipes.corpus.cleaning.citations import citation_score, write_citation_scores
from medlm_recipes.corpus.cleaning.standing import read_journals, reason_to_exclude, standing_of
from medlm_recipes.corpus.cleaning.upsampling import copies, original_id, score_of, times_of
from medlm_recipes.corpus.document import Document
from medlm_recipes.errors import DataError

JOURNALS = {"the lancet", "0140-6736"}


@pytest.mark.parametrize(
    "metadata, score",
    [
        ({"publication_types": ["Journal Article", "Practice Guideline"], "year": 2023}, 2.0),
        ({"publication_types": ["Clinical Trial, Phase III", "Randomized Controlled Trial"], "year": 2010}, 0.6),
        ({"publication_types": ["Review"], "date": "2018-03", "year": 2018}, 1.5),
        ({"publication_types": ["Review"], "date": "2017-12-01"}, 0.7),
        ({"publication_types": ["Review"], "year": 2018}, 1.5),
        ({"publication_types": ["Review"], "year": 2013}, 0.5),
        ({"publication_types": ["Review"]}, 0.5),
        ({"publication_types": ["Case Reports"], "year": 2023}, 0.0),
        ({"publication_types": ["Case Reports"], "journal": "The Lancet", "year": 2023}, 2.0),
        ({"journal": "Lancet", "issn": "0140-6736"}, 1.0),
        ({"journal": "Another", "year": 2023}, 0.0),
        ({"article_type": "review-article", "year": 2023}, 1.5),
        ({"publication_types": ["MetaAnalysis"]}, 1.0),
        ({"publication_types": "Letter", "mesh": 5, "year": ["2020"]}, 0.1),
        ({}, 0.0),
    ],
)
def test_scores(metadata: dict[str, object], score: float) -> None:
    assert score_of(standing_of(metadata, JOURNALS), 0.0, 2023.5) == pytest.approx(score)


def test_citations_count_only_beside_a_type_or_journal() -> None:
    assert score_of(standing_of({"publication_types": ["Review"]}, ()), 1.0, 2023.5) == 1.5
    assert score_of(standing_of({"year": 2023}, ()), 1.0, 2023.5) == 0.0


@pytest.mark.parametrize(
    "metadata, reasons",
    [
        ({"publication_types": ["Retracted Publication"]}, {"retracted"}),
        ({"retracted": True, "mesh": ["Humans", "Animals"]}, {"retracted", "animals"}),
        ({"article_type": "retracted-article"}, {"retracted"}),
        ({"publication_types": ["Preprint", "Observational Study, Veterinary"]}, {"preprint", "veterinary"}),
        ({"mesh": ["Animals, Newborn"], "retracted": False, "publication_types": ["Retraction Notice"]}, set()),
    ],
)
def test_exclusions(metadata: dict[str, object], reasons: set[str]) -> None:
    excluded = standing_of(metadata, ()).excluded
    assert {name for name in EXCLUSIONS if reason_to_exclude(excluded, [name])} == reasons
    assert reason_to_exclude(excluded, []) is None


def test_copies_are_rounded_by_a_hash_of_the_id() -> None:
    times = [times_of(f"pmid:{number}", 1.3, 17) for number in range(4000)]
    assert Counter(times).keys() == {2, 3} and sum(times) / 4000 == pytest.approx(2.3, abs=0.03)
    assert times == [times_of(f"pmid:{number}", 1.3, 17) for number in range(4000)]
    assert times != [times_of(f"pmid:{number}", 1.3, 18) for number in range(4000)]
    assert {times_of(str(number), 0.0, 1) for number in range(100)} == {1}
    assert {times_of(str(number), 2.0, 1) for number in range(100)} == {3}
    one = Document("pmid:1", "text", "s", {"pmid": 1})
    assert list(copies(one, 1)) == []
    copied = [Document(f"pmid:1#{number}", "text", "s", {"pmid": 1, "copy_of": "pmid:1"}) for number in (2, 3)]
    assert list(copies(one, 3)) == copied and [original_id(each) for each in (one, *copied)] == ["pmid:1"] * 3


def test_citation_scores_are_quarters_of_the_table(tmp_path: Path) -> None:
    rows = [f'{pmid},"a, title",{pmid / 10}' for pmid in range(100, 0, -1)] + ["101,x,", ""]
    table = "\n".join(["PMID,title,Citations_per_year", *rows]) + "\n"
    (tmp_path / "table.csv.gz").write_bytes(gzip.compress(table.encode("utf-8-sig")))
    scores = tmp_path / "scores"
    write_citation_scores(tmp_path / "table.csv.gz", scores)
    points = Counter(citation_score(pmid, scores) for pmid in range(1, 101))
    assert points == {1.0: 25, 0.5: 50, 0.0: 25}
    assert [citation_score(pmid, scores) for pmid in (100, 50, 1, 101, 0, 999)] == [1.0, 0.5, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "table, message",
    [
        ("pmid,citations\n1,2\n", "has no column citations_per_year"),
        ("", "has no column pmid and citations_per_year"),
        ("pmid,citations_per_year\n1,2\nx,3\n", "line 3: not a whole number as pmid"),
        ("pmid,citations_per_year\n1\n", "line 2: not a whole number"),
        ("pmid,citations_per_year\n", "lists no articles"),
        ('pmid,citations_per_year\n"1,2\n', "not a CSV"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, table: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        write_citation_scores(tmp_path / "t.csv", tmp_path / "scores")


def test_lists_of_journals(tmp_path: Path) -> None:
    (tmp_path / "j.txt").write_text("\ufeffThe Lancet\n\n 0140-6736 \n")
    assert read_journals(tmp_path / "j.txt") == JOURNALS
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(DataError, match="lists no journals"):
        read_journals(tmp_path / "empty.txt")
