"""fetch_corpus on a hub: one commit, verified by git's and LFS's hashes, and a token that stays secret."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fetch_server import SHORT, Fault, Fetch, Server, serving
from launch import ROOT

from medlm_recipes.errors import ConfigError, DataError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DATASET = "epfl-llm/guidelines"
FILES = {
    "README.md": b"# Guidelines\n",
    "open guidelines.jsonl": b'{"text": "x"}\n' * 1000,
    "data/train.jsonl": b"y" * 50_000,
    "manifest.json": b"{}",
}


def put_dataset(server: Server, files: dict[str, bytes] = FILES, revision: str = "main") -> None:
    siblings = []
    for name, content in files.items():
        path = f"/datasets/{DATASET}/resolve/{COMMIT}/{name.replace(' ', '%20')}"
        server.put(path, content)
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        one: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
        if name.endswith(".jsonl"):
            one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        siblings.append(one)
    info = {"id": DATASET, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}
    server.put(f"/api/datasets/{DATASET}/revision/{revision}", json.dumps(info).encode())


@pytest.fixture
def hub(server: Server) -> Server:
    put_dataset(server)
    return server


def test_files_of_a_commit(hub: Server, tmp_path: Path, fetch: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    large = f"/datasets/{DATASET}/resolve/{COMMIT}/data/train.jsonl"
    hub.faults[large] = [Fault(drop_after=20_000), Fault(body=b"z" * 50_000)]
    hub.faults[f"/datasets/{DATASET}/resolve/{COMMIT}/README.md"] = [Fault(body=b"# guidelines\n")]
    hub.faults[f"/api/datasets/{DATASET}/revision/main"] = [Fault(status=503)]
    facts = fetch("hub", hub.url, tmp_path)
    assert facts["commit"] == COMMIT and facts["files"] == 3
    assert facts["filled_from"] == {"source": "hub", "dataset": DATASET}
    for name in ("README.md", "open guidelines.jsonl", "data/train.jsonl"):
        assert (tmp_path / "dataset" / name).read_bytes() == FILES[name]
    hub.forget()
    capsys.readouterr()
    fetch("hub", hub.url, tmp_path, "hub.files=['*']")
    assert [path for path, _ in hub.asked if "resolve" in path] == [
        f"/datasets/{DATASET}/resolve/{COMMIT}/manifest.json"
    ]
    assert "1 files fetched, 3 kept" in capsys.readouterr().out
    with pytest.raises(
        DataError, match=r"filled from source hub, dataset epfl-llm/guidelines, not .* dataset other/one"
    ):
        fetch("hub", hub.url, tmp_path, "hub.dataset=other/one")


def test_a_token_goes_to_the_hub_alone(hub: Server, tmp_path: Path) -> None:
    with serving() as store:
        store.files["/blob"] = FILES["data/train.jsonl"]
        path = f"/datasets/{DATASET}/resolve/{COMMIT}/data/train.jsonl"
        hub.faults[path] = [
            Fault(status=302, headers={"Location": f"http://localhost:{store.url.split(':')[2]}/blob?sig=1"})
        ]
        hub.faults[f"/datasets/{DATASET}/resolve/{COMMIT}/README.md"] = [Fault(status=401)] * 9
        command = [sys.executable, "recipes/fetch_corpus.py", "yamls/fetch/hub.yaml", f"out={tmp_path}", *SHORT]
        token = "hf_" + "s3cret" * 6
        environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HOME": str(tmp_path / "home")}
        environment |= {"HF_HUB_DISABLE_TELEMETRY": "1"}
        ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert ended.returncode == 2 and "README.md: 401" in ended.stderr, ended.stderr
        assert {one.get("authorization", one.get("Authorization")) for one in hub.headers} == {f"Bearer {token}"}
        assert store.times("/blob") == 1 and not any("uthorization" in name for one in store.headers for name in one)
        assert (tmp_path / "dataset/data/train.jsonl").read_bytes() == FILES["data/train.jsonl"]
    assert "s3cret" not in ended.stdout + ended.stderr
    assert not any(b"s3cret" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_names_that_would_leave_the_folder_are_refused(server: Server, tmp_path: Path, fetch: Fetch) -> None:
    for name in ("../evil.jsonl", "/etc/evil.jsonl", "a/../../evil.jsonl", "a\\evil.jsonl", "a\nb.jsonl", "a//b.jsonl"):
        put_dataset(server, {name: b"x"})
        with pytest.raises(DataError, match="no path inside a folder"):
            fetch("hub", server.url, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_the_hub_has_not(hub: Server, tmp_path: Path, fetch: Fetch) -> None:
    for overrides, words in (
        (["hub.revision=v9"], "404 for dataset epfl-llm/guidelines at revision v9.*HF_TOKEN"),
        (["hub.files=['*.parquet']"], f"of its 4 files at {COMMIT} none matches hub.files"),
    ):
        with pytest.raises(DataError, match=words):
            fetch("hub", hub.url, tmp_path, *overrides)
    with pytest.raises(ConfigError, match=r"hub\.dataset"):
        fetch("hub", hub.url, tmp_path, "hub.dataset=a/b/c")
    with pytest.raises(DataError, match="given up after 3 tries"):
        fetch("hub", "http://127.0.0.1:9", tmp_path)
