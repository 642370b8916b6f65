"""The train verb as it is launched: real Trainer, FSDP2 over two CPU ranks, real shards and checkpoints."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from launch import STEP_TOKENS, STEPS, composer, composer_command, done, recipe, refused, rows, start, verb
from launch import train_arguments as arguments

from medlm_recipes.callbacks.checkpoint_names import tokens_of
from medlm_recipes.callbacks.perplexity import drop_rows_after, read_rows
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.training.resume import choose_start
from medlm_recipes.training.run_folder import damaged_files


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
    validation = rows(trained, "validation")
    assert [row["step"] for row in validation] == [10, 20, STEPS]
    assert validation[-1]["loss"] < validation[0]["loss"] and 0 < validation[-1]["bits_per_byte"] < 8


def test_the_first_loss_is_that_of_guessing(trained: Path) -> None:
    import math

    assert rows(trained)[0]["loss"] == pytest.approx(math.log(800), abs=0.1)


def test_the_learning_rate_follows_the_cosine(trained: Path) -> None:
    rates = [row["lr"] for row in rows(trained)]
    assert max(rates) == pytest.approx(2e-3, rel=0.01)
    assert rates[-1] == pytest.approx(2e-4, rel=0.05) and rates[0] < rates[2] < rates[3]


def test_fsdp2_on_two_ranks_equals_one_rank_without_fsdp(trained: Path, one_rank: Path) -> None:
    """Loss and gradient norm, clipping at work: gradients averaged wrongly or clipped by nobody would part here."""
    pairs = list(zip(rows(one_rank), rows(trained), strict=True))
    assert len(pairs) == STEPS
    assert max(abs(a["loss"] - b["loss"]) for a, b in pairs[:20]) < 1e-5
    assert all(a["gradient_norm"] == pytest.approx(b["gradient_norm"], rel=1e-4) for a, b in pairs[:20])
    assert max(row["gradient_norm"] for row in rows(one_rank)) > 0.3  # so clipping was at work
    ours, theirs = ([row["loss"] for row in rows(run, "validation")] for run in (trained, one_rank))
    assert ours == pytest.approx(theirs, abs=1e-5)  # every validation sample once, on any number of ranks


def test_other_validation_streams_and_loggers_stand_beside_the_runs_own(one_rank: Path) -> None:
    validation = [row for row in read_rows(one_rank / "metrics.jsonl") if row["split"] == "validation"]
    own = [row["loss"] for row in validation if row["source"] == "pubmed-abstracts"]
    assert len(own) == 3 and own == [row["loss"] for row in validation if row["source"] == "shards-pubmed-abstracts"]
    assert list((one_rank / "tensorboard").rglob("events.out.tfevents*"))


def test_a_logger_without_its_package_is_refused_with_the_remedy(tmp_path: Path) -> None:
    from importlib.util import find_spec

    from medlm_recipes.config.train import LoggerKeys
    from medlm_recipes.training.loggers import build_loggers

    if find_spec("wandb"):
        pytest.skip("wandb is installed here")
    with pytest.raises(ConfigError, match=r"wandb is not installed; run pip install -e '\.\[loggers\]'"):
        build_loggers(LoggerKeys(wandb_project="x"), tmp_path)


def midway(line: Path, run: Path, log: Path) -> subprocess.Popen[bytes]:
    """A launch on two ranks that has taken 13 of its steps, with a checkpoint behind it."""
    launch = start(composer_command(2, "train", *arguments(line, run)), log)
    deadline = time.monotonic() + 300
    while len(rows(run)) < 13 and launch.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return launch


def test_a_killed_run_ends_like_an_uninterrupted_one(trained: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "killed"
    launch = midway(line, run, tmp_path / "log")
    os.killpg(launch.pid, signal.SIGKILL)
    launch.wait()
    reached = len(rows(run))
    assert 13 <= reached < STEPS, (tmp_path / "log").read_text()
    again = done(composer(2, "train", *arguments(line, run)))
    assert "resuming from" in again.stdout
    assert (run / "metrics.jsonl").read_text() == (trained / "metrics.jsonl").read_text()


def test_a_finished_run_is_not_trained_again_and_another_recipe_is_refused(trained: Path, line: Path) -> None:
    before = (trained / "metrics.jsonl").read_bytes()
    assert "nothing to do" in done(recipe("train", *arguments(line, trained))).stdout
    message = refused(verb("train", *arguments(line, trained, "optimizer.lr=1e-3")), "another recipe")
    assert "optimizer.lr: 0.002, now 0.001" in message
    assert (trained / "metrics.jsonl").read_bytes() == before


def test_a_checkpoint_without_its_manifest_or_a_whole_file_is_passed_over(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    last, middle, first = (run / "checkpoints" / f"tok{steps * STEP_TOKENS}" for steps in (STEPS, 20, 10))
    assert choose_start(run) == last
    (last / "manifest.json").unlink()
    assert choose_start(run) == middle and str(last) in capsys.readouterr().out
    with open(middle / "__1_0.distcp", "r+b") as stream:
        stream.truncate(100)
    assert choose_start(run) == first
    assert capsys.readouterr().out.count("__1_0.distcp") == 1
    (first / ".metadata").unlink()
    with pytest.raises(DataError, match="every checkpoint is damaged"):
        choose_start(run)


def test_a_flipped_byte_sends_the_run_back_to_the_checkpoint_before(trained: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    last = run / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"
    weights = bytearray((last / "__0_0.distcp").read_bytes())
    weights[len(weights) // 2] ^= 1
    (last / "__0_0.distcp").write_bytes(weights)
    (run / "checkpoints" / "tok1.partial").mkdir()
    assert damaged_files(last) == ["__0_0.distcp"]
    again = done(composer(2, "train", *arguments(line, run)))
    assert "__0_0.distcp changed since it was saved; passed over" in again.stdout
    assert f"resuming from {run / 'checkpoints' / f'tok{20 * STEP_TOKENS}'}" in again.stdout
    assert not damaged_files(last) and not list((run / "checkpoints").glob("*.partial"))
    assert (run / "metrics.jsonl").read_text() == (trained / "metrics.jsonl").read_text()


def test_sigterm_saves_and_leaves_with_its_own_code(trained: Path, line: Path, tmp_path: Path) -> None:
    run = tmp_path / "stopped"
    launch = midway(line, run, tmp_path / "log")
    launch.terminate()  # the launcher alone: it hands the signal on, as a scheduler's would be
    assert launch.wait(30) == 75, (tmp_path / "log").read_text()
    assert "stopped by SIGTERM" in (tmp_path / "log").read_text()
    newest = choose_start(run)
    assert newest
    assert 13 * STEP_TOKENS <= tokens_of(newest) < STEPS * STEP_TOKENS
    assert not (run / "manifest.json").exists()
    assert f"resuming from {newest}" in done(composer(2, "train", *arguments(line, run))).stdout
    assert (run / "metrics.jsonl").read_text() == (trained / "metrics.jsonl").read_text()


def test_dry_run_prints_the_derived_numbers_and_writes_nothing(line: Path, tmp_path: Path) -> None:
    answer = done(verb("train", *arguments(line, tmp_path / "run"), "--dry-run"))
    for words in ("parameters", "2,048 tokens a step", "40 steps", f"tok{20 * STEP_TOKENS}", "passes"):
        assert words in answer.stdout
    assert not list(tmp_path.iterdir())


def test_what_the_user_can_mend_is_one_message_from_two_ranks(line: Path, tmp_path: Path) -> None:
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
    refused(verb("train", *arguments(line, tmp_path / "run", *overrides)), words)
    assert not (tmp_path / "run").exists()


def test_the_resolved_config_launches_the_same_run_again(trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["optimizer"]["eps"] == 1e-8 and config["model"]["n_embd"] == 32
    assert "nothing to do" in done(verb("train", trained / "config.yaml")).stdout


def test_rows_past_a_checkpoint_and_cut_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"tokens": tokens}) for tokens in (1, 2, 3)]
    path.write_text("\n".join(rows) + '\n{"tok')
    drop_rows_after(path, 2)
    assert read_rows(path) == [{"tokens": 1}, {"tokens": 2}]
