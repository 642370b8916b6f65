"""A cooldown branched off a trunk's checkpoint, launched on two CPU ranks; and what a dry run says of it."""

import shutil
from pathlib import Path

import pytest
from launch import ROOT, STEP_TOKENS, composer, done, recipe, refused, rows, train_arguments, verb

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.manifest import read_manifest
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.training.plan import plan_training
from medlm_recipes.training.resume import choose_trunk
from medlm_recipes.training.schedule_curve import landmarks

AT, COOLDOWN, END = 20, 24, 28  # steps at which the branch begins, cools down and ends


def tok(steps: int) -> str:
    return f"{steps * STEP_TOKENS}tok"


def wsd(line: Path, run: Path, end: int, cooldown: int, *more: str) -> list[str]:
    # With dropout, so that a branch which did not take over the generators would part from its trunk.
    schedule = ["scheduler.name=wsd", f"scheduler.cooldown={tok(cooldown)}", f"max_duration={tok(end)}"]
    return train_arguments(line, run, "model.dropout=0.1", *schedule, *more)


def branch_arguments(line: Path, run: Path, trunk: Path, *more: str) -> list[str]:
    start = f"start_from={trunk}/checkpoints/tok{AT * STEP_TOKENS}"
    return wsd(line, run, END, END - COOLDOWN, start, f"budgets=[{tok(26)}]", *more)


def config_of(arguments: list[str]) -> TrainConfig:
    return load_config(TrainConfig, ROOT / arguments[0], arguments[1:])


@pytest.fixture(scope="module")
def trunk(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trunk") / "run"
    done(composer(2, "train", *wsd(line, run, 30, 4, f"budgets=[{tok(AT)}]")))
    return run


@pytest.fixture(scope="module")
def branch(line: Path, trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("branch") / "run"
    said = done(composer(2, "train", *branch_arguments(line, run, trunk))).stdout
    assert f"starting from {trunk}/checkpoints/tok{AT * STEP_TOKENS}" in said
    return run


def by_step(run: Path) -> dict[int, dict[str, float]]:
    return {row["step"]: row for row in rows(run)}


def test_a_branch_takes_the_trunks_steps_until_its_cooldown(trunk: Path, branch: Path) -> None:
    old, new = by_step(trunk), by_step(branch)
    assert list(new) == list(range(AT + 1, END + 1))
    # Step 26 is the first at a lower rate; its own loss is still that of the trunk's weights.
    assert [new[step]["loss"] for step in range(21, 27)] == [old[step]["loss"] for step in range(21, 27)]
    assert [new[step] for step in range(21, 26)] == [old[step] for step in range(21, 26)]
    assert new[27]["loss"] != old[27]["loss"]
    rates = [new[step]["lr"] for step in range(25, END + 1)]
    assert rates == sorted(rates, reverse=True) and rates[0] == 2e-3 and rates[-1] < 1e-3


def test_every_step_takes_the_rate_of_the_tokens_before_it(trunk: Path, branch: Path) -> None:
    for run in (trunk, branch):
        config = config_of([str(run / "config.yaml")])
        end = 30 * STEP_TOKENS if run is trunk else END * STEP_TOKENS
        for step, row in by_step(run).items():
            assert row["lr"] == learning_rate(config.scheduler, 2e-3, (step - 1) * STEP_TOKENS, end)


def test_a_branch_stands_without_its_trunk(line: Path, trunk: Path, branch: Path) -> None:
    aside = trunk.with_name("aside")
    trunk.rename(aside)
    try:
        assert "nothing to do" in done(recipe("train", *branch_arguments(line, branch, trunk))).stdout
    finally:
        aside.rename(trunk)
    another = branch_arguments(line, branch, trunk, f"start_from={trunk}/checkpoints/tok{30 * STEP_TOKENS}")
    refused(recipe("train", *another), "another recipe", f"now {trunk}/checkpoints/tok{30 * STEP_TOKENS}")
    assert read_manifest(branch / "checkpoints" / f"tok{26 * STEP_TOKENS}", "train").inputs["trunk"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["seed=18", "data.shuffle_seed=1"], ["data.shuffle_seed: 17, now 1", "seed: 17, now 18"]),
        (["optimizer.lr=1e-3"], ["optimizer.lr: 0.002, now 0.001"]),
        (["model.n_layer=3"], ["model.n_layer: 2, now 3"]),
        (["global_batch=32"], ["global_batch: 16, now 32"]),
        ([f"max_duration={tok(AT)}", "budgets=[]"], ["not beyond start_from", f"stands at {tok(AT)}"]),
        ([f"budgets=[{tok(10)},{tok(26)}]"], [f"budgets: {tok(10)} not beyond start_from"]),
        ([f"scheduler.cooldown={tok(12)}"], ["would jump from 0.002, the trunk's, to 0.0014"]),
        (["scheduler.name=cosine", "scheduler.cooldown=null"], ["would jump from 0.002"]),
    ],
)
def test_what_cannot_be_a_branch_is_refused_with_both_values(
    line: Path, trunk: Path, tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_training(config_of(branch_arguments(line, tmp_path / "run", trunk, *overrides)), 2)
    assert all(word in str(caught.value) for word in words), caught.value


def test_shards_of_other_text_are_refused(line: Path, trunk: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    manifest = read_manifest(line / "shards", "convert_text_to_mds")
    manifest.inputs["documents"] = "other"
    manifest.write(shards)
    with pytest.raises(ConfigError, match=r"shards: [0-9a-f]{64}, now [0-9a-f]{64}"):
        plan_training(config_of(branch_arguments(line, tmp_path / "run", trunk, f"shards={shards}")), 2)


def test_a_trunk_that_is_damaged_or_changed_before_the_first_checkpoint_is_refused(
    line: Path, trunk: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "trunk"
    shutil.copytree(trunk, copy)
    config = config_of(branch_arguments(line, tmp_path / "run", copy))
    plan, start = plan_training(config, 2), Path(config.start_from or "")
    assert choose_trunk(config, plan) == start
    weights = bytearray((start / "__1_0.distcp").read_bytes())
    weights[len(weights) // 2] ^= 1
    (start / "__1_0.distcp").write_bytes(weights)
    with pytest.raises(DataError, match=r"__1_0\.distcp changed since it was saved"):
        choose_trunk(config, plan)
    assert plan.trunk is not None
    plan.trunk.facts["steps"] += 1
    with pytest.raises(DataError, match=r"changed since .* was opened"):
        choose_trunk(config, plan)
    (start / "__1_0.distcp").unlink()
    with pytest.raises(DataError, match=r"__1_0\.distcp"):
        plan_training(config, 2)


def test_a_dry_run_prints_the_rate_at_its_landmarks_and_draws_it_elsewhere(
    line: Path, trunk: Path, tmp_path: Path
) -> None:
    arguments = branch_arguments(line, tmp_path / "run", trunk)
    answer = done(verb("train", *arguments, "--dry-run")).stdout
    assert not list(tmp_path.iterdir())
    found = landmarks(config_of(arguments), plan_training(config_of(arguments), 1))
    assert found == [
        (20 * STEP_TOKENS, "first step"),
        (21 * STEP_TOKENS, "75 %"),
        (24 * STEP_TOKENS, "cooldown begins"),
        (26 * STEP_TOKENS, "budget 53.2k"),
        (27 * STEP_TOKENS, "last step"),
        (28 * STEP_TOKENS, "end"),
    ]
    for words in ("4 steps, to 0.0002", "0.002 ", "cooldown begins", "0.0011", "from step 20, 40,960 tokens"):
        assert words in answer
    picture = Path(answer.rsplit("drawn in ", 1)[1].strip())
    assert picture.name == "run.schedule.png" and picture.read_bytes().startswith(b"\x89PNG")
    shutil.rmtree(picture.parent)
