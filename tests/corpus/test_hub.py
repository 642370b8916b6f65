"""Hub datasets, from folders such as a download leaves them: nothing of these tests goes online."""

import json
import socket
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launch import ROOT
from pyarrow import parquet

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus import hub
from medlm_recipes.corpus.document import Document, Reject, read_documents
from medlm_recipes.corpus.hub import HubFile, find_hub_files, read_hub
from medlm_recipes.corpus.pipeline import prepare_corpus
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.manifest import read_manifest

pytestmark = pytest.mark.usefixtures("offline")


def json_dataset(folder: Path, files: int = 2, rows: int = 20) -> Path:
    (folder / "data").mkdir(parents=True)
    for number in range(files):
        records = [
            {"id": f"{number}.{row}", "note": f"Note {number} {row} é", "more": {"k": [row]}} for row in range(rows)
        ]
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (folder / "data" / f"train-{number:05d}-of-{files:05d}.jsonl").write_text(lines)
    (folder / "data" / "test-00000-of-00001.jsonl").write_text('{"id": "t", "note": "Test."}\n')
    return folder


def config(*inputs: Path | str, **keys: Any) -> CorpusConfig:
    return CorpusConfig(format="hub", inputs=[str(one) for one in inputs], out="unused", source="notes", **keys)


def test_a_folder_of_json_lines_through_the_whole_stage(tmp_path: Path) -> None:
    folder = json_dataset(tmp_path / "notes-set")
    given = [
        f"inputs=[{folder}]",
        "source=notes",
        "text_key=note",
        "id_key=id",
        "validation_fraction=0",
        "execution.workers=1",
    ]
    keys = load_config(CorpusConfig, ROOT / "yamls/corpus/hub.yaml", [*given, f"out={tmp_path / 'out'}"])
    prepare_corpus(keys, dry_run=True)
    prepare_corpus(keys, dry_run=False)
    documents = list(read_documents(tmp_path / "out", "train", "notes"))
    assert len(documents) == 40
    assert documents[1] == Document("notes:0.1", "Note 0 1 é", "notes", {"more": {"k": [1]}})
    names = sorted(read_manifest(tmp_path / "out", "prepare_corpus").inputs)
    assert names == [f"notes-set/data/train-0000{n}-of-00002.jsonl" for n in range(2)]


def test_a_folder_is_read_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", True)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *host: asked.append(host))
    monkeypatch.setattr(datasets.load, "get_session", lambda: asked.append("session"))
    keys = config(json_dataset(tmp_path / "set"), text_key="note")
    assert sum(1 for file in find_hub_files(keys) for _ in read_hub(file, keys, {})) == 40
    assert not asked


def test_parquet_and_what_json_cannot_hold(tmp_path: Path) -> None:
    rows: dict[str, list[Any]] = {
        "text": ["One.", None, "Three."],
        "day": [date(2020, 1, 2)] * 3,
        "image": [{"bytes": b"\xff", "path": "x"}] * 3,
        "score": [1.5, 2.5, None],
    }
    (tmp_path / "set").mkdir()
    parquet.write_table(pyarrow.table(rows), tmp_path / "set" / "train.parquet")
    [file] = find_hub_files(config(tmp_path / "set"))
    one, none, three = read_hub(file, config(), {})
    assert isinstance(one, Document) and isinstance(three, Document) and isinstance(none, Reject)
    assert json.loads(one.to_line())["metadata"] == {
        "day": "2020-01-02",
        "image": {"bytes": None, "path": "x"},
        "score": 1.5,
    }
    assert (none.record, none.reason) == ("record 2", "no_text")


def test_splits_and_samples(tmp_path: Path) -> None:
    folder = json_dataset(tmp_path / "set", files=1, rows=400)
    [test] = find_hub_files(config(folder, hub_split="test"))
    assert [item.text for item in read_hub(test, config(text_key="note"), {}) if isinstance(item, Document)] == [
        "Test."
    ]
    with pytest.raises(ConfigError, match=r"hub_split: .* has no 'tests'; did you mean test"):
        find_hub_files(config(folder, hub_split="tests"))
    [train] = find_hub_files(config(folder))
    items = list(read_hub(train, config(text_key="note", sample_fraction=0.25), {}))
    assert len(items) == 400 and 60 < sum(isinstance(item, Document) for item in items) < 140


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    script = tmp_path / "script"
    script.mkdir()
    (script / "script.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"x")
    for refused, message in (
        (tmp_path / "empty", "no dataset can be read there"),
        (script, "no dataset can be read there"),
        (pictures, "its files are read as imagefolder; arrow, csv, json, parquet, text can be read here"),
        ("pandas", "neither a folder nor a dataset's id, owner/name"),
        ("nobody/nothing", "inputs: nobody/nothing: no dataset can be read there"),
    ):
        with pytest.raises(DataError, match=message):
            find_hub_files(config(refused))
    assert not (tmp_path / "ran").exists()


def test_a_dataset_may_not_name_files_outside_of_itself(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_text('{"text": "SECRET"}\n')
    for pattern in (str(tmp_path / "secret.jsonl"), "../secret.jsonl"):
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        (folder / "a.jsonl").write_text('{"text": "fine"}\n')
        (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files: {pattern}\n---\n")
        with pytest.raises(DataError, match=r"names the file .*secret\.jsonl, which is not in it"):
            find_hub_files(config(folder))


def test_files_on_the_hub_are_known_by_their_commit() -> None:
    url = "hf://datasets/owner/name@0a1b2c/data/train 1.parquet"
    file = hub._file("owner/name", None, url, "parquet", {})
    assert (file.name, file.digest, file.url) == ("owner/name/data/train 1.parquet", "commit 0a1b2c", url)
    for other in ("hf://datasets/other/name@0a1b2c/x.parquet", "https://example.org/x.parquet", "/etc/passwd"):
        with pytest.raises(DataError, match="which is not in it"):
            hub._file("owner/name", None, other, "parquet", {})


@pytest.mark.parametrize(
    "builder, content",
    [("json", b'{"text": "a"}\n{"text": '), ("parquet", b"PAR1"), ("json", b"\xff\xfe"), ("csv", b'text\n"a')],
)
def test_damaged_files_are_data_errors(tmp_path: Path, builder: str, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set/a: cannot be read after 0 records \(\w+:"):
        list(read_hub(HubFile(path, "set/a", url=str(path), builder=builder), config(), {}))


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=100), builder=st.sampled_from(hub.BUILDERS))
def test_arbitrary_bytes(tmp_path: Path, content: bytes, builder: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with suppress(DataError):
        items = list(read_hub(HubFile(path, "set/a", url=str(path), builder=builder), config(), {}))
        assert all(isinstance(item, Document | Reject) for item in items)
