"""Multiple-choice questions in MedQA's JSONL form, checked before anything is scored."""

import json
from pathlib import Path
from typing import Any

from medlm_recipes.errors import DataError


def split_file(benchmark: str | Path, split: str = "test") -> Path:
    """The file of a split: in a folder of recipes/prepare_benchmark.py, or the file that is given itself."""
    path = Path(benchmark)
    return path / f"{split}.jsonl" if path.is_dir() else path


def read_benchmark(path: str | Path, split: str = "test") -> list[dict[str, Any]]:
    """The questions of a benchmark file, or of a split in a folder of recipes/prepare_benchmark.py, in order.

    Raises DataError that lists the first bad lines when a line is not JSON, a field is missing, the
    answer is not one of the options, or a question stands twice; and when the file is missing or empty.
    """
    path = split_file(path, split)
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a benchmark in MedQA's JSONL form")
    questions: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    problems = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            question = json.loads(line)
        except ValueError:
            problems.append(f"line {number}: not JSON")
            continue
        what = _problem(question)
        if what is None:
            whole = json.dumps([question["question"], question["options"]], sort_keys=True)
            first = seen.setdefault(whole, number)
            what = f"the same question as line {first}" if first != number else None
        if what:
            problems.append(f"line {number}: {what}")
        questions.append(question)
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise DataError(f"{path}: {'; '.join(problems[:5])}{more}; mend or remove these lines")
    if not questions:
        raise DataError(f"{path}: holds no questions")
    return questions


def _problem(question: Any) -> str | None:
    if not isinstance(question, dict):
        return "not an object"
    if not isinstance(question.get("question"), str) or not question["question"].strip():
        return "no text in question"
    options = question.get("options")
    if not isinstance(options, dict) or len(options) < 2 or not all(isinstance(text, str) for text in options.values()):
        return "options is not an object of two or more texts"
    if len(set(options.values())) < len(options):
        return "two options have the same text"
    if question.get("answer_idx") not in options:
        return f"answer_idx {question.get('answer_idx')!r} is not one of {', '.join(options)}"
    if question.get("answer", options[question["answer_idx"]]) != options[question["answer_idx"]]:
        return "answer is not the text of option answer_idx"
    return None
