"""The rows of a run's `metrics.jsonl`, read and mended without Composer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE_NAME = "metrics.jsonl"
SCORED = "evaluation"
"""Split of the rows that hold a benchmark's score instead of a loss."""


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows up to the first line that a kill has cut; none when there is no file."""
    return list(_whole_rows(path)) if path.is_file() else []


def drop_rows_after(path: Path, tokens: int) -> None:
    """Keep the rows up to `tokens`, and no line that a kill has cut."""
    if not path.is_file():
        return
    kept = [json.dumps(row, allow_nan=False) + "\n" for row in _whole_rows(path) if row["tokens"] <= tokens]
    aside = path.with_name(path.name + ".partial")
    aside.write_text("".join(kept))
    aside.replace(path)


def _whole_rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
