"""Guidelines and general JSONL: fields to documents, and the share of records that a token target keeps."""

import json
from pathlib import Path
from typing import Any

import pytest
from launch import ROOT

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus.document import Document, Reject, Skipped, read_documents
from medlm_recipes.corpus.formats import FORMATS
from medlm_recipes.corpus.inputs import InputFile
from medlm_recipes.corpus.pipeline import prepare_corpus
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import read_manifest

Record = dict[str, Any]


def read(path: Path, form: str, *records: Record, **keys: Any) -> list[Document | Reject | Skipped]:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    config = CorpusConfig(format=form, inputs=[str(path)], out="unused", **keys)
    return list(FORMATS[form].read(InputFile(path, path.name), config, {}))


def reasons(items: list[Document | Reject | Skipped]) -> list[str]:
    return [getattr(item, "reason", "kept") for item in items]


def test_guidelines(tmp_path: Path) -> None:
    record = {
        "id": "a1b2",
        "source": "cdc",
        "title": "  Measles ",
        "clean_text": "# Care\n\nIsolate.",
        "raw_text": "not this",
        "url": "https://cdc.example/m",
        "overview": None,
    }
    items = read(
        tmp_path / "open_guidelines.jsonl",
        "guidelines",
        record,
        {**record, "clean_text": "# Measles\n\nIsolate.", "id": 7},
        {"clean_text": "Only text."},
        {**record, "clean_text": " \n"},
        {**record, "clean_text": None},
        {**record, "id": ["x"]},
    )
    first, headed, bare, *rejects = items
    metadata = {"publisher": "cdc", "title": "Measles", "url": "https://cdc.example/m"}
    assert first == Document("guideline:a1b2", "Measles\n# Care\n\nIsolate.", "guidelines", metadata)
    assert isinstance(headed, Document) and headed.id == "guideline:7" and headed.text == "# Measles\n\nIsolate."
    assert isinstance(bare, Document) and bare.text == "Only text." and len(bare.id) == len("guideline:") + 24
    assert reasons(rejects) == ["no_text", "no_text", "id_not_a_string"]


def test_general_text(tmp_path: Path) -> None:
    items = read(
        tmp_path / "a.jsonl",
        "jsonl",
        {"text": "One.", "meta": {"url": "u", "language": "en"}, "extra": [1]},
        {"text": "One.", "meta": "{'timestamp': 'x'}"},
        {"content": "x"},
        {"text": 3},
        source="replay",
    )
    one, twin, *rejects = items
    assert isinstance(one, Document) and isinstance(twin, Document)
    assert (one.text, one.source, one.metadata) == ("One.", "replay", {"url": "u", "language": "en", "extra": [1]})
    assert one.id == twin.id and one.id.startswith("replay:") and twin.metadata == {"meta": "{'timestamp': 'x'}"}
    assert reasons(rejects) == ["no_text", "text_not_a_string"]


def test_other_fields_hold_text_and_id(tmp_path: Path) -> None:
    records: list[Record] = [{"content": "code", "hash": 12}, {"content": "code"}, {"content": "x", "hash": None}]
    items = read(tmp_path / "a.jsonl", "jsonl", *records, text_key="content", id_key="hash", source="starcoder")
    assert items[0] == Document("starcoder:12", "code", "starcoder", {})
    assert reasons(items[1:]) == ["no_id", "no_id"]


def prepare(out: Path, *arguments: str) -> tuple[Record, list[Document]]:
    config = load_config(CorpusConfig, ROOT / "yamls/corpus/jsonl.yaml", [f"out={out}", *arguments])
    prepare_corpus(config, dry_run=False)
    return read_manifest(out, "prepare_corpus").facts, list(read_documents(out, "train", "replay"))


def test_a_token_target_keeps_a_share_that_nothing_but_the_ids_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.dumps({"text": f"{n:05d} " + "é" * 97}) + "\n" for n in range(4000)]  # 200 bytes each
    for folder, parts in (("a", 2), ("b", 5)):
        (tmp_path / folder).mkdir()
        for part in range(parts):
            (tmp_path / folder / f"{part}.jsonl").write_text("".join(lines[part::parts]))
        (tmp_path / folder / "0.jsonl").open("a").write("no json\n")
    facts, documents = prepare(
        tmp_path / "1", f"inputs={tmp_path / 'a'}", "sample_tokens=20_000tok", "execution.workers=2"
    )
    assert "about 200,000 tokens: sampling 10.0000% of the records" in capsys.readouterr().out
    assert facts["read"] == 4001 and facts["rejected"] == {"not_json": 1}
    assert facts["written"] + facts["skipped"]["not_sampled"] == 4000
    tokens = sum(size["bytes"] for size in facts["splits"]["train"].values()) / 4
    assert 17_000 < tokens < 23_000  # 400 records, standard deviation 19: five of them
    _, again = prepare(tmp_path / "2", f"inputs={tmp_path / 'b'}", "sample_tokens=20_000tok", "execution.workers=1")
    _, by_share = prepare(tmp_path / "3", f"inputs={tmp_path / 'b'}", "sample_fraction=0.1")
    _, other_seed = prepare(tmp_path / "4", f"inputs={tmp_path / 'b'}", "sample_fraction=0.1", "seed=18")
    chosen = {document.id for document in documents}
    assert chosen == {document.id for document in again} == {document.id for document in by_share}
    assert len(chosen & {document.id for document in other_seed}) < 0.3 * len(chosen)
    facts, _ = prepare(tmp_path / "5", f"inputs={tmp_path / 'a'}", "sample_tokens=9_000_000tok")
    assert "all are kept" in capsys.readouterr().out and facts["written"] == 4000


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["sample_tokens=420M"], "write a positive number of tokens with its unit"),
        (
            ["sample_tokens=5tok", "sample_fraction=0.5"],
            "sample_fraction: is for formats jsonl and hub, and not beside",
        ),
        (["sample_fraction=0"], "nothing would be kept"),
        (["format=pile", "sample_tokens=5tok"], "sample_tokens: is for format jsonl, not pile"),
        (["format=hub", "sample_tokens=5tok"], "download hub datasets to sample them"),
        (["format=text", "sample_fraction=0.5"], "sample_fraction: is for formats jsonl and hub"),
        (["id_key=text"], "id_key: is the text_key too"),
        (["markers=gap"], "must be one of gap_replay, none"),
        (["bytes_per_token=0"], "bytes_per_token"),
    ],
)
def test_keys_that_do_not_go_together(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(CorpusConfig, ROOT / "yamls/corpus/jsonl.yaml", ["inputs=x", "out=x", *arguments])
