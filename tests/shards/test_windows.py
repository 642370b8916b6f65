"""The order in which a dataset with windows deals its samples, in processes of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from launch import ROOT

Batches = list[list[int]]


def order(line: Path, windows: list[list[int | None]], *, taken: int = 0, workers: int = 0) -> list[Batches]:
    """Two passes, the first after `taken` batches."""
    request = json.dumps({"windows": windows, "taken": taken, "workers": workers, "passes": 2})
    command = [sys.executable, "tests/shards/order.py", f"{line}/shards", "pubmed-abstracts", request]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.thorough
def test_windows_are_passed_over_wherever_a_run_stands(line: Path) -> None:
    first, second = order(line, [])
    assert first != second
    assert order(line, [[0, 21, 27]]) == [first[:21] + first[27:], second]
    windows: list[list[int | None]] = [[0, 21, 27], [0, 30, 31], [0, 60, None], [1, 0, 3]]
    kept = first[:21] + first[27:30] + first[31:60]
    assert order(line, windows, taken=23) == [kept[23:], second[3:]]
    assert order(line, windows, taken=22, workers=3) == [kept[22:], second[3:]]
