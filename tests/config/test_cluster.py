"""Cluster profiles: what lies over what, and that a resolved config is not laid over a second time."""

from pathlib import Path

import pytest

from medlm_recipes.config.loading import load_config, to_yaml
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError

RECIPE = """
run: x
shards: x
tokenizer: x
model: {name: gpt2, n_layer: 2, n_head: 2, n_embd: 8}
optimizer: {lr: 1e-3, coupled_weight_decay: 0.1}
scheduler: {name: constant, warmup: null}
parallel: {micro_batch: 2, replicas: 2, precision: fp32}
global_batch: 16
max_duration: 1_000tok
"""
PROFILE = """
device: a100-40gb
nodes: 2
devices_per_node: 4
parallel: {replicas: 4, precision: amp_bf16}
recipes: {small: {micro_batch: 8}}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for name, text in {"train/small": RECIPE, "train/other": RECIPE, "cluster/eight": PROFILE}.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path / "train" / "small.yaml"


def laid(recipe: Path, *overrides: str) -> tuple[int, int, str]:
    parallel = load_config(TrainConfig, recipe, overrides).parallel
    return parallel.replicas, parallel.micro_batch, parallel.precision


def test_a_profile_goes_over_the_recipe_and_overrides_over_both(recipe: Path) -> None:
    assert laid(recipe) == (2, 2, "fp32")
    assert laid(recipe, "cluster=eight") == (4, 8, "amp_bf16")
    assert laid(recipe.with_name("other.yaml"), "cluster=eight") == (4, 2, "amp_bf16")
    assert laid(recipe, "parallel.micro_batch=4", "cluster=eight", "parallel.replicas=1") == (1, 4, "amp_bf16")
    path = recipe.parents[1] / "cluster" / "eight.yaml"
    assert laid(recipe, f"cluster={path}") == (4, 8, "amp_bf16")
    recipe.write_text(RECIPE + "cluster: eight\n")
    assert laid(recipe) == (4, 8, "amp_bf16")


def test_a_resolved_config_holds_what_was_used_and_loads_alike_elsewhere(recipe: Path, tmp_path: Path) -> None:
    config = load_config(TrainConfig, recipe, ["cluster=eight", "parallel.micro_batch=4"])
    assert (config.hardware.device, config.hardware.ranks) == ("a100-40gb", 8)
    elsewhere = tmp_path / "a" / "run" / "config.yaml"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(to_yaml(config))
    assert load_config(TrainConfig, elsewhere) == config


@pytest.mark.parametrize(
    ("profile", "override", "words"),
    [
        (PROFILE, "cluster=nine", r"nine.yaml\); profiles in .*: eight"),
        (PROFILE, "cluster=3", "cluster: 3 is neither"),
        (PROFILE.replace("nodes", "node"), "cluster=eight", r"eight.yaml: 2 problems[\s\S]*did you mean nodes"),
        (PROFILE.replace("{replicas: 4,", "{replica: 4,"), "cluster=eight", "cluster profile.*\n.*parallel.replica: "),
        (PROFILE, "parallel.replicas=[3", "replicas"),
    ],
)
def test_what_is_wrong_is_named(recipe: Path, profile: str, override: str, words: str) -> None:
    (recipe.parents[1] / "cluster" / "eight.yaml").write_text(profile)
    with pytest.raises(ConfigError, match=words):
        load_config(TrainConfig, recipe, [override])
