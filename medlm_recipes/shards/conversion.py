"""Prepared documents to MDS streams of packed tokens, one stream a split and source."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.shards import ShardsConfig
from medlm_recipes.corpus.document import choose_sources, document_files, list_sources
from medlm_recipes.errors import DataError
from medlm_recipes.execution.tasks import require_executor, run_tasks
from medlm_recipes.manifest import Manifest, decisive, hash_json, publish, read_manifest
from medlm_recipes.progress import track
from medlm_recipes.remote import local_copy
from medlm_recipes.shards.estimate import check_space, estimate
from medlm_recipes.shards.mds import ShardFormat, ShardTask, shard_tasks, write_index, write_shard
from medlm_recipes.shards.tokens import CheckedEncoder, EncoderFile, EncodeTask, TaskCounts, encode_task, keep_encoder
from medlm_recipes.tokenization.encoding import Backend, HuggingFaceEncoder, read_backend
from medlm_recipes.tokenization.fast import Unfit
from medlm_recipes.tokenization.loading import tokenizer_hash
from medlm_recipes.tokenization.self_test import fast_encoder

TOKENIZER_FOLDER = "tokenizer"
SPLITS = ("train", "validation")

_TOKENIZER_FILES = (".json", ".txt", ".model", ".jinja")
_ASIDE = "ids"  # folder, while the stage runs, of what lies between its halves
_GROUP_BYTES = 1 << 21  # compressed documents that are enough for a task: some 6 MB of text


@dataclass
class StreamCounts:
    """Counts of one split of a source, those of the documents as prepare_corpus states them, those of ids as written.

    bytes: of the texts in UTF-8. tokens: end-of-text tokens included, padding not. samples: rows.
    tokens + padding = samples · sequence_length + tokens_left_over.
    """

    documents: int
    bytes: int
    tokens: int = 0
    padding: int = 0
    samples: int = 0
    tokens_left_over: int = 0


Streams = dict[tuple[str, str], StreamCounts]
"""By split and source, in the order in which they are written."""


def convert_text_to_mds(config: ShardsConfig, dry_run: bool) -> None:
    """Encode, pack and publish the shards of `config`.

    A sample is the column `tokens`, an ndarray (sequence_length,) of the smallest unsigned type
    that holds the vocabulary: what llm-foundry's text loader and StreamingDataset read unchanged.
    Output does not depend on `config.execution` or `config.encoder`. A killed or failed run leaves
    `<out>.partial`, from which the next one continues. Raises DataError for unfit documents or
    tokenizer, too small a disk, and when a source fills no train sample.
    """
    require_executor(config.execution)
    corpus = read_manifest(config.documents, "prepare_corpus")
    backend = read_backend(config.tokenizer)
    streams = _streams(config, corpus)
    encoder = _encoder(backend, config.encoder)
    _check_size(config, encoder, streams)
    if dry_run:
        return
    tokenizer = tokenizer_hash(config.tokenizer)
    manifest = Manifest(
        stage="convert_text_to_mds",
        config=decisive(resolved(config), leave_out=("documents", "tokenizer", "out", "encoder", "execution")),
        inputs={"documents": hash_json(corpus.__dict__), "tokenizer": tokenizer},
    )
    begun_from = {
        "config": manifest.config,
        "inputs": manifest.inputs,
        "encoder": [
            config.encoder,
            hash_json(asdict(backend)),
        ],  # finished shards do not tell by what they were encoded
    }
    with publish(config.out, manifest, begun_from=begun_from) as folder:
        if folder is None:
            return
        _convert(config, encoder, streams, folder)
        manifest.facts = {
            "tokenizer_sha256": tokenizer,
            "vocab_size": backend.size,
            "end_of_text": backend.end_of_text,
            "sequence_length": config.sequence_length,
            "packing": config.packing,
            "dtype": str(backend.dtype),
            "splits": {
                split: {source: asdict(counts) for (of, source), counts in streams.items() if of == split}
                for split in SPLITS
            },
        }
        copy_tokenizer(Path(config.tokenizer), folder / TOKENIZER_FOLDER)
    _print_result(streams)
    print(f"{config.out}: done")


def _streams(config: ShardsConfig, corpus: Manifest) -> Streams:
    train = choose_sources(config.documents, "train", config.sources)
    validation = [source for source in list_sources(config.documents, "validation") if source in train]
    chosen = [("train", source) for source in train] + [("validation", source) for source in validation]
    sizes = corpus.facts["splits"]
    return {
        (split, source): StreamCounts(sizes[split][source]["documents"], sizes[split][source]["bytes"])
        for split, source in chosen
    }


def _encoder(backend: Backend, wanted: str) -> CheckedEncoder:
    reference = HuggingFaceEncoder(backend)
    if wanted == "fast":
        try:
            return CheckedEncoder(backend, reference, fast_encoder(backend, reference))
        except Unfit as reason:
            print(f"notice: encoder huggingface instead of fast: the tokenizer does not allow it ({reason})")
    return CheckedEncoder(backend, reference, None)


def _check_size(config: ShardsConfig, encoder: CheckedEncoder, streams: Streams) -> None:
    sizes = [(split, source, counts.bytes) for (split, source), counts in streams.items()]
    print(
        f"{config.documents}: {sum(size for *_, size in sizes):,} bytes of text in {len(streams)} streams; rows of "
        f"{config.sequence_length} tokens as {encoder.backend.dtype}, vocabulary {encoder.backend.size:,}; "
        f"encoder {'fast' if encoder.fast else 'huggingface'}"
    )
    needed = estimate(config.documents, sizes, encoder, config.compression == "zstd")
    out = Path(config.out)
    check_space(out, out.with_name(f"{out.name}.partial"), needed)


def _convert(config: ShardsConfig, encoder: CheckedEncoder, streams: Streams, folder: Path) -> None:
    """Write the streams' shards and indexes to `folder`, and their counts to `streams`."""
    aside = folder / _ASIDE
    aside.mkdir(exist_ok=True)
    encoded = _encode(config, keep_encoder(encoder, aside / "backend.json"), streams, folder)
    form = ShardFormat(
        str(encoder.backend.dtype),
        config.sequence_length,
        "zstd" if config.compression == "zstd" else None,
        config.shard_bytes,
    )
    tasks: list[ShardTask] = []
    for (split, source), counts in streams.items():
        files = encoded[split, source]
        _count(config, split, source, counts, [part for _, part in files])
        tasks += shard_tasks(folder / split / source, [(path, part.positions) for path, part in files], form)
    written = run_tasks(write_shard, tasks, config.execution, folder, "write")
    entries: dict[Path, list[dict[str, Any]]] = {task.folder: [] for task in tasks}
    for task, entry in zip(tasks, track(written, "writing", "shard", len(tasks)), strict=True):
        entries[task.folder].append(entry)
    for stream, shards in entries.items():
        write_index(stream, shards)
    shutil.rmtree(aside)


def _encode(
    config: ShardsConfig, encoder: EncoderFile, streams: Streams, folder: Path
) -> dict[tuple[str, str], list[tuple[Path, TaskCounts]]]:
    """The files of ids of every stream, in the order of its documents."""
    padded_to = config.sequence_length if config.packing == "pad" else None
    groups = [(stream, group) for stream in streams for group in _groups(document_files(config.documents, *stream))]
    tasks = [
        EncodeTask(group, encoder.path.with_name(f"{number:05d}"), encoder, padded_to)
        for number, (_, group) in enumerate(groups)
    ]
    counted = run_tasks(encode_task, tasks, config.execution, folder, "encode")
    encoded: dict[tuple[str, str], list[tuple[Path, TaskCounts]]] = {stream: [] for stream in streams}
    for (stream, _), task, counts in zip(groups, tasks, track(counted, "encoding", "part", len(tasks)), strict=True):
        encoded[stream].append((task.out, counts))
    return encoded


def _groups(files: Sequence[Path]) -> Iterator[tuple[Path, ...]]:
    """Files that one task encodes; the same whatever the number of workers."""
    group: list[Path] = []
    size = 0
    for path in files:
        group.append(path)
        size += path.stat().st_size
        if size >= _GROUP_BYTES:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)


def _count(config: ShardsConfig, split: str, source: str, stream: StreamCounts, parts: list[TaskCounts]) -> None:
    """Fill in the counts of ids. Raises DataError when documents are missing, or fill no train row."""
    documents = sum(part.documents for part in parts)
    if documents != stream.documents:
        raise DataError(
            f"{config.documents}: {split}/{source} holds {documents:,} documents, but its manifest says "
            f"{stream.documents:,}; prepare the corpus again"
        )
    positions = sum(part.positions for part in parts)
    stream.tokens = sum(part.tokens for part in parts)
    stream.padding = positions - stream.tokens
    stream.samples, stream.tokens_left_over = divmod(positions, config.sequence_length)
    if stream.samples:
        return
    less = f"{stream.tokens} {split} tokens, less than one row"
    if split == "train":
        raise DataError(
            f"{config.documents}: source {source} has {less} of {config.sequence_length}; give more text or a shorter "
            "sequence_length"
        )
    print(f"notice: {source} has {less}; it gets no validation stream")


def copy_tokenizer(folder: Path, to: Path) -> None:
    """Without the weights that may lie beside it."""
    to.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.suffix in _TOKENIZER_FILES and path.is_file():
            shutil.copyfile(path, to / path.name)


def _print_result(streams: Streams) -> None:
    for (split, source), counts in streams.items():
        rest = f"{counts.padding:,} padding" if counts.padding else f"{counts.tokens_left_over} tokens left over"
        print(
            f"  {split}/{source}: {counts.documents:,} documents, {counts.tokens:,} tokens, "
            f"{counts.samples:,} rows, {rest}"
        )


def read_shards(folder: str | Path, tokenizer: str | Path | None = None) -> Manifest:
    """The manifest of a shards folder, checked against the tokenizer that the reader means to use.

    Of a remote folder everything but the shards is fetched. Raises DataError when the shards were made with
    another tokenizer, naming both hashes.
    """
    place, folder = folder, local_copy(str(folder), lambda name: ".mds" not in Path(name).name)
    manifest = read_manifest(folder, "convert_text_to_mds", "convert_examples_to_mds")
    if tokenizer is not None and tokenizer_hash(tokenizer) != manifest.facts["tokenizer_sha256"]:
        raise DataError(
            f"{place}: its shards were made with the tokenizer {manifest.facts['tokenizer_sha256'][:12]} (kept in "
            f"{folder / TOKENIZER_FOLDER}), but {tokenizer} is {tokenizer_hash(tokenizer)[:12]}; "
            "convert the documents again or give the tokenizer that made the shards"
        )
    return manifest
