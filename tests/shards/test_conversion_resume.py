"""What a killed or failed conversion leaves, and that the next run ends as if nothing had been."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from launch import ROOT
from shards.made import content, convert, in_small_parts, texts, write_documents

from medlm_recipes.errors import DataError
from medlm_recipes.shards import conversion
from medlm_recipes.shards.mds import ShardTask, write_shard
from medlm_recipes.shards.tokens import EncodeTask, encode_task


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        in_small_parts(patch)
        return write_documents(tmp_path_factory.mktemp("resumed") / "documents", {"train": {"a": texts(900)}})


@pytest.fixture(scope="module")
def untouched(line: Path, documents: Path) -> dict[str, bytes]:
    """Made in one piece: how documents are dealt out to tasks decides nothing."""
    return convert(documents, line / "tokenizer", documents.parent / "untouched", "execution.workers=1")


def start(
    documents: Path, line: Path, out: Path, *overrides: str, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    words = [sys.executable, "tests/shards/made.py", str(documents), f"{line}/tokenizer", str(out), *overrides]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True, preexec_fn=before
    )


def test_killed_in_either_half_it_ends_byte_identical(
    line: Path, documents: Path, untouched: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for phase, finished in (("encode", 1), ("encode", 4), ("write", 1)):
        process = start(documents, line, out, "execution.workers=2")
        until = time.monotonic() + 60
        while len(list(tmp_path.glob(f"out.partial/.tasks/{phase}/completions/*"))) < finished:
            assert process.poll() is None and time.monotonic() < until, process.communicate()
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not out.exists()
    last = start(documents, line, out, "execution.workers=3")
    assert last.wait() == 0, last.communicate()
    assert content(out) == untouched and not (tmp_path / "out.partial").exists()


def test_a_full_disk_is_one_message_and_no_output(
    line: Path, documents: Path, untouched: dict[str, bytes], tmp_path: Path
) -> None:
    """No file may exceed 32 KiB, as shards do."""
    limit = (1 << 15, resource.RLIM_INFINITY)
    process = start(documents, line, tmp_path / "out", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    _, told = process.communicate()
    assert told.startswith("error: ") and "make room and run the same command again" in told and "Trace" not in told
    assert not (tmp_path / "out").exists()
    assert convert(documents, line / "tokenizer", tmp_path / "out") == untouched


@pytest.mark.parametrize("other", ["", "encoder=huggingface", "sequence_length=64"])
def test_finished_tasks_stay_finished_as_long_as_nothing_else_is_asked(
    line: Path,
    documents: Path,
    untouched: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    other: str,
) -> None:
    in_small_parts(monkeypatch)
    seen: list[str] = []

    def counted(task: EncodeTask) -> Any:
        seen.append(task.out.name)
        return encode_task(task)

    def failing(task: ShardTask) -> Any:
        if task.number == 1:
            raise DataError("no more")
        return write_shard(task)

    monkeypatch.setattr(conversion, "encode_task", counted)
    monkeypatch.setattr(conversion, "write_shard", failing)
    arguments = (documents, line / "tokenizer", tmp_path / "out", "execution.workers=1")
    with pytest.raises(DataError, match="no more"):
        convert(*arguments)
    first = list(seen)
    monkeypatch.setattr(conversion, "write_shard", write_shard)
    made = convert(*arguments, *filter(None, [other]))
    assert len(first) > 3 and seen == (first * 2 if other else first)
    assert (made == untouched) == (other != "sequence_length=64")
