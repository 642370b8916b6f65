"""The Composer model around a Hugging Face causal language model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from composer.metrics.nlp import LanguageCrossEntropy
from composer.models import HuggingFaceModel
from transformers import masking_utils
from transformers.modeling_outputs import CausalLMOutput

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.building import transformer_blocks
from medlm_recipes.models.documents import document_inputs
from medlm_recipes.models.loss import next_token_loss
from medlm_recipes.token_math import training_flops_per_token

# What some architectures do between the output layer and the loss (Gemma 2, Cohere, Granite), and the fused
# loss does not.
_LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


class TrainedCausalLM(HuggingFaceModel):
    """A ComposerModel over batches {"input_ids", "labels"}, both (batch, sequence) int64.

    In training the output holds the loss alone (mean over tokens, nats); without labels, as in
    validation, the logits (batch, sequence, vocab). Validation measures token-weighted cross-entropy;
    there is no training metric, since it would compute the loss a second time.

    Raises ConfigError when the model's blocks cannot be told, or `keys` ask of it what it cannot do.
    """

    def __init__(self, model: Any, keys: ModelKeys, end_of_text: int) -> None:
        _refuse_unfit(model, keys)
        super().__init__(
            model, tokenizer=None, use_logits=True, shift_labels=True, eval_metrics=[LanguageCrossEntropy()]
        )
        blocks = set(transformer_blocks(model))
        # Composer shards and checkpoints the whole model as one unit unless it is told what a block is.
        model.fsdp_wrap_fn = model.activation_checkpointing_fn = lambda module: module in blocks
        self.parameter_count: int = model.num_parameters()
        self.end_of_text = end_of_text if keys.mask_documents else None
        if keys.compile:
            for block in blocks:
                block.forward = torch.compile(block.forward)
        if keys.loss == "fused":
            # FSDP gathers the output layer, often one matrix with the embedding, for the Hugging Face
            # model's own forward: the loss must be computed inside it.
            model.forward = self._states_to_loss

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        with _undivided_rows():
            return super().forward(batch)

    def _states_to_loss(
        self, input_ids: torch.Tensor, labels: torch.Tensor | None = None, attention_mask: torch.Tensor | None = None
    ) -> CausalLMOutput:
        head = self.model.get_output_embeddings()
        inputs = {"attention_mask": attention_mask}
        if self.end_of_text is not None:
            attention = self.config._attn_implementation
            inputs |= document_inputs(input_ids, self.end_of_text, attention, head.weight.dtype)
        states = self.model.base_model(input_ids=input_ids, use_cache=False, **inputs)[0]
        if labels is None:
            return CausalLMOutput(logits=head(states))
        return CausalLMOutput(loss=next_token_loss(states, head.weight, head.bias, labels))

    def flops_per_token(self, sequence_length: int) -> int | None:
        """FLOPs of a training step a token; None for a mixture of experts, whose active share is unknown here."""
        config = self.config
        if getattr(config, "num_experts_per_tok", None):
            return None
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        width = config.num_attention_heads * head
        return training_flops_per_token(self.parameter_count, config.num_hidden_layers, width, sequence_length)

    def flops_per_batch(self, batch: dict[str, torch.Tensor]) -> int:
        """What Composer's SpeedMonitor asks for: FLOPs of a training step on one rank's batch."""
        ids = batch["input_ids"]
        return ids.numel() * (self.flops_per_token(ids.shape[1]) or 0)


@contextmanager
def _undivided_rows() -> Iterator[None]:
    """Let SDPA be causal by its flag where no mask is given, so that it takes the flash kernel.

    transformers 4.53 looks for packed documents in the positions of every batch without a mask, and then
    builds a mask (batch, 1, sequence, sequence) even where it finds none: the kernel that takes masks
    computes all scores. Documents are divided by `document_inputs`, which gives a mask of its own.
    """
    with mock.patch.object(masking_utils, "find_packed_sequence_indices", lambda position_ids: None):
        yield


def _refuse_unfit(model: Any, keys: ModelKeys) -> None:
    config = model.config
    if keys.mask_documents and getattr(config, "sliding_window", None):
        raise ConfigError(
            f"model.mask_documents: {type(model).__name__} has sliding-window attention, which the mask would undo; "
            "set mask_documents: false"
        )
    found = [name for name in _LOGIT_SETTINGS if getattr(config, name, None) not in (None, 1.0)]
    if getattr(config, "output_router_logits", False):
        found.append("output_router_logits")
    if keys.loss == "fused" and found:
        raise ConfigError(
            f"model.loss: {type(model).__name__} does not end in plain cross-entropy ({', '.join(found)}); "
            "the fused loss is nothing else, set model.loss=plain"
        )
