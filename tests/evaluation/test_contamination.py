"""Questions that stand in training shards: found whatever the rows and shards cut, and none that do not stand there."""

import json
import random
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from launch import SHARED
from shards.made import convert, write_documents
from tokenization.llama_form import save_llama_form

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.cleaning.benchmark_index import build_index
from medlm_recipes.corpus.cleaning.benchmarks import BenchmarkItem
from medlm_recipes.corpus.cleaning.decontamination import overlap_of
from medlm_recipes.errors import DataError
from medlm_recipes.evaluation import contamination, row_texts
from medlm_recipes.evaluation.contamination import find_contaminated
from medlm_recipes.evaluation.row_texts import Decoder, Piece, documents_of, stream_of
from medlm_recipes.tokenization.encoding import HuggingFaceEncoder, read_backend
from medlm_recipes.tokenization.training import train_tokenizer

END = 0


def asking(number: int, text: str, context: str = "", **options: str) -> dict[str, Any]:
    return {"id": f"q{number}", "question": text, "context": context, "options": options or {"A": "yes", "B": "no"}}


def phrase(chance: random.Random, words: int) -> str:
    """Words that hardly occur twice, some of letters that are several bytes, apart by more than spaces."""
    letters = "aeioubdfgklmnprstéβ"
    made = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(words)]
    return "".join(word + chance.choice([" ", " ", ", ", "-", " ("] * 9 + ["\n"]) for word in made)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Documents of 5 to 400 words, and a last one, of which what fills no row is in no shard."""
    chance = random.Random(3)
    return [*(phrase(chance, chance.choice([5, 30, 90, 400])) for _ in range(50)), "filling " * 400]


@pytest.fixture(scope="module")
def questions(texts: list[str]) -> list[dict[str, Any]]:
    """Parts of documents from anywhere in them, whole and half; and what stands nowhere, or is too short."""
    chance = random.Random(4)
    made = []
    for number in range(100):
        words = chance.choice(texts[:-1]).split(" ")
        start = chance.randrange(len(words))
        part = " ".join(words[start : start + chance.randint(8, 60)])
        other = phrase(chance, 30)
        made.append(
            asking(number, *chance.choice([(part,), (part.upper(), part), (f"{part} {other}",), (other, part)]))
        )
    return [*made, asking(100, "Which organ?", "", A=phrase(chance, 20), B="The heart"), asking(101, "Which organ?")]


@pytest.fixture(scope="module", params=["bytes", "llama"])
def made(request: pytest.FixtureRequest, texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with documents/ and tokenizer/, of either kind of tokenizer."""
    return make_corpus(tmp_path_factory.mktemp(request.param), texts, request.param)


@pytest.fixture(scope="module")
def plain(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("plain"), texts, "bytes")


def make_corpus(folder: Path, texts: list[str], kind: str) -> Path:
    write_documents(folder / "documents", {"train": {"a": texts[::2], "b": [*texts[1::2], texts[-1]]}})
    if kind == "llama":
        save_llama_form(folder / "tokenizer", texts, 500)
    else:
        given = [f"documents={folder}/documents", f"out={folder}/tokenizer", "vocab_size=400"]
        train_tokenizer(load_config(TokenizerConfig, "yamls/quickstart/tokenizer.yaml", given), dry_run=False)
    return folder


def shares_of_texts(questions: list[dict[str, Any]], texts: list[str]) -> dict[str, float | None]:
    """What decontamination finds in the documents themselves."""
    index = build_index(
        [BenchmarkItem("b", one["id"], (one["question"], *one["options"].values())) for one in questions], 8
    )
    seen = np.zeros(len(index.runs), np.bool_)
    for text in texts:
        seen[overlap_of(text, index, 8).runs] = True
    covered = zip(index.items, index.asked, index.covered(seen), strict=True)
    return {name: float(share) if runs else None for (_, name), runs, share in covered}


@pytest.mark.parametrize(
    ("packing", "is_cut"), [("wrap", False), ("wrap", True), ("pad", True)], ids=["wrap", "wrap-cut", "pad-cut"]
)
def test_shares_are_those_of_the_documents_own_texts(
    made: Path, texts: list[str], questions: list[dict[str, Any]], packing: str, is_cut: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With rows shorter than most documents, shards of a few rows, and documents that are read in pieces."""
    if is_cut:
        monkeypatch.setattr(contamination, "REACH", 300)
        for name, value in (("REACH", 300), ("OVERLAP", 150), ("LONGEST", 500)):
            monkeypatch.setattr(row_texts, name, value)
    length = 50 if packing == "wrap" else 4_000  # padded, a document that fits in no row loses what it is cut at
    given = [f"sequence_length={length}", f"packing={packing}", f"shard_bytes={9_000 if packing == 'pad' else 4_000}"]
    convert(made / "documents", made / "tokenizer", tmp_path / "shards", *given)
    found = find_contaminated(questions, str(tmp_path / "shards"), made / "tokenizer", workers=1)
    expected = shares_of_texts(questions, texts)
    assert found.share == expected
    values = list(expected.values())
    assert values[-2:] == [0.0, None] and found.too_short()[-1] == "q101"
    assert 20 < len(found.contaminated()) < len(found.touched()) < 95 and values.count(1.0) > 20


def test_of_padded_documents_longer_than_a_row_only_the_seams_are_lost(
    plain: Path, texts: list[str], questions: list[dict[str, Any]], tmp_path: Path
) -> None:
    convert(plain / "documents", plain / "tokenizer", tmp_path / "shards", "sequence_length=400", "packing=pad")
    found = find_contaminated(questions, str(tmp_path / "shards"), workers=1)
    for name, share in shares_of_texts(questions, texts).items():
        assert (found.share[name] or 0.0) <= (share or 0.0)
    whole = [name for name, share in shares_of_texts(questions, texts).items() if share == 1.0]
    assert len(set(found.contaminated()) & set(whole)) > 0.8 * len(whole)


@given(
    st.lists(st.sampled_from([0, 1, 3, 10, 40, 120]), min_size=1, max_size=6),
    st.lists(st.integers(1, 60), min_size=1, max_size=30),
    st.integers(8, 24),
    st.integers(20, 60),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_pieces_hold_every_run_of_tokens_and_no_other(
    documents: list[int], sizes: list[int], reach: int, longest: int
) -> None:
    """Each token a word: where a piece is cut its first or last one is left out, as the word of a text is."""
    words, overlap = 4, 8
    names = iter(range(1, 1 << 16))  # every token another, so that a run that is lost is missed
    whole = [[next(names) for _ in range(length)] for length in documents]
    stream = np.array([token for one in whole for token in (*one, END)], np.uint16)
    shards = [shard for shard in np.split(stream, np.cumsum(sizes)) if len(shard)]
    found = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("REACH", reach), ("OVERLAP", overlap), ("LONGEST", longest)):
            patch.setattr(row_texts, name, value)
        for number, shard in enumerate(shards):
            for piece in documents_of(shard, iter(shards[number + 1 :]), END, is_first=number == 0):
                assert 0 < len(piece.tokens) <= longest
                ids = piece.tokens.tolist()[piece.begins_before : len(piece.tokens) - piece.goes_on]
                found |= {tuple(ids[at : at + words]) for at in range(len(ids) - words + 1)}
    assert found == {tuple(one[at : at + words]) for one in whole for at in range(len(one) - words + 1)}


def test_words_that_a_cut_went_through_are_left_out(made: Path) -> None:
    """Within words, and within characters of several bytes."""
    text = "naïve β-cells of immunohistochemistry, 12.5 µg/kg"
    backend = read_backend(made / "tokenizer")
    ids = HuggingFaceEncoder(backend).encode([text])[:-1]
    words = re.findall(r"\w+", text)
    for cut in range(1, len(ids)):
        pieces = [Piece(ids[:cut], goes_on=True), Piece(ids[cut:], begins_before=True)]
        [[before, behind]] = Decoder(backend.json).texts(pieces)
        held = [*re.findall(r"\w+", before), "...", *re.findall(r"\w+", behind)]
        left_out = len(words) - len(held) + 1
        assert held[: held.index("...")] == words[: held.index("...")] and 0 <= left_out <= 2
        assert held[held.index("...") + 1 :] == words[held.index("...") + left_out :]


def test_padded_rows_end_their_documents_but_for_those_that_fill_rows() -> None:
    rows = np.array([[5, 6, 7], [8, 9, 5], [6, 0, 0], [7, 7, 0]], np.uint16)
    assert stream_of(rows, END, is_padded=True).tolist() == [5, 6, 7, 8, 9, 5, 0, 6, 0, 0, 0, 7, 7, 0]
    assert stream_of(rows, END, is_padded=False).tolist() == rows.reshape(-1).tolist()


@pytest.fixture
def shards(plain: Path, tmp_path: Path) -> Path:
    convert(plain / "documents", plain / "tokenizer", tmp_path / "shards", "shard_bytes=8192")
    return tmp_path / "shards"


def test_workers_and_places_make_no_difference(
    shards: Path, questions: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = find_contaminated(questions, str(shards), workers=1)
    together = find_contaminated(questions, str(shards), workers=2, out=tmp_path / "out")
    assert together == alone and (alone.words, alone.threshold) == (8, 0.8) and alone.rows > 50
    assert json.loads((tmp_path / "out/contamination.json").read_bytes()) == asdict(alone)
    capsys.readouterr()
    assert find_contaminated(questions, str(shards), workers=1, out=tmp_path / "out") == alone
    assert "already made" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"already made from another config .*threshold: 0.8, now 0.5"):
        find_contaminated(questions, str(shards), threshold=0.5, out=tmp_path / "out")
    with pytest.raises(DataError, match=r"already made from another input .*questions"):
        find_contaminated(questions[1:], str(shards), out=tmp_path / "out")
    lower = find_contaminated(questions, str(shards), workers=1, threshold=0.5)
    assert lower.share == alone.share and set(alone.contaminated()) < set(lower.contaminated())


def test_a_question_is_not_contaminated_by_its_context(shards: Path, texts: list[str]) -> None:
    """An abstract that stands in PubMed does not give the answer away."""
    long = next(text for text in texts if len(text.split()) > 80)
    other = phrase(random.Random(9), 40)
    found = find_contaminated([asking(1, other, long), asking(2, long), asking(3, "?", other)], str(shards), workers=1)
    assert found.share == {"q1": 0.0, "q2": 1.0, "q3": None}
    assert found.context_share == {"q1": 1.0, "q2": None, "q3": 0.0}
    nothing = find_contaminated([asking(1, "Why?")], str(shards), workers=1)
    assert nothing.share == {"q1": None} and not nothing.touched() and nothing.too_short() == ["q1"]


def test_unfit_shards_are_refused(shards: Path, questions: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its shards were made with the tokenizer"):
        find_contaminated(questions, str(shards), save_llama_form(tmp_path / "other", ["some other text"], 300))
    path = sorted(shards.glob("train/a/*.zstd"))[1]
    path.write_bytes(path.read_bytes()[:-7] + b"damaged")
    with pytest.raises(DataError, match=f"{path.name}: damaged"):
        find_contaminated(questions, str(shards), workers=1)
    path.unlink()
    with pytest.raises(DataError, match=f"{path.name}: cannot be read"):
        find_contaminated(questions, str(shards), workers=1)
    shutil.rmtree(shards / "train/b")
    with pytest.raises(DataError, match=r"train/b/index\.json: not the index of a stream"):
        find_contaminated(questions, str(shards), workers=1)
    with pytest.raises(DataError, match="no such folder"):
        find_contaminated(questions, str(tmp_path / "nowhere"))


def test_shards_in_an_object_store(
    texts: list[str], questions: list[dict[str, Any]], bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards are fetched one by one, and none is kept."""
    from medlm_recipes.remote import RemoteFolder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_documents(tmp_path / "documents", {"train": {"a": texts[:9]}})
    save_llama_form(tmp_path / "tokenizer", texts, 500)
    convert(tmp_path / "documents", tmp_path / "tokenizer", tmp_path / "shards", "shard_bytes=9_000")
    remote = RemoteFolder(f"{bucket}/shards")
    for path in (tmp_path / "shards").rglob("*"):
        if path.is_file():
            remote.put(path, path.relative_to(tmp_path / "shards").as_posix())
    found = find_contaminated(questions, f"{bucket}/shards", workers=1)
    assert found == find_contaminated(questions, str(tmp_path / "shards"), workers=1)
    assert not list((tmp_path / "cache").rglob("*.zstd"))


def test_real_benchmarks_in_a_corpus_made_from_two_of_them(tmp_path: Path) -> None:
    """The sample's documents are PubMedQA's contexts but for the test's, and BioASQ's snippets."""
    if not SHARED.is_dir():
        pytest.skip(f"no real samples at {SHARED}: they stand beside a checkout")
    lines = zstd.decompress((SHARED / "pile/pubmed_abstracts_sample.jsonl.zst").read_bytes()).splitlines()
    write_documents(tmp_path / "documents", {"train": {"a": [json.loads(line)["text"] for line in lines]}})
    given = [f"documents={tmp_path}/documents", f"out={tmp_path}/tokenizer", "vocab_size=2000"]
    train_tokenizer(load_config(TokenizerConfig, "yamls/quickstart/tokenizer.yaml", given), dry_run=False)
    convert(tmp_path / "documents", tmp_path / "tokenizer", tmp_path / "shards", "shard_bytes=1_000_000")
    items = json.loads((SHARED / "benchmarks/pubmedqa_ori_pqal.json").read_text())
    test = json.loads((SHARED / "benchmarks/pubmedqa_test_ground_truth.json").read_text())
    asked = [asking(0, one["QUESTION"], "\n".join(one["CONTEXTS"])) | {"id": name} for name, one in items.items()]
    found = find_contaminated(asked, str(tmp_path / "shards"), workers=1)
    held = {name for name, share in found.context_share.items() if share is not None and share >= 0.8}
    assert not held & test.keys() and len(held) == 500
    assert not found.contaminated() and len(found.too_short()) < 100
