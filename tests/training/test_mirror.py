"""A run's copy in an object store: an S3 server on this machine, spoken to over the network."""

import shutil
from pathlib import Path

import pytest
from launch import STEP_TOKENS, STEPS, composer, done, refused, train_arguments, verb

from medlm_recipes.callbacks.mirror import Mirror
from medlm_recipes.errors import DataError
from medlm_recipes.remote import RemoteFolder
from medlm_recipes.training.resume import choose_start
from medlm_recipes.training.run_folder import damaged_files


def test_a_launch_elsewhere_goes_on_from_the_newest_sound_copy(
    trained: Path, line: Path, tmp_path: Path, bucket: str
) -> None:
    url, last = f"{bucket}/runs/tiny", f"tok{STEPS * STEP_TOKENS}"
    Mirror(trained, url).catch_up(trained / "checkpoints" / last)
    Mirror(trained, url).catch_up(trained / "checkpoints" / f"tok{20 * STEP_TOKENS}")
    remote = RemoteFolder(url)
    assert {"config.yaml", "metrics.jsonl", f"checkpoints/{last}/manifest.json"} <= set(remote.names())
    remote.put(trained / "config.yaml", f"checkpoints/{last}/__0_0.distcp")  # other bytes under a good manifest

    run = tmp_path / "elsewhere"
    said = done(composer(2, "train", *train_arguments(line, run, f"save_folder={url}"))).stdout
    assert "damaged (bytes of __0_0.distcp" in said and "passed over" in said
    assert f"resuming from {run}/checkpoints/tok{20 * STEP_TOKENS}" in said
    assert (run / "metrics.jsonl").read_text() == (trained / "metrics.jsonl").read_text()

    again = tmp_path / "again"
    Mirror(again, url).fetch_run()
    newest = choose_start(again, Mirror(again, url))
    assert newest == again / "checkpoints" / last and not damaged_files(newest)
    assert (again / "manifest.json").read_bytes() == (run / "manifest.json").read_bytes()


def test_what_is_damaged_here_is_fetched_and_what_a_rollback_left_is_not(
    trained: Path, tmp_path: Path, bucket: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    mirror = Mirror(run, f"{bucket}/run")
    last, middle = (run / "checkpoints" / f"tok{steps * STEP_TOKENS}" for steps in (STEPS, 20))
    for folder in (last, middle):
        mirror.catch_up(folder)
    (last / "__1_0.distcp").write_bytes(b"x")
    assert choose_start(run, mirror) == last and not damaged_files(last)
    mirror.withdraw_after(20 * STEP_TOKENS)
    shutil.rmtree(run)
    mirror.fetch_run()
    assert choose_start(run, mirror) == middle and not damaged_files(middle)


def test_a_store_that_cannot_be_used_is_one_message(line: Path, tmp_path: Path, bucket: str) -> None:
    run = tmp_path / "run"
    answer = verb("train", *train_arguments(line, run, "save_folder=s3://nobody/run"))
    refused(answer, "s3://nobody/run", "NoSuchBucket", "check the URL")
    assert not run.exists()
    refused(verb("train", *train_arguments(line, run, "save_folder=here")), "must be a URL")
    with pytest.raises(DataError, match="tape://"):
        RemoteFolder("tape://x/y")
