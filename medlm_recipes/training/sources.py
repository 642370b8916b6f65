"""What a run takes of every source of its shards, as a table before anything runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from medlm_recipes.config.mixture import target_of

MOST_EPOCHS = 4
"""Up to four epochs of a text teach nearly as much as fresh text; beyond them the return falls off
(Muennighoff et al. 2023, Scaling Data-Constrained Language Models, arXiv 2305.16264)."""


@dataclass
class SourceUse:
    """documents, tokens: of the source in the shards. share: of what is trained on. trained_on: tokens of the
    whole run, a trunk's included. epochs: how often the run sees the source."""

    source: str
    documents: int
    tokens: int
    share: float
    trained_on: int
    epochs: float


def uses(counts: dict[str, Any], rows: dict[str, int], sequence_length: int, end: int) -> list[SourceUse]:
    """What a run of `end` tokens takes of each source, those that it leaves out included.

    counts: the shards' facts of their train streams. rows: what a pass takes of each source.
    """
    total = sum(rows.values())
    found = []
    for source, facts in sorted(counts.items()):
        share = rows.get(source, 0) / total
        tokens = facts["samples"] * sequence_length
        found.append(SourceUse(source, facts["documents"], tokens, share, round(end * share), end * share / tokens))
    return found


def table(found: list[SourceUse]) -> Iterator[str]:
    """Lines for people, indented as those of a plan."""
    width = max(12, *(len(use.source) for use in found))
    heads = f"{'documents':>14}{'tokens':>20}{'share':>10}{'trained on':>20}{'epochs':>9}"
    yield f"            {'source':<{width}}{heads}"
    for use in found:
        yield (
            f"            {use.source:<{width}}{use.documents:>14,}{use.tokens:>20,}{use.share:>10.2%}"
            f"{use.trained_on:>20,}{use.epochs:>9.2f}"
        )


def notices(found: list[SourceUse]) -> Iterator[str]:
    """A line for every source that repeats too often, or is left out."""
    for use in found:
        if use.epochs > MOST_EPOCHS:
            yield (
                f"notice: the run sees {use.source} {use.epochs:.1f} times; beyond {MOST_EPOCHS} epochs repeated text "
                "teaches less and less (Muennighoff et al. 2023, arXiv 2305.16264)"
            )
        elif not use.share:
            yield f"notice: data.mixture leaves {use.source} out"


def scaled(mixture: dict[str, Any] | None, end: int) -> str:
    """What the length of a run does to the mixture's token targets; empty when it takes just those."""
    target = target_of(mixture) if mixture else None
    if target is None or target == end:
        return ""
    return f"; the mixture's targets, {target:,} tokens, times {end / target:.4g}"
