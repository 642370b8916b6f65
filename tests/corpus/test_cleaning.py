"""prepare_corpus with every step on, over a small corpus whose faults are known."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from launch import ROOT, SHARED, done, recipe

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus import deduplication
from medlm_recipes.corpus.document import Document, list_sources, read_documents
from medlm_recipes.corpus.pipeline import prepare_corpus
from medlm_recipes.corpus.spooling import finish_task, spool_task
from medlm_recipes.errors import DataError, RecipeError
from medlm_recipes.manifest import read_manifest

GAP_REPLAY, BIOMEDLM = (ROOT / "yamls/corpus" / f"{name}.yaml" for name in ("gap_replay", "biomedlm"))
VOCABULARY = (
    "the of in and with patients treatment was were blood pressure after before study results showed that increased "
    "decreased levels clinical therapy group control dose effect of this significantly associated risk disease cells "
    "response during between higher lower than observed we found analysis outcome years mean improved compared to"
)


def english(seed: int, words: int = 60) -> str:
    """Text that is like no other's."""
    chance = random.Random(seed)
    return " ".join([*chance.choices(VOCABULARY.split(), k=words), f"x{seed}"]) + "."


def record(text: str, name: str = "PubMed Abstracts", **meta: Any) -> str:
    return json.dumps({"text": text, "meta": {"pile_set_name": name, **meta}}) + "\n"


QUESTION = english(900)
NEAR = english(901, 300)
GERMAN = "Die Wirkung des Arzneimittels auf den Blutdruck der Patienten wurde in dieser Studie untersucht. " * 2
ABSTRACTS = [
    record(english(1), pmid=1),
    record(GERMAN, pmid=2, language="ger"),
    record("Too short", pmid=3),
    record(english(4) + " See (https://example.org/x).\r\n\r\n\r\nMore  text.", pmid=4),
    record(QUESTION, pmid=5),
    record(english(6), pmid=6, publication_types=["Retracted Publication"]),
    record(english(7), pmid="7"),
    record(NEAR, pmid=8),
    record(NEAR.replace(" the ", " a ", 1) + " And a bit more.", pmid=9),
    record(english(10), pmid=10, publication_types=["Meta-Analysis"], year=2023),
    record(english(11), doi="10.1000/ELEVEN", mesh=["Animals"]),
    "no json\n",
]
PAPERS = [
    record("# A paper\n" + english(60, 200), "PubMed Central", pmid=6),
    record("# Another\n" + english(70, 200), "PubMed Central", pmcid="PMC7", pmid=7),
    record("# Of eleven\n" + english(110, 200), "PubMed Central", doi="https://doi.org/10.1000/eleven"),
    record("# Alone\n" + english(120, 200), "PubMed Central", pmcid="PMC12"),
    record(english(1), "PubMed Central"),
]
REPLAY = [record(english(number), "Replay") for number in range(1000, 1040)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three prepared folders and a benchmark."""
    line = tmp_path_factory.mktemp("prepared")
    (line / "benchmarks").mkdir()
    questions = [
        {"id": "q1", "question": QUESTION},
        {"id": "q2", "question": english(902)},
        {"id": "q3", "question": "?"},
    ]
    (line / "benchmarks/exam.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    for name, lines in (("abstracts", ABSTRACTS), ("papers", PAPERS), ("replay", REPLAY)):
        (line / f"{name}.in").mkdir()
        for number in range(3):
            (line / f"{name}.in/{number}.jsonl").write_text("".join(lines[number::3]))
        sets = "pile_sets=[PubMed Abstracts,PubMed Central,Replay]"
        given = [f"inputs={line / name}.in", f"out={line / name}", "execution.workers=1", sets]
        prepare_corpus(load_config(CorpusConfig, ROOT / "yamls/corpus/pile.yaml", given), dry_run=False)
    return line


def arguments(line: Path, out: Path, *overrides: str) -> list[str]:
    return [
        f"inputs=[{line}/abstracts,{line}/papers,{line}/replay]",
        f"out={out}",
        "clean.length.min_characters=20",
        "clean.prefer=[pubmed-central,pubmed-abstracts]",
        "clean.near_duplicates={}",
        "clean.exclude=[retracted,animals]",
        f"clean.decontaminate.against={line}/benchmarks",
        "clean.upsample={as_of: 2023.5}",
        "validation_fraction=0",
        "validation_fractions={pubmed-abstracts: 0, replay: 0.5}",
        *overrides,
    ]


def prepare(line: Path, out: Path, *overrides: str) -> None:
    given = arguments(line, out, "execution.workers=1", *overrides)
    prepare_corpus(load_config(CorpusConfig, GAP_REPLAY, given), dry_run=False)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def documents(folder: Path, split: str) -> list[Document]:
    return [one for source in list_sources(folder, split) for one in read_documents(folder, split, source)]


def test_every_step_does_its_part(prepared: Path, tmp_path: Path) -> None:
    given = arguments(prepared, tmp_path / "out", "execution.workers=2")
    described = done(recipe("prepare_corpus", GAP_REPLAY, *given, "--dry-run")).stdout
    steps = "urls, white_space, language, length, duplicates, near_duplicates, exclude, decontaminate, upsample"
    assert f"cleaning: {steps}" in described and "{pubmed-abstracts,pubmed-central,replay}" in described
    said = done(recipe("prepare_corpus", GAP_REPLAY, *given)).stdout
    facts = read_manifest(tmp_path / "out", "prepare_corpus").facts
    assert facts["read"] == 11 + 5 + 40  # "no json" was rejected before
    assert facts["rejected"] == {
        **{"contaminated": 1, "duplicate": 4, "near_duplicate": 1, "other_language": 1, "too_short": 1}
    }
    assert facts["skipped"] == {"animals": 1, "retracted": 1} and facts["written"] == 46
    assert facts["identified_by"] == {"pmid": 2, "pmcid": 0, "doi": 1, "title": 0, "text": 1}
    assert facts["benchmarks"] == {"exam.jsonl": {"items": 3, "too_short": 1, "covered": 0}}
    assert "0 of 3 (1 too short to tell)" in said and "copies of good documents, written besides: 2" in said
    assert "notice: clean.prefer names pubmed-centrals" not in said and "names pubmed-papers, a source" in said

    prepare(prepared, tmp_path / "alone")
    assert content(tmp_path / "alone") == content(tmp_path / "out")
    train = {one.id: one for one in documents(tmp_path / "out", "train")}
    texts = [one.text for one in train.values()]
    assert f"{english(4)} See.\n\nMore text." in texts and "# Another\n" + english(70, 200) in texts
    assert english(7) not in texts and english(1) in texts and texts.count(english(10)) == 3
    copies = [name for name in train if "#" in name]
    assert sorted(name.partition("#")[2] for name in copies) == ["2", "3"] and facts["copies"] == 2
    kept = next(one for one in train.values() if one.text == english(1))
    assert kept.source == "pubmed-central"  # of two equal texts the one of the preferred source
    assert {one.source for one in documents(tmp_path / "out", "validation")} == {"replay"}
    assert facts["splits"]["validation"]["replay"]["documents"] + facts["splits"]["train"]["replay"]["documents"] == 40

    rejects = [
        json.loads(line)
        for path in sorted((tmp_path / "out/rejected").iterdir())
        for line in path.read_text().splitlines()
    ]
    of = {(one["reason"], one.get("kept", "")) for one in rejects}
    assert ("duplicate", kept.id) in of and ("other_language", "") in of
    assert all(one["kept"] in train for one in rejects if one["reason"] == "near_duplicate")
    assert all("pubmed-abstracts/" in one["file"] for one in rejects)


def test_copies_stay_with_their_document_when_corpora_are_joined(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    lines = [record(english(number), pmid=number, publication_types=["Review"], year=2023) for number in range(60)]
    (tmp_path / "in/0.jsonl").write_text("".join(lines))
    once = [f"inputs={tmp_path / 'in'}", f"out={tmp_path / 'once'}", "execution.workers=1", "validation_fraction=0"]
    prepare_corpus(load_config(CorpusConfig, BIOMEDLM, [*once, "clean.upsample={as_of: 2023.5}"]), dry_run=False)
    assert 60 + 20 < len(documents(tmp_path / "once", "train")) < 60 * 3
    again = [f"inputs={tmp_path / 'once'}", "execution.workers=1", "format=documents", "validation_fraction=0.5"]
    joined = [*again, f"out={tmp_path / 'joined'}", "clean.duplicates=null", "clean.prefer=[]", "seed=3"]
    prepare_corpus(load_config(CorpusConfig, BIOMEDLM, joined), dry_run=False)
    assert "once was split by seed 17, here it is 3" in capsys.readouterr().out
    train, validation = (documents(tmp_path / "joined", split) for split in ("train", "validation"))
    assert len(train) + len(validation) == len(documents(tmp_path / "once", "train"))
    assert train and validation and not {one.text for one in train} & {one.text for one in validation}
    with pytest.raises(DataError, match="once: holds copies of good documents already"):
        prepare_corpus(load_config(CorpusConfig, BIOMEDLM, [*joined, "clean.upsample={as_of: 2023}"]), dry_run=True)
    deduplicated = [
        *again,
        f"out={tmp_path / 'deduplicated'}",
        "clean.upsample={as_of: 2023.5}",
        "validation_fraction=0",
    ]
    prepare_corpus(load_config(CorpusConfig, BIOMEDLM, deduplicated), dry_run=False)
    ids = [[one.id for one in documents(tmp_path / name, "train")] for name in ("once", "deduplicated")]
    assert sorted(ids[0]) == sorted(ids[1]) and len(set(ids[0])) == len(ids[0])


def test_decontamination_says_which_items_and_documents(prepared: Path, tmp_path: Path) -> None:
    """One pass, without a look at duplicates; the covered item is the one that a kept document holds among others."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/0.jsonl").write_text(record(english(902) + "\n" + english(903, 300)) + record(QUESTION))
    given = [f"inputs={tmp_path / 'more'}", f"out={tmp_path / 'out'}", "execution.workers=1", "validation_fraction=0"]
    given += [f"clean.decontaminate.against={prepared}/benchmarks/exam.jsonl"]
    prepare_corpus(load_config(CorpusConfig, BIOMEDLM, given), dry_run=False)
    facts = read_manifest(tmp_path / "out", "prepare_corpus")
    assert facts.facts["rejected"] == {"contaminated": 1} and facts.facts["benchmarks"]["exam.jsonl"]["covered"] == 1
    assert str(tmp_path) not in json.dumps(facts.__dict__) and "benchmark: exam.jsonl" in facts.inputs
    overlaps = [json.loads(line) for line in (tmp_path / "out/decontamination.jsonl").read_text().splitlines()]
    assert [(one["removed"], one["items"][0]["item"], one["items"][0]["share_of_question"]) for one in overlaps] == [
        (False, "q2", 1.0),
        (True, "q1", 1.0),
    ]
    covered = (tmp_path / "out/covered_test_items.jsonl").read_text()
    assert json.loads(covered) == {"benchmark": "exam.jsonl", "item": "q2", "covered": 1.0}


def test_a_failure_in_every_phase_changes_no_byte_and_repeats_no_task(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(prepared, tmp_path / "untouched")
    read: list[int] = []

    def failing(function: Any, name: str, after: int) -> None:
        calls = 0

        def call(task: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:
                raise DataError("failed")
            if function is spool_task:
                read.append(task.number)
            return function(task)

        call.__module__ = "tests"
        monkeypatch.setattr(deduplication, name, call)

    for function, name, after in (
        (spool_task, "spool_task", 3),
        (deduplication.same_articles, "same_articles", 2),
        (deduplication.alike, "alike", 5),
        (finish_task, "finish_task", 4),
    ):
        failing(function, name, after)
        with pytest.raises(DataError, match="failed"):
            prepare(prepared, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        failing(function, name, 1000)
    prepare(prepared, tmp_path / "out")
    assert sorted(read) == list(range(max(read) + 1))  # nothing was read twice
    assert content(tmp_path / "out") == content(tmp_path / "untouched")


def test_a_changed_benchmark_or_list_is_another_input(prepared: Path, tmp_path: Path) -> None:
    journals = tmp_path / "journals.txt"
    journals.write_text("The Lancet\n")
    given = [f"clean.upsample.journals={journals}"]
    prepare(prepared, tmp_path / "out", *given)
    prepare(prepared, tmp_path / "out", *given)
    journals.write_text("Nature\n")
    with pytest.raises(DataError, match="already made from another input"):
        prepare(prepared, tmp_path / "out", *given)
    assert str(tmp_path) not in (tmp_path / "out/manifest.json").read_text()


@pytest.mark.parametrize(
    "override, words",
    [
        ("clean.decontaminate.against=nowhere", ["clean.decontaminate.against: nowhere: no such file"]),
        ("clean.upsample.journals=nowhere.txt", ["clean.upsample.journals: nowhere.txt: no such file"]),
        ("clean.language.keep=[english]", ["clean.language.keep", "must be one of ar"]),
        ("clean.language=5", ["clean.language: 5 is not a group of keys"]),
        ("clean.near_duplicate={}", ["unknown key", "did you mean clean.near_duplicates?"]),
        ("validation_fractions={replay: 2}", ["validation_fractions", "replay: must lie in 0 to 0.5"]),
        ("clean.length={min_characters: 9, max_characters: 5}", ["5 is below min_characters 9"]),
        ("inputs=yamls", ["matches no file ending in .jsonl.zst"]),
    ],
)
def test_wrong_arguments(prepared: Path, tmp_path: Path, override: str, words: list[str]) -> None:
    given = [*arguments(prepared, tmp_path / "out"), override]
    with pytest.raises(RecipeError) as refusal:
        prepare_corpus(load_config(CorpusConfig, GAP_REPLAY, given), dry_run=True)
    assert all(word in str(refusal.value) for word in words)
    assert not list(tmp_path.iterdir())


def test_only_prepared_folders_are_joined(prepared: Path, tmp_path: Path) -> None:
    for name, message in (
        ("a/b/c/0.jsonl.zst", "does not stand in a split"),
        ("x/train/s/0.jsonl.zst", "manifest.json"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes((next((prepared / "papers/train").rglob("*.zst"))).read_bytes())
        with pytest.raises(DataError, match=message):
            prepare(prepared, tmp_path / "out", f"inputs={tmp_path / Path(name).parts[0]}")


def test_the_real_sample_is_mostly_pubmedqa_and_bioasq(tmp_path: Path) -> None:
    sample, benchmarks = SHARED / "pile", SHARED / "benchmarks"
    if not sample.is_dir():
        pytest.skip(f"no real sample at {sample}")
    given = [f"inputs={sample}", f"out={tmp_path / 'out'}", "execution.workers=1", "clean.near_duplicates={}"]
    given += [f"clean.decontaminate.against=[{benchmarks}/bioasq,{benchmarks}/pubmedqa_ori_pqal.json]"]
    prepare_corpus(load_config(CorpusConfig, BIOMEDLM, given), dry_run=False)
    facts = read_manifest(tmp_path / "out", "prepare_corpus").facts
    assert facts["read"] == 4801 and 4000 < facts["rejected"]["contaminated"] < 4500
    assert facts["rejected"]["duplicate"] == 5 and facts["rejected"]["near_duplicate"] < 20
    assert facts["written"] == 4801 - sum(facts["rejected"].values())
