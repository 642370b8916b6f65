"""The train verb as it is launched: real Trainer, FSDP2 over two CPU ranks, real shards and checkpoints."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
import yaml
from launch import STEP_TOKENS, STEPS, composer, composer_command, done, recipe, refused, start
from launch import train_arguments as arguments

from medlm_recipes.callbacks.perplexity import drop_rows_after, read_rows
from medlm_recipes.errors import DataError
from medlm_recipes.manifest import read_manifest


def train_rows(run: Path) -> list[dict[str, float]]:
    return [row for row in read_rows(run / "metrics.jsonl") if row["split"] == "train"]


def test_a_run_leaves_what_the_next_stages_need(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= {
        "config.yaml",
        "tokenizer",
        "checkpoints",
        "metrics.jsonl",
        "perplexity.png",
        "manifest.json",
    }
    for steps in (10, 20, STEPS):
        checkpoint = trained / "checkpoints" / f"tok{steps * STEP_TOKENS}"
        facts = read_manifest(checkpoint, "train").facts
        assert (facts["tokens"], facts["steps"]) == (steps * STEP_TOKENS, steps)
        assert {"__0_0.distcp", "__1_0.distcp", ".metadata"} <= facts["files"].keys()
    assert read_manifest(trained, "train").facts["checkpoint"] == f"checkpoints/tok{STEPS * STEP_TOKENS}"
    validation = [row for row in read_rows(trained / "metrics.jsonl") if row["split"] == "validation"]
    assert [row["step"] for row in validation] == [10, 20, STEPS]
    assert validation[-1]["loss"] < validation[0]["loss"] and 0 < validation[-1]["bits_per_byte"] < 8


def test_the_first_loss_is_that_of_guessing(trained: Path) -> None:
    import math

    assert train_rows(trained)[0]["loss"] == pytest.approx(math.log(800), abs=0.1)


def test_the_learning_rate_follows_the_cosine(trained: Path) -> None:
    rates = [row["lr"] for row in train_rows(trained)]
    assert max(rates) == pytest.approx(2e-3, rel=0.01)
    assert rates[-1] == pytest.approx(2e-4, rel=0.05) and rates[0] < rates[2] < rates[3]


def test_fsdp2_on_trained_equals_one_rank_without_fsdp(trained: Path, line: Path, tmp_path: Path) -> None:
    """Loss and gradient norm, clipping at work, chunked loss against plain: what is averaged wrongly, clipped by
    nobody or gathered too late would part here.
    """
    one = tmp_path / "one"
    done(composer(1, "train", *arguments(line, one, "parallel.fsdp=false", "model.loss=plain")))
    pairs = list(zip(train_rows(one), train_rows(trained), strict=True))
    assert len(pairs) == STEPS
    assert max(abs(a["loss"] - b["loss"]) for a, b in pairs[:20]) < 1e-5
    assert all(a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4) for a, b in pairs[:20])
    assert max(row["gradient_norm"] for row in train_rows(one)) > 0.3  # so clipping was at work


def test_a_killed_run_ends_like_an_uninterrupted_one(trained: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    command = composer_command(2, "train", *arguments(line, run))
    launch = start(command, tmp_path / "log")
    deadline = time.monotonic() + 120
    while len(train_rows(run)) < 13 and launch.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(launch.pid, signal.SIGKILL)
    launch.wait()
    reached = len(train_rows(run))
    assert 13 <= reached < STEPS, (tmp_path / "log").read_text()
    again = done(composer(2, "train", *arguments(line, run)))
    assert "resuming from" in again.stdout
    assert (run / "metrics.jsonl").read_text() == (trained / "metrics.jsonl").read_text()


def test_a_finished_run_is_not_trained_again_and_another_recipe_is_refused(trained: Path, line: Path) -> None:
    before = (trained / "metrics.jsonl").read_bytes()
    assert "nothing to do" in done(recipe("train", *arguments(line, trained))).stdout
    message = refused(recipe("train", *arguments(line, trained, "optimizer.lr=1e-3")), "another recipe")
    assert "optimizer.lr: 0.002, now 0.001" in message
    assert (trained / "metrics.jsonl").read_bytes() == before


def test_the_newest_whole_checkpoint_is_found_and_damage_is_named(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from medlm_recipes.training.checkpoints import newest_checkpoint

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    last, middle, first = (run / "checkpoints" / f"tok{steps * STEP_TOKENS}" for steps in (STEPS, 20, 10))
    assert newest_checkpoint(run) == last
    (last / "manifest.json").unlink()
    assert newest_checkpoint(run) == middle and "interrupted while it was saved" in capsys.readouterr().out
    with open(middle / "__1_0.distcp", "r+b") as stream:
        stream.truncate(100)
    assert newest_checkpoint(run) == first and "__1_0.distcp" in capsys.readouterr().out
    (first / ".metadata").unlink()
    with pytest.raises(DataError, match="every checkpoint is damaged"):
        newest_checkpoint(run)


def test_dry_run_prints_the_derived_numbers_and_writes_nothing(line: Path, tmp_path: Path) -> None:
    answer = done(recipe("train", *arguments(line, tmp_path / "run"), "--dry-run"))
    for words in ("parameters", "2,048 tokens a step", "40 steps", f"tok{20 * STEP_TOKENS}", "passes"):
        assert words in answer.stdout
    assert not list(tmp_path.iterdir())


def test_what_the_user_can_mend_is_one_message_from_trained(line: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(line / "tokenizer", other)
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + "\n")
    run = arguments(line, tmp_path / "run", f"tokenizer={other}")
    answer = composer(2, "train", *run)
    refused(answer, "were made with the tokenizer")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["shards=nowhere"], "nowhere: no such folder"),
        (["global_batch=100_000", "parallel.micro_batch=1"], "holds only"),
        (["run=yamls"], "not a run of this package"),
    ],
)
def test_impossible_runs_are_refused(line: Path, tmp_path: Path, overrides: list[str], words: str) -> None:
    refused(recipe("train", *arguments(line, tmp_path / "run", *overrides)), words)
    assert not (tmp_path / "run").exists()


def test_the_resolved_config_launches_the_same_run_again(trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["optimizer"]["eps"] == 1e-8 and config["model"]["n_embd"] == 32
    assert "nothing to do" in done(recipe("train", trained / "config.yaml")).stdout


def test_rows_past_a_checkpoint_and_cut_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"tokens": tokens}) for tokens in (1, 2, 3)]
    path.write_text("\n".join(rows) + '\n{"tok')
    drop_rows_after(path, 2)
    assert read_rows(path) == [{"tokens": 1}, {"tokens": 2}]
