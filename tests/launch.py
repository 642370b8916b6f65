"""How tests run the recipes: as a user does, in a process of their own unless that is not the question."""

import io
import os
import runpy
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

from medlm_recipes.callbacks.metrics import read_rows

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"  # real samples; a checkout has them beside it, a user may not


def _environment() -> dict[str, str]:
    own_servers = {"NO_PROXY": "127.0.0.1,localhost"}
    return {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "true", **own_servers}


STEPS = 40
STEP_TOKENS = 16 * 128


def train_arguments(line: Path, run: Path, *overrides: str) -> list[str]:
    """A run of 40 steps of a 60,000-parameter model on the tiny line, checkpoints at steps 10, 20 and 40."""
    return [
        "yamls/quickstart/train.yaml",
        f"run={run}",
        f"shards={line}/shards",
        f"tokenizer={line}/tokenizer",
        "model.n_layer=2",
        "model.n_embd=32",
        "global_batch=16",
        "parallel.micro_batch=4",
        "optimizer.lr=2e-3",
        "optimizer.max_grad_norm=0.3",
        "scheduler.warmup=8_000tok",
        f"max_duration={STEPS * STEP_TOKENS}tok",
        f"budgets=[{10 * STEP_TOKENS}tok,{20 * STEP_TOKENS}tok]",
        "log_interval=1",
        *overrides,
    ]


def rows(run: Path, split: str = "train") -> list[dict[str, Any]]:
    """Rows of metrics.jsonl: of training, or of validation on the tiny line's own stream."""
    own = {"train": "all", "validation": "pubmed-abstracts"}[split]
    return [row for row in read_rows(run / "metrics.jsonl") if (row["split"], row["source"]) == (split, own)]


def recipe(verb: str, *arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """`python recipes/<verb>.py <arguments>` from the repository's root."""
    return _run([sys.executable, f"recipes/{verb}.py", *map(str, arguments)], timeout)


def verb(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """As `recipe`, but in this process, which has the stack imported: seconds less for a question of a moment."""
    script = ROOT / f"recipes/{name}.py"
    command = [str(script), *map(str, arguments)]
    out, errors, code = io.StringIO(), io.StringIO(), 0
    with chdir(ROOT), mock.patch.object(sys, "argv", command), redirect_stdout(out), redirect_stderr(errors):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as leaving:
            assert isinstance(leaving.code, int)
            code = leaving.code
    return subprocess.CompletedProcess(command, code, out.getvalue(), errors.getvalue())


def composer_command(ranks: int, verb: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "composer.cli", "-n", str(ranks), f"recipes/{verb}.py", *map(str, arguments)]


def composer(ranks: int, verb: str, *arguments: str | Path, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    """`composer -n <ranks> recipes/<verb>.py <arguments>` from the repository's root."""
    return _run(composer_command(ranks, verb, *arguments), timeout)


def composer_script(ranks: int, script: str, *arguments: str, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    """As `composer`, of a script of the tests."""
    return _run([sys.executable, "-m", "composer.cli", "-n", str(ranks), script, *arguments], timeout)


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A launch in a session of its own, so that a test can kill all of it at once."""
    with open(log, "wb") as stream:
        return subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )


def _run(command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, timeout=timeout)


def done(run: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The finished run, which must have succeeded."""
    assert run.returncode == 0, f"{run.args}\n{run.stdout}\n{run.stderr}"
    return run


def refused(run: subprocess.CompletedProcess[str], *words: str) -> str:
    """The one message of a run that must have refused its input: exit code 2, no traceback."""
    assert run.returncode == 2, f"exit code {run.returncode}\n{run.stdout}\n{run.stderr}"
    assert "Traceback" not in run.stdout + run.stderr
    messages = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1, run.stderr
    message = run.stderr[run.stderr.index("error: ") :]
    for word in words:
        assert word in message, f"{word!r} is not in: {message}"
    return message
