"""The shipped sweeps: their recipes go together, and cost what their comments say."""

from dataclasses import replace
from pathlib import Path

import pytest
from launch import ROOT

from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.sweep import SweepConfig
from medlm_recipes.manifest import Manifest, hash_file
from medlm_recipes.sweep.cost import Cost, rates_of, share, total, trained, trained_separately
from medlm_recipes.sweep.plan import SweepPlan, plan_sweep

RECIPES = [*sorted((ROOT / "yamls/sweep").glob("*.yaml")), ROOT / "yamls/quickstart/sweep.yaml"]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def planned(name: str, folder: Path, sequence_length: int = 1024) -> SweepPlan:
    """The plan of a shipped sweep on shards of 30B tokens, without its evaluations."""
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir(parents=True)
    (tokenizer / "tokenizer.json").write_text("{}")
    counts = {"documents": 10**7, "samples": 30 * 10**9 // sequence_length, "tokens": 30 * 10**9, "bytes": 10**11}
    facts = {
        "tokenizer_sha256": hash_file(tokenizer / "tokenizer.json"),
        "vocab_size": 28_896,
        "end_of_text": 0,
        "sequence_length": sequence_length,
        "splits": {"train": {"pubmed": counts}, "validation": {"pubmed": counts}},
    }
    Manifest("convert_text_to_mds", {}, {}, facts).write(tokenizer)
    config = load_config(SweepConfig, f"yamls/sweep/{name}.yaml", ["evaluate_overrides=[]"])
    places = [f"shards={tokenizer}", f"tokenizer={tokenizer}"]
    return plan_sweep(replace(config, evaluate={}, train_overrides=[*config.train_overrides, *places]))


def cost(plan: SweepPlan) -> Cost:
    return total([rates_of(series, plan.config.ranks).cost(trained(series)) for series in plan.series])


def test_the_ladder_costs_under_two_percent_of_the_sweep_and_of_one_run(tmp_path: Path) -> None:
    sweep, ladder = planned("biomedlm", tmp_path / "a"), planned("biomedlm-ladder", tmp_path / "b")
    (series,) = sweep.series
    assert trained(series) / trained_separately(series) == pytest.approx(19 / 31, rel=1e-4)
    assert [round(leg.tokens / 1e9, 2) for leg in series.legs] == [18.75, 37.5, 75, 150, 300]
    assert len(ladder.series) == 3 and ladder.config.forecast == ["yamls/train/biomedlm-2.7b.yaml"]
    assert share(cost(ladder), cost(sweep)) == pytest.approx(0.016, abs=0.0005)
    one_run = rates_of(series, 128).cost(300 * 10**9)
    assert share(cost(ladder), one_run) == pytest.approx(0.019, abs=0.0005)
    for plan in (sweep, ladder):
        hours = cost(plan).gpu_hours
        assert hours is not None and hours > 0


def test_meditrons_budgets_are_checkpoints_of_its_run(tmp_path: Path) -> None:
    (series,) = planned("meditron", tmp_path, 2048).series
    assert [round(leg.tokens / 1e9, 1) for leg in series.legs] == [10, 21, 31, 48.1]
    assert series.trunk is None and {leg.run for leg in series.legs} == {series.main.folder}
    assert cost(planned("meditron", tmp_path / "b", 2048)).gpu_hours


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_that_a_sweep_names_are_there(path: Path) -> None:
    config = load_config(SweepConfig, path)
    assert all((ROOT / recipe).is_file() for recipe in [*config.train, *config.forecast])
    for recipe, *overrides in config.evaluate.values():
        evaluate = load_config(EvaluateConfig, recipe, [*overrides, "checkpoint=x", "out=x"])
        assert (ROOT / evaluate.task).is_file()
