"""A run's `events.jsonl`: what happened to it beside training; rows are only ever added."""

import json
import math
from pathlib import Path
from typing import Any

FILE_NAME = "events.jsonl"


def append_event(run: Path, row: dict[str, Any]) -> None:
    """Add a row; numbers that are not finite become null. One process of a run calls this."""
    with open(run / FILE_NAME, "ab+") as stream:
        # A kill can have cut the last line; the next row must not be joined to it.
        if stream.tell():
            stream.seek(-1, 2)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(json.dumps(_finite(row), allow_nan=False, ensure_ascii=False).encode() + b"\n")


def read_events(run: Path) -> list[dict[str, Any]]:
    """Every row; lines that a kill has cut are left out."""
    path = run / FILE_NAME
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value
