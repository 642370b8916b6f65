"""What one rank of a training run executes, in the form in which the simulation takes it."""

from dataclasses import dataclass, replace
from typing import Any

from medlm_recipes.config.loading import resolved
from medlm_recipes.config.train import TrainConfig


@dataclass(frozen=True)
class RankSetup:
    """One rank's work; every field is JSON.

    model: one entry, the name of a builder and its arguments: {"recipe": ...} (ModelKeys and the shards'
    facts), {"huggingface": {"model_type": ..., ...}} (a config of transformers as it is), {"mpt": ...}, or
    {"package.module:function": ...} for any other; see memory_models.
    micro_batch, sequence: of the (micro_batch, sequence) tokens that go through the model at once.
    ranks: of the whole run; replicas, tensor_parallel as in a recipe's `parallel`.
    sharding: "full" (FSDP2), "grad_op" (FSDP2 that keeps gathered parameters until the backward pass) or
    "none" (a copy a rank, DDP above one rank).
    weights: dtype that parameters, their gradients and the optimizer's states are kept in.
    compute, reduce: dtypes of FSDP2's gathered parameters and of its reduction; null is that of the weights.
    autocast: whether the forward pass runs under CUDA autocast to bf16.
    optimizer: "decoupled_adamw" (Composer's), "adamw" (torch's, as it chooses itself), "adamw_fused" or
    "adamw_loop".
    accumulation: whether gradients of an earlier micro-batch of the step lie there.
    outputs: how long what the model returns is held, logits included: "step" lets go of it with the step,
    "next" when the next micro-batch has replaced it, which is what Composer and most loops do.
    validation: also run a validation batch, as the recipe does.
    """

    model: dict[str, Any]
    micro_batch: int
    sequence: int
    ranks: int = 1
    replicas: int = 1
    tensor_parallel: int = 1
    sharding: str = "full"
    weights: str = "fp32"
    compute: str | None = "bf16"
    reduce: str | None = "fp32"
    autocast: bool = True
    activation_checkpointing: bool = False
    optimizer: str = "decoupled_adamw"
    accumulation: bool = False
    outputs: str = "next"
    validation: bool = False


def setup_of(config: TrainConfig, vocab_size: int, sequence_length: int, end_of_text: int, ranks: int) -> RankSetup:
    """What a rank of this recipe executes on GPUs.

    `precision: auto` is bf16 there; `amp_bf16` is CUDA autocast over FSDP2's own bf16 (Composer's DEFAULT
    mixed precision). Without FSDP Composer has no activation checkpointing.
    """
    keys = config.parallel
    half = keys.precision != "fp32"
    # A Llama's shape stands in its keys: its config on the hub, which may be gated, need not be read.
    shape = replace(config.model, pretrained=None) if config.model.name == "llama" else config.model
    return RankSetup(
        model={
            "recipe": {
                "keys": resolved(shape),
                "vocab_size": vocab_size,
                "sequence_length": sequence_length,
                "end_of_text": end_of_text,
            }
        },
        micro_batch=keys.micro_batch,
        sequence=sequence_length,
        ranks=ranks,
        replicas=keys.replicas,
        tensor_parallel=keys.tensor_parallel,
        sharding="full" if keys.fsdp else "none",
        compute="bf16" if half and keys.fsdp else None,
        reduce="fp32" if keys.fsdp else None,
        autocast=half,
        activation_checkpointing=keys.activation_checkpointing,
        accumulation=config.global_batch > keys.micro_batch * keys.data_ranks(ranks),
        validation=True,
    )
