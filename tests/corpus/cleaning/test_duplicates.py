"""Which documents are one article, which of them is kept, and that slices and their order change nothing."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medlm_recipes.config.cleaning import CleanKeys, DuplicateKeys, NearDuplicateKeys
from medlm_recipes.corpus.cleaning import duplicates, near_duplicates
from medlm_recipes.corpus.cleaning.duplicates import choose, joined, matchings, same_articles
from medlm_recipes.corpus.cleaning.identity import KEY, key_of, shared_standing
from medlm_recipes.corpus.cleaning.near_duplicates import alike, bandings
from medlm_recipes.corpus.cleaning.spool import PartWriter, open_spool, read_part, save_spool
from medlm_recipes.corpus.cleaning.standing import standing_of
from medlm_recipes.corpus.document import Document, Reject

TITLE = "Effects of a drug on the blood pressure of rats"
BOTH = CleanKeys(duplicates=DuplicateKeys(), near_duplicates=NearDuplicateKeys(), prefer=["papers", "abstracts"])


def document(name: str, text: str = "", source: str = "abstracts", **metadata: Any) -> Document:
    return Document(name, text or f"A text of its own, that of document {name}.", source, metadata)


def spooled(folder: Path, documents: list[Document], clean: CleanKeys = BOTH, size: int = 3) -> Path:
    counts, digests = [], []
    for number, start in enumerate(range(0, len(documents), size)):
        with PartWriter(folder, number, clean, ()) as writer:
            for one in documents[start : start + size]:
                writer.add("in.jsonl", one, one.to_line())
        counts.append(writer.documents)
        digests.append(writer.digest)
    return save_spool(folder, counts, digests)


def dropped(folder: Path, documents: list[Document], clean: CleanKeys = BOTH) -> dict[str, str]:
    """Id of every duplicate -> id of what is kept."""
    assert clean.duplicates
    spool = spooled(folder, documents, clean)
    trees = np.empty((0, 2), np.int64)
    for task in matchings(spool, clean.duplicates.by):
        trees = joined(trees, same_articles(task))
    return {documents[gone].id: documents[kept].id for gone, kept in choose(spool, trees)}


ARTICLES = [
    document("abstract", pmid=7, doi="10.1000/A.b"),
    document("paper", source="papers", pmcid="PMC55", doi="https://doi.org/10.1000/a.B"),
    document("manuscript", source="other", pmcid="55", pmid="7", text="A much longer text. " * 9),
    document("same pmid", pmid="PMID: 7"),
    document("unrelated", pmid=8, doi="10.1000/other"),
    document("no identifiers"),
]


def test_identifiers_of_every_spelling_lead_to_the_preferred_source(tmp_path: Path) -> None:
    expected = dict.fromkeys(["abstract", "manuscript", "same pmid"], "paper")
    for number, order in enumerate(itertools.islice(itertools.permutations(ARTICLES), 0, 720, 90)):
        assert dropped(tmp_path / str(number), list(order)) == expected


def test_without_a_preferred_source_the_longest_is_kept_and_then_the_first(tmp_path: Path) -> None:
    clean = CleanKeys(duplicates=DuplicateKeys())
    assert set(dropped(tmp_path / "a", ARTICLES, clean).values()) == {"manuscript"}
    equal = [document("b", "same length", pmid=1), document("a", "same-length", pmid=1)]
    assert dropped(tmp_path / "b", equal, clean) == {"a": "b"}


@pytest.mark.parametrize(
    "one, other, are_one",
    [
        ({"title": TITLE}, {"title": f"[{TITLE.upper()}]."}, True),
        ({"title": TITLE, "year": 2019}, {"title": TITLE, "year": "2020"}, True),
        ({"title": TITLE, "year": 2018}, {"title": TITLE, "date": "2020-01"}, False),
        ({"title": TITLE, "pmid": 1}, {"title": TITLE, "pmid": 2}, False),
        ({"title": TITLE, "pmid": 1}, {"title": TITLE, "doi": "10.1000/1"}, True),
        ({"title": "Reply to the authors"}, {"title": "Reply to the authors"}, False),
        ({"doi": "10.1000/supplement", "pmid": 1}, {"doi": "10.1000/supplement", "pmid": 2}, False),
        ({"doi": "10.1000/x"}, {"doi": "doi:10.1000/X."}, True),
        ({"doi": "none"}, {"doi": "none"}, False),
        ({"pmid": 0}, {"pmid": 0}, False),
        ({"pmid": [1]}, {"pmid": [1]}, False),
        ({"pmid": 12.0}, {"pmid": "12"}, True),
        ({"pmcid": "PMC1.2"}, {"pmcid": "pmc1"}, True),
        ({"title": TITLE, "other_abstract_of": 1}, {"title": TITLE}, False),
    ],
)
def test_what_makes_two_documents_one_article(
    tmp_path: Path, one: Mapping[str, Any], other: Mapping[str, Any], are_one: bool
) -> None:
    documents = [document("first", **one), document("other", **other)]
    assert bool(dropped(tmp_path, documents)) == are_one


def test_a_title_is_the_first_line_where_the_metadata_have_none(tmp_path: Path) -> None:
    documents = [
        document("1", f"{TITLE}\nOne abstract."),
        document("2", f"# {TITLE.lower()}\n\nAnother text, and longer."),
        document("3", TITLE),  # a text of one line has no title
        document("4", "word " * 70 + "\nA paragraph is none.", title=None),
        document("5", "word " * 70 + "\nAnother one."),
    ]
    assert dropped(tmp_path, documents) == {"1": "2"}


def test_equal_texts_are_duplicates_whatever_their_identifiers(tmp_path: Path) -> None:
    documents = [document("1", "The same\n text.", pmid=1), document("2", "the SAME text.", pmid=2)]
    assert dropped(tmp_path / "all", documents) == {"2": "1"}
    assert not dropped(tmp_path / "some", documents, CleanKeys(duplicates=DuplicateKeys(by=["pmid", "title"])))


def test_a_shared_wrong_identifier_joins_no_two_articles(tmp_path: Path) -> None:
    """All abstracts of a supplement under one DOI; a paper without a PMID goes with the best of them only."""
    documents = [document(str(number), pmid=number, doi="10.1000/supplement") for number in range(1, 9)]
    documents.append(document("paper", source="papers", doi="10.1000/supplement"))
    assert dropped(tmp_path, documents) == {"1": "paper"}


def test_slices_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [document(str(n), f"Text {n % 23}", pmid=n % 31 or None, doi=f"10.1000/{n % 37}") for n in range(90)]
    whole = dropped(tmp_path / "whole", documents)
    monkeypatch.setattr(duplicates, "_AT_ONCE", 12)
    assert len(matchings(spooled(tmp_path / "x", documents), ["pmid"])) == 8
    assert dropped(tmp_path / "sliced", documents) == whole and len(whole) > 40


def near(folder: Path, documents: list[Document], gone: list[int]) -> dict[str, str]:
    spool = spooled(folder, documents)
    np.save(folder / "gone.npy", np.array(gone, np.int64))
    trees = np.empty((0, 2), np.int64)
    assert BOTH.near_duplicates
    for task in bandings(spool, folder / "gone.npy", BOTH.near_duplicates):
        trees = joined(trees, alike(task))
    return {documents[one].id: documents[kept].id for one, kept in choose(spool, trees)}


def test_near_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(f"word{number}" for number in range(300))
    documents = [
        document("abstract", text, pmid=1),
        document("few words", "one two three"),
        document("paper", text.replace("word7 ", "Word, seven "), source="papers"),
        document("few words again", "one two three"),
        document("gone", text),
        document("other", " ".join(f"other{number}" for number in range(300))),
        document("longer", text + " and more"),
    ]
    expected = dict.fromkeys(["abstract", "longer"], "paper")
    assert near(tmp_path / "whole", documents, [4]) == expected
    monkeypatch.setattr(near_duplicates, "_AT_ONCE", 2)
    assert near(tmp_path / "sliced", documents, [4]) == expected


def test_joined_sets() -> None:
    trees = joined(np.empty((0, 2), np.int64), np.array([[5, 3], [9, 8]]))
    assert trees.tolist() == [[5, 3], [9, 8]]
    trees = joined(trees, np.array([[8, 5], [1, 2]]))
    assert sorted(trees.tolist()) == [[2, 1], [5, 3], [8, 3], [9, 3]]
    assert joined(trees, np.empty((0, 2), np.int64)) is trees


def test_a_part_is_read_as_it_was_written_and_known_by_its_digest(tmp_path: Path) -> None:
    one, other = document("ä", "Text", pmid=1), document("b\U0001f600", "Other", "papers")
    digests = []
    for name, rejects in (("1", []), ("2", []), ("3", [Reject("f", "1", "not_json", "x")])):
        with PartWriter(tmp_path / name, 0, BOTH, ()) as part:
            part.add("x.jsonl", one, one.to_line())
            part.add("y.jsonl", other, other.to_line())
            for reject in rejects:
                part.reject(reject)
        digests.append(part.digest)
    assert list(read_part(tmp_path / "1", 0)) == [("x.jsonl", one), ("y.jsonl", other)]
    assert digests[0] == digests[1] != digests[2]
    with PartWriter(tmp_path / "1", 1, BOTH, ()) as empty:
        pass
    spool = open_spool(save_spool(tmp_path / "1", [2, 0], [part.digest, empty.digest]))
    assert spool.ids_of(np.array([1, 0, 1])) == ["b\U0001f600", "ä", "b\U0001f600"]
    assert spool.keys_of(np.array([1, 0]))["pmid"].tolist() == [0, 1]
    assert [len(keys) for keys in spool.all_keys()] == [len(bands) for bands in spool.bands(3)] == [2, 0]
    assert list(read_part(tmp_path / "1", 1)) == []


def test_a_duplicate_lends_what_speaks_for_and_against_the_article() -> None:
    paper = {"pmcid": "PMC1", "article_type": "research-article", "year": 2020}
    abstract = {"pmid": 5, "publication_types": ["Meta-Analysis", "Retracted Publication"], "year": 2019}
    abstract |= {"mesh": ["Animals"], "journal": "The Lancet"}
    rows = [key_of(document("x", **one), BOTH, {"the lancet"}) for one in (paper, abstract)]
    standing = shared_standing(np.array(rows, KEY))
    alone = standing_of(abstract, {"the lancet"})
    assert (standing.pmid, standing.excluded, standing.type_score, standing.approved) == (5, alone.excluded, 1.0, True)
    assert standing.published == 2020.5 and alone.published == 2019.5 and alone.excluded
