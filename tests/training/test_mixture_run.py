"""A mixture in real launches on two ranks: what is trained on, exact resume, and what is said beforehand."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from launch import ROOT, STEP_TOKENS, STEPS, composer_script, done, train_arguments
from shards.numbered import make_shards

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.training.opening import open_run, run_manifest
from medlm_recipes.training.plan import describe, plan_training
from medlm_recipes.training.sources import notices, table, uses

SIZES = {"papers": 400, "abstracts": 300, "replay": 12}
SHARES = {"abstracts": 0.2, "papers": 0.7, "replay": 0.1}
MIXTURE = "data.mixture={papers: 0.7, abstracts: 0.2, replay: 0.1}"


@pytest.fixture(scope="module")
def mixed(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a tokenizer and shards of three sources, as a line of its own."""
    out = tmp_path_factory.mktemp("mixed")
    shutil.copytree(line / "tokenizer", out / "tokenizer")
    make_shards(out / "shards", out / "tokenizer", SIZES)
    return out


def launch(mixed: Path, run: Path, record: Path) -> str:
    record.mkdir()
    arguments = train_arguments(mixed, run, MIXTURE)
    return done(composer_script(2, "tests/training/recorded.py", str(record), *arguments)).stdout


def recorded(folder: Path, rank: int) -> list[tuple[int, list[int]]]:
    """What a rank was trained on, in order: sample, first three tokens."""
    lines = [json.loads(line) for line in (folder / f"rank{rank}.jsonl").read_text().splitlines()]
    return [pair for samples, rows in lines for pair in zip(samples, rows, strict=True)]


@pytest.fixture(scope="module")
def run(mixed: Path) -> Path:
    said = launch(mixed, mixed / "run", mixed / "record")
    assert "notice: the run sees replay 5.2 times" in said and "5.71 passes" in said
    return mixed / "run"


def test_what_was_trained_on_has_the_shares(mixed: Path, run: Path) -> None:
    taken = [pair for rank in (0, 1) for pair in recorded(mixed / "record", rank)]
    assert len(taken) == STEPS * 16
    numbers = Counter(sorted(SHARES)[row[0]] for _, row in taken)
    for source, share in SHARES.items():
        assert numbers[source] / len(taken) == pytest.approx(share, abs=0.01)
    replay = Counter(sample for sample, row in taken if row[0] == 2)
    assert len(replay) == 12 and max(replay.values()) - min(replay.values()) <= 2
    assert Counter(sample for sample, row in taken if row[0] == 1).most_common(1)[0][1] <= 2  # 448 of 400 rows


def test_a_run_with_a_mixture_is_resumed_exactly(mixed: Path, run: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(run, again)
    shutil.rmtree(again / "checkpoints" / f"tok{STEPS * STEP_TOKENS}")
    (again / "manifest.json").unlink()
    said = launch(mixed, again, tmp_path / "record")
    assert f"resuming from {again}/checkpoints/tok{20 * STEP_TOKENS}" in said
    assert (again / "metrics.jsonl").read_text() == (run / "metrics.jsonl").read_text()
    for rank in (0, 1):
        assert recorded(tmp_path / "record", rank) == recorded(mixed / "record", rank)[20 * 8 :]


def test_another_mixture_is_another_run(mixed: Path, run: Path) -> None:
    path, *rest = train_arguments(mixed, run, "data.mixture={papers: 0.6, abstracts: 0.3, replay: 0.1}")
    config = load_config(TrainConfig, ROOT / path, rest)
    plan = plan_training(config, 2)
    with pytest.raises(ConfigError, match=r"mixture\.abstracts: 0\.2, now 0\.3; data\.mixture\.papers: 0\.7, now 0\.6"):
        open_run(run, config, plan, run_manifest(plan))


def planned(mixed: Path, *overrides: str) -> str:
    path, *rest = train_arguments(mixed, mixed / "another", *overrides)
    config = load_config(TrainConfig, ROOT / path, rest)
    return describe(config, plan_training(config, 2), 2)


def test_the_table_stands_in_the_plan(mixed: Path) -> None:
    said = planned(mixed, MIXTURE).splitlines()
    at = next(number for number, line in enumerate(said) if line.startswith("data "))
    assert [" ".join(line.split()) for line in said[at : at + 5]] == [
        "data 5.71 passes of 14,336 tokens",
        "source documents tokens share trained on epochs",
        "abstracts 150 38,400 20.54% 16,823 0.44",
        "papers 200 51,200 69.64% 57,051 1.11",
        "replay 6 1,536 9.82% 8,046 5.24",
    ]
    assert said[-1].startswith("notice: the run sees replay 5.2 times; beyond 4 epochs")


def test_targets_are_met_by_a_run_of_their_sum_and_scaled_by_another(mixed: Path) -> None:
    targets = "data.mixture={papers: 57_344tok, abstracts: 16_384tok, replay: 8_192tok}"
    assert "targets" not in planned(mixed, targets)
    longer = planned(mixed, targets, f"max_duration={2 * STEPS * STEP_TOKENS}tok")
    assert "; the mixture's targets, 81,920 tokens, times 2\n" in longer


def test_what_is_left_out_is_said(mixed: Path) -> None:
    said = planned(mixed, "data.mixture={papers: 1, abstracts: 0, replay: 0}")
    assert "notice: data.mixture leaves abstracts out" in said and "times" not in said


def test_big_numbers_keep_their_columns() -> None:
    """GAP-Replay's own sizes: 48.1B tokens are little more than one pass."""
    tokens = {"guidelines": 107e6, "pubmed-abstracts": 5.48e9, "pubmed-papers": 40.7e9, "replay": 420e6}
    counts = {name: {"documents": 15_700_000, "samples": int(size) // 2048} for name, size in tokens.items()}
    found = uses(counts, {name: facts["samples"] for name, facts in counts.items()}, 2048, 48_100_000_000)
    assert len({len(line) for line in table(found)}) == 1 and not list(notices(found))
    assert [round(use.epochs, 2) for use in found] == [1.03] * 4
    assert [round(use.share, 4) for use in found] == [0.0023, 0.1173, 0.8714, 0.009]
