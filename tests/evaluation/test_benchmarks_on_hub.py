"""Benchmarks of the hub: from folders as a download leaves them, and by id from a server on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from evaluation.hub_server import COMMIT, serving_dataset
from evaluation.originals_made import MEDMCQA, MEDQA, NONE_EXPECTED, PUBMEDQA, lines, prepare
from launch import ROOT, done
from pyarrow import parquet

from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.benchmark import read_benchmark
from medlm_recipes.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("offline")


def dataset(folder: Path, **splits: list[dict[str, Any]]) -> Path:
    (folder / "data").mkdir(parents=True)
    for split, rows in splits.items():
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


def test_medmcqa_in_the_hubs_numbers(tmp_path: Path) -> None:
    """Labels from 0; its validation split is what papers report."""
    rows = [MEDMCQA | {"id": f"m{label}", "cop": label, "question": f"{label}?"} for label in (0, 3)]
    unlabelled = [MEDMCQA | {"id": "x", "cop": -1}]
    folder = dataset(tmp_path / "medmcqa", train=rows, validation=rows[::-1], test=unlabelled)
    prepare("medmcqa", folder, tmp_path / "out", "source=hub")
    assert [one["answer"] for one in read_benchmark(tmp_path / "out")] == ["None", "Antegrade"]
    assert set(read_manifest(tmp_path / "out", "prepare_benchmark").inputs) == {
        f"medmcqa/data/{split}-00000-of-00001.parquet" for split in ("train", "validation")
    }
    with pytest.raises(DataError, match="test: none of its 1 records has a label"):
        prepare("medmcqa", folder, tmp_path / "other", "source=hub", "hub.test=test")
    with pytest.raises(ConfigError, match=r"hub.test: .* has no 'tests'; did you mean test\?"):
        prepare("medmcqa", folder, tmp_path / "other", "source=hub", "hub.test=tests")


def test_pubmedqa_in_the_hubs_fields(tmp_path: Path) -> None:
    """The same questions as from the authors' files; which are the test's is still theirs to say."""
    rows = [
        {
            **{"pubid": 11 + at, "question": f"{at}?", "long_answer": "Leaves die.", "final_decision": "yes"},
            "context": {"contexts": PUBMEDQA["CONTEXTS"], "labels": PUBMEDQA["LABELS"], "meshes": []},
        }
        for at in range(3)
    ]
    folder = dataset(tmp_path / "PubMedQA", train=rows)
    (tmp_path / "truth.json").write_text('{"12": "yes"}')
    for labels, name in (("false", "plain"), ("true", "labelled")):
        given = [f"test_labels={tmp_path}/truth.json", "hub.config=null", f"section_labels={labels}"]
        prepare("pubmedqa", folder, tmp_path / f"hub-{name}", "source=hub", *given)
        (tmp_path / "authors").mkdir(exist_ok=True)
        items = {str(11 + at): PUBMEDQA | {"QUESTION": f"{at}?"} for at in range(3)}
        (tmp_path / "authors/ori_pqal.json").write_text(json.dumps(items))
        prepare("pubmedqa", tmp_path / "authors", tmp_path / name, *given[::2])
        for split in ("train", "test"):
            assert read_benchmark(tmp_path / name, split) == read_benchmark(tmp_path / f"hub-{name}", split)
    with pytest.raises(DataError, match="the hub does not say which items are the test's"):
        prepare("pubmedqa", folder, tmp_path / "other", "source=hub", "hub.config=null")


def test_mmlu_with_subjects_in_its_rows(tmp_path: Path) -> None:
    row = {"question": "Where?", "choices": ["Thorax", "Neck", "Leg", "Arm"], "answer": 1}
    subjects = ("virology", "anatomy", "astronomy", "anatomy")
    rows = [row | {"subject": subject, "question": f"{at}?"} for at, subject in enumerate(subjects)]
    folder = dataset(tmp_path / "mmlu", dev=rows, validation=rows, test=rows)
    given = ["source=hub", "hub.config=null", "subjects=[anatomy,virology]", "hub.train=null", "hub.validation=null"]
    prepare("mmlu_medical", folder, tmp_path / "out", *given)
    test = read_benchmark(tmp_path / "out")
    assert [one["id"] for one in test] == ["virology-test-1", "anatomy-test-1", "anatomy-test-2"]
    assert {one["answer"] for one in test} == {"Neck"}
    assert read_manifest(tmp_path / "out", "prepare_benchmark").facts["left_out"] == {"test": {"other_subject": 1}}


def test_a_dataset_by_id_at_one_commit(tmp_path: Path) -> None:
    """Through the real clients; the manifest names the commit that the branch stood for."""
    files = {f"phrases_no_exclude_{split}.jsonl": MEDQA | {"question": f"{split}?"} for split in ("train", "test")}
    for name, record in files.items():
        lines(tmp_path / name, record)
    with serving_dataset(
        "GBaker/MedQA-USMLE-4-options", {name: (tmp_path / name).read_bytes() for name in files}
    ) as url:
        environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        environment |= {"NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        command = [sys.executable, "recipes/prepare_benchmark.py", "yamls/benchmark/medqa.yaml", *NONE_EXPECTED]
        command += ["source=hub", "inputs=GBaker/MedQA-USMLE-4-options", f"out={tmp_path}/out"]
        done(subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120))
    inputs = read_manifest(tmp_path / "out", "prepare_benchmark").inputs
    assert inputs == {f"GBaker/MedQA-USMLE-4-options/{name}": f"commit {COMMIT}" for name in files}
    assert [one["question"] for one in read_benchmark(tmp_path / "out")] == ["test?"]
