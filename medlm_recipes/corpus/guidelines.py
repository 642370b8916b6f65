"""Clinical guidelines as epfl-llm/guidelines has them: {"id", "source", "title", "clean_text", "url"} a line."""

from collections.abc import Iterator, Mapping
from typing import Any

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Item, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import content_id, read_json_lines, text_in

SOURCE = "guidelines"


def read_guidelines(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a line: title, newline, clean_text. Raises DataError for a missing or damaged file."""
    assert not leave_out
    return read_json_lines(file, _read_record)


def _read_record(record: dict[str, Any]) -> Document | Skipped | str:
    text, missing = text_in(record, "clean_text")
    if missing or not text.strip():
        return missing or "no_text"
    title = record.get("title")
    title = " ".join(title.split()) if isinstance(title, str) else ""
    identifier = record.get("id") or content_id(text)
    if not isinstance(identifier, str | int):
        return "id_not_a_string"
    metadata = {
        "publisher": record.get("source"),  # who wrote it: cdc, nice, who, wikidoc, ...
        "title": title or None,
        "url": record.get("url"),
    }
    if title and not _begins_with(text, title):
        text = f"{title}\n{text}"
    return Document(f"guideline:{identifier}", text, SOURCE, metadata)


def _begins_with(text: str, title: str) -> bool:
    """Whether the first line is the title already, as a heading or not."""
    first = text.lstrip().partition("\n")[0].lstrip("# ")
    return " ".join(first.split()).casefold() == title.casefold()
