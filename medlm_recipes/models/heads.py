"""A linear head over a sequence's last token: it classifies the sequence, or scores it as an answer option.

The model is transformers' own for sequence classification (GPT2ForSequenceClassification and its kin), which
takes the last token that is not padding; options are scored by a head of one output, as BioMedLM's code does
(github.com/stanford-crfm/BioMedLM, finetune/utils/custom_modeling_gpt2.py).
"""

from collections.abc import Sequence
from typing import Any

import torch
from composer.metrics.nlp import LanguageCrossEntropy, MaskedAccuracy
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from medlm_recipes.config.model import ModelKeys
from medlm_recipes.errors import ConfigError
from medlm_recipes.models.trained import TrainedModel

OPTION_SCORE = ("score",)
"""Labels of the head that scores one option at a time."""


def put_head(model: Any, labels: Sequence[str], padding: int) -> Any:
    """The sequence-classification model with the body of `model`, a causal language model, and a fresh head.

    On the default device; its output layer goes. labels: what the head's outputs stand for. padding: the id
    that rows are filled up with, which no sequence holds. The head is drawn as the model draws its own
    weights. Raises ConfigError when transformers has no such model of the architecture.
    """
    config = model.config
    config.pad_token_id = padding
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    try:
        with torch.device("meta"):  # its body is thrown away
            headed = AutoModelForSequenceClassification.from_config(config, torch_dtype=torch.float32)
    except ValueError as error:
        raise ConfigError(
            f"model.pretrained: {type(model).__name__} cannot be given a head ({str(error).splitlines()[0]})"
        ) from None
    device = model.get_input_embeddings().weight.device
    for name, module in headed.named_children():
        if name == headed.base_model_prefix:
            setattr(headed, name, model.base_model)
        else:
            module.to_empty(device=device)
            module.apply(headed._init_weights)
    return headed


def head_logits(model: Any, input_ids: torch.Tensor) -> torch.Tensor:
    """(batch, labels) for rows (batch, sequence); (batch, options) for rows (batch, options, sequence).

    An option of padding alone is none: its logit is -inf.
    """
    if input_ids.ndim == 2:
        return model(input_ids=input_ids, use_cache=False).logits
    scores = model(input_ids=input_ids.flatten(0, 1), use_cache=False).logits.view(input_ids.shape[:2])
    there = (input_ids != model.config.pad_token_id).any(-1)
    return scores.masked_fill(~there, -torch.inf)


class TrainedHead(TrainedModel):
    """A ComposerModel over batches {"input_ids": (batch, [options,] sequence), "labels": (batch,)}, both int64.

    Its outputs are logits, its loss their cross-entropy in nats an example. Validation measures that and
    the accuracy, over the examples whose label is not IGNORED.
    """

    def __init__(self, model: Any, keys: ModelKeys) -> None:
        metrics = [LanguageCrossEntropy(), MaskedAccuracy()]
        super().__init__(model, keys, shift_labels=False, eval_metrics=metrics)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return head_logits(self.model, batch["input_ids"])

    def loss(self, outputs: torch.Tensor, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return functional.cross_entropy(outputs.float(), batch["labels"])

    def eval_forward(self, batch: dict[str, torch.Tensor], outputs: torch.Tensor | None = None) -> torch.Tensor:
        self.labels = batch["labels"]
        return self.forward(batch).float() if outputs is None else outputs
