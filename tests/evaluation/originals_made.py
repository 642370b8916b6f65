"""Tiny benchmarks in their authors' forms, and preparing them."""

import csv
import json
from pathlib import Path
from typing import Any

from launch import ROOT

from medlm_recipes.config.benchmark import BenchmarkConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.evaluation.prepare_benchmark import prepare_benchmark

NONE_EXPECTED = ["expected.train=null", "expected.validation=null", "expected.test=null"]

MEDQA = {
    "question": "Which drug?",
    "answer": "Aspirin",
    "options": {"A": "Aspirin", "B": "Heparin", "C": "Warfarin", "D": "Insulin"},
    "meta_info": "step1",
    "answer_idx": "A",
    "metamap_phrases": ["drug"],
}
MEDMCQA = {
    **{"question": "Axonal transport is:", "exp": "Both ways.", "cop": 3, "opa": "Antegrade", "opb": "Retrograde"},
    **{"opc": "Both", "opd": "None", "subject_name": "Physiology", "topic_name": None, "id": "m1"},
    "choice_type": "single",
}
PUBMEDQA = {
    "QUESTION": "Do leaves die?",
    "CONTEXTS": ["They were looked at.", "Some died."],
    "LABELS": ["METHODS", "RESULTS"],
    "MESHES": ["Plant Leaves"],
    "final_decision": "yes",
    "LONG_ANSWER": "Leaves die.",
}
BIOASQ = {
    "body": "Is it safe?",
    "type": "yesno",
    "exact_answer": "yes",
    "ideal_answer": ["Yes, it is.", "It is."],
    "id": "b1",
    "snippets": [{"text": "It was safe.", "document": "http://x"}, {"text": "No event.", "document": "http://y"}],
}


def lines(path: Path, *records: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def rounds(path: Path, *questions: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"questions": list(questions)}))
    return path


def table(path: Path, *rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def prepare(name: str, inputs: Path | str, out: Path, *overrides: str, dry_run: bool = False) -> None:
    """The shipped recipe `name` on `inputs`, without its counts unless they are given."""
    given = [f"inputs={inputs}", f"out={out}", *NONE_EXPECTED, *overrides]
    prepare_benchmark(load_config(BenchmarkConfig, ROOT / f"yamls/benchmark/{name}.yaml", given), dry_run)


def written(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]
