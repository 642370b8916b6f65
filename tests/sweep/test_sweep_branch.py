"""Design branch: the runs that it consists of, what they cost, and several sizes and seeds."""

from pathlib import Path

import pytest
import yaml
from sweep_bench import STEP, Bench

from medlm_recipes.errors import ConfigError
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.sweep.cost import rates_of, share, total, trained, trained_separately
from medlm_recipes.sweep.designs import branch_point
from medlm_recipes.sweep.plan import SweepPlan, plan_sweep
from medlm_recipes.sweep.standing import look
from medlm_recipes.sweep.table import describe

DOUBLING = [10 * STEP * 2**power for power in range(5)]
FIVE = f"geometric={{first: {DOUBLING[0]}tok, last: {DOUBLING[-1]}tok}}"


def plan_of(bench: Bench, *overrides: str) -> SweepPlan:
    return plan_sweep(bench.config("design=branch", f"runs={bench.folder / 'runs'}", *overrides))


def table(plan: SweepPlan) -> list[str]:
    return describe(plan, [look(plan, series) for series in plan.series]).splitlines()


def test_a_trunk_at_the_peak_and_a_cooldown_to_each_budget(bench: Bench) -> None:
    (series,) = plan_of(bench, FIVE).series
    trunk = series.main.config
    assert (trunk.scheduler.name, trunk.scheduler.warmup) == ("constant", "100tok")
    assert trunk.max_duration == f"{128 * STEP}tok"
    assert trunk.budgets == [f"{steps * STEP}tok" for steps in (8, 16, 32, 64)]
    assert series.trunk == bench.folder / "runs/train/trunk" == Path(trunk.run)
    assert [leg.tokens for leg in series.legs] == DOUBLING
    for leg in series.legs:
        assert leg.cooldown and leg.branch_at == leg.tokens * 4 // 5
        keys = leg.cooldown.config
        assert keys.start_from == f"{trunk.run}/checkpoints/tok{leg.branch_at}"
        assert (keys.max_duration, keys.budgets, keys.run) == (f"{leg.tokens}tok", [], str(leg.run))

        def rate(tokens: int, keys: object = keys) -> float:
            return learning_rate(keys.scheduler, 1.0, tokens, leg.tokens)  # type: ignore[attr-defined]  # noqa: B023

        cooled = leg.tokens - leg.branch_at
        assert rate(leg.branch_at) == 1.0 and rate(leg.tokens) == 0.0
        assert rate(leg.branch_at + cooled // 4) == pytest.approx(1 - (cooled // 4 / cooled) ** 0.5)


def test_five_doublings_cost_19_of_31_parts_of_separate_runs(bench: Bench) -> None:
    plan = plan_of(bench, FIVE)
    (series,) = plan.series
    assert trained(series) * 31 == trained_separately(series) * 19
    for fraction, most in (("0.15", 0.60), ("0.2", 0.62), ("0.33", 0.75)):
        (other,) = plan_of(bench, FIVE, f"cooldown.fraction={fraction}").series
        assert 0.5 < trained(other) / trained_separately(other) < most
    lines = table(plan)
    assert lines[-3].startswith("training    trunk 16.4k + cooldowns 7.94k = 24.3k tokens, ")
    assert lines[-2].strip().startswith("0.61 of a run of its own to each budget: 39.7k tokens, ")
    assert "not estimated: hardware.device: not given" in lines[-1]
    checkpoints = plan_sweep(bench.config()).series[0]
    assert (trained(checkpoints), trained_separately(checkpoints)) == (4096, 1024 + 2048 + 4096)


def test_cooldowns_take_whole_steps_and_never_more_than_their_share() -> None:
    for steps in range(5, 200):
        point = branch_point(steps * STEP, STEP, 0.2)
        assert point % STEP == 0 and 0 < steps * STEP - point <= 0.2 * steps * STEP
    assert branch_point(10 * STEP, STEP, 0.1) == 9 * STEP  # whatever 0.29 is in binary
    assert branch_point(100 * STEP, STEP, 0.29) == 71 * STEP
    with pytest.raises(ConfigError, match=r"512tok is 4 steps, of which cooldown.fraction 0.2 is less than one"):
        branch_point(4 * STEP, STEP, 0.2)


def test_sizes_and_seeds_are_series_of_their_own(bench: Bench) -> None:
    wide = yaml.safe_load((bench.folder / "train.yaml").read_text())
    wide["model"]["n_embd"] = 32
    bench.write("wide", wide)
    both = f"train=[{bench.folder}/train.yaml,{bench.folder}/wide.yaml]"
    plan = plan_of(bench, FIVE, both, "seeds=[1,2]")
    assert [series.name for series in plan.series] == ["train-seed1", "train-seed2", "wide-seed1", "wide-seed2"]
    assert [(leg.size, leg.seed) for leg in plan.legs[::5]] == [("train", 1), ("train", 2), ("wide", 1), ("wide", 2)]
    for series in plan.series:
        assert series.main.config.seed == series.main.config.data.shuffle_seed == series.seed
        assert series.folder == bench.folder / "runs" / series.name
    assert len({leg.run for leg in plan.legs}) == 20
    rates = [rates_of(series, 2) for series in plan.series]
    costs = [rate.cost(trained(series)) for series, rate in zip(plan.series, rates, strict=True)]
    assert costs[2].flops and costs[0].flops and costs[2].flops > 2 * costs[0].flops
    assert share(total(costs[:2]), total(costs)) < 1 / 3  # by FLOPs, not by tokens
    # Without budgets of the sweep each size has those of its own recipe.
    wide |= {"budgets": ["2_000tok"]}
    bench.write("wide", wide)
    own = plan_of(bench, both).series
    assert [[leg.tokens for leg in series.legs] for series in own] == [[1024, 2048, 4096], [2048, 4096]]


def test_gpu_hours_and_cost_are_preflights(bench: Bench) -> None:
    given = "hardware.device=a100-40gb,preflight.price_per_gpu_hour=2.0,parallel.precision=amp_bf16"
    plan = plan_of(bench, FIVE, f"train_overrides=[{given}]")
    rates = rates_of(plan.series[0], 2)
    spent = rates.cost(trained(plan.series[0]))
    assert spent.gpu_hours and spent.money == pytest.approx(2 * spent.gpu_hours)
    lines = table(plan)
    assert lines[2].split()[5:7] == ["GPU-hours", "cost"] and "–" not in lines[3]
    assert "not estimated" not in lines[-1] and "at preflight.price_per_gpu_hour" in lines[-1]


def test_a_warm_up_that_a_budget_leaves_no_room_for_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r"scheduler\.(warmup|cooldown): .*max_duration 1280tok"):
        plan_of(bench, FIVE, "train_overrides=[scheduler.warmup=1_200tok]")
