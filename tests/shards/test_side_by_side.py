"""Two launches on one machine, which share streaming's names."""

import sys
from pathlib import Path

import pytest
from launch import start


@pytest.mark.thorough
def test_launches_open_shards_at_the_same_time(line: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "composer.cli", "-n", "2", "tests/shards/opening.py"]
    command += [f"{line}/shards", "pubmed-abstracts", "20"]
    logs = [tmp_path / "a", tmp_path / "b"]
    launches = [start(command, log) for log in logs]
    codes = [launch.wait(300) for launch in launches]
    assert codes == [0, 0], "\n".join(log.read_text() for log in logs)
