import json
from pathlib import Path
from typing import Any

import pytest
from launch import SHARED

from medlm_recipes.errors import DataError
from medlm_recipes.evaluation.benchmark import FIELDS, hash_benchmark, read_benchmark
from medlm_recipes.manifest import hash_file

QUESTION = {"question": "Q?", "options": {"A": "x", "B": "y"}, "answer_idx": "A", "answer": "x"}


def written(path: Path, *questions: Any) -> Path:
    path.write_text("".join(json.dumps(question) + "\n" for question in questions))
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answer_idx": "C"}, "answer_idx 'C' is not one of A, B"),
        ({"answer": "y"}, "answer is not the text of option answer_idx"),
        ({"options": {"A": "x"}}, "two or more texts"),
        ({"options": {"A": "x", "B": "x"}}, "two options have the same text"),
        ({"options": None}, "two or more texts"),
        ({"question": " "}, "no text in question"),
        ({"options": {"A": "x", "B": " "}}, "option B is empty"),
        ({"answer_idx": ["A"]}, "answer_idx ['A'] is not one of A, B"),
        ({"context": None}, "context is None, not a text"),
        ({"id": 3}, "no text in id"),
        ({"id": "1"}, "the same id as line 1"),
        ({"question": "half \ud800"}, "a lone surrogate"),
    ],
)
def test_a_bad_question_is_named_by_its_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = written(tmp_path / "b.jsonl", QUESTION, {**QUESTION, "question": "R?", **change})
    with pytest.raises(DataError, match="line 2") as caught:
        read_benchmark(path)
    assert words in str(caught.value)


def test_duplicates_lines_that_are_not_json_and_empty_files_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "b.jsonl", QUESTION, QUESTION)
    with pytest.raises(DataError, match="line 2: the same question as line 1"):
        read_benchmark(path)
    path.write_text("{\n[]\n")
    with pytest.raises(DataError, match=r"line 1: not JSON; line 2: not an object"):
        read_benchmark(path)
    path.write_text("")
    with pytest.raises(DataError, match="holds no questions"):
        read_benchmark(path)
    with pytest.raises(DataError, match="no such file"):
        read_benchmark(tmp_path / "nowhere")


def test_what_a_line_does_not_say_has_defaults(tmp_path: Path) -> None:
    """A closed world's benchmark and MedQA's own files say no more than this."""
    without = {key: value for key, value in QUESTION.items() if key != "answer"}
    full = {"id": "x7", "context": "C", "subject": "S", "explanation": "E"}
    path = written(tmp_path / "b.jsonl", QUESTION, without | {"question": "R?", "meta_info": "treats"}, QUESTION | full)
    first, second, third = read_benchmark(path)
    assert first == QUESTION | {"id": "1", "context": "", "subject": "", "explanation": ""}
    assert (second["id"], second["subject"], second["answer"]) == ("2", "treats", "x")
    assert third == QUESTION | full and tuple(first) == tuple(third) == FIELDS
    assert hash_benchmark(path) == hash_file(path)
    with pytest.raises(DataError, match="no such file"):
        hash_benchmark(tmp_path / "nowhere")


def test_real_medqa_questions_are_read() -> None:
    path = SHARED / "benchmarks/medqa_usmle_4_options_first300.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there: real benchmark samples stand beside a checkout only")
    questions = read_benchmark(path)
    assert len(questions) == 300 and all(len(question["options"]) == 4 for question in questions)
