"""Prepared documents to MDS streams of packed tokens, one stream a split and source."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.shards import ShardsConfig
from medlm_recipes.corpus.document import choose_sources, list_sources, read_documents
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish, read_manifest
from medlm_recipes.progress import track
from medlm_recipes.shards.packing import PackingCounts, pack, smallest_dtype
from medlm_recipes.tokenization.loading import load_tokenizer, tokenizer_hash

TOKENIZER_FOLDER = "tokenizer"
SPLITS = ("train", "validation")


def convert_text_to_mds(config: ShardsConfig, dry_run: bool) -> None:
    """Tokenize, pack and publish the shards of `config`.

    A sample is the column `tokens`, an ndarray (sequence_length,) of the smallest unsigned type
    that holds the vocabulary: what llm-foundry's text loader and StreamingDataset read unchanged.
    Raises DataError for unfit documents or tokenizer, and when a source fills no train sample.
    """
    corpus = read_manifest(config.documents, "prepare_corpus")
    tokenizer = load_tokenizer(config.tokenizer)
    streams = _streams(config)
    _print_plan(config, corpus, tokenizer, streams)
    if dry_run:
        return
    manifest = Manifest(
        stage="convert_text_to_mds",
        config=decisive(resolved(config), leave_out=("documents", "tokenizer", "out")),
        inputs={"documents": hash_json(corpus.__dict__), "tokenizer": tokenizer_hash(config.tokenizer)},
    )
    with publish(config.out, manifest) as folder:
        if folder is None:
            return
        manifest.facts = {
            "tokenizer_sha256": tokenizer_hash(config.tokenizer),
            "vocab_size": len(tokenizer),
            "end_of_text": tokenizer.eos_token_id,
            "sequence_length": config.sequence_length,
            "dtype": str(smallest_dtype(len(tokenizer))),
            "splits": _convert(config, tokenizer, streams, folder),
        }
        shutil.copytree(config.tokenizer, folder / TOKENIZER_FOLDER)
    _print_result(manifest)
    print(f"{config.out}: done")


def _streams(config: ShardsConfig) -> list[tuple[str, str]]:
    train = choose_sources(config.documents, "train", config.sources)
    validation = [source for source in list_sources(config.documents, "validation") if source in train]
    return [("train", source) for source in train] + [("validation", source) for source in validation]


def _print_plan(config: ShardsConfig, corpus: Manifest, tokenizer: Any, streams: list[tuple[str, str]]) -> None:
    sizes = corpus.facts["splits"]
    total = sum(sizes[split][source]["bytes"] for split, source in streams)
    print(
        f"{config.documents}: {total:,} bytes of text in {len(streams)} streams; rows of {config.sequence_length} "
        f"tokens as {smallest_dtype(len(tokenizer))}, vocabulary {len(tokenizer):,}"
    )


def _convert(
    config: ShardsConfig, tokenizer: Any, streams: list[tuple[str, str]], folder: Path
) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {split: {} for split in SPLITS}
    for split, source in streams:
        counts = _write_stream(config, tokenizer, split, source, folder / split / source)
        results[split][source] = asdict(counts)
        if counts.samples:
            continue
        if split == "train":
            raise DataError(
                f"{config.documents}: source {source} has {counts.tokens} train tokens, less than one row of "
                f"{config.sequence_length}; give more text or a shorter sequence_length"
            )
        print(
            f"notice: {source} has {counts.tokens} validation tokens, less than one row; it gets no validation stream"
        )
        shutil.rmtree(folder / split / source)
    return results


def _write_stream(config: ShardsConfig, tokenizer: Any, split: str, source: str, folder: Path) -> PackingCounts:
    from streaming import MDSWriter

    counts = PackingCounts()
    columns = {"tokens": f"ndarray:{smallest_dtype(len(tokenizer))}:{config.sequence_length}"}
    documents = track(read_documents(config.documents, split, source), f"{split}/{source}", "document")
    with MDSWriter(
        out=str(folder),
        columns=columns,
        compression="zstd" if config.compression == "zstd" else None,
        hashes=["sha1"],
        size_limit=config.shard_bytes,
    ) as writer:
        for row in pack(documents, tokenizer, config.sequence_length, counts):
            writer.write({"tokens": row})
    return counts


def _print_result(manifest: Manifest) -> None:
    for split, sources in manifest.facts["splits"].items():
        for source, counts in sources.items():
            print(
                f"  {split}/{source}: {counts['documents']:,} documents, {counts['tokens']:,} tokens, "
                f"{counts['samples']:,} rows, {counts['tokens_left_over']} tokens left over"
            )


def read_shards(folder: str | Path, tokenizer: str | Path | None = None) -> Manifest:
    """The manifest of a shards folder, checked against the tokenizer that the reader means to use.

    Raises DataError when the shards were made with another tokenizer, naming both hashes.
    """
    manifest = read_manifest(folder, "convert_text_to_mds")
    if tokenizer is not None and tokenizer_hash(tokenizer) != manifest.facts["tokenizer_sha256"]:
        raise DataError(
            f"{folder}: its shards were made with the tokenizer {manifest.facts['tokenizer_sha256'][:12]} (kept in "
            f"{Path(folder) / TOKENIZER_FOLDER}), but {tokenizer} is {tokenizer_hash(tokenizer)[:12]}; "
            "convert the documents again or give the tokenizer that made the shards"
        )
    return manifest
