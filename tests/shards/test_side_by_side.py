"""Launches side by side, which share streaming's names and the shards' folder."""

import os
import sys
from pathlib import Path

import pytest
from backports import zstd
from launch import start

from medlm_recipes.shards.streaming import _stream


@pytest.mark.thorough
def test_launches_open_shards_at_the_same_time(line: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "composer.cli", "-n", "2", "tests/shards/opening.py"]
    command += [f"{line}/shards", "pubmed-abstracts", "20"]
    logs = [tmp_path / "a", tmp_path / "b"]
    launches = [start(command, log) for log in logs]
    codes = [launch.wait(300) for launch in launches]
    assert codes == [0, 0], "\n".join(log.read_text() for log in logs)


def test_launches_unpack_a_shard_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second does so between the first one's write and rename, where streaming has one name for both."""
    packed, shard = tmp_path / "shard.mds.zstd", tmp_path / "shard.mds"
    packed.write_bytes(zstd.compress(b"rows"))
    first, second = (_stream(str(tmp_path), "train", "x", keep_zip=True) for _ in range(2))
    rename = os.rename

    def interrupted(source: str, target: str) -> None:
        monkeypatch.setattr(os, "rename", rename)
        second._decompress_shard_part(None, str(packed), str(shard), "zstd")
        rename(source, target)

    monkeypatch.setattr(os, "rename", interrupted)
    first._decompress_shard_part(None, str(packed), str(shard), "zstd")
    assert shard.read_bytes() == b"rows" and {path.name for path in tmp_path.iterdir()} == {packed.name, shard.name}
