"""The model of a run: fresh, continued from pretrained weights, or as a checkpoint describes it."""

import json
from pathlib import Path
from typing import Any

import torch
from composer.utils import dist

from medlm_recipes.config.train import HEADED, TrainConfig
from medlm_recipes.errors import ConfigError
from medlm_recipes.manifest import Manifest, hash_json
from medlm_recipes.models.building import build_model, check_base, grow_vocabulary, rebuild_model
from medlm_recipes.models.causal_lm import TrainedCausalLM
from medlm_recipes.models.heads import OPTION_SCORE, TrainedHead, put_head
from medlm_recipes.models.lora import add_lora
from medlm_recipes.models.trained import TrainedModel
from medlm_recipes.token_math import padded_vocabulary
from medlm_recipes.training.checkpoints import load_model, shape_of_checkpoint
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.run_folder import ARCHITECTURE, is_checkpoint, read_checkpoint, task_of_checkpoint

STARTED_FROM = "started_from"
"""Fact of a checkpoint's manifest: hash and tokens of the checkpoint whose weights the run began with, if any."""


def model_of_run(config: TrainConfig, plan: TrainPlan, manifest: Manifest, checkpoint: Path | None) -> TrainedModel:
    """The model to train; weights are still to be loaded when the run goes on from a `checkpoint`.

    Adds the architecture, and where its weights are from, to the run's manifest. Under FSDP2 only rank 0
    holds weights: Composer spreads them from there, so that a host needs no copy of a 70B model a rank
    (which tensor parallelism does). Raises ConfigError when `model.pretrained` does not fit the recipe.
    """
    weightless = config.parallel.spreads_weights and dist.get_global_rank() > 0
    headed = config.task in HEADED
    with torch.device("meta" if weightless else "cpu"):
        if checkpoint:
            facts = read_checkpoint(checkpoint).facts
            manifest.facts |= {name: facts[name] for name in (STARTED_FROM,) if name in facts}
            bare = rebuild_model(facts[ARCHITECTURE], config.model, headed=headed)
        else:
            bare = _fresh(config, plan, manifest, weightless=weightless)
        manifest.facts[ARCHITECTURE] = json.loads(bare.config.to_json_string(use_diff=False))
        if config.model.lora:
            add_lora(bare, config.model.lora)
    if headed:
        return TrainedHead(bare, config.model)
    return TrainedCausalLM(bare, config.model, plan.shards.facts["end_of_text"], packed=config.task == "sft")


def _fresh(config: TrainConfig, plan: TrainPlan, manifest: Manifest, *, weightless: bool) -> Any:
    end_of_text = plan.shards.facts["end_of_text"]
    pretrained = config.model.pretrained
    if pretrained and is_checkpoint(pretrained):
        bare = _from_checkpoint(config, plan, pretrained, weightless=weightless)
        source = read_checkpoint(pretrained)
        manifest.facts[STARTED_FROM] = {"checkpoint": hash_json(source.__dict__), "tokens": source.facts["tokens"]}
    else:
        bare = build_model(config.model, plan.vocab_size, plan.sequence_length, end_of_text)
    if config.task not in HEADED:
        return bare
    labels = plan.shards.facts["labels"] if config.task == "classification" else OPTION_SCORE
    return put_head(bare, labels, end_of_text)


def _from_checkpoint(config: TrainConfig, plan: TrainPlan, checkpoint: str, *, weightless: bool) -> Any:
    """The language model of another run's checkpoint, its vocabulary grown as that of any base."""
    task = task_of_checkpoint(read_checkpoint(checkpoint))
    if task in HEADED:
        raise ConfigError(
            f"model.pretrained: {checkpoint} is a model for {task}, which has no output layer any more; give the "
            "checkpoint that it was fine-tuned from"
        )
    bare = (shape_of_checkpoint if weightless else load_model)(checkpoint, attention=config.model.attention)
    check_base(bare.config, config.model, plan.sequence_length)
    grow_vocabulary(bare, padded_vocabulary(plan.vocab_size, config.model.pad_vocab_to_multiple_of))
    return bare
