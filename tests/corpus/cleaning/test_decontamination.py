"""Benchmark files, the index of their runs of words, and the documents and items that share them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launch import SHARED

from medlm_recipes.config.cleaning import DecontaminateKeys
from medlm_recipes.corpus.cleaning.benchmark_index import BenchmarkIndex, build_index, load_index
from medlm_recipes.corpus.cleaning.benchmarks import ENDINGS, BenchmarkItem, read_benchmark_items
from medlm_recipes.corpus.cleaning.decontamination import Decontamination, coverage, overlap_of
from medlm_recipes.corpus.cleaning.words import hash_runs
from medlm_recipes.corpus.document import Document
from medlm_recipes.corpus.inputs import InputFile, expand_inputs
from medlm_recipes.errors import DataError

KEYS = DecontaminateKeys(against=["x"], words=3, share=0.8)


def items_of(path: Path) -> list[BenchmarkItem]:
    return read_benchmark_items(InputFile(path, path.name))


@pytest.mark.parametrize(
    "name, content, items",
    [
        (
            "medqa.jsonl",
            '{"question": "Which?", "answer": "B", "options": {"A": "this", "B": "that"}, "meta_info": "step1"}\n\n',
            [("1", ("Which?", "this", "that"), ("B",))],
        ),
        (
            "medmcqa.jsonl",
            '{"id": "x1", "question": "Q", "exp": null, "cop": 1, "opa": "a1", "opb": "b1", "subject_name": "S"}',
            [("x1", ("Q", "a1", "b1"), ())],
        ),
        (
            "pubmedqa.json",
            '{"21": {"QUESTION": "Do", "CONTEXTS": ["c1", "c2"], "LABELS": ["X"], "LONG_ANSWER": "yes it is"}}',
            [("21", ("Do", "c1", "c2"), ("yes it is",))],
        ),
        (
            "bioasq.json",
            '{"questions": [{"id": "5c", "body": "Is", "type": "yesno", "documents": ["http://x"],'
            ' "snippets": [{"text": "s1", "document": "http://x", "beginSection": "b"}], "ideal_answer": ["I"]}]}',
            [("5c", ("Is", "s1"), ("I",))],
        ),
        (
            "medmcqa-as-distributed.json",
            '{"question": "Q", "opa": "a1", "cop": 1, "id": "x1"}\n\n{"question": "R", "id": "x2"}\n',
            [("x1", ("Q", "a1"), ()), ("x2", ("R",), ())],
        ),
        ("mmlu.csv", '"What, then?","a ""b""",c,d,e,A\n\n', []),
        ("hub.json", '[{"question": "q", "choices": ["x", "y"], "answer": 1}, {"context": {"contexts": ["z"]}}]', []),
    ],
)
def test_forms_of_benchmarks(tmp_path: Path, name: str, content: str, items: list[tuple[str, ...]]) -> None:
    (tmp_path / name).write_text(content)
    found = items_of(tmp_path / name)
    expected = {
        "mmlu.csv": [("1", ("What, then?", 'a "b"', "c", "d", "e"), ("A",))],
        "hub.json": [("1", ("q", "x", "y"), ()), ("2", ("z",), ())],
    }.get(name, items)
    assert [(item.name, item.asked, item.told) for item in found] == expected
    assert {item.benchmark for item in found} == {name}


def test_a_file_of_labels_has_nothing_to_compare_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ground_truth.json"
    path.write_text('{"12377809": "yes", "26163474": "no"}')
    assert read_benchmark_items(InputFile(path, path.name)) == []
    assert f"notice: {path}: holds 2 labels" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.json", '{"12": 5}', "item 12 has no text to compare with"),
        ("a.json", '["Which vessel?"]', "item 1 has no text to compare with"),
        ("a.jsonl", '{"question": "q"}\n{"label": 3}\n', "item 2 has no text"),
        ("a.jsonl", '{"question": "q"}\n{"lab', "line 2: not JSON"),
        ("a.json", "[]", "holds no test items"),
        ("a.json", '{"12": {"question": "q"}, "12": {"question": "r"}}', "has the key '12' twice"),
        ("a.json", '{"question": "q"}\n{"lab', "line 2: not JSON"),
        ("a.json", "5", "neither a list nor an object"),
        ("a.csv", 'a,"b\n', "not a CSV in UTF-8"),
        ("a.csv", "\udcff".encode(errors="surrogateescape"), "not a CSV in UTF-8"),
        ("a.jsonl.zst", b"no zstd", "damaged"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError, match=message):
        items_of(tmp_path / name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["question", "a", "id", "x"]), inner),
    max_leaves=8,
)


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()), st.sampled_from(ENDINGS))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_items_or_one_message(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"any{ending}"
    path.write_bytes(content)
    try:
        items = items_of(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        build_index(items, 2)


def test_the_index_finds_runs_and_their_items(tmp_path: Path) -> None:
    items = [
        BenchmarkItem("b", "1", ("one two three four", "five six"), ("two three four five",)),
        BenchmarkItem("b", "2", ("two three four", "one two three four one two three"), ()),
        BenchmarkItem("c", "3", ("too short",), ()),
    ]
    built = build_index(items, 3)
    built.save(tmp_path / "index")
    for index in (built, load_index(tmp_path / "index")):
        assert index.items == [("b", "1"), ("b", "2"), ("c", "3")] and index.asked.tolist() == [2, 4, 0]
        found = index.find(hash_runs(["Zero one, two three four five six"], 3))
        assert len(found) == 3  # one two three; two three four; three four five: the answer's
        shared = index.shared(np.unique(found))
        assert [part.tolist() for part in shared] == [[0, 1], [3, 2], [2, 2]]
        seen = np.zeros(len(index.runs), np.bool_)
        seen[found] = True
        assert index.covered(seen).tolist() == [1.0, 0.5, 0.0]
        assert len(index.find(hash_runs(["five six one two"], 3))) == 0 == len(index.find(hash_runs([""], 3)))


def test_contaminated_documents_and_the_items_that_they_hold() -> None:
    items = [
        BenchmarkItem("b", "1", ("alpha beta gamma delta epsilon",), ("zeta eta theta iota kappa lambda",)),
        BenchmarkItem("b", "2", ("unseen words of another question",), ()),
        BenchmarkItem("c", "1", ("few",), ()),
    ]
    step = Decontamination(build_index(items, KEYS.words), KEYS)
    texts = {
        "whole": "Alpha, beta (gamma) delta.\nepsilon",
        "answer": "zeta eta theta iota kappa lambda mu",
        "half": "alpha beta gamma delta epsilon and then six other words here",
        "none": "nothing of this stands in any benchmark",
        "short": "alpha beta",
        "part": "alpha beta gamma but no more",
    }
    removed = [
        name for name, text in texts.items() if step.is_contaminated(Document(name, text, "s"), is_training=True)
    ]
    assert removed == ["whole", "answer"]  # a line's 2 of 2 runs, and 4 of 5
    assert [json.loads(line) for line in step.lines] == [
        {
            **{"id": "whole", "source": "s", "removed": True, "share": 1.0},
            "items": [{"benchmark": "b", "item": "1", "shared_runs": 2, "share_of_question": 0.6667}],
        },
        {
            **{"id": "answer", "source": "s", "removed": True, "share": 0.8},
            "items": [{"benchmark": "b", "item": "1", "shared_runs": 4, "share_of_question": 0.0}],
        },
        {
            **{"id": "half", "source": "s", "removed": False, "share": 0.3333},
            "items": [{"benchmark": "b", "item": "1", "shared_runs": 3, "share_of_question": 1.0}],
        },
    ]
    counts, lines = coverage(step.index, step.seen, KEYS.share)
    assert counts == {
        "b": {"items": 2, "too_short": 0, "covered": 1},
        "c": {"items": 1, "too_short": 1, "covered": 0},
    }
    assert [json.loads(line) for line in lines] == [{"benchmark": "b", "item": "1", "covered": 1.0}]


def test_only_training_documents_cover_items_and_long_lists_are_cut() -> None:
    items = [BenchmarkItem("b", str(number), ("the same three words",), ()) for number in range(25)]
    step = Decontamination(build_index(items, 3), KEYS)
    assert not step.is_contaminated(Document("1", "the same three words " + "x y z " * 9, "s"), is_training=False)
    assert not step.seen.any()
    assert step.is_contaminated(Document("2", "the same three words", "s"), is_training=True) and not step.seen.any()
    line = json.loads(step.lines[-1])
    assert len(line["items"]) == 20 and line["items_left_out"] == 5


@pytest.fixture(scope="module")
def real() -> tuple[BenchmarkIndex, list[Document]]:
    if not SHARED.is_dir():
        pytest.skip(f"no real samples at {SHARED}")
    files = expand_inputs([str(SHARED / "benchmarks" / name) for name in ("med*", "mmlu_medical", "bioasq")], ENDINGS)
    files += expand_inputs([str(SHARED / "benchmarks/pubmedqa_ori_pqal.json")], ENDINGS)
    index = build_index([item for file in files for item in read_benchmark_items(file)], 8)
    lines = zstd.decompress((SHARED / "pile/pubmed_abstracts_sample.jsonl.zst").read_bytes()).splitlines()
    return index, [Document(str(number), json.loads(line)["text"], "pile") for number, line in enumerate(lines)]


def test_real_benchmarks_and_a_corpus_made_from_two_of_them(real: tuple[BenchmarkIndex, list[Document]]) -> None:
    """PubMedQA's contexts and BioASQ's snippets are what the sample was made from; of MMLU and MedQA it has nothing."""
    index, documents = real
    items = Counter(benchmark for benchmark, _ in index.items)
    assert (items["pubmedqa_ori_pqal.json"], items["8B1_golden.json"], items["anatomy_test.csv"]) == (1000, 100, 135)
    step = Decontamination(index, DecontaminateKeys(against=["x"]))
    removed = {one.id for one in documents if step.is_contaminated(one, is_training=True)}
    long = [one for one in documents if len(one.text.split()) >= 30]
    assert len([one for one in long if one.id in removed]) > 0.8 * len(long) > 2000
    found = Counter(json.loads(line)["items"][0]["benchmark"] for line in step.lines)
    assert found.pop("pubmedqa_ori_pqal.json") > 400 and all(name.endswith("_golden.json") for name in found)
    counts, _ = coverage(index, step.seen, 0.8)
    assert counts["anatomy_test.csv"]["covered"] == counts["medqa_usmle_4_options_first300.jsonl"]["covered"] == 0


def test_text_of_its_own_is_not_contaminated(real: tuple[BenchmarkIndex, list[Document]]) -> None:
    index, documents = real
    shuffled = (" ".join(sorted(document.text.split())) for document in documents[:500])
    assert max(overlap_of(text, index, 8).share for text in shuffled) < 0.1
