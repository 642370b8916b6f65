"""What train refuses before its first step on GPUs."""

from typing import Any

import pytest
from launch import ROOT

from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import PreflightConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.evaluation.while_training import scores_of
from medlm_recipes.preflight.gate import refuse_what_cannot_fit
from medlm_recipes.training import train as verb

GIB = 1 << 30


def gate(gib: float, *overrides: str) -> None:
    config = load_config(
        PreflightConfig, ROOT / "yamls/train/biomedlm-2.7b.yaml", ["cluster=a100-40gb-128", *overrides]
    )
    refuse_what_cannot_fit(config, 28_896, 1024, 128, round(gib * GIB))


def test_a_run_that_cannot_fit_is_refused_unless_told_otherwise() -> None:
    gate(39.4)
    large = "parallel.micro_batch=32"
    with pytest.raises(ConfigError, match=r"parallel.micro_batch: 32 .* activations.*there are 39.4;") as refusal:
        gate(39.4, large)
    assert "preflight.override=true" in str(refusal.value)
    gate(39.4, large, "preflight.override=true")
    gate(39.4, large, "parallel.activation_checkpointing=true")
    gate(141, large)


def test_train_asks_on_gpus_before_anything_is_written(
    line: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [f"run={tmp_path}/run", f"shards={line}/shards", f"tokenizer={line}/tokenizer"]
    config = load_config(PreflightConfig, ROOT / "yamls/quickstart/train.yaml", given)
    monkeypatch.setattr("medlm_recipes.parallel.agreement.join_ranks", lambda: None)
    monkeypatch.setattr("medlm_recipes.parallel.fsdp.check_device", lambda keys, device: None)
    monkeypatch.setattr("medlm_recipes.parallel.fsdp.device_memory", lambda device: 1 << 20)
    with pytest.raises(ConfigError, match=r"there are 0\.0"):
        verb.train(config, False, refuse_what_cannot_fit, scores_of)
    assert not (tmp_path / "run").exists()
