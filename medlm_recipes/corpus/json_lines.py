"""Files of one JSON object a line, plain, .gz or .zst: what every format of that form has in common."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from medlm_recipes.corpus.compressed import MAX_RECORD_BYTES, read_lines
from medlm_recipes.corpus.document import EXCERPT_CHARACTERS, Reject
from medlm_recipes.corpus.inputs import InputFile

T = TypeVar("T")

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")

_ID_DIGITS = 24  # 96 bits: no chance collision among all texts there are


def read_json_lines(file: InputFile, read: Callable[[dict[str, Any]], T | str]) -> Iterator[T | Reject]:
    """One item a line. Raises DataError for a missing or damaged file.

    read: what a record makes, or the reason, in a word, for which it is unsound.
    """
    for number, line in read_lines(file.path):
        record = _record(line)
        item = record if isinstance(record, str) else read(record)
        if isinstance(item, str):
            excerpt = line[: 4 * EXCERPT_CHARACTERS].decode(errors="replace").strip()
            yield Reject(file.name, f"line {number}", item, excerpt)
        else:
            yield item


def text_in(record: dict[str, Any], name: str) -> tuple[str, str]:
    """The text under a name and nothing, or nothing and why there is none."""
    text = record.get(name)
    if isinstance(text, str):
        return text, ""
    return "", "no_text" if text is None else "text_not_a_string"


def content_id(text: str) -> str:
    """Of the content, so that identical texts fall into the same split."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_ID_DIGITS]


def _record(line: bytes) -> dict[str, Any] | str:
    if len(line) > MAX_RECORD_BYTES:
        return "too_long"
    try:
        record: Any = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return "not_utf8"
    except (ValueError, RecursionError):
        return "not_json"
    return record if isinstance(record, dict) else "not_an_object"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
