"""The verb from outside: what it launches, what it leaves alone, and how it refuses."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from launch import ROOT, recipe, refused
from sweep_bench import Bench

from medlm_recipes.config.command import run_command
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.errors import ConfigError, DataError, RecipeError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.sweep import sweep as module
from medlm_recipes.sweep.plan import look, plan_sweep
from medlm_recipes.sweep.sweep import sweep

FAKE_EVALUATE = """
import sys
sys.path[:0] = {path!r}
from sweep_bench import results
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.evaluation.evaluate import evaluation_manifest
from medlm_recipes.manifest import publish, write_json, hash_json, read_manifest
config = load_config(EvaluateConfig, sys.argv[1], sys.argv[2:])
identity = hash_json(read_manifest(config.checkpoint, "train").__dict__)
with publish(config.out, evaluation_manifest(config, identity)) as folder:
    write_json(folder / "results.json", results(100, 240))
"""


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that the verb starts; none is run."""
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(module.subprocess, "run", run)
    return commands


def test_finished_work_is_only_compared(
    finished: Bench, launched: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(finished.config(), dry_run=False)
    out = finished.folder / "sweep"
    assert launched == []
    assert sorted(content(out)) == ["accuracy.png", "manifest.json", "perplexity.png", "report.html", "sweep.json"]
    data = json.loads((out / "sweep.json").read_text())
    assert data["findings"]["perplexity_falls"] == {"pubmed": True}
    assert data["findings"]["largest_above_chance"] is True
    assert [step["within_noise"] for step in data["findings"]["steps"]] == [True, False]
    assert str(finished.folder) not in (out / "sweep.json").read_text() + (out / "manifest.json").read_text()
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(out / "report.html")
    assert printed[-2].split()[:3] == ["4,096", "1.28", "24.53"]

    before = content(out)
    sweep(finished.config(), dry_run=False)
    assert "nothing to do" in capsys.readouterr().out
    assert content(out) == before
    finished.make_metrics({1024: 3.0})
    with pytest.raises(DataError, match="already made from another input"):
        sweep(finished.config(), dry_run=False)
    assert content(out) == before


def test_launches_what_is_missing(finished: Bench, launched: list[list[str]]) -> None:
    """Training through composer when a checkpoint is missing; one evaluation for each budget without one."""
    plan = plan_sweep(finished.config())
    (plan.checkpoint(2048) / "rank0.pt").write_bytes(b"cut")
    with pytest.raises(RecipeError, match=r"tok2048: .*damaged.*the run is past it"):
        sweep(finished.config("train_overrides=[seed=17]"), dry_run=False)
    (command,) = launched
    assert command[1:5] == ["-m", "composer.cli", "-n", "2"]
    assert command[5:] == [str(ROOT / "recipes/train.py"), str(finished.folder / "train.yaml"), "seed=17"]


@pytest.mark.parametrize("ranks", [1, 3])
def test_launches_evaluations(bench: Bench, launched: list[list[str]], ranks: int) -> None:
    for tokens in bench.budgets:
        bench.make_checkpoint(tokens)
    bench.make_evaluation(bench.budgets[0], 60, 240, "evaluate_overrides=[seeds=5]")
    sweep(bench.config("evaluate_overrides=[seeds=5]", f"evaluate_ranks={ranks}"), dry_run=False)  # gaps, no error
    assert len(launched) == 2
    start = [] if ranks == 1 else ["-m", "composer.cli", "-n", "3"]
    assert launched[0][1:-3] == [*start, str(ROOT / "recipes/evaluate.py"), str(bench.folder / "evaluate.yaml")]
    run = bench.folder / "run"
    assert launched[0][-3:] == [
        "seeds=5",
        f'checkpoint="{run}/checkpoints/tok2048"',
        f'out="{run}/evaluations/evaluate/tok2048"',
    ]


def test_runs_children_and_passes_their_failure_on(
    finished: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "RECIPES", tmp_path)
    last = finished.folder / "run/evaluations/evaluate/tok4096"
    for path in last.iterdir():
        path.unlink()
    for code in (2, 1):
        (tmp_path / "evaluate.py").write_text(f"import sys; sys.exit({code})")
        with pytest.raises(SystemExit) as stopped:
            run_command(SweepConfig, sweep, "", [str(finished.sweep)])
        assert stopped.value.code == 2
        message = capsys.readouterr().err
        assert f"evaluation failed with exit code {code}" in message and "tok4096" in message
        assert "Traceback" not in message
    assert not (finished.folder / "sweep").exists()
    (tmp_path / "evaluate.py").write_text(FAKE_EVALUATE.format(path=[str(Path(__file__).parent), str(ROOT / "tests")]))
    sweep(finished.config(), dry_run=False)
    assert read_manifest(finished.folder / "sweep", "sweep").inputs.keys() == {
        "tok1024",
        "tok2048",
        "tok4096",
        "metrics",
    }


def test_dry_run_shows_and_writes_nothing(finished: Bench) -> None:
    (finished.folder / "run/checkpoints/tok4096/manifest.json").unlink()
    before = content(finished.folder)
    started = time.monotonic()
    done = recipe("sweep", finished.sweep, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 5  # no torch
    lines = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [line[0] for line in lines] == ["1,024", "2,048", "4,096"]
    assert [line[-2:] for line in lines] == [["there", "there"], ["there", "there"], ["missing", "missing"]]
    assert content(finished.folder) == before


def test_budgets_between_checkpoints_are_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"budgets: 3000tok: no checkpoint is saved there by .*1000tok"):
        plan_sweep(bench.config("budgets=[1_000tok,3_000tok]"))
    with pytest.raises(ConfigError, match="9000tok"):
        plan_sweep(bench.config("budgets=[9_000tok]", "train_overrides=[checkpoint_interval=1_000tok]"))
    interval = plan_sweep(bench.config("budgets=[3_000tok]", "train_overrides=[checkpoint_interval=1_000tok]"))
    assert interval.budgets == [3072]
    assert plan_sweep(bench.config("budgets=[2_000tok,2_001tok,1_000tok]")).budgets == [1024, 2048]


def test_another_recipes_run_is_refused(finished: Bench) -> None:
    with pytest.raises(ConfigError, match=r"holds a run of another recipe \(seed: 17, now 18\)"):
        look(plan_sweep(finished.config("train_overrides=[seed=18]")))
    shutil.copy(finished.folder / "train.yaml", finished.folder / "run" / "config.yaml")
    shutil.rmtree(finished.folder / "run" / "checkpoints")
    with pytest.raises(ConfigError, match=r"holds a run of another recipe \(seed: 17, now 19\)"):
        look(plan_sweep(finished.config("train_overrides=[seed=19]")))


def test_an_evaluation_with_other_settings_is_refused(finished: Bench) -> None:
    with pytest.raises(DataError, match=r"limit: None, now 7.*a copy of .*evaluate.yaml under another name"):
        look(plan_sweep(finished.config("evaluate_overrides=[limit=7]")))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("buggets=[1tok]", "did you mean budgets?"),
        ("budgets=[3_000tok]", "budgets: 3000tok"),
        ("budgets=[soon]", "like 1_000_000tok"),
        ("design=branch", "must be one of checkpoints"),
        ("train=nowhere.yaml", "nowhere.yaml: no such file"),
        ("train_overrides=[max_duration=5]", "max_duration"),
        ("evaluate_overrides=[benchmark=nowhere.jsonl]", "nowhere.jsonl: no such file"),
        ("evaluate_overrides=[task=nowhere.yaml]", "task: nowhere.yaml"),
        ("ranks=3", "global_batch: 4 sequences over 3 ranks"),
    ],
)
def test_bad_recipes_exit_2_with_one_message(bench: Bench, argument: str, message: str) -> None:
    before = content(bench.folder)
    refused(recipe("sweep", bench.sweep, argument), message)
    assert content(bench.folder) == before
