"""What every model that the Trainer is given has in common: its blocks, its size and its FLOPs."""

from typing import Any

import torch
from composer.models import HuggingFaceModel

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.models.building import transformer_blocks
from medlm_recipes.token_math import training_flops_per_token


class TrainedModel(HuggingFaceModel):
    """A Hugging Face model as a ComposerModel whose blocks are sharded, checkpointed and compiled one by one.

    `settings` are HuggingFaceModel's. Raises ConfigError when the model's blocks cannot be told.
    """

    def __init__(self, model: Any, keys: ModelKeys, **settings: Any) -> None:
        super().__init__(model, tokenizer=None, use_logits=True, **settings)
        blocks = set(transformer_blocks(model))
        # Composer shards and checkpoints the whole model as one unit unless it is told what a block is.
        model.fsdp_wrap_fn = model.activation_checkpointing_fn = lambda module: module in blocks
        self.parameter_count: int = model.num_parameters()
        self.trains_all = all(parameter.requires_grad for parameter in model.parameters())
        if keys.compile:
            for block in blocks:
                block.forward = torch.compile(block.forward)

    def flops_per_token(self, sequence_length: int) -> int | None:
        """FLOPs of a training step a token.

        None for a mixture of experts, whose active share is unknown here, and where weights are frozen.
        """
        config = self.config
        if getattr(config, "num_experts_per_tok", None) or not self.trains_all:
            return None
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        width = config.num_attention_heads * head
        return training_flops_per_token(self.parameter_count, config.num_hidden_layers, width, sequence_length)

    def flops_per_batch(self, batch: dict[str, torch.Tensor]) -> int:
        """What Composer's SpeedMonitor asks for: FLOPs of a training step on one rank's batch."""
        ids = batch["input_ids"]
        return ids.numel() * (self.flops_per_token(ids.shape[-1]) or 0)
