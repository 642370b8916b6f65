"""Log-likelihoods of continuations, every shared prefix computed once."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from medlm_recipes.evaluation.forwards import Forwards, PrefixCache, additive, can_share, window_of
from medlm_recipes.evaluation.shared_prefixes import Layout, SortedSequences, Span, Tokens, lay_out, plan


@dataclass(frozen=True)
class Target:
    """What is scored: `tokens` are fed, and the last `len(targets)` of them shall predict `targets`."""

    tokens: Tokens
    targets: Tokens


class Walker:
    """Runs trees of sequences, at most `budget` tokens at once where they can be divided."""

    def __init__(self, forwards: Forwards, budget: int) -> None:
        self.forwards = forwards
        self.budget = budget
        self._shares = can_share(forwards)
        self._window = window_of(forwards.model)

    def can_share_up_to(self, length: int) -> bool:
        """Whether sequences of at most `length` tokens can share: within a sliding window attention is full."""
        return self._shares and (self._window is None or length <= self._window)

    def spans(self, sequences: SortedSequences, first: int, last: int) -> list[Span]:
        """What is run together; each sequence alone where the model cannot share."""
        if self.can_share_up_to(max(sequences.lengths[first:last], default=0)):
            return list(plan(sequences, first, last, self.budget))
        return [Span(i, i + 1, 0) for i in range(first, last)]

    def walk(
        self, sequences: SortedSequences, spans: Iterator[Span], wanted: Callable[[Layout], list[int]], keep: bool
    ) -> Iterator[tuple[Layout, torch.Tensor, PrefixCache | None]]:
        """For each span its layout, logits (wanted, vocab) in fp32 at the `wanted` tokens, and, with `keep`,
        the keys and values of everything cached and run, (1, heads, cached + tokens, width) a layer.
        """
        kept: list[tuple[int, PrefixCache | None]] = [(0, None)]
        for span in spans:
            while kept[-1][0] > span.cached:
                kept.pop()
            layout = lay_out(sequences, span)
            grows = keep or span.end is not None
            prefix = kept[-1][1]
            cache = PrefixCache(prefix, grows) if grows or prefix else None
            logits = self._run(layout, cache, wanted(layout))
            if span.end is not None:
                kept.append((span.end, cache))
            yield layout, logits, cache

    def _run(self, layout: Layout, cache: PrefixCache | None, wanted: list[int]) -> torch.Tensor:
        device, count, cached = self.forwards.device, len(layout.tokens), layout.span.cached
        mask = None
        if cached or layout.visible is not None:
            visible = torch.ones(count, cached + count, dtype=torch.bool)
            own = visible[:, cached:]
            own.tril_() if layout.visible is None else own.copy_(torch.from_numpy(layout.visible))
            mask = additive(visible.to(device), self.forwards.model.dtype)
        # At one position at least: some architectures cannot leave out the output layer.
        keep = torch.tensor(wanted or [0], device=device)
        tokens = torch.tensor([layout.tokens], device=device)
        positions = torch.tensor([layout.positions], device=device) if mask is not None else None
        logits = self.forwards(tokens, keep, cache, positions, mask)
        return logits[0, : len(wanted)].float()


def score(
    walker: Walker, sequences: SortedSequences, spans: Iterator[Span], targets: dict[int, Target]
) -> dict[int, tuple[float, bool]]:
    """By key of `targets`: log-likelihood in nats, and whether every target is the likeliest token.

    spans: must run every sequence that is fed for one of `targets`.
    """
    of_sequence: dict[Tokens, list[int]] = defaultdict(list)
    for key, target in targets.items():
        of_sequence[target.tokens].append(key)
    likelihood, greedy, found = dict.fromkeys(targets, 0.0), dict.fromkeys(targets, True), dict.fromkeys(targets, 0)
    picks: list[tuple[int, int, int]] = []  # place in the pass, key, target token

    def wanted(layout: Layout) -> list[int]:
        picks.clear()
        cached, end = layout.span.cached, layout.span.end
        for i, path in layout.paths.items():
            length = sequences.lengths[i]
            for key in of_sequence[sequences.tokens[i]]:
                first = length - len(targets[key].targets)
                for position in range(max(first, cached), min(length, end or length)):
                    picks.append((int(path[position - cached]), key, targets[key].targets[position - first]))
        return sorted({place for place, _, _ in picks})

    for _, logits, _ in walker.walk(sequences, spans, wanted, keep=False):
        if not picks:
            continue
        row = {place: number for number, place in enumerate(sorted({place for place, _, _ in picks}))}
        rows = torch.tensor([row[place] for place, _, _ in picks], device=logits.device)
        tokens = torch.tensor([token for _, _, token in picks], device=logits.device)
        logs = logits.log_softmax(-1)
        values, best = logs[rows, tokens].tolist(), logs.argmax(-1)[rows].tolist()
        for (_, key, token), value, likeliest in zip(picks, values, best, strict=True):
            likelihood[key] += value
            greedy[key] &= token == likeliest
            found[key] += 1
    assert all(found[key] == len(target.targets) for key, target in targets.items())
    return {key: (likelihood[key], greedy[key]) for key in targets}
