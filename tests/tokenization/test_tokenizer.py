import json
import shutil
from pathlib import Path

import pytest
from launch import recipe, refused

from medlm_recipes.config.tokenizer import TokenizerConfig
from medlm_recipes.corpus.compressed import open_output
from medlm_recipes.corpus.document import read_documents
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.tokenization.loading import load_tokenizer, tokenizer_hash
from medlm_recipes.tokenization.terms import report_terms, table
from medlm_recipes.tokenization.training import train_tokenizer


def test_every_document_decodes_to_itself(line: Path) -> None:
    tokenizer = load_tokenizer(line / "tokenizer")
    texts = [document.text for document in read_documents(line / "documents", "validation", "pubmed-abstracts")]
    texts += ["β-catenin ≥ 5 µm\n\ttabs  and  spaces", "日本語", "\x00\u200b", "<|endoftext|>"]
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_the_vocabulary_is_what_was_asked_and_holds_every_byte(line: Path) -> None:
    tokenizer = load_tokenizer(line / "tokenizer")
    assert len(tokenizer) == tokenizer.vocab_size == 800
    assert tokenizer.eos_token == "<|endoftext|>" and tokenizer.model_max_length == 128
    assert tokenizer.encode("x")[:1] != [tokenizer.eos_token_id]


def test_names_of_the_world_are_few_tokens_in_running_text(line: Path) -> None:
    drug = next(iter(json.loads((line / "world/world.json").read_text())["facts"]))
    tokenizer = load_tokenizer(line / "tokenizer")
    drug = drug["drug"] if isinstance(drug, dict) else drug
    assert len(tokenizer.encode(f" {drug}")) <= 2


def test_the_report_counts_pieces_and_held_out_compression(line: Path) -> None:
    report = json.loads((line / "tokenizer/terms.json").read_text())
    assert [row["term"] for row in report["terms"]][:2] == ["chromatography", "cytotoxicity"]
    assert all("".join(row["pieces"]) == row["term"] for row in report["terms"])
    assert 3 < report["held_out"]["bytes_per_token"] < 8


def test_training_again_gives_the_same_tokenizer(line: Path, tmp_path: Path) -> None:
    again = recipe(
        "train_tokenizer",
        "yamls/quickstart/tokenizer.yaml",
        f"documents={line}/documents",
        f"out={tmp_path}/again",
        "vocab_size=800",
        f"reference={line}/tokenizer",
    )
    assert again.returncode == 0, again.stderr
    assert tokenizer_hash(tmp_path / "again") == tokenizer_hash(line / "tokenizer")
    rows = json.loads((tmp_path / "again/terms.json").read_text())["terms"]
    assert all(row["pieces"] == row["reference_pieces"] for row in rows)


def laid_out_otherwise(documents: Path, out: Path) -> Path:
    """The same prepared corpus in other files, in another order."""
    lines = [document.to_line() for document in read_documents(documents, "train", "pubmed-abstracts")]
    shutil.copytree(documents, out, ignore=shutil.ignore_patterns("train"))
    folder = out / "train" / "pubmed-abstracts"
    folder.mkdir(parents=True)
    for number in range(3):
        with open_output(folder / f"{number:05d}.jsonl.zst") as stream:
            stream.writelines(lines[number::3][::-1])
    return out


def test_a_sample_is_as_large_as_asked_and_the_same_however_the_corpus_is_laid_out(line: Path, tmp_path: Path) -> None:
    made = []
    for documents in (line / "documents", laid_out_otherwise(line / "documents", tmp_path / "documents")):
        out = tmp_path / f"out{len(made)}"
        config = TokenizerConfig(documents=str(documents), out=str(out), vocab_size=600, sample_bytes=200_000)
        train_tokenizer(config, False)
        made.append((tokenizer_hash(out), read_manifest(out, "train_tokenizer").facts["trained_on"]))
    assert made[0] == made[1]
    assert made[0][1]["bytes"] == pytest.approx(200_000, rel=0.1)
    whole = read_manifest(line / "tokenizer", "train_tokenizer").facts["trained_on"]
    corpus = read_manifest(line / "documents", "prepare_corpus").facts["splits"]["train"]["pubmed-abstracts"]
    assert whole == {name: corpus[name] for name in ("documents", "bytes")} and whole["bytes"] > 400_000


def test_the_table_sets_terms_and_held_out_text_beside_the_reference() -> None:
    term = {"term": "probiotic", "pieces": ["probiotic"], "reference_pieces": ["", "prob", "iotic"]}
    measured = {"bytes_per_token": 4.5, "tokens_per_word": 1.25}
    report = {"terms": [term], "held_out": measured, "reference_held_out": {**measured, "bytes_per_token": 3.75}}
    assert list(table(report)) == [
        "  term           pieces           tokens  reference pieces  tokens",
        "  probiotic      probiotic             1  ␣/prob/iotic           3",
        "  held-out text  bytes per token    4.50  bytes per token     3.75",
        "  held-out text  tokens per word    1.25  tokens per word     1.25",
    ]
    assert list(table({"terms": [term], "held_out": None})) == [
        "  term       pieces     tokens",
        "  probiotic  probiotic       1",
    ]


def test_pieces_are_those_of_running_text(line: Path) -> None:
    """A name of the world: with its space few tokens; a character that falls into bytes is not lost."""
    config = TokenizerConfig(out="", documents=None, terms=["effective", "β-catenin"])
    effective, catenin = report_terms(config, load_tokenizer(line / "tokenizer"), None)["terms"]
    assert effective["pieces"] == ["effective"] != effective["pieces_at_start"]
    assert catenin["pieces"][:3] == ["Ġ", "Î", "²"]


def test_a_vocabulary_that_the_text_cannot_fill_is_refused(line: Path, tmp_path: Path) -> None:
    arguments = [f"documents={line}/documents", f"out={tmp_path}/out", "vocab_size=30_000"]
    refused(recipe("train_tokenizer", "yamls/quickstart/tokenizer.yaml", *arguments), "vocab_size", "cannot be reached")
    assert not list(tmp_path.iterdir())


def test_dry_run_writes_nothing(line: Path, tmp_path: Path) -> None:
    arguments = [f"documents={line}/documents", f"out={tmp_path}/out", "--dry-run"]
    answer = recipe("train_tokenizer", "yamls/quickstart/tokenizer.yaml", *arguments)
    assert answer.returncode == 0 and "bytes of train text" in answer.stdout and not list(tmp_path.iterdir())


def test_unfit_folders_are_named(line: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_tokenizer(tmp_path)
    damaged = tmp_path / "damaged"
    shutil.copytree(line / "tokenizer", damaged)
    (damaged / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(DataError, match="not a readable tokenizer"):
        load_tokenizer(damaged)
    assert read_manifest(line / "tokenizer", "train_tokenizer").facts["vocab_size"] == 800
