"""Rows of whole documents, and that training has no loss on what fills them up."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from launch import done, recipe, train_arguments
from shards.made import convert, in_small_parts, texts, write_documents
from streaming import StreamingDataset

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.corpus.document import read_documents
from medlm_recipes.manifest import read_manifest
from medlm_recipes.models.building import build_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.models.loss import IGNORED
from medlm_recipes.shards.packing import RowFiller, is_padding
from medlm_recipes.shards.streaming import validation_loader
from medlm_recipes.tokenization.encoding import HuggingFaceEncoder, read_backend

END = 0
LENGTH = 16


def fill(documents: list[list[int]], at_once: int) -> np.ndarray:
    filler = RowFiller(LENGTH, END)
    rows: list[np.ndarray] = []
    for start in range(0, len(documents), at_once):
        rows += filler.rows(np.concatenate([np.array(one) for one in documents[start : start + at_once]]))
    return np.array([*rows, *filler.rest()])


def numbered(sizes: list[int]) -> list[list[int]]:
    """Documents of so many tokens and an end, no token of which is any other document's."""
    firsts = np.cumsum([1, *sizes])
    return [[*range(first, first + size), END] for first, size in zip(firsts, sizes, strict=False)]


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.one_of(st.integers(0, 12), st.integers(0, 70)), min_size=1, max_size=60),
    at_once=st.integers(1, 9),
)
def test_every_document_is_whole_and_only_filling_is_told_to_be_filling(sizes: list[int], at_once: int) -> None:
    documents = numbered(sizes)
    rows = fill(documents, at_once)
    assert rows.shape[1] == LENGTH
    padding = is_padding(rows, END)
    assert (~padding).sum() == sum(map(len, documents))
    assert (is_padding(torch.tensor(rows), END).numpy() == padding).all()
    kept = [row[~filled].tolist() for row, filled in zip(rows, padding, strict=True)]
    for document in documents:
        whole = (len(document) - 1) // LENGTH * LENGTH
        for piece in [document[start : start + LENGTH] for start in range(0, whole, LENGTH)]:
            assert piece in kept
        assert len(document) == 1 or any(contains(row, document[whole:]) for row in kept)
    assert (fill(documents, 1000) == rows).all()


def contains(row: list[int], piece: list[int]) -> bool:
    return any(row[at : at + len(piece)] == piece for at in range(len(row)))


def test_a_document_is_placed_where_it_leaves_least_room() -> None:
    rows = fill(numbered([9, 11, 3, 4, 15]), 5)  # 10 and 5 tokens, 12 and 4, 16
    ends = [np.flatnonzero(row == END).tolist() for row in rows]
    assert ends == [[11, 15], [15], [9, 14, 15]]


def test_documents_of_the_length_of_abstracts_leave_little_to_fill() -> None:
    sizes = np.random.default_rng(0).lognormal(5.6, 0.5, 5_000).astype(int) + 20  # a median of 290 tokens
    filler = RowFiller(1024, END)
    rows = np.array([*filler.rows(np.concatenate([[*[1] * size, END] for size in sizes])), *filler.rest()])
    assert is_padding(rows, END).mean() < 0.04


@pytest.fixture(scope="module")
def padded(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of two sources, some documents longer than a row."""
    folder = tmp_path_factory.mktemp("padded")
    given = [*texts(200, longest=40), *texts(10, seed=1, longest=300)]
    documents = write_documents(folder / "documents", {"train": {"a": given}, "validation": {"a": texts(90, seed=2)}})
    with pytest.MonkeyPatch.context() as patch:
        in_small_parts(patch)
        one, two = (
            convert(documents, line / "tokenizer", folder / f"by{number}", "packing=pad", f"execution.workers={number}")
            for number in (1, 2)
        )
    assert one == two
    return folder


def test_padded_shards_hold_every_document_and_the_manifest_counts_the_filling(line: Path, padded: Path) -> None:
    backend = read_backend(line / "tokenizer")
    facts = read_manifest(padded / "by1", "convert_text_to_mds").facts
    counts = facts["splits"]["train"]["a"]
    stream = StreamingDataset(local=str(padded / "by1/train/a"), batch_size=1)
    rows = np.array([stream[at]["tokens"] for at in range(stream.num_samples)])
    padding = is_padding(rows, backend.end_of_text)
    assert (facts["packing"], counts["tokens_left_over"]) == ("pad", 0)
    assert (padding.sum(), (~padding).sum()) == (counts["padding"], counts["tokens"])
    assert counts["tokens"] + counts["padding"] == counts["samples"] * 128 == rows.size
    kept = [row[~filled].tolist() for row, filled in zip(rows, padding, strict=True)]
    reference = HuggingFaceEncoder(backend)
    for document in read_documents(padded / "documents", "train", "a"):
        ids = reference.encode([document.text]).tolist()
        pieces = [ids[start : start + 128] for start in range(0, len(ids), 128)]
        assert all(any(contains(row, piece) for row in kept) for piece in pieces), document.id


def test_filling_has_no_label_and_does_not_change_the_loss(padded: Path) -> None:
    facts = read_manifest(padded / "by1", "convert_text_to_mds").facts
    loader = validation_loader(str(padded / "by1"), "a", batch_size=1).dataloader
    batches = [batch for batch in loader if (batch["labels"] == IGNORED).any()]
    labelled = sum(int((batch["labels"] != IGNORED).sum()) for batch in loader)
    assert labelled == facts["splits"]["validation"]["a"]["tokens"] and len(batches) > 3
    keys = ModelKeys(name="gpt2", n_layer=2, n_head=2, n_embd=16)
    model = TrainedCausalLM(build_model(keys, 800, 128, facts["end_of_text"]), keys, facts["end_of_text"]).eval()
    for batch in batches[:3]:
        given = {"input_ids": batch["input_ids"], "labels": batch["labels"]}
        other = given | {"input_ids": torch.where(batch["labels"] == IGNORED, 7, batch["input_ids"])}
        kept = batch["labels"][0] != IGNORED
        short = {name: tensor[:, kept] for name, tensor in given.items()}
        losses = [model(one).loss.item() for one in (given, other, short)]
        assert losses == pytest.approx([losses[0]] * 3, abs=1e-6)


def test_rows_without_filling_keep_every_label(line: Path) -> None:
    loader = validation_loader(f"{line}/shards", "pubmed-abstracts", batch_size=1).dataloader
    assert all(torch.equal(batch["labels"], batch["input_ids"]) for batch in loader)


def test_the_plan_of_a_run_says_how_much_fills_rows_up(line: Path, padded: Path, tmp_path: Path) -> None:
    given = train_arguments(line, tmp_path / "run", f"shards={padded}/by1", "--dry-run")
    assert "fill rows up and have no loss" in done(recipe("train", *given)).stdout
