"""The model of a run: fresh, continued from pretrained weights, or as a checkpoint describes it."""

import json
from pathlib import Path

import torch
from composer.utils import dist

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.manifest import Manifest
from medlm_recipes.models.building import build_model, rebuild_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.run_folder import read_checkpoint

ARCHITECTURE = "architecture"
"""Fact of a checkpoint's manifest: the config of its Hugging Face model, which rebuilds it without its source."""


def model_of_run(config: TrainConfig, plan: TrainPlan, manifest: Manifest, checkpoint: Path | None) -> TrainedCausalLM:
    """The model to train; weights are still to be loaded when the run goes on from a `checkpoint`.

    Adds the architecture to the run's manifest. Under FSDP2 only rank 0 holds weights: Composer spreads
    them from there, so that a host needs no copy of a 70B model a rank (which tensor parallelism does).
    Raises ConfigError when `model.pretrained` does not fit the recipe.
    """
    weightless = config.parallel.spreads_weights and dist.get_global_rank() > 0
    end_of_text = plan.shards.facts["end_of_text"]
    with torch.device("meta" if weightless else "cpu"):
        if checkpoint:
            bare = rebuild_model(read_checkpoint(checkpoint).facts[ARCHITECTURE], config.model)
        else:
            bare = build_model(config.model, plan.vocab_size, plan.sequence_length, end_of_text)
    manifest.facts[ARCHITECTURE] = json.loads(bare.config.to_json_string(use_diff=False))
    return TrainedCausalLM(bare, config.model, end_of_text)
