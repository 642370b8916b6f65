"""Answers in batches: every prompt is computed once, however many answers are drawn to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from medlm_recipes.evaluation.forwards import Forwards, PrefixCache
from medlm_recipes.evaluation.sampling import Sampling, choose
from medlm_recipes.evaluation.scorer import Walker
from medlm_recipes.evaluation.shared_prefixes import Layout, SortedSequences

_MOST_IDLE = 0.25  # of a batch's rows: how many may have ended before they are taken out

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values, (heads, length, width), of each layer."""


@dataclass
class Answer:
    """An answer that is wanted, and the tokens that it has so far. seed: of its own draws."""

    key: int
    seed: int
    tokens: list[int] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.draw = np.random.default_rng(self.seed)


@dataclass(frozen=True)
class _Started:
    """A prompt whose keys and values are computed. logits: (vocab,), of its first new token."""

    layers: Layers
    logits: torch.Tensor
    answers: list[Answer]


class Generator:
    """Draws at most `batch_size` answers at once (more where one prompt wants more)."""

    def __init__(self, walker: Walker, tokenizer: Any, ends: frozenset[int], batch_size: int) -> None:
        self._walker = walker
        self._tokenizer = tokenizer
        self._ends = ends
        self._batch_size = batch_size

    def generate(
        self, sequences: SortedSequences, first: int, last: int, answers: dict[int, list[Answer]], sampling: Sampling
    ) -> Iterator[Answer]:
        """The answers wanted of sequences `first` up to `last`, as they end. The model must be able to share."""
        spans = self._walker.spans(sequences, first, last)
        waiting: list[_Started] = []

        def wanted(layout: Layout) -> list[int]:
            return [int(layout.paths[i][-1]) for i in _complete(sequences, layout)]

        for layout, logits, cache in self._walker.walk(sequences, iter(spans), wanted, keep=True):
            for row, i in zip(logits, _complete(sequences, layout), strict=True):
                if waiting and sum(len(one.answers) for one in waiting) + len(answers[i]) > self._batch_size:
                    yield from self._finish(waiting, sampling)
                    waiting = []
                waiting.append(_Started(_path(cache, layout, i), row, answers[i]))
        if waiting:
            yield from self._finish(waiting, sampling)

    def _finish(self, started: list[_Started], sampling: Sampling) -> Iterator[Answer]:
        """Generate every answer to the end. Rows are padded in front, and leave the batch when they have ended."""
        batch = _Batch(started, self._walker.forwards)
        while True:
            draws = [answer.draw for answer in batch.answers]
            for answer, token in zip(batch.answers, choose(batch.logits, sampling, draws), strict=True):
                if not answer.ended:
                    answer.tokens.append(token)
            self._end(batch.answers, sampling)
            ended = [answer.ended for answer in batch.answers]
            if all(ended) or sum(ended) > _MOST_IDLE * len(ended):
                yield from batch.take_out()
            if not batch.answers:
                return
            batch.step()

    def _end(self, answers: list[Answer], sampling: Sampling) -> None:
        """Mark those that have just ended: at an end-of-text token, with a stop string, or at full length."""
        going = [answer for answer in answers if not answer.ended]
        # A token is a byte or more, but for those that stand for none; a few more for what decoding does at the front.
        tails = self._tokenizer.batch_decode([answer.tokens[-sampling.stop_bytes - 8 :] for answer in going])
        for answer, tail in zip(going, tails, strict=True):
            full = len(answer.tokens) >= sampling.max_tokens
            answer.ended = full or answer.tokens[-1] in self._ends or any(stop in tail for stop in sampling.stops)


class _Batch:
    """Rows of answers under way. Keys and values are (rows, heads, width of the batch, width) a layer."""

    def __init__(self, started: list[_Started], forwards: Forwards) -> None:
        self._forwards = forwards
        rows = [one for one in started for _ in one.answers]
        self.answers = [answer for one in started for answer in one.answers]
        self.logits = torch.stack([one.logits for one in rows])
        lengths = torch.tensor([one.layers[0][0].shape[-2] for one in rows], device=forwards.device)
        longest = int(lengths.max())
        self._cache = PrefixCache(None, grow=True)
        for layer in range(len(rows[0].layers)):
            for part, kept in enumerate((self._cache.key_cache, self._cache.value_cache)):
                kept.append(torch.stack([_padded(one.layers[layer][part], longest) for one in rows]))
        hidden = torch.arange(longest, device=forwards.device) < (longest - lengths)[:, None]
        mask = torch.zeros(hidden.shape, dtype=forwards.model.dtype, device=forwards.device)
        self._mask = mask.masked_fill_(hidden, -torch.inf)[:, None, None]
        self._positions = lengths[:, None]

    def step(self) -> None:
        """Feed every row its last token."""
        tokens = torch.tensor([[answer.tokens[-1]] for answer in self.answers], device=self._forwards.device)
        self._mask = torch.nn.functional.pad(self._mask, (0, 1))
        last = torch.zeros(1, dtype=torch.long, device=self._forwards.device)
        self.logits = self._forwards(tokens, last, self._cache, self._positions, self._mask)[:, 0].float()
        self._positions = self._positions + 1

    def take_out(self) -> list[Answer]:
        """The answers that have ended, no longer of the batch."""
        going = [row for row, answer in enumerate(self.answers) if not answer.ended]
        ended = [answer for answer in self.answers if answer.ended]
        rows = torch.tensor(going, dtype=torch.long, device=self._forwards.device)
        self.answers = [self.answers[row] for row in going]
        self.logits, self._mask, self._positions = self.logits[rows], self._mask[rows], self._positions[rows]
        self._cache.batch_select_indices(rows)
        return ended


def _complete(sequences: SortedSequences, layout: Layout) -> list[int]:
    """Sequences whose last token is run in this pass."""
    end = layout.span.end
    return [i for i in layout.paths if end is None or sequences.lengths[i] == end]


def _path(cache: PrefixCache | None, layout: Layout, i: int) -> Layers:
    """A sequence's own keys and values out of those of a pass."""
    assert cache is not None
    cached = layout.span.cached
    places = torch.from_numpy(np.concatenate([np.arange(cached), cached + layout.paths[i]]))
    return [(keys[0][:, places], values[0][:, places]) for keys, values in cache]


def _padded(tensor: torch.Tensor, length: int) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (0, 0, length - tensor.shape[-2], 0))
