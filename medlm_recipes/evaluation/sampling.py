"""How the next token is chosen, and when an answer ends."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from medlm_recipes.errors import ConfigError


@dataclass(frozen=True)
class Sampling:
    """lm-eval's generation arguments. temperature 0: the likeliest token; top_p 1, top_k 0: among all tokens.

    Nothing is taken from a model's generation_config: transformers would cut to the 50 likeliest unasked.
    """

    max_tokens: int
    stops: tuple[str, ...]
    temperature: float
    top_p: float
    top_k: int

    @classmethod
    def of(cls, arguments: dict[str, Any], end_of_text: str) -> "Sampling":
        """Raises ConfigError for an argument that is unknown here or out of its range."""
        from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

        given = dict(normalize_gen_kwargs(arguments))
        sampled = given.pop("do_sample")
        stops = handle_stop_sequences(given.pop("until"), eos=end_of_text)
        keys = {"max_tokens": given.pop("max_gen_toks"), "temperature": given.pop("temperature", 0.0)}
        keys |= {"top_p": given.pop("top_p", 1.0), "top_k": given.pop("top_k", 0)}
        if given:
            raise ConfigError(
                f"generation_kwargs: {', '.join(sorted(given))}: not known here; there are until, max_gen_toks, "
                "do_sample, temperature, top_p and top_k"
            )
        if not (keys["max_tokens"] >= 1 and keys["temperature"] >= 0 and 0 < keys["top_p"] <= 1 and keys["top_k"] >= 0):
            raise ConfigError(
                f"generation_kwargs: {json.dumps(keys)}: max_gen_toks must be 1 or more, temperature and top_k not "
                "below 0, top_p above 0 and at most 1"
            )
        return cls(**keys | {"temperature": keys["temperature"] if sampled else 0.0}, stops=tuple(filter(None, stops)))

    @property
    def stop_bytes(self) -> int:
        """Bytes of the longest stop string, which no more tokens than that can hold."""
        return max((len(stop.encode()) for stop in self.stops), default=0)


def seed_of(seed: int, prompt: str, arguments: dict[str, Any], repeat: int) -> int:
    """The seed of one answer: of nothing but what was asked for, so that no batch or rank plays a part in it."""
    named = json.dumps([seed, prompt, arguments, repeat], sort_keys=True)
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8], "big")


def choose(logits: torch.Tensor, sampling: Sampling, draws: list[np.random.Generator]) -> list[int]:
    """A token for each row of `logits` (rows, vocab), by one number of the row's own generator."""
    if sampling.temperature == 0:
        return logits.argmax(-1).tolist()
    probabilities = (logits / sampling.temperature).softmax(-1).double()
    if sampling.top_p < 1 or sampling.top_k:
        probabilities = _likeliest(probabilities, sampling)
    # Over the vocabulary in its own order: in one by probability, rounding would make neighbours change places.
    up_to = probabilities.cumsum(-1)
    drawn = torch.tensor([[draw.random()] for draw in draws], dtype=torch.float64, device=logits.device)
    places = torch.searchsorted(up_to, drawn * up_to[:, -1:], right=True)
    return places.clamp(max=logits.shape[-1] - 1).flatten().tolist()


def _likeliest(probabilities: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Those of the top_k likeliest tokens, and of these as many as make up top_p; 0 for the others."""
    ordered, order = probabilities.sort(stable=True, dim=-1, descending=True)
    if sampling.top_k:
        ordered[:, sampling.top_k :] = 0
    before = ordered.cumsum(-1) - ordered
    ordered[before >= sampling.top_p * ordered.sum(-1, keepdim=True)] = 0
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)
