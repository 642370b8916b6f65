"""A fine-tuned head as what is scored: BioMedLM's way to answer multiple-choice and yes/no questions.

A head of one output gives every option, read after its question, a score, and the highest wins (MedQA); a
head with labels reads the question and its context once and says which label is likeliest (PubMedQA,
BioASQ). To lm-eval both look like log-likelihoods of the options as continuations.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lm_eval.api.model import LM
from torch import distributed

from medlm_recipes.errors import ConfigError

HEADED_NAME = "ForSequenceClassification"


def has_head(model: Any) -> bool:
    """Whether a model is one of transformers' for sequence classification."""
    return type(model).__name__.endswith(HEADED_NAME)


class HeadLM(LM):
    """A sequence-classification model of transformers behind lm-eval's interface, on this rank's device.

    model: its config's id2label names the labels; one output is a score of options. Its pad_token_id must
    not stand in questions. tokenizer: its beginning-of-text token is not added, as in fine-tuning.
    batch_size: sequences read at once.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_size: int) -> None:
        super().__init__()
        self.model, self.tokenizer, self.batch_size = model, tokenizer, batch_size
        self.max_length: int = model.config.max_position_embeddings
        self.labels: dict[str, int] = {} if model.config.num_labels == 1 else dict(model.config.label2id)
        if distributed.is_initialized():
            self._rank, self._world_size = distributed.get_rank(), distributed.get_world_size()

    def token_count(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False))

    def is_too_long(self, context: str, continuation: str) -> bool:
        """Whether what is read for this option does not fit the model."""
        return self.token_count(self._read(context, continuation)) > self.max_length

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        """Of each (question, option): the head's score of the option, or the log-probability of the label.

        Raises ConfigError for an option that is none of the head's labels.
        """
        pairs = [request.args for request in requests]
        unknown = {option.strip() for _, option in pairs if self.labels and option.strip() not in self.labels}
        if unknown:
            raise ConfigError(
                f"checkpoint: its head knows {', '.join(self.labels)}; the benchmark also has "
                f"{', '.join(sorted(unknown)[:5])}"
            )
        texts = list(dict.fromkeys(self._read(*pair) for pair in pairs))
        logits = dict(self._logits(texts))
        found = []
        for context, option in pairs:
            outputs = logits[self._read(context, option)]
            score = outputs.log_softmax(-1)[self.labels[option.strip()]] if self.labels else outputs[0]
            found.append((float(score), False))
        return found

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        raise ConfigError(
            "checkpoint: it has a head in place of a language model's output and gives text no likelihood"
        )

    def generate_until(self, requests: list[Any]) -> list[str]:
        raise ConfigError("checkpoint: it has a head in place of a language model's output and cannot write text")

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        if self.world_size == 1:
            return [obj]
        parts: list[Any] | None = [None] * self.world_size if self.rank == dst else None
        distributed.gather_object(obj, parts, dst)
        return parts

    def _read(self, context: str, option: str) -> str:
        return context if self.labels else context + option

    def _logits(self, texts: Sequence[str]) -> Iterator[tuple[str, torch.Tensor]]:
        """(text, logits (labels,) in fp32), alike long texts together."""
        ids = {text: self.tokenizer.encode(text, add_special_tokens=False) for text in texts}
        ordered = sorted(texts, key=lambda text: len(ids[text]))
        padding = self.model.config.pad_token_id
        for start in range(0, len(ordered), self.batch_size):
            batch = ordered[start : start + self.batch_size]
            longest = len(ids[batch[-1]])
            rows = [ids[text] + [padding] * (longest - len(ids[text])) for text in batch]
            tokens = torch.tensor(rows, device=self.model.device)
            with torch.no_grad():  # attention looks back only, so that padding behind changes nothing
                outputs = self.model(input_ids=tokens, use_cache=False).logits.float().cpu()
            yield from zip(batch, outputs, strict=True)
