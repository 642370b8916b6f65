"""The verb over one run's checkpoints: what it launches, what it leaves alone, and how it refuses."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from launch import ROOT, recipe, refused
from sweep_bench import Bench

from medlm_recipes.config.command import run_command
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.errors import ConfigError, DataError, RecipeError
from medlm_recipes.sweep import launching
from medlm_recipes.sweep.plan import plan_sweep
from medlm_recipes.sweep.standing import look
from medlm_recipes.sweep.sweep import sweep


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that the verb starts; none is run."""
    commands: list[list[str]] = []

    def run(command: list[str], inherited: Sequence[int]) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(launching, "run_to_its_end", run)
    return commands


def test_finished_work_is_only_compared(
    finished: Bench, launched: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep(finished.config(), dry_run=False)
    out = finished.folder / "sweep"
    assert launched == []
    figures = {"cost-pubmed.png", "gain-pubmed.png", "loss-pubmed.png", "score-evaluate.png"}
    assert content(out).keys() == {*figures, "manifest.json", "report.html", "sweep.json"}
    data = json.loads((out / "sweep.json").read_text())
    (series,) = data["series"]
    assert [point["tokens"] for point in series["points"]] == finished.budgets
    assert [point["scores"]["evaluate"]["value"] for point in series["points"]] == [65 / 240, 74 / 240, 150 / 240]
    assert [round(point["validation"]["pubmed"]["loss"], 6) for point in series["points"]] == [4.0, 3.5, 3.2]
    assert str(finished.folder) not in (out / "sweep.json").read_text() + (out / "manifest.json").read_text()
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == str(out / "report.html")
    assert printed[-2].split()[:3] == ["4,096", "1.28", "24.53"]
    assert not list(finished.folder.glob("*.lock"))

    before = content(out)
    sweep(finished.config(), dry_run=False)
    assert "nothing to do" in capsys.readouterr().out
    assert content(out) == before
    finished.make_metrics({1024: 3.0})
    with pytest.raises(DataError, match="already made from another input"):
        sweep(finished.config(), dry_run=False)
    assert content(out) == before


def test_launches_what_is_missing(finished: Bench, launched: list[list[str]]) -> None:
    """Training through composer when a checkpoint is missing; a budget that the run is past stays a gap."""
    checkpoint = finished.folder / "run/checkpoints/tok2048"
    (checkpoint / "rank0.pt").write_bytes(b"cut")
    with pytest.raises(RecipeError, match=r"1 gaps.*\n.*tok2048: its checkpoint is damaged, and the run is past it"):
        sweep(finished.config("train_overrides=[seed=17]"), dry_run=False)
    (command,) = launched
    assert command[1:5] == ["-m", "composer.cli", "-n", "2"]
    assert command[5:] == [str(ROOT / "recipes/train.py"), str(finished.folder / "train.yaml"), "seed=17"]


@pytest.mark.parametrize("ranks", [1, 3])
def test_launches_evaluations(bench: Bench, launched: list[list[str]], ranks: int) -> None:
    for tokens in bench.budgets:
        bench.make_checkpoint(tokens)
    bench.make_evaluation(bench.budgets[0], 60, 240, "evaluate_overrides=[seeds=5]")
    with pytest.raises(RecipeError, match=r"2 gaps.*\n.*train tok2048 evaluate: not evaluated"):
        sweep(bench.config("evaluate_overrides=[seeds=5]", f"evaluate_ranks={ranks}"), dry_run=False)
    assert len(launched) == 2
    start = [] if ranks == 1 else ["-m", "composer.cli", "-n", "3"]
    assert launched[0][1:-3] == [*start, str(ROOT / "recipes/evaluate.py"), str(bench.folder / "evaluate.yaml")]
    run = bench.folder / "run"
    assert launched[0][-3:] == [
        "seeds=5",
        f'checkpoint="{run}/checkpoints/tok2048"',
        f'out="{run}/evaluations/evaluate/tok2048"',
    ]


def test_dry_run_shows_and_writes_nothing(finished: Bench) -> None:
    (finished.folder / "run/checkpoints/tok4096/manifest.json").unlink()
    before = content(finished.folder)
    started = time.monotonic()
    done = recipe("sweep", finished.sweep, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 5  # no torch
    lines = [line.split() for line in done.stdout.splitlines()[3:6]]
    assert [line[0] for line in lines] == ["1,024", "2,048", "4,096"]
    assert [line[-4:] for line in lines] == [["there", "1", "of", "1"], ["there", "1", "of", "1"],
                                             ["missing", "0", "of", "1"]]  # fmt: skip
    assert content(finished.folder) == before


def test_budgets_between_checkpoints_are_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"budgets: 3000tok: no checkpoint is saved there by .*1000tok"):
        plan_sweep(bench.config("budgets=[1_000tok,3_000tok]"))
    with pytest.raises(ConfigError, match="9000tok"):
        plan_sweep(bench.config("budgets=[9_000tok]", "train_overrides=[checkpoint_interval=1_000tok]"))

    def budgets(*overrides: str) -> list[int]:
        return [leg.tokens for leg in plan_sweep(bench.config(*overrides)).legs]

    assert budgets("budgets=[3_000tok]", "train_overrides=[checkpoint_interval=1_000tok]") == [3072]
    assert budgets("budgets=[2_000tok,2_001tok,1_000tok]") == [1024, 2048]
    assert budgets("geometric={first: 1_000tok, last: 3_999tok}") == [1024, 2048]
    assert budgets("geometric={first: 1_000tok, last: 4_000tok}") == [1024, 2048, 4096]


def test_another_recipes_run_is_refused(finished: Bench) -> None:
    def look_with(override: str) -> None:
        plan = plan_sweep(finished.config(f"train_overrides=[{override}]"))
        look(plan, plan.series[0])

    with pytest.raises(ConfigError, match=r"holds a run of another recipe \(seed: 17, now 18\)"):
        look_with("seed=18")
    shutil.copy(finished.folder / "train.yaml", finished.folder / "run" / "config.yaml")
    shutil.rmtree(finished.folder / "run" / "checkpoints")
    with pytest.raises(ConfigError, match=r"holds a run of another recipe \(seed: 17, now 19\)"):
        look_with("seed=19")


def test_an_evaluation_with_other_settings_is_refused(finished: Bench) -> None:
    plan = plan_sweep(finished.config("evaluate_overrides=[limit=7]"))
    with pytest.raises(DataError, match=r"limit: None, now 7.*another name than evaluate gives another folder"):
        look(plan, plan.series[0])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("buggets=[1tok]", "did you mean budgets?"),
        ("budgets=[3_000tok]", "budgets: 3000tok"),
        ("budgets=[soon]", "like 1_000_000tok"),
        ("design=brunch", "must be one of checkpoints, branch; did you mean branch?"),
        ("train=nowhere.yaml", "nowhere.yaml: no such file"),
        ("train_overrides=[max_duration=5]", "max_duration"),
        ("evaluate_overrides=[benchmark=nowhere.jsonl]", "nowhere.jsonl: no such file"),
        ("evaluate_overrides=[task=nowhere.yaml]", "task: nowhere.yaml"),
        ("evaluate={medqa: [limit=3]}", "medqa: write [recipe.yaml, key=value, ...]"),
        ("evaluate={med/qa: [a.yaml]}", "'med/qa' names folders"),
        ("seeds=[1,2]", "runs: missing"),
    ],
)
def test_bad_recipes_exit_2_with_one_message(
    bench: Bench, argument: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(bench.folder)
    with pytest.raises(SystemExit) as stopped:
        run_command(SweepConfig, sweep, "", [str(bench.sweep), argument])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith("error: ") and said.count("error: ") == 1
    assert message in said
    assert content(bench.folder) == before


def test_a_bad_recipe_from_outside(bench: Bench) -> None:
    refused(recipe("sweep", bench.sweep, "ranks=3"), "global_batch: 4 sequences over 3 ranks")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["geometric={first: 4tok, last: 2tok}"], "geometric.last: 2tok is below first 4tok"),
        (["geometric={first: 1tok, last: 2tok}", "budgets=[1tok]"], "give either budgets or geometric"),
        (["seeds=[3,3]", "runs=x"], "names a seed twice"),
        (["train=[a/x.yaml,b/x.yaml]", "runs=x"], "two recipes are called x"),
        (["launch=slurm", "ranks=12"], "12 is not a multiple of slurm.gpus_per_node 8"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(bench: Bench, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench.config(*overrides)
