"""What a killed or failed prepare_corpus leaves, and that the next run ends as if nothing had been."""

import json
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from launch import ROOT, done, recipe, refused

from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.corpus import pipeline
from medlm_recipes.corpus.writing import Task, write_task
from medlm_recipes.errors import DataError

PILE = ROOT / "yamls/corpus/pile.yaml"


def write_inputs(folder: Path, files: int = 3, documents: int = 400) -> None:
    """Text that zstd cannot make much smaller, so that outputs have some size."""
    folder.mkdir()
    for number in range(files):
        chance = random.Random(number)
        texts = (f"Text {number} {chance.randbytes(150).hex()}" for _ in range(documents))
        lines = (json.dumps({"text": text, "meta": {"pile_set_name": "PubMed Abstracts"}}) for text in texts)
        (folder / f"{number:02}.jsonl").write_text("\n".join(lines) + "\n")


def arguments(inputs: Path, out: Path, *overrides: str) -> list[str]:
    return [f"inputs={inputs}", f"out={out}", "validation_fraction=0.2", *overrides]


def prepare(inputs: Path, out: Path, *overrides: str) -> dict[str, bytes]:
    """Every file of the prepared corpus, made in this process."""
    given = arguments(inputs, out, "execution.workers=1", *overrides)
    pipeline.prepare_corpus(load_config(CorpusConfig, PILE, given), dry_run=False)
    return content(out)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the tasks as they are run, in this process."""
    numbers: list[int] = []

    def counted(task: Task) -> object:
        numbers.append(task.number)
        return write_task(task)

    monkeypatch.setattr(pipeline, "write_task", counted)
    return numbers


def test_after_one_input_was_mended_the_others_are_not_read_again(tmp_path: Path, seen: list[int]) -> None:
    write_inputs(tmp_path / "in")
    last = tmp_path / "in/02.jsonl"
    whole = last.read_bytes()
    last.write_bytes(whole[:-1] + b"x" * (1 << 12) + b"\n")  # one record that is none: rejected
    (tmp_path / "in/03.jsonl.zst").write_bytes(zstd.compress(whole)[:-10])
    with pytest.raises(DataError, match=r"03\.jsonl\.zst: truncated"):
        prepare(tmp_path / "in", tmp_path / "out")
    assert seen == [0, 1, 2, 3] and (tmp_path / "out.partial/rejected/00002.jsonl").exists()
    assert not (tmp_path / "out").exists()
    last.write_bytes(whole)
    (tmp_path / "in/03.jsonl.zst").unlink()
    resumed = prepare(tmp_path / "in", tmp_path / "out")
    assert seen == [0, 1, 2, 3, 2] and not any(name.startswith("rejected") for name in resumed)
    assert resumed == prepare(tmp_path / "in", tmp_path / "untouched")
    assert not (tmp_path / "out.partial").exists()


def test_another_config_begins_anew(tmp_path: Path, seen: list[int]) -> None:
    write_inputs(tmp_path / "in")
    (tmp_path / "in/03.jsonl.zst").write_bytes(b"no zstd")
    for seed in (17, 18):
        with pytest.raises(DataError, match="damaged"):
            prepare(tmp_path / "in", tmp_path / "out", f"seed={seed}")
    assert seen == [0, 1, 2, 3] * 2
    (tmp_path / "in/03.jsonl.zst").unlink()
    other = prepare(tmp_path / "in", tmp_path / "other", "seed=18")
    assert prepare(tmp_path / "in", tmp_path / "out", "seed=18") == other


_SMALL_DISK = """
mount -t tmpfs -o size=160k none "$1" || exit 77
shift
"$@"; code=$?
ls -A disk > left
mount -o remount,size=50m disk
"$@" > again && cp -a disk/out kept
exit $code
"""


def small_disk(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run it on a file system of 160 KiB, which then grows, and again."""
    (folder / "disk").mkdir()
    words = ["unshare", "-rm", "sh", "-c", f"cd {folder}\n{_SMALL_DISK}", "sh", "disk", *command]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if ended.returncode in (1, 77) and "error: " not in ended.stderr:
        pytest.skip(f"no tmpfs can be mounted here: {ended.stderr.strip()}")
    assert (folder / "left").read_text() == "out.partial\n"
    return ended


def small_files(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run it where no file may exceed 16 KiB, and again where it may."""
    (folder / "disk").mkdir()
    limit = (1 << 14, resource.RLIM_INFINITY)
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert [path.name for path in (folder / "disk").iterdir()] == ["out.partial"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(folder / "disk/out", folder / "kept")
    return ended


@pytest.mark.parametrize("limit", [small_disk, small_files])
def test_a_full_disk_is_one_message_and_no_output(
    tmp_path: Path, limit: Callable[[Path, list[str]], subprocess.CompletedProcess[str]]
) -> None:
    write_inputs(tmp_path / "in")
    given = arguments(tmp_path / "in", tmp_path / "disk/out", "execution.workers=2")
    command = [sys.executable, str(ROOT / "recipes/prepare_corpus.py"), str(PILE), *given]
    message = refused(limit(tmp_path, command), "disk/out", "cannot be written", "make room and run the same command")
    assert len(message.splitlines()) == 1
    assert content(tmp_path / "kept") == prepare(tmp_path / "in", tmp_path / "untouched")


def test_workers_end_with_a_killed_parent_and_a_rerun_waits_for_them(tmp_path: Path) -> None:
    write_inputs(tmp_path / "in", files=2, documents=10_000)
    given = [str(PILE), *arguments(tmp_path / "in", tmp_path / "out", "execution.workers=2")]
    process = subprocess.Popen(
        [sys.executable, "recipes/prepare_corpus.py", *given], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    until = time.monotonic() + 20
    while not list(tmp_path.glob("out.partial/train/*/*")) and time.monotonic() < until:
        time.sleep(0.005)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) == 2
    process.kill()
    process.wait()
    again = done(recipe("prepare_corpus", *given))
    assert not any(map(runs, workers))
    assert "written 20,000" in again.stdout and not (tmp_path / "out.partial").exists()


def runs(process: str) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"  # Z: ended, and nobody has asked how


def test_random_kills(tmp_path: Path) -> None:
    write_inputs(tmp_path / "in", files=4, documents=2_000)
    kills = [sys.executable, "benchmarks/kills.py", "2", "3", "--inputs", str(tmp_path / "in"), "--format", "pile"]
    told = done(subprocess.run(kills, cwd=ROOT, capture_output=True, text=True)).stdout
    assert "2 of 2 ended byte-identical" in told
