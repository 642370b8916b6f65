"""Design branch with the real launcher and training: killed in its trunk, and held against a run of its own."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from launch import STEP_TOKENS, done, recipe, start, train_arguments

from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.sweep.plan import plan_sweep

BUDGETS = [20 * STEP_TOKENS, 60 * STEP_TOKENS]


def rows_after(run: Path, tokens: int) -> list[dict[str, Any]]:
    return [row for row in read_rows(run / "metrics.jsonl") if row["tokens"] > tokens]


def processes_of(folder: Path) -> list[str]:
    """Commands that name the folder, but for zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().replace("\0", " ")
        except OSError:
            continue
        if str(folder) in words and path.parent.name != str(os.getpid()):
            found.append(words)
    return found


def wait_until(condition: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_sweep_ends_with_the_losses_of_runs_of_their_own(line: Path, tmp_path: Path) -> None:
    folder = tmp_path / "swept"
    folder.mkdir()
    first, *overrides = train_arguments(line, folder / "unused", "parallel.fsdp=false", "model.dropout=0.1")
    values = {
        "out": f"{folder}/sweep",
        "design": "branch",
        "train": first,
        "train_overrides": overrides,
        "runs": f"{folder}/runs",
        "budgets": [f"{tokens}tok" for tokens in BUDGETS],
    }
    (folder / "sweep.yaml").write_text(yaml.safe_dump(values))
    plan = plan_sweep(load_config(SweepConfig, folder / "sweep.yaml"))
    (series,) = plan.series
    small, large = series.legs

    log = folder / "log"
    killed = start([sys.executable, "recipes/sweep.py", f"{folder}/sweep.yaml"], log)
    wait_until((series.branch_of(small) / "manifest.json").is_file, 300)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    wait_until(lambda: not processes_of(folder), 45)  # launcher and rank have gone with it
    trunk = series.main.folder
    assert not (trunk / "manifest.json").exists(), log.read_text()

    said = done(recipe("sweep", folder / "sweep.yaml", timeout=500)).stdout
    assert f"resuming from {trunk}/checkpoints/tok" in said
    assert (folder / "sweep/report.html").is_file()

    # An uninterrupted run of the same schedule, from the start to the larger budget.
    assert large.cooldown and large.branch_at
    alone = tmp_path / "alone"
    own = [one for one in large.cooldown.overrides if not one.startswith(("start_from=", "run="))]
    done(recipe("train", first, *own, f"run={alone}"))
    assert rows_after(large.run, 0) == rows_after(alone, large.branch_at)
    assert [row["split"] for row in rows_after(large.run, large.tokens - 1)] == ["train", "validation"]
    in_trunk = [row for row in rows_after(trunk, 0) if row["split"] == "train"]
    assert in_trunk == [row for row in rows_after(alone, 0) if row["split"] == "train"][: len(in_trunk)]
    assert rows_after(small.run, small.tokens - 1)[-1]["loss"] > rows_after(large.run, large.tokens - 1)[-1]["loss"]
