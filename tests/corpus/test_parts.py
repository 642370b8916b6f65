"""Documents of one input in several files."""

import json
from pathlib import Path

import pytest
from launch import ROOT

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus import outputs
from medlm_recipes.corpus.document import document_files, read_documents, read_texts
from medlm_recipes.corpus.pipeline import prepare_corpus
from medlm_recipes.errors import DataError

SOURCE = "pubmed-abstracts"


def write_pile(path: Path, documents: int) -> None:
    texts = (f"Document {number} says: {'β ' * 50}" for number in range(documents))
    records = ({"text": text, "meta": {"pile_set_name": "PubMed Abstracts"}} for text in texts)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def prepare(inputs: Path, out: Path) -> None:
    given = [f"inputs={inputs}", f"out={out}", "validation_fraction=0", "execution.workers=1"]
    prepare_corpus(load_config(CorpusConfig, ROOT / "yamls/corpus/pile.yaml", given), dry_run=False)


def test_parts_follow_each_other_in_the_order_of_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "PART_BYTES", 1 << 10)
    (tmp_path / "in").mkdir()
    write_pile(tmp_path / "in/0.jsonl", 100)
    write_pile(tmp_path / "in/1.jsonl", 3)
    prepare(tmp_path / "in", tmp_path / "out")
    files = document_files(tmp_path / "out", "train", SOURCE)
    assert len(files) > 12 and files[11].name == "00000_0011.jsonl.zst"
    assert [path.name for path in files if not path.name.startswith("00000_")] == ["00000.jsonl.zst", "00001.jsonl.zst"]
    found = [document.text.split()[1] for document in read_documents(tmp_path / "out", "train", SOURCE)]
    assert found == [*map(str, range(100)), "0", "1", "2"]
    assert found == [text.split()[1] for path in files for _, text in read_texts(path)]
    lines = [len(list(read_texts(path))) for path in files]
    assert len(set(lines[:-3])) == 1 and lines[0] > 1


def test_parts_of_an_earlier_run_with_more_documents_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "PART_BYTES", 1 << 10)
    (tmp_path / "in").mkdir()
    write_pile(tmp_path / "in/0.jsonl", 100)
    (tmp_path / "in/1.jsonl.zst").write_bytes(b"no zstd")
    with pytest.raises(DataError, match="damaged"):
        prepare(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out.partial/train" / SOURCE / "00000_0011.jsonl.zst").exists()
    (tmp_path / "in/1.jsonl.zst").unlink()
    write_pile(tmp_path / "in/0.jsonl", 10)
    prepare(tmp_path / "in", tmp_path / "out")
    assert len(list(read_documents(tmp_path / "out", "train", SOURCE))) == 10
