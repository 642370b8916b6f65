import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from launch import recipe, refused
from streaming import StreamingDataset

from medlm_recipes.corpus.document import Document, read_documents
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.shards.conversion import read_shards
from medlm_recipes.shards.packing import PackingCounts, pack, smallest_dtype
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


def test_packing_cuts_the_stream_and_counts_what_is_left(line: Path) -> None:
    tokenizer = load_tokenizer(line / "tokenizer")
    documents = [Document(str(at), "word " * at, "s") for at in range(1, 2_050)]  # more than one tokenizer batch
    counts = PackingCounts()
    rows = list(pack(documents, tokenizer, 100, counts))
    assert counts.documents == 2_049 and counts.samples == len(rows)
    assert counts.tokens == counts.samples * 100 + counts.tokens_left_over and counts.tokens_left_over < 100
    assert (np.concatenate(rows) == tokenizer.eos_token_id).sum() in (2_048, 2_049)


def test_a_text_that_spells_the_end_of_text_does_not_end_the_document(line: Path) -> None:
    tokenizer = load_tokenizer(line / "tokenizer")
    (row,) = pack([Document("1", "a <|endoftext|> b " * 8, "s")], tokenizer, 100, PackingCounts())
    assert tokenizer.eos_token_id not in row


def test_the_smallest_type_holds_the_vocabulary() -> None:
    assert [str(smallest_dtype(size)) for size in (256, 257, 65_536, 65_537)] == ["uint8", "uint16", "uint16", "uint32"]


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
    assert not list(tmp_path.iterdir())
