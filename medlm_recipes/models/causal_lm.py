"""The Composer model around a Hugging Face causal language model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from composer.metrics import nlp
from transformers import masking_utils
from transformers.modeling_outputs import CausalLMOutput

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.documents import begins_after, document_inputs
from medlm_recipes.models.loss import IGNORED, next_token_loss
from medlm_recipes.models.trained import TrainedModel

# What some architectures do between the output layer and the loss (Gemma 2, Cohere, Granite), and the fused
# loss does not.
_LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


class TrainedCausalLM(TrainedModel):
    """A ComposerModel over batches {"input_ids", "labels"}, both (batch, sequence) int64.

    "begins", bool of the same shape, which batches of `packed` examples have, says which tokens begin one
    in a row; otherwise end-of-text tokens end them, as far as `keys` mask documents. With the fused loss the
    output holds that alone (mean over tokens, nats); without labels, the logits (batch, sequence, vocab).
    Validation measures token-weighted cross-entropy by the loss of training: from logits, Composer's metric
    would hold those of two batches, and round to bf16 where they are. There is no training metric, since it
    would compute the loss a second time.

    Raises ConfigError when the model's blocks cannot be told, or `keys` ask of it what it cannot do.
    """

    def __init__(self, model: Any, keys: ModelKeys, end_of_text: int, *, packed: bool = False) -> None:
        _refuse_unfit(model, keys, packed)
        super().__init__(model, keys, shift_labels=True, eval_metrics=[LanguageCrossEntropy()])
        self.end_of_text = end_of_text if keys.mask_documents else None
        if keys.loss == "fused":
            # FSDP gathers the output layer, often one matrix with the embedding, for the Hugging Face
            # model's own forward: the loss must be computed inside it.
            model.forward = self._states_to_loss
            self.model_forward_args = self._get_model_forward_args()

    def forward(self, batch: dict[str, torch.Tensor]) -> Any:
        with _undivided_rows():
            return super().forward(batch)

    def eval_forward(self, batch: dict[str, torch.Tensor], outputs: Any = None) -> torch.Tensor:
        self.labels = batch["labels"]
        loss: torch.Tensor = (outputs or self.forward(batch))["loss"]
        return loss

    def _states_to_loss(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        begins: torch.Tensor | None = None,
    ) -> CausalLMOutput:
        head = self.model.get_output_embeddings()
        inputs = {"attention_mask": attention_mask}
        if begins is None and self.end_of_text is not None:
            begins = begins_after(input_ids, self.end_of_text)
        if begins is not None:
            inputs |= document_inputs(begins, self.config._attn_implementation, head.weight.dtype)
        states = self.model.base_model(input_ids=input_ids, use_cache=False, **inputs)[0]
        if labels is None:
            return CausalLMOutput(logits=head(states))
        return CausalLMOutput(loss=next_token_loss(states, head.weight, head.bias, labels))


class LanguageCrossEntropy(nlp.LanguageCrossEntropy):
    """Composer's metric, and its name in loggers, over a batch's mean loss and unshifted labels."""

    def update(self, output: torch.Tensor, target: torch.Tensor) -> None:
        tokens = (target[:, 1:] != IGNORED).sum()
        self.sum_loss += torch.where(tokens > 0, output.float() * tokens, 0.0)
        self.total_items += tokens


@contextmanager
def _undivided_rows() -> Iterator[None]:
    """Let SDPA be causal by its flag where no mask is given, so that it takes the flash kernel.

    transformers 4.53 looks for packed documents in the positions of every batch without a mask, and then
    builds a mask (batch, 1, sequence, sequence) even where it finds none: the kernel that takes masks
    computes all scores. Documents are divided by `document_inputs`, which gives a mask of its own.
    """
    with mock.patch.object(masking_utils, "find_packed_sequence_indices", lambda position_ids: None):
        yield


def _refuse_unfit(model: Any, keys: ModelKeys, packed: bool) -> None:
    config = model.config
    if (keys.mask_documents or packed) and getattr(config, "sliding_window", None):
        remedy = "choose another base for task sft" if packed else "set mask_documents: false"
        raise ConfigError(
            f"model.mask_documents: {type(model).__name__} has sliding-window attention, which the mask would undo; "
            f"{remedy}"
        )
    found = [name for name in _LOGIT_SETTINGS if getattr(config, name, None) not in (None, 1.0)]
    if getattr(config, "output_router_logits", False):
        found.append("output_router_logits")
    if keys.loss == "fused" and found:
        raise ConfigError(
            f"model.loss: {type(model).__name__} does not end in plain cross-entropy ({', '.join(found)}); "
            "the fused loss is nothing else, set model.loss=plain"
        )
