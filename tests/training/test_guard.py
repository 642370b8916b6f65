"""The divergence guard in real launches on two ranks, whose loss breaks on some data (poisoned.py)."""

import json
import shutil
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from launch import STEP_TOKENS, STEPS, composer, composer_script, done, refused, rows, train_arguments

from medlm_recipes.callbacks.events import read_events
from medlm_recipes.manifest import read_manifest

NAN, SPIKE, UPHILL = "nan", 1000, -3
WINDOW = [[24, 27, 1, NAN]]  # four steps of data that break rank 1 alone
BUDGETS = f"budgets=[{10 * STEP_TOKENS}tok,{20 * STEP_TOKENS}tok,{30 * STEP_TOKENS}tok]"
GUARD = ["guard.warmup=8", "guard.window=16", "guard.patience=2", "guard.rollback_margin=2"]


def launch(line: Path, run: Path, poison: list[list[Any]], *overrides: str) -> CompletedProcess[str]:
    arguments = train_arguments(line, run, *GUARD, *overrides)
    return composer_script(2, "tests/training/poisoned.py", json.dumps(poison), *arguments)


def final_loss(run: Path) -> float:
    last = rows(run, "validation")[-1]
    assert last["step"] == STEPS
    return last["loss"]


def test_what_breaks_one_rank_once_is_skipped_by_all(trained: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done(launch(line, run, [[25, 25, 1, NAN], [30, 30, 0, SPIKE]]))
    first, second = read_events(run)
    assert (first["step"], first["kind"], first["policy"]) == (25, "non_finite", "skip_update")
    assert first["tokens"] == 25 * STEP_TOKENS and first["gradient_norm"] is None
    assert first["loss_mean"][1] is None and first["loss_mean"][0] == pytest.approx(rows(run)[23]["loss"], abs=0.2)
    assert [len(samples) for samples in first["samples"]] == [8, 8]
    assert first["samples"][0][0].startswith("pubmed-abstracts:")
    assert (second["step"], second["kind"], second["policy"]) == (30, "loss_spike", "skip_update")
    assert max(second["loss_mean"]) == second["loss_mean"][0] > 1000 > second["threshold"] > second["loss_mean"][1]
    assert [row["step"] for row in rows(run)] == list(range(1, STEPS + 1))
    assert rows(run)[:24] == rows(trained)[:24]
    assert [row["lr"] for row in rows(run)] == [row["lr"] for row in rows(trained)]  # the clock went on
    assert final_loss(run) == pytest.approx(final_loss(trained), abs=0.05)
    assert not read_events(trained)


@pytest.fixture(scope="module")
def rolled_back(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("guard") / "run"
    answer = done(launch(line, run, WINDOW, BUDGETS, "guard.rollback_lr_factor=0.9"))
    assert "passing over batches 21 to 26 of pass 1; learning rate x 0.9" in answer.stdout
    return run


def test_a_poisoned_window_is_passed_over(trained: Path, rolled_back: Path) -> None:
    events = [(event["step"], event["kind"], event.get("policy")) for event in read_events(rolled_back)]
    bad = [(24, "non_finite", "skip_update"), (25, "non_finite", "rollback")]
    assert events == [*bad, (25, "rolled_back", None)]
    taken = rows(rolled_back)
    assert [row["step"] for row in taken] == list(range(1, STEPS + 1))
    assert all(row["loss"] is not None for row in taken)
    assert taken[:20] == rows(trained)[:20]  # and the 21st is trained on again, with less lr after it
    assert taken[20]["loss"] == rows(trained)[20]["loss"]
    assert [row["lr"] for row in taken[20:]] == pytest.approx([0.9 * row["lr"] for row in rows(trained)[20:]])
    assert final_loss(rolled_back) == pytest.approx(final_loss(trained), abs=0.1)
    kept = read_manifest(rolled_back / "checkpoints" / f"tok{30 * STEP_TOKENS}", "train").facts["rollbacks"]
    assert kept == json.loads((rolled_back / "rollbacks.json").read_text())


def test_a_rolled_back_run_is_resumed_bit_for_bit(rolled_back: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(rolled_back, run)
    shutil.rmtree(run / "checkpoints" / f"tok{STEPS * STEP_TOKENS}")
    (run / "manifest.json").unlink()
    again = done(composer(2, "train", *train_arguments(line, run, *GUARD, BUDGETS)))
    assert f"resuming from {run}/checkpoints/tok{30 * STEP_TOKENS}" in again.stdout
    assert (run / "metrics.jsonl").read_text() == (rolled_back / "metrics.jsonl").read_text()


def test_without_the_guard_the_same_data_ruins_the_run(line: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done(launch(line, run, WINDOW, "guard.enabled=false"))
    losses = [row["loss"] for row in rows(run)]
    assert None not in losses[:23] and set(losses[23:]) == {None}
    assert rows(run, "validation")[-1]["loss"] is None
    assert not (run / "events.jsonl").exists()


def test_a_rise_of_perplexity_goes_back_and_trouble_after_the_last_rollback_stops(line: Path, tmp_path: Path) -> None:
    """Steps 11 to 20 climb the loss; what comes of it stands past that, and then breaks for good."""
    run = tmp_path / "run"
    poison = [[11, 20, 0, UPHILL], [11, 20, 1, UPHILL], [43, 44, 0, NAN]]
    rise = ["guard.rising_perplexity=rollback", "guard.rising_validations=1", "guard.rollback_margin=0"]
    answer = launch(line, run, poison, BUDGETS, *rise, "guard.max_rollbacks=1")
    refused(answer, "stopped training at step 34", "non_finite", "rank 0", "guard.max_rollbacks 1", "events.jsonl")
    events = [(event["step"], event["kind"], event.get("policy")) for event in read_events(run)]
    assert events == [
        (20, "rising_perplexity", "rollback"),
        (20, "rolled_back", None),
        (33, "non_finite", "skip_update"),
        (34, "non_finite", "stop"),
    ]
    assert read_events(run)[1]["passed_over"] == [{"epoch": 0, "begin": 10, "end": 20}]
    saved = {path.name for path in (run / "checkpoints").iterdir()}
    assert saved == {f"tok{steps * STEP_TOKENS}" for steps in (10, 20, 30)}
    losses = [row["loss"] for row in rows(run, "validation")]
    assert len(losses) == 3 and losses == sorted(losses, reverse=True)
