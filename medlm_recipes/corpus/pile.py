"""The Pile's form: one {"text", "meta": {"pile_set_name"}} a line, plain, .gz or .zst."""

from collections.abc import Iterator, Mapping
from typing import Any

from medlm_recipes.config.corpus import CorpusConfig, slug
from medlm_recipes.corpus.document import Document, Item, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import content_id, read_json_lines, text_in


def read_pile(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a line. Raises DataError for a missing or damaged file."""
    assert not leave_out
    sources = {name: slug(name) for name in config.pile_sets}
    return read_json_lines(file, lambda record: _read_record(record, sources))


def _read_record(record: dict[str, Any], sources: Mapping[str, str]) -> Document | Skipped | str:
    meta = record.get("meta")
    name = meta.get("pile_set_name") if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(name, str):
        return "no_pile_set_name"
    if name not in sources:
        return Skipped("other_pile_set")
    text, missing = text_in(record, "text")
    return missing or Document(f"pile:{content_id(text)}", text, sources[name], meta)
