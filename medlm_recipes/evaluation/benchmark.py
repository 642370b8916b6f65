"""Multiple-choice questions as everything here takes them, and reading them checked.

A question is {"id", "question", "context", "options": {letter: text}, "answer_idx": a letter, "answer": its
text, "subject", "explanation"}, where context, subject and explanation are "" when there is none. This is
MedQA's form of JSON lines and more; files of MedQA's form alone are read too.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, hash_file, read_manifest

STAGE = "prepare_benchmark"
FIELDS = ("id", "question", "context", "options", "answer_idx", "answer", "subject", "explanation")

_NEEDED = ("id", "question")
_MAY_BE_EMPTY = ("context", "subject", "explanation")
_LISTED = 5


def read_benchmark(path: str | Path, split: str = "test") -> list[dict[str, Any]]:
    """The questions of a split of a folder that prepare_benchmark wrote, or of a file of JSON lines, in order.

    In a file, which is one split, a question without an id is called by its line's number, and MedQA's
    meta_info stands for a missing subject. Raises DataError that lists the first bad lines when a line is
    not JSON, a field is missing, the answer is not one of the options, or an id or question stands twice;
    and when the file or split is missing or empty, or is not what its manifest says. A prepared folder may
    hold questions twice where the original does: its manifest counts them.
    """
    path = Path(path)
    if path.is_dir():
        questions, problems = _read_lines(_split_file(path, split))
    elif path.is_file():
        questions, problems = _read_lines(path)
        problems = sorted([*problems, *_repeats(questions), *_equal_options(questions)])
    else:
        raise DataError(f"{path}: no such file; give a folder made by recipes/{STAGE}.py, or JSON lines as MedQA's")
    if problems:
        raise DataError(f"{path}: {listed([f'line {line}: {what}' for line, what in problems])}; mend these lines")
    if not questions:
        raise DataError(f"{path}: holds no questions")
    return [question for _, question in questions]


def hash_benchmark(path: str | Path, split: str = "test") -> str:
    """sha256 of the file of questions that `read_benchmark` reads. Raises DataError when there is none."""
    path = Path(path)
    if path.is_dir():
        return str(_facts(path, split)["sha256"])
    if not path.is_file():
        raise DataError(f"{path}: no such file; give a folder made by recipes/{STAGE}.py, or JSON lines as MedQA's")
    return hash_file(path)


def fault_of(question: dict[str, Any]) -> str | None:
    """What makes a question unfit to be asked; None when nothing does."""
    for name in FIELDS:
        value = question.get(name)
        if name in _NEEDED and not (isinstance(value, str) and value.strip()):
            return f"no text in {name}"
        if name in _MAY_BE_EMPTY and not isinstance(value, str):
            return f"{name} is {value!r}, not a text"
    if fault := _fault_of_options(question.get("options"), question.get("answer_idx"), question.get("answer")):
        return fault
    try:
        json.dumps(question, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "a text holds half a character (a lone surrogate)"
    return None


def _fault_of_options(options: Any, letter: Any, answer: Any) -> str | None:
    if not isinstance(options, dict) or len(options) < 2 or not all(isinstance(text, str) for text in options.values()):
        return "options is not an object of two or more texts"
    for name, text in options.items():
        if not text.strip():
            return f"option {name} is empty"
    if not isinstance(letter, str) or letter not in options:
        return f"answer_idx {letter!r} is not one of {', '.join(options)}"
    return None if answer == options[letter] else "answer is not the text of option answer_idx"


def asked(question: dict[str, Any]) -> tuple[str, frozenset[str]]:
    """What two questions must share to be the same: the words asked and the options, whatever their order."""
    return _plain(question["question"]), frozenset(map(_plain, question["options"].values()))


def has_equal_options(question: dict[str, Any]) -> bool:
    """Whether two options of a question have the same text."""
    return len(set(question["options"].values())) < len(question["options"])


def listed(problems: Sequence[str]) -> str:
    """The first problems, and how many more there are."""
    more = f" (and {len(problems) - _LISTED:,} more)" if len(problems) > _LISTED else ""
    return "; ".join(problems[:_LISTED]) + more


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _facts(folder: Path, split: str) -> dict[str, Any]:
    manifest: Manifest = read_manifest(folder, STAGE)
    splits = manifest.facts["splits"]
    if split not in splits:
        raise DataError(f"{folder}: has no {split} split; it has {', '.join(splits)}")
    return splits[split]


def _split_file(folder: Path, split: str) -> Path:
    facts, path = _facts(folder, split), folder / f"{split}.jsonl"
    if not path.is_file() or hash_file(path) != facts["sha256"]:
        raise DataError(f"{path}: is not what {folder}/manifest.json says; make it again with recipes/{STAGE}.py")
    return path


def _read_lines(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], list[tuple[int, str]]]:
    """The sound questions of a file and what is wrong with the others, both with the numbers of their lines."""
    questions: list[tuple[int, dict[str, Any]]] = []
    problems: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            given = json.loads(line)
        except ValueError:
            problems.append((number, "not JSON"))
            continue
        if not isinstance(given, dict):
            problems.append((number, "not an object"))
            continue
        question = _with_defaults(given, number)
        what = fault_of(question)
        if what is None and first.setdefault(question["id"], number) != number:
            what = f"the same id as line {first[question['id']]}"
        if what:
            problems.append((number, what))
        else:
            questions.append((number, question))
    return questions, problems


def _with_defaults(given: dict[str, Any], number: int) -> dict[str, Any]:
    options, letter = given.get("options"), given.get("answer_idx")
    answer = options.get(letter) if isinstance(options, dict) and isinstance(letter, str) else None
    defaults = {"id": str(number), "answer": answer, "subject": given.get("meta_info", "")}
    return {name: given.get(name, defaults.get(name, "")) for name in FIELDS}


def _repeats(questions: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, str]]:
    first: dict[Any, int] = {}
    for number, question in questions:
        before = first.setdefault((question["context"], asked(question)), number)
        if before != number:
            yield number, f"the same question as line {before}"


def _equal_options(questions: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, str]]:
    for number, question in questions:
        if has_equal_options(question):
            yield number, "two options have the same text"
