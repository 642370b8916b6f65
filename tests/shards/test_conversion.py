import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from backports import zstd
from launch import recipe, refused
from shards.made import content, convert, in_small_parts, texts, write_documents
from streaming import MDSWriter, StreamingDataset

from medlm_recipes.corpus.document import read_documents
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.shards.conversion import read_shards
from medlm_recipes.tokenization.fast import FastEncoder
from medlm_recipes.tokenization.loading import load_tokenizer

SOURCE = "pubmed-abstracts"


def expected_stream(line: Path, split: str) -> np.ndarray:
    """The token stream by the reference tokenizer, one document at a time."""
    tokenizer = load_tokenizer(line / "tokenizer")
    ids: list[int] = []
    for document in read_documents(line / "documents", split, SOURCE):
        ids += [*tokenizer.encode(document.text, add_special_tokens=False), tokenizer.eos_token_id]
    return np.array(ids)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_stock_streaming_reads_every_document_in_order_and_exactly(line: Path, split: str) -> None:
    dataset = StreamingDataset(local=str(line / "shards" / split / SOURCE), batch_size=1, shuffle=False)
    rows = [dataset[at]["tokens"] for at in range(len(dataset))]
    assert {(row.dtype, row.shape) for row in rows} == {(np.dtype(np.uint16), (128,))}
    stream = np.concatenate(rows)
    expected = expected_stream(line, split)
    assert 0 <= len(expected) - len(stream) < 128
    assert (stream == expected[: len(stream)]).all()


def test_the_manifest_accounts_for_every_token(line: Path) -> None:
    facts = read_manifest(line / "shards", "convert_text_to_mds").facts
    documents = read_manifest(line / "documents", "prepare_corpus").facts["splits"]
    for split in ("train", "validation"):
        counts = facts["splits"][split][SOURCE]
        assert counts["tokens"] == counts["samples"] * 128 + counts["tokens_left_over"]
        assert counts["documents"] == documents[split][SOURCE]["documents"]
        assert counts["bytes"] == documents[split][SOURCE]["bytes"]
    assert facts["dtype"] == "uint16" and facts["vocab_size"] == 800


def test_llm_foundrys_reading_of_a_sample(line: Path) -> None:
    """The column's name and encoding are what llm-foundry's StreamingTextDataset takes unchanged."""
    index = json.loads((line / "shards/train" / SOURCE / "index.json").read_text())
    shard = index["shards"][0]
    assert (shard["column_names"], shard["column_encodings"]) == (["tokens"], ["ndarray:uint16:128"])
    llmfoundry = pytest.importorskip("llmfoundry", reason="llm-foundry is not installed beside this package")
    dataset = llmfoundry.StreamingTextDataset(
        tokenizer=load_tokenizer(line / "tokenizer"),
        max_seq_len=128,
        local=str(line / "shards/train" / SOURCE),
        batch_size=1,
    )
    assert (dataset[0].numpy() == expected_stream(line, "train")[:128]).all()


def by_mds_writer(line: Path, given: list[str], folder: Path, compression: str | None) -> dict[str, bytes]:
    """What llm-foundry's way of packing and streaming's own writer make of the same documents."""
    tokenizer = load_tokenizer(line / "tokenizer")
    ids: list[int] = []
    for text in given:
        encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)
        ids += [*encoded["input_ids"], tokenizer.eos_token_id]
    options = {"compression": compression, "hashes": ["sha1"], "size_limit": 1 << 16}
    with MDSWriter(out=str(folder), columns={"tokens": "ndarray:uint16:128"}, **options) as writer:
        for start in range(0, len(ids) - 127, 128):
            writer.write({"tokens": np.array(ids[start : start + 128], np.uint16)})
    return content(folder)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_any_number_of_workers_writes_what_the_mds_writer_writes_byte_for_byte(
    line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    in_small_parts(monkeypatch)
    given = [*texts(300), "a <|endoftext|> b", "\x1c\x1d", "x" * 10_000, *texts(300, seed=1)]
    documents = write_documents(
        tmp_path / "documents", {"train": {"a": given, "b": texts(40)}, "validation": {"a": texts(20)}}
    )
    assert len(list((documents / "train/a").iterdir())) > 5
    ways = ["execution.workers=1", "execution.workers=3", "encoder=huggingface"]
    one, *others = (
        convert(documents, line / "tokenizer", tmp_path / way, way, f"compression={compression}") for way in ways
    )
    assert all(other == one for other in others)
    expected = by_mds_writer(line, given, tmp_path / "mds", None if compression == "none" else compression)
    ours = {name.removeprefix("train/a/"): bytes for name, bytes in one.items() if name.startswith("train/a/")}
    assert len(expected) > 3 and ours == expected


def test_rows_of_a_vocabulary_beyond_uint16(line: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(line / "tokenizer", folder)
    state = json.loads((folder / "tokenizer.json").read_text())
    state["model"]["vocab"] |= {f"unused{at}": 800 + at for at in range(65_000)}
    (folder / "tokenizer.json").write_text(json.dumps(state))
    documents = write_documents(tmp_path / "documents", {"train": {"a": texts(100)}})
    convert(documents, folder, tmp_path / "wide")
    convert(documents, line / "tokenizer", tmp_path / "narrow")
    wide, narrow = (
        StreamingDataset(local=str(tmp_path / name / "train/a"), batch_size=1) for name in ("wide", "narrow")
    )
    assert (wide[0]["tokens"].dtype, narrow[0]["tokens"].dtype) == (np.dtype(np.uint32), np.dtype(np.uint16))
    assert all((wide[at]["tokens"] == narrow[at]["tokens"]).all() for at in range(wide.num_samples))


def test_a_tokenizer_of_another_form_is_encoded_by_hugging_face_with_a_notice(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(line / "tokenizer", folder)
    state = json.loads((folder / "tokenizer.json").read_text())
    state["normalizer"] = {"type": "Lowercase"}
    (folder / "tokenizer.json").write_text(json.dumps(state))
    documents = write_documents(tmp_path / "documents", {"train": {"a": ["Lower CASE. " * 200]}})
    convert(documents, folder, tmp_path / "out")
    assert "notice: encoder huggingface instead of fast" in capsys.readouterr().out
    row = StreamingDataset(local=str(tmp_path / "out/train/a"), batch_size=1)[0]["tokens"]
    assert load_tokenizer(folder).decode(row).startswith("lower case. lower")


def test_a_document_that_the_fast_encoder_gets_wrong_is_named(
    line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The self-test does not know of it; every 512th document is compared."""
    encode = FastEncoder.encode

    def wrong(self: FastEncoder, given: list[str]) -> Any:
        ids = encode(self, given)
        return np.where(ids == ids[0], 5, ids) if len(given) > 1 else ids

    monkeypatch.setattr(FastEncoder, "encode", wrong)
    documents = write_documents(tmp_path / "documents", {"train": {"a": ["Odd one out"] * 600}})
    with pytest.raises(DataError, match=r"00000\.jsonl\.zst: line 1: .*encoder=huggingface"):
        convert(documents, line / "tokenizer", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert convert(documents, line / "tokenizer", tmp_path / "out", "encoder=huggingface")


def test_an_end_of_text_token_that_texts_give_is_refused(line: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    shutil.copytree(line / "tokenizer", folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["eos_token"] = "."
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    documents = write_documents(tmp_path / "documents", {"train": {"a": ["One. Two."] * 100}})
    with pytest.raises(DataError, match="lines 1 to 100: 100 documents have 300 end-of-text tokens"):
        convert(documents, folder, tmp_path / "out")


def test_a_disk_that_cannot_hold_the_shards_is_refused_beforehand(
    line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = write_documents(tmp_path / "documents", {"train": {"a": texts(2_000)}})
    out = tmp_path / "out"
    made = convert(documents, line / "tokenizer", out)
    said = re.search(r"about ([\d.]+)k tokens", capsys.readouterr().out)
    tokens = read_manifest(out, "convert_text_to_mds").facts["splits"]["train"]["a"]["tokens"]
    assert said and abs(float(said[1]) * 1000 / tokens - 1) < 0.05
    shutil.rmtree(out)
    needed = 2 * tokens + sum(len(bytes) for name, bytes in made.items() if name.endswith(".zstd"))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Free(int(0.8 * needed)))
    with pytest.raises(DataError, match=r"only .* GB are free at"):
        convert(documents, line / "tokenizer", out)
    assert [path.name for path in tmp_path.iterdir()] == ["documents"]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Free(int(1.2 * needed)))
    assert convert(documents, line / "tokenizer", out) == made


class Free(NamedTuple):
    free: int


def test_documents_that_are_not_as_their_manifest_says_are_refused(line: Path, tmp_path: Path) -> None:
    documents = write_documents(tmp_path / "documents", {"train": {"a": texts(100)}})
    path = documents / "train/a/00000.jsonl.zst"
    lines = zstd.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(zstd.compress(b"".join(lines[1:])))
    with pytest.raises(DataError, match="holds 99 documents, but its manifest says 100"):
        convert(documents, line / "tokenizer", tmp_path / "out")
    for damage, message in ((b'{"id": 1}\n', "line 100 is not a document"), (b'{"text": 5}\n', "text is 5")):
        path.write_bytes(zstd.compress(b"".join([*lines[1:], damage])))
        with pytest.raises(DataError, match=message):
            convert(documents, line / "tokenizer", tmp_path / "out")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="truncated"):
        convert(documents, line / "tokenizer", tmp_path / "out")


def test_shards_of_another_tokenizer_are_refused(line: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(line / "tokenizer", other)
    changed = json.loads((other / "tokenizer.json").read_text())
    changed["model"]["merges"].reverse()
    (other / "tokenizer.json").write_text(json.dumps(changed))
    with pytest.raises(DataError, match="made with the tokenizer"):
        read_shards(line / "shards", other)


def test_too_little_text_and_unknown_sources_are_refused(line: Path, tmp_path: Path) -> None:
    given = [f"documents={line}/documents", f"tokenizer={line}/tokenizer", f"out={tmp_path}/out"]
    convert = ("convert_text_to_mds", "yamls/quickstart/shards.yaml", *given)
    refused(recipe(*convert, "sequence_length=1_000_000"), "less than one row of 1000000")
    refused(recipe(*convert, "sources=[pubmed-abstract]"), "did you mean pubmed-abstracts?")
    refused(recipe(*convert, f"documents={tmp_path}"), "not a finished output")
    assert not (tmp_path / "out").exists()
