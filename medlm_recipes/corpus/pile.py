"""The Pile's form: one {"text", "meta": {"pile_set_name"}} a line, plain, .gz or .zst."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from medlm_recipes.config.corpus import CorpusConfig, slug
from medlm_recipes.corpus.compressed import MAX_RECORD_BYTES, read_lines
from medlm_recipes.corpus.document import EXCERPT_CHARACTERS, Document, Item, Reject, Skipped
from medlm_recipes.corpus.inputs import InputFile

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst")

_ID_DIGITS = 24  # 96 bits: no chance collision among all texts there are


def read_pile(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a line. Raises DataError for a missing or damaged file."""
    assert not leave_out
    sources = {name: slug(name) for name in config.pile_sets}
    for number, line in read_lines(file.path):
        item = _read_line(line, sources)
        if isinstance(item, str):
            excerpt = line[: 4 * EXCERPT_CHARACTERS].decode(errors="replace").strip()
            yield Reject(file.name, f"line {number}", item, excerpt)
        else:
            yield item


def _read_line(line: bytes, sources: Mapping[str, str]) -> Document | Skipped | str:
    """The document of a line, or why it has none: as Skipped when unwanted, as a reason when unsound."""
    if len(line) > MAX_RECORD_BYTES:
        return "too_long"
    try:
        record: Any = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError:
        return "not_utf8"
    except (ValueError, RecursionError):
        return "not_json"
    if not isinstance(record, dict):
        return "not_an_object"
    meta = record.get("meta")
    name = meta.get("pile_set_name") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(name, str):
        return "no_pile_set_name"
    if name not in sources:
        return Skipped("other_pile_set")
    text = record.get("text")
    if not isinstance(text, str):
        return "no_text" if text is None else "text_not_a_string"
    # Of the content, so that identical texts fall into the same split.
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return Document(f"pile:{digest[:_ID_DIGITS]}", text, sources[name], meta)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
