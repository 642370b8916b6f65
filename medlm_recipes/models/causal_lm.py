"""The Composer model around a Hugging Face causal language model."""

from typing import Any

from composer.metrics.nlp import LanguageCrossEntropy
from composer.models import HuggingFaceModel

from medlm_recipes.config.train import ModelKeys
from medlm_recipes.models.gpt2 import BLOCK, build_gpt2

# model.name -> (builder, class of a transformer block: one FSDP unit and one checkpointed unit each)
ARCHITECTURES = {"gpt2": (build_gpt2, BLOCK)}


def build_model(keys: ModelKeys, vocab_size: int, sequence_length: int, end_of_text: int) -> Any:
    """The bare Hugging Face model that `keys` names, with random weights."""
    build, _ = ARCHITECTURES[keys.name]
    return build(keys, vocab_size, sequence_length, end_of_text)


def wrap_for_training(model: Any, keys: ModelKeys) -> HuggingFaceModel:
    """A ComposerModel over batches {"input_ids", "labels"}, both (batch, sequence) int64.

    Validation measures token-weighted cross-entropy (nats); there is no training metric, since it
    would compute the loss a second time.
    """
    _, block = ARCHITECTURES[keys.name]
    # Composer shards and checkpoints the whole model as one unit unless it is told what a block is.
    model.fsdp_wrap_fn = model.activation_checkpointing_fn = lambda module: isinstance(module, block)
    return HuggingFaceModel(
        model, tokenizer=None, use_logits=True, shift_labels=True, eval_metrics=[LanguageCrossEntropy()]
    )
