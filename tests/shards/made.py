"""Documents and shards made in the test's own process, and what stands in a folder.

As a script, `made.py documents tokenizer out [key=value ...]`, it converts in small parts.
"""

import random
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.shards import ShardsConfig
from medlm_recipes.corpus import outputs
from medlm_recipes.corpus.document import Document
from medlm_recipes.corpus.tally import Tally
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest
from medlm_recipes.shards.conversion import convert_text_to_mds

WORDS = ["patients", "the", "of", "trial", "in", "dose", "12.5", "mg/kg", "β-catenin", "it's", "–", "\n\n", "(P<0.05)"]


def texts(count: int, seed: int = 0, longest: int = 120) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, longest))) for _ in range(count)]


def write_documents(folder: Path, splits: Mapping[str, Mapping[str, Sequence[str]]]) -> Path:
    """A prepared corpus of {split: {source: texts}}."""
    tally = Tally()
    for split, sources in splits.items():
        for source, given in sources.items():
            (folder / split / source).mkdir(parents=True)
            with closing(outputs.DocumentParts(folder / split / source / "00000.jsonl.zst")) as parts:
                for number, text in enumerate(given):
                    document = Document(f"{source}-{number}", text, source, {"year": 2021})
                    parts.write(document.to_line())
                    tally.read += 1
                    tally.wrote(split, document)
    Manifest("prepare_corpus", {}, {}, tally.facts()).write(folder)
    return folder


def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few documents are several files, tasks and batches."""
    monkeypatch.setattr(outputs, "PART_BYTES", 1 << 14)
    monkeypatch.setattr("medlm_recipes.shards.conversion._GROUP_BYTES", 1)
    monkeypatch.setattr("medlm_recipes.shards.tokens.BATCH_CHARACTERS", 1 << 12)


def convert(documents: Path, tokenizer: Path, out: Path, *overrides: str) -> dict[str, bytes]:
    """Every file of the shards, with rows of 128 tokens in shards of 64 KiB."""
    given = [f"documents={documents}", f"tokenizer={tokenizer}", f"out={out}", "shard_bytes=65536", *overrides]
    convert_text_to_mds(load_config(ShardsConfig, "yamls/quickstart/shards.yaml", given), dry_run=False)
    return content(out)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


if __name__ == "__main__":
    in_small_parts(pytest.MonkeyPatch())
    documents, tokenizer, out = map(Path, sys.argv[1:4])
    try:
        convert(documents, tokenizer, out, *sys.argv[4:])
    except DataError as error:
        sys.exit(f"error: {error}")
