"""The records of benchmark files, and of each the texts, for decontamination.

.csv                        MMLU: question, choices, answer; no header
.jsonl, .jsonl.gz, .zst     MedQA, MedMCQA or any records with the fields below, one a line
.json                       PubMedQA (id -> record), BioASQ ({"questions": [record]}), [record], or lines as above

evaluation/originals makes of the same records the questions that a model is asked.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medlm_recipes.corpus.compressed import DAMAGE, damaged, open_input, read_lines
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.errors import DataError

ENDINGS = (".csv", ".json", ".jsonl", ".jsonl.gz", ".jsonl.zst")

# Fields, in lower case, of what a model is shown and of what else the benchmark tells of the answer.
_ASKED = {
    *("question", "body", "text", "prompt", "query", "input", "passage", "options", "choices"),
    *("context", "contexts", "snippets", "ending0", "ending1", "ending2", "ending3", "sent1", "sent2"),
    *("opa", "opb", "opc", "opd", "ope", "a", "b", "c", "d", "e"),
}
_TOLD = {"answer", "exp", "explanation", "rationale", "long_answer", "ideal_answer", "target"}
_NOT_TEXT = {"id", "document", "beginsection", "endsection", "labels", "meshes", "key"}  # inside of the former


@dataclass(frozen=True)
class BenchmarkItem:
    """name: id, or number in the file from 1. asked: what a model is shown. told: answers and explanations."""

    benchmark: str
    name: str
    asked: tuple[str, ...]
    told: tuple[str, ...] = ()


def read_benchmark_items(file: InputFile) -> list[BenchmarkItem]:
    """Every item of a benchmark file; none, with a notice, of a file of labels as PubMedQA's ground truth is.

    Raises DataError, naming the item, for another form.
    """
    items = []
    records = list(read_records(file.path))
    if file.path.suffix == ".json" and records and all(_is_label(value) for _, value in records):
        print(
            f"notice: {file.path}: holds {len(records):,} labels and no text; nothing is compared with it", flush=True
        )
        return []
    for name, record in records:
        fields = {key.lower(): value for key, value in record.items()} if isinstance(record, dict) else {}
        asked = [text for key in fields if key in _ASKED for text in _texts(fields[key])]
        told = [text for key in fields if key in _TOLD for text in _texts(fields[key])]
        if not asked:
            raise DataError(
                f"{file.path}: item {name} has no text to compare with; known are MedQA, MedMCQA, PubMedQA, BioASQ, "
                f"MMLU and records with fields like {', '.join(sorted(_ASKED)[-6:])}"
            )
        items.append(BenchmarkItem(file.name, name, tuple(asked), tuple(told)))
    if not items:
        raise DataError(f"{file.path}: holds no test items")
    return items


def _is_label(value: Any) -> bool:
    """A word such as yes, no, maybe; several words would be a text."""
    return isinstance(value, str) and len(value.split()) == 1


def _texts(value: Any) -> Iterator[str]:
    """Every string inside a value, but names and numbers of things."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key.lower() not in _NOT_TEXT:
                yield from _texts(one)


def read_records(path: Path) -> Iterator[tuple[str, Any]]:
    """Ids, or numbers from 1, and records of a file; the records ought to be objects.

    Raises DataError for a file that is missing, damaged or of another form, or names an id twice.
    """
    if path.suffix == ".csv":
        for number, row in enumerate(_rows(path), 1):
            if row:
                yield str(number), {"question": row[0], "choices": row[1:-1], "answer": row[-1]}
    elif path.suffix == ".json":
        yield from _whole_or_lines(path)
    else:
        for number, line in read_lines(path):
            record = _load(path, line, f"line {number}: ")
            yield _name_of(record, number), record


def _whole_or_lines(path: Path) -> Iterator[tuple[str, Any]]:
    content = _content(path)
    first, _, rest = content.partition(b"\n")
    if rest.strip() and _is_json(first):  # MedMCQA's .json are objects, one a line
        for number, line in enumerate(content.split(b"\n"), 1):
            if line.strip():
                record = _load(path, line, f"line {number}: ")
                yield _name_of(record, number), record
        return
    whole = _load(path, content, "")
    if isinstance(whole, dict) and isinstance(whole.get("questions"), list):
        whole = whole["questions"]
    if isinstance(whole, dict) and isinstance(whole.get("question"), str):  # lines, of which there is one
        yield _name_of(whole, 1), whole
    elif isinstance(whole, dict):
        yield from whole.items()
    elif isinstance(whole, list):
        yield from ((_name_of(record, number), record) for number, record in enumerate(whole, 1))
    else:
        raise DataError(f"{path}: holds neither a list nor an object of test items")


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _name_of(record: Any, number: int) -> str:
    own = record.get("id") if isinstance(record, dict) else None
    return str(own) if isinstance(own, str | int) and own != "" else str(number)


def _load(path: Path, content: bytes, where: str) -> Any:
    try:
        return json.loads(content, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {where}not JSON ({error})") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, of which json itself would drop all but the last of equal keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"an object has the key {twice!r} twice")
    return found


def _rows(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(_content(path).decode("utf-8-sig"), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV in UTF-8 ({error})") from None


def _content(path: Path) -> bytes:
    try:
        with open_input(path) as stream:
            return stream.read()
    except DAMAGE as error:
        raise damaged(path, error, "as a benchmark") from None
