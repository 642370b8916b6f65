"""The line over folders of an object store: an S3 server on this machine."""

from pathlib import Path

import pytest
from launch import composer, done, recipe, refused, rows, train_arguments

from medlm_recipes.errors import DataError
from medlm_recipes.remote import RemoteFolder, local_copy, local_place


def content(folder: Path) -> dict[str, bytes]:
    """Every file but what streaming decompresses beside the shards that it reads."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock" and path.suffix != ".mds"
    }


def put(folder: Path, url: str) -> None:
    remote = RemoteFolder(url)
    for name in content(folder):
        remote.put(folder / name, name)


def test_from_remote_xml_to_a_run_on_remote_shards(
    line: Path, one_rank: Path, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a"))
    for made in ("world/pubmed", "tokenizer"):
        put(line / made, f"{bucket}/{made}")
    prepare = ["prepare_corpus", "yamls/quickstart/corpus.yaml", f"inputs={bucket}/world/pubmed"]
    prepare += [f"out={bucket}/documents", "validation_fraction=0.1"]
    done(recipe(*prepare))
    convert = ["convert_text_to_mds", "yamls/quickstart/shards.yaml", f"documents={bucket}/documents"]
    convert += [f"tokenizer={bucket}/tokenizer", f"out={bucket}/shards"]
    done(recipe(*convert))
    assert content(local_copy(f"{bucket}/shards")) == content(line / "shards")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))  # as on another machine
    assert "nothing to do" in done(recipe(*convert)).stdout
    refused(recipe(*convert, "shard_bytes=100_000"), "already made from another config", "shard_bytes")
    remote = [f"shards={bucket}/shards", f"tokenizer={bucket}/shards/tokenizer"]
    run = tmp_path / "run"
    done(composer(1, "train", *train_arguments(line, run, "parallel.fsdp=false", "model.loss=plain", *remote)))
    for split in ("train", "validation"):
        assert rows(run, split) == rows(one_rank, split)


def test_copies_follow_the_store_and_never_leave_their_folder(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"{bucket}/x"
    given = tmp_path / "given"
    given.write_text("one")
    remote = RemoteFolder(url)
    remote.put(given, "deep/file.txt")
    remote.put(given, "manifest.json")
    assert local_copy(url) == local_place(url) == tmp_path / "cache/medlm-recipes/s3/runs/x"
    given.write_text("two")
    remote.put(given, "manifest.json")
    given.write_text("longer")
    remote.put(given, "deep/file.txt")
    assert {name: text.decode() for name, text in content(local_copy(url)).items()} == {
        "deep/file.txt": "longer",
        "manifest.json": "two",
    }
    remote._store.upload_object("x/../../outside", str(given))
    with pytest.raises(DataError, match="would leave the folder"):
        local_copy(url)
    with pytest.raises(DataError, match="no such files"):
        local_copy(f"{bucket}/nothing")
