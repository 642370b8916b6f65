"""Any JSONL with a text in each record, such as RedPajama's {"text", "meta"}; a share of it where less is wanted."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.corpus.document import Document, Item, Skipped
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.json_lines import content_id, read_json_lines, text_in
from medlm_recipes.corpus.split import is_within
from medlm_recipes.token_math import parse_tokens

NOT_SAMPLED = "not_sampled"


def read_jsonl(file: InputFile, config: CorpusConfig, leave_out: Mapping[int, str]) -> Iterator[Item]:
    """One item a line. Raises DataError for a missing or damaged file."""
    assert not leave_out
    return read_json_lines(file, lambda record: read_record(record, config))


def read_record(record: dict[str, Any], config: CorpusConfig) -> Document | Skipped | str:
    """The record's text under config.text_key; whatever else it has, `meta` unfolded, is metadata."""
    text, missing = text_in(record, config.text_key)
    if missing:
        return missing
    name = content_id(text) if config.id_key is None else record.get(config.id_key)
    if not isinstance(name, str | int) or name == "":
        return "no_id"
    identifier = f"{config.source}:{name}"
    if not is_within(f"sample:{config.seed}:{identifier}", config.sample_fraction):
        return Skipped(NOT_SAMPLED)
    metadata = {name: value for name, value in record.items() if name not in (config.text_key, config.id_key)}
    meta = metadata.get("meta")
    if isinstance(meta, dict):
        del metadata["meta"]
        metadata |= meta
    return Document(identifier, text, config.source, metadata)


def text_bytes(task: tuple[InputFile, CorpusConfig]) -> int:
    """Bytes of all texts of a file in UTF-8, before any are left out."""
    file, config = task
    everything = replace(config, sample_fraction=1.0)
    items = read_jsonl(file, everything, {})
    return sum(len(item.text.encode(errors="surrogatepass")) for item in items if isinstance(item, Document))


def sample_fraction(config: CorpusConfig, total_bytes: int) -> float:
    """The share of the records that holds config.sample_tokens, by config.bytes_per_token; at most 1."""
    assert config.sample_tokens is not None
    wanted = parse_tokens(config.sample_tokens) * config.bytes_per_token
    return min(1.0, wanted / total_bytes) if total_bytes else 1.0
