"""Which tokens of many sequences are run together, so that no shared prefix is run twice.

Sequences stand in lexicographic order, so that those with a common prefix are neighbours: any stretch
of them is a tree of tokens, described by each one's length and by what it shares with the one before
it. A span runs the tokens of such a tree in one forward pass of batch 1, without any padding: every
token sees its own ancestors only. What many spans share (instructions and demonstrations) is a span
of its own, whose keys and values are kept for them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Tokens = tuple[int, ...]

LEAST_SHARED = 32
"""Tokens of a prefix below which keeping it is not worth a forward pass of its own."""

_SLACK = 0.05  # of a rank's share of tokens: how far a boundary may move to keep a question on one rank


@dataclass(frozen=True)
class Span:
    """One forward pass over sequences `first` up to `last`, whose first `cached` tokens are kept already.

    end: up to where their common prefix is run, to be kept; None: everything that is left of them is run.
    """

    first: int
    last: int
    cached: int
    end: int | None = None


@dataclass(frozen=True)
class Layout:
    """What the forward pass of a span is given.

    tokens: as many as are run. positions: of each in its sequence. visible: (tokens, tokens) bool, which
    of them each sees beside everything that is cached; None where each sees all before it. paths: by
    sequence, where its tokens from `cached` on stand in `tokens`.
    """

    span: Span
    tokens: list[int]
    positions: list[int]
    visible: NDArray[np.bool_] | None
    paths: dict[int, NDArray[np.int64]]


class SortedSequences:
    """Distinct token sequences in lexicographic order. shared[i]: tokens that i has in common with i - 1."""

    def __init__(self, sequences: Sequence[Tokens]) -> None:
        self.tokens = sorted(set(sequences))
        self.lengths = [len(tokens) for tokens in self.tokens]
        arrays = [np.array(tokens, np.int64) for tokens in self.tokens]
        self.shared = [0, *(_common(one, other) for one, other in pairwise(arrays))]

    def cost(self, first: int, last: int, cached: int) -> int:
        """Tokens of the tree of sequences `first` up to `last` that are not cached."""
        if first == last:
            return 0
        rest = sum(self.lengths[i] - max(self.shared[i], cached) for i in range(first + 1, last))
        return self.lengths[first] - cached + rest

    def common(self, first: int, last: int) -> int:
        """Tokens that sequences `first` up to `last` all begin with."""
        return min([self.lengths[first], *self.shared[first + 1 : last]])


def _common(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length


def deal(sequences: SortedSequences, ranks: int, weights: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Neighbouring sequences for each rank, (first, last), of about as much work each.

    Work is the tokens that a sequence adds to the tree, and its entry in `weights`. A boundary moves
    by up to 5 % of a share to where the neighbours have least in common.
    """
    count = len(sequences.tokens)
    added = [sequences.lengths[i] - sequences.shared[i] + (weights[i] if weights else 0) for i in range(count)]
    before = np.concatenate([[0], np.cumsum(added)])
    share = before[-1] / ranks
    bounds = [0]
    for rank in range(1, ranks):
        ideal = rank * share
        near = [i for i in range(bounds[-1], count) if abs(before[i] - ideal) <= _SLACK * share]
        if near:
            bounds.append(min(near, key=lambda i: (sequences.shared[i], abs(before[i] - ideal))))
        else:
            bounds.append(max(bounds[-1], int(np.abs(before - ideal).argmin())))
    return list(zip(bounds, [*bounds[1:], count], strict=True))


def plan(sequences: SortedSequences, first: int, last: int, budget: int, cached: int = 0) -> Iterator[Span]:
    """Spans of at most `budget` tokens, but for what cannot be divided, that run sequences `first` up to `last`.

    A span whose `cached` is above that of the span before it follows the one that keeps these tokens.
    """
    if first == last:
        return
    common = sequences.common(first, last)
    if last - first == 1 or sequences.cost(first, last, cached) <= budget:
        yield Span(first, last, cached)
    elif common - cached >= LEAST_SHARED:
        yield Span(first, last, cached, common)
        done = sequences.lengths[first] == common  # the first may be no longer than what they share
        yield from plan(sequences, first + done, last, budget, common)
    else:
        yield from _plan_groups(sequences, first, last, budget, cached)


def _plan_groups(sequences: SortedSequences, first: int, last: int, budget: int, cached: int) -> Iterator[Span]:
    """As `plan`, for sequences without a common prefix that is worth keeping: groups that have one stay together."""
    waiting = first  # sequences from here up to the group are put into one span
    for begin, end in _groups(sequences, first, last, cached):
        if sequences.cost(waiting, end, cached) <= budget:
            continue
        if waiting < begin:
            yield Span(waiting, begin, cached)
        waiting = begin
        if sequences.cost(begin, end, cached) > budget:
            yield from plan(sequences, begin, end, budget, cached)
            waiting = end
    if waiting < last:
        yield Span(waiting, last, cached)


def _groups(sequences: SortedSequences, first: int, last: int, cached: int) -> Iterator[tuple[int, int]]:
    least = cached + LEAST_SHARED
    bounds = [i for i in range(first + 1, last) if sequences.shared[i] < least]
    yield from zip([first, *bounds], [*bounds, last], strict=True)


def lay_out(sequences: SortedSequences, span: Span) -> Layout:
    """The tokens of a span in the order of its sequences, each token once."""
    if span.end is not None or span.last - span.first == 1:
        end = span.end or sequences.lengths[span.first]
        shared, path = list(sequences.tokens[span.first][span.cached : end]), np.arange(end - span.cached)
        paths = dict.fromkeys(range(span.first, span.last), path)
        return Layout(span, shared, list(range(span.cached, end)), None, paths)
    tokens: list[int] = []
    positions: list[int] = []
    pieces: list[tuple[int, int, NDArray[np.int64]]] = []
    paths = {}
    path = np.zeros(0, np.int64)
    for i in range(span.first, span.last):
        begin = max(sequences.shared[i], span.cached) if i > span.first else span.cached
        own = sequences.tokens[i][begin:]
        path = np.concatenate([path[: begin - span.cached], np.arange(len(tokens), len(tokens) + len(own))])
        pieces.append((len(tokens), len(own), path))
        paths[i] = path
        tokens += own
        positions += range(begin, begin + len(own))
    if positions == list(range(span.cached, span.cached + len(tokens))):
        return Layout(span, tokens, positions, None, paths)
    visible = np.zeros((len(tokens), len(tokens)), np.bool_)
    for at, length, path in pieces:
        visible[at : at + length, path[: len(path) - length]] = True
        visible[at : at + length, at : at + length] = np.tri(length, dtype=np.bool_)
    return Layout(span, tokens, positions, visible, paths)
