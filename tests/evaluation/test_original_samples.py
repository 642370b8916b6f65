"""Real parts of every benchmark, where they stand beside the checkout."""

import json
from pathlib import Path
from typing import Any

import pytest
from evaluation.originals_made import prepare, written
from launch import SHARED

from medlm_recipes.evaluation.benchmark import FIELDS, read_benchmark
from medlm_recipes.manifest import read_manifest

REAL = SHARED / "benchmarks"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real samples at {REAL}: they stand beside a checkout")


def prepared(name: str, inputs: Path, out: Path, *overrides: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The test questions, and what the manifest says."""
    prepare(name, inputs, out, *overrides)
    questions = read_benchmark(out)
    assert all(tuple(question) == FIELDS for question in questions)
    return questions, read_manifest(out, "prepare_benchmark").facts


def test_medqa(tmp_path: Path) -> None:
    name = "medqa_usmle_4_options_first300.jsonl"
    only = [f"files.test={name}", "files.train=[]", "files.validation=[]", "expected.test=300"]
    questions, facts = prepared("medqa", REAL, tmp_path / "out", *only)
    originals = [json.loads(line) for line in (REAL / name).read_text().splitlines()]
    for question, original in zip(questions, originals, strict=True):
        assert {
            key: original[key] for key in ("question", "options", "answer_idx", "answer")
        }.items() <= question.items()
    assert facts["splits"]["test"]["subjects"] == {"step1": 162, "step2&3": 138} and not facts["oddities"]


def test_medmcqa(tmp_path: Path) -> None:
    name = "medmcqa_dev_first800.jsonl"
    only = [f"files.test={name}", "files.train=[]", "expected.test=800"]
    questions, facts = prepared("medmcqa", REAL, tmp_path / "out", *only)
    for question, line in zip(questions, (REAL / name).read_text().splitlines(), strict=True):
        original = json.loads(line)
        assert question["answer"] == original["op" + "abcd"[original["cop"] - 1]]
    assert facts["oddities"] == {"test": {"equal_options": 4}} and len(facts["splits"]["test"]["subjects"]) > 15


def test_pubmedqa(tmp_path: Path) -> None:
    files = [f"files.{split}=pubmedqa_ori_pqal.json" for split in ("train", "test")]
    counts = ["expected.train=500", "expected.test=500"]
    labels = "test_labels=pubmedqa_test_ground_truth.json"
    questions, facts = prepared("pubmedqa", REAL, tmp_path / "out", *files, *counts, labels)
    truth = json.loads((REAL / "pubmedqa_test_ground_truth.json").read_text())
    assert {question["id"]: question["answer"] for question in questions} == truth
    assert facts["splits"]["test"]["answers"] == facts["splits"]["train"]["answers"] == {"A": 276, "B": 169, "C": 55}
    assert not {question["id"] for question in read_benchmark(tmp_path / "out", "train")} & truth.keys()
    assert facts["splits"]["test"]["with_context"] == 500 and not facts["left_out"]


def test_mmlu(tmp_path: Path) -> None:
    four = ["subjects=[anatomy,medical_genetics,nutrition,virology]", "files.train=[]", "files.validation=[]"]
    _, facts = prepared("mmlu_medical", REAL / "mmlu_medical", tmp_path / "out", *four, "expected.test=707")
    counts = {"anatomy": 135, "medical_genetics": 100, "nutrition": 306, "virology": 166}
    assert facts["splits"]["test"]["subjects"] == counts and not facts["oddities"]


def test_bioasq(tmp_path: Path) -> None:
    """Task 7b's 140 questions are BLURB's; one of them was set in two of its rounds."""
    train = "files.train=8B*_golden.json"
    questions, facts = prepared("bioasq", REAL / "bioasq", tmp_path / "out", train, "expected.test=140")
    assert facts["splits"]["test"]["answers"] == {"A": 94, "B": 46}
    assert facts["splits"]["train"]["questions"] == 152
    assert facts["left_out"]["test"] == {"type_factoid": 162, "type_list": 88, "type_summary": 110}
    [odd] = written(tmp_path / "out", "oddities.jsonl")
    pair = [question for question in questions if question["id"] in (odd["id"], odd["of"])]
    assert odd["oddity"] == "repeated" and pair[0]["question"].lower() == pair[1]["question"].lower()
