from pathlib import Path

import pytest

from medlm_recipes.config.command import help_text
from medlm_recipes.config.corpus import CorpusConfig
from medlm_recipes.config.loading import load_config, resolved
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError

GOOD = """
run: r
shards: s
tokenizer: t
model: {name: gpt2, n_layer: 2, n_head: 2, n_embd: 8}
optimizer: {lr: 1e-3, decoupled_weight_decay: 1e-5}
scheduler: {warmup: 10tok, final_lr_ratio: 0.1}
parallel: {micro_batch: 2}
global_batch: 4
max_duration: 1_000tok
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "train.yaml"
    path.write_text(GOOD)
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(TrainConfig, path, overrides)
    return str(caught.value)


def test_a_recipe_and_its_overrides_become_typed_values(good: Path) -> None:
    config = load_config(TrainConfig, good, ["optimizer.lr=2e-4", "budgets=[5tok,10tok]", "model.n_layer=3"])
    assert (config.optimizer.lr, config.budgets, config.model.n_layer) == (2e-4, ["5tok", "10tok"], 3)
    assert config.optimizer.betas == [0.9, 0.95]


def test_one_value_for_a_list_is_a_list_of_one(good: Path) -> None:
    assert load_config(TrainConfig, good, ["budgets=5tok"]).budgets == ["5tok"]


def test_a_resolved_config_loads_to_itself(good: Path, tmp_path: Path) -> None:
    from medlm_recipes.config.loading import to_yaml

    config = load_config(TrainConfig, good, ["data.mixture={papers: 5tok, replay: 1_000tok}"])
    assert config.data.mixture == {"papers": "5tok", "replay": "1_000tok"}
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load_config(TrainConfig, tmp_path / "config.yaml") == config
    assert resolved(config)["scheduler"]["warmup"] == "10tok"


def test_all_problems_are_reported_at_once_with_key_value_and_nearest_key(good: Path) -> None:
    message = refusal(good, "modle.n_layer=4", "optimizer.lr=fast", "max_duration=1000", "scheduler.name=cosin")
    assert "4 problems" in message and str(good) in message
    assert "modle: unknown key" in message and "did you mean model?" in message
    assert "optimizer.lr: 'fast' is not a number" in message
    assert "max_duration: 1000" in message and "1_000_000tok" in message
    assert "did you mean cosine?" in message


def test_a_missing_value_says_what_the_key_means(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    path.write_text(GOOD.replace("global_batch: 4\n", ""))
    assert "global_batch: missing; sequences in one optimizer update" in refusal(path)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("budgets=[2_000tok]", "2_000tok lies beyond max_duration"),
        ("scheduler.warmup=1_000tok", "does not end before max_duration"),
        ("parallel.micro_batch=3", "3 does not divide global_batch 4"),
        ("model.n_head=3", "8 is not a multiple of n_head 3"),
        ("optimizer.coupled_weight_decay=0.1", "exactly one of"),
        ("optimizer.betas=[0.9]", "must be two numbers"),
        ("optimizer.lr=-1", "must be above 0"),
        ("optimizer.lr=.inf", "optimizer.lr: inf: must be finite"),
        ("budgets={a: 1}", "budgets: {'a': 1} is not a list of texts"),
        ("scheduler=[1]", "{'scheduler': [1]} has a group of keys where a list belongs, or a list for a group"),
        ("preflight.train_tokens={papers: 5_000}", "papers: write a positive number of tokens with its unit"),
        ("model=gpt2", "not a group of keys"),
        ("seed=null", "is not an integer"),
        (
            "data.mixture={papers: 0.5, replay: 0.4}",
            "data.mixture: {'papers': 0.5, 'replay': 0.4}: the shares sum to 0.9",
        ),
        ("data.mixture=0.5", "data.mixture: 0.5 is not a group of keys or null"),
    ],
)
def test_impossible_values_and_combinations_are_refused(good: Path, override: str, words: str) -> None:
    assert words in refusal(good, override)


def test_a_coupled_weight_decay_in_the_decoupled_key_is_refused_with_the_remedy(good: Path) -> None:
    message = refusal(good, "optimizer.decoupled_weight_decay=0.1")
    assert "coupled_weight_decay: 0.1" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [("a: [", "not YAML"), ("- a\n", "top level"), ("run: ${nowhere}\n", "nowhere"), ("\x00", "not YAML")],
)
def test_what_is_not_a_recipe_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert words in refusal(path)


def test_a_missing_file_and_a_bad_override_are_one_message(good: Path, tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "nowhere.yaml")
    assert "write key=value" in refusal(good, "=3")
    assert "quote it" in refusal(good, "run=[*.zst]")


def test_help_lists_every_key_with_type_default_and_meaning() -> None:
    text = help_text(TrainConfig, "about")
    assert "optimizer.max_grad_norm  (a number or null, default 1.0)" in text
    assert "model.name  (a text, required)" in text and "model.n_layer  (an integer or null, default null)" in text
    assert "budgets  (a list of texts, default [])" in text


def test_a_section_that_may_be_null_is_made_and_unmade_by_overrides(tmp_path: Path) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text("format: text\ninputs: [x]\nout: y\nclean: {length: {min_characters: 5}, duplicates: null}\n")
    config = load_config(CorpusConfig, path, ["clean.length=null", "clean.duplicates.by=[pmid]", "clean.language={}"])
    assert config.clean.length is None and config.clean.near_duplicates is None
    assert config.clean.duplicates and config.clean.duplicates.by == ["pmid"]
    assert config.clean.language and config.clean.language.keep == ["en"]
    assert config.clean.steps() == ["language", "duplicates"]
    assert resolved(config)["clean"]["length"] is None


def test_problems_inside_a_section_that_may_be_null(tmp_path: Path) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(
        "format: text\ninputs: [x]\nout: y\n"
        "clean: {decontaminate: {}, upsample: {asof: 3}, length: {min_characters: 9, max_characters: 3}, urls: null}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(CorpusConfig, path)
    message = str(caught.value)
    assert "clean.decontaminate.against: missing" in message and "clean.upsample.as_of: missing" in message
    assert "clean.upsample.asof: unknown key" in message and "did you mean clean.upsample.as_of?" in message
    assert "clean.urls: None is not true or false" in message
    assert "clean.language.keep" in help_text(CorpusConfig, "") and "default null" in help_text(CorpusConfig, "")
