"""Answers in batches, grown as one tree: prompts and what they share are held once, however many answers are drawn."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from medlm_recipes.evaluation.forwards import Forwards, additive
from medlm_recipes.evaluation.sampling import Sampling, choose
from medlm_recipes.evaluation.scorer import Walker
from medlm_recipes.evaluation.shared_prefixes import Layout, SortedSequences, Tokens

_STEPS_OF_ROOM = 16  # for how many more tokens an answer memory is taken at a time

Layers = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values, (1, heads, tokens, width), of each layer."""


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
class _Row:
    """An answer to begin. path: where its prompt stands in memory. logits: (vocab,), of its first token."""

    answer: Answer
    path: NDArray[np.int64]
    logits: torch.Tensor


@dataclass(frozen=True)
class _Pass:
    """Prompts that were run together. layers: of everything behind `prefix`; paths of `rows` count from there."""

    prefix: Tokens
    before: Layers
    layers: Layers
    rows: list[_Row]


class Generator:
    """Draws at most `batch_size` answers at once."""

    def __init__(self, walker: Walker, tokenizer: Any, ends: frozenset[int], batch_size: int) -> None:
        self._walker = walker
        self._tokenizer = tokenizer
        self._ends = ends
        self._batch_size = batch_size

    def generate(
        self, sequences: SortedSequences, first: int, last: int, answers: dict[int, list[Answer]], sampling: Sampling
    ) -> Iterator[Answer]:
        """The answers wanted of sequences `first` up to `last`, as they end. The model must be able to share."""
        waiting: list[_Pass] = []
        for one in self._passes(sequences, first, last, answers):
            rows = len(one.rows) + sum(len(other.rows) for other in waiting)
            if waiting and (rows > self._batch_size or one.prefix != waiting[0].prefix):
                yield from self._finish(waiting, sampling)
                waiting = []
            # The prefix is held once: each pass's own copy of it goes.
            waiting.append(replace(one, before=waiting[0].before) if waiting else one)
        if waiting:
            yield from self._finish(waiting, sampling)

    def _passes(
        self, sequences: SortedSequences, first: int, last: int, answers: dict[int, list[Answer]]
    ) -> Iterator[_Pass]:
        def wanted(layout: Layout) -> list[int]:
            return [int(layout.paths[i][-1]) for i in _complete(sequences, layout)]

        spans = iter(self._walker.spans(sequences, first, last))
        for layout, logits, cache in self._walker.walk(sequences, spans, wanted, keep=True):
            assert cache is not None
            cached, complete = layout.span.cached, _complete(sequences, layout)
            rows = [
                _Row(answer, layout.paths[i], row)
                for i, row in zip(complete, logits, strict=True)
                for answer in answers[i]
            ]
            if rows:
                before = [(keys[:, :, :cached], values[:, :, :cached]) for keys, values in cache]
                layers = [(keys[:, :, cached:].clone(), values[:, :, cached:].clone()) for keys, values in cache]
                yield _Pass(sequences.tokens[layout.span.first][:cached], before, layers, rows)

    def _finish(self, passes: list[_Pass], sampling: Sampling) -> Iterator[Answer]:
        """Generate every answer to the end."""
        parts = [passes[0].before, *(one.layers for one in passes)]
        layers = [
            (torch.cat([keys for keys, _ in of_layer], -2), torch.cat([values for _, values in of_layer], -2))
            for of_layer in zip(*parts, strict=True)
        ]
        cached = len(passes[0].prefix)
        rows, begin = [], cached
        for one in passes:
            for row in one.rows:
                path = np.concatenate([np.arange(cached), begin + row.path])
                rows.append(_Row(row.answer, path, row.logits))
            begin += one.layers[0][0].shape[-2]
        remaining = iter(rows)
        while some := list(islice(remaining, self._batch_size)):
            yield from self._grow(_Tree(self._walker.forwards, layers, some), sampling)

    def _grow(self, tree: "_Tree", sampling: Sampling) -> Iterator[Answer]:
        while True:
            draws = [answer.draw for answer in tree.answers]
            for answer, token in zip(tree.answers, choose(tree.logits, sampling, draws), strict=True):
                answer.tokens.append(token)
            self._end(tree.answers, sampling)
            yield from tree.take_out()
            if not tree.answers:
                return
            tree.step()

    def _end(self, answers: list[Answer], sampling: Sampling) -> None:
        """Mark those that have just ended: at an end-of-text token, with a stop string, or at full length."""
        # A token is a byte or more, but for those that stand for none; a few more for what decoding does at the front.
        tails = self._tokenizer.batch_decode([answer.tokens[-sampling.stop_bytes - 8 :] for answer in answers])
        for answer, tail in zip(answers, tails, strict=True):
            full = len(answer.tokens) >= sampling.max_tokens
            answer.ended = full or answer.tokens[-1] in self._ends or any(stop in tail for stop in sampling.stops)


class _TreeCache(DynamicCache):
    """Keys and values with room behind the first `length`; what attention is given is all of it, without a copy."""

    def __init__(self, layers: Layers, room: int) -> None:
        super().__init__()
        self.length = layers[0][0].shape[-2]
        for keys, values in layers:
            self.key_cache.append(torch.nn.functional.pad(keys, (0, 0, 0, room)))
            self.value_cache.append(torch.nn.functional.pad(values, (0, 0, 0, room)))

    @property
    def room(self) -> int:
        return self.key_cache[0].shape[-2] - self.length

    def get_seq_length(self, layer_idx: int | None = 0) -> int:
        return self.length

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, cache_kwargs: Any = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = self.key_cache[layer_idx], self.value_cache[layer_idx]
        end = self.length + key_states.shape[-2]
        keys[:, :, self.length : end] = key_states
        values[:, :, self.length : end] = value_states
        return keys, values


class _Tree:
    """Answers under way. A step feeds each one's last token, all in one sequence, where each sees its own past.

    logits: (answers, vocab) of their next tokens.
    """

    def __init__(self, forwards: Forwards, layers: Layers, rows: list[_Row]) -> None:
        self._forwards = forwards
        self.answers = [row.answer for row in rows]
        self.logits = torch.stack([row.logits for row in rows])
        self._positions = torch.tensor([len(row.path) for row in rows], device=forwards.device)
        visible = np.zeros((len(rows), layers[0][0].shape[-2]), np.bool_)
        for number, row in enumerate(rows):
            visible[number, row.path] = True
        self._visible = torch.from_numpy(visible).to(forwards.device)
        self._repack(layers)

    def _repack(self, layers: Layers) -> None:
        """Leave out what no answer sees any more, and make room."""
        seen = self._visible.any(0)
        room = _STEPS_OF_ROOM * len(self.answers)
        self._visible = torch.nn.functional.pad(self._visible[:, seen], (0, room))
        self._cache = _TreeCache([(keys[:, :, seen], values[:, :, seen]) for keys, values in layers], room)

    def step(self) -> None:
        device, count = self._forwards.device, len(self.answers)
        if self._cache.room < count:
            length = self._visible.shape[1] - self._cache.room
            self._visible = self._visible[:, :length]
            self._repack([(keys[:, :, :length], values[:, :, :length]) for keys, values in self._cache])
        each = torch.arange(count, device=device)
        self._visible[each, self._cache.length + each] = True
        tokens = torch.tensor([[answer.tokens[-1] for answer in self.answers]], device=device)
        mask = additive(self._visible, self._forwards.model.dtype)
        self.logits = self._forwards(tokens, each, self._cache, self._positions[None], mask)[0].float()
        self._cache.length += count
        self._positions = self._positions + 1

    def take_out(self) -> list[Answer]:
        """The answers that have ended, no longer of the tree."""
        ended = [answer for answer in self.answers if answer.ended]
        if ended:
            going = torch.tensor([not answer.ended for answer in self.answers], device=self._forwards.device)
            self.answers = [answer for answer in self.answers if not answer.ended]
            self.logits, self._visible = self.logits[going], self._visible[going]
            self._positions = self._positions[going]
        return ended


def _complete(sequences: SortedSequences, layout: Layout) -> list[int]:
    """Sequences whose last token is run in this pass."""
    end = layout.span.end
    return [i for i in layout.paths if end is None or sequences.lengths[i] == end]
