"""Answers read from generated texts: what is read must be right, and what is not settled must stay unread."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from launch import SHARED

from medlm_recipes.evaluation.answers import vote
from medlm_recipes.evaluation.extraction import extract

GROUPS = yaml.safe_load((Path(__file__).parent / "generated_answers.yaml").read_text())
CASES = [
    (group["options"], text, None if answer == "-" else answer) for group in GROUPS for answer, text in group["texts"]
]


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: "/".join(group["options"].values())[:40])
def test_what_is_read_is_what_the_texts_settle_on(group: dict[str, Any]) -> None:
    wrong = {
        text: read for answer, text in group["texts"] if (read := extract(text, group["options"])) not in (None, answer)
    }
    assert not wrong


def test_few_settled_texts_stay_unread() -> None:
    settled = [case for case in CASES if case[2] is not None]
    unread = [text for options, text, _ in settled if extract(text, options) is None]
    assert len(settled) > 300 and len(CASES) - len(settled) > 110
    assert len(unread) <= 0.03 * len(settled), unread


def test_real_explanations_are_read_as_they_are_meant() -> None:
    """MedMCQA's explanations end or begin with `Ans. is 'b'` and the like; a model tuned on them writes so."""
    path = SHARED / "benchmarks/medmcqa_dev_first800.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there: real benchmark samples stand beside a checkout only")
    read = wrong = 0
    for line in path.read_text().splitlines():
        question = json.loads(line)
        options = {letter: question[f"op{letter.lower()}"] for letter in "ABCD"}
        answer = extract(question["exp"] or "", options)
        read += answer is not None
        wrong += answer not in (None, "ABCD"[question["cop"] - 1])
    assert read > 190 and wrong <= 0.01 * read, (read, wrong)


def test_real_abstracts_hold_no_answers() -> None:
    path = SHARED / "benchmarks/pubmedqa_ori_pqal.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there: real benchmark samples stand beside a checkout only")
    records = list(json.loads(path.read_text()).values())[:300]
    options = {"A": "yes", "B": "no", "C": "maybe"}
    assert not [text for record in records for text in record["CONTEXTS"] if extract(text, options)]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ABCDabcde (){}[].,:;*#\n\"'-answerisyo\\$<>|", max_size=80))
def test_no_text_is_too_strange(text: str) -> None:
    assert extract(text, {"A": "yes", "B": "c+", "C": "(a", "D": "."}) in {"A", "B", "C", "D", None}


def test_the_majority_wins_and_ties_go_to_the_first() -> None:
    assert vote(["B", "A", None, "A", "C"]) == "A"
    assert vote(["C", "A", "A", "C", None]) == "C"
    assert vote([None, None]) is None
