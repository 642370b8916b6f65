"""The largest micro-batch whose peak stays within a bound."""

import math
from collections.abc import Callable

from medlm_recipes.preflight.memory_simulator import RankMemory

_MOST = 4096  # sequences; beyond it nothing is looked for
_SIMULATIONS = 4


def largest_micro_batch(simulate: Callable[[int], RankMemory], start: int, bound: float) -> int:
    """The largest micro-batch with a peak of at most `bound` bytes; 0 when not even one sequence stays below it.

    `simulate` is asked for `start`, its double and where the line through both, which is exact once a
    micro-batch fills the loss's chunk, says the bound is.
    """
    known = {size: simulate(size) for size in (start, 2 * start)}
    for _ in range(_SIMULATIONS):
        below, above = _nearest(known, bound)
        found = _crossing(known[below], known[above], (below, above), bound)
        if found in known or found == 0 or below <= found <= above <= 2 * below:
            return found
        known[found] = simulate(found)
    return found


def _nearest(known: dict[int, RankMemory], bound: float) -> tuple[int, int]:
    """Two simulated sizes, around the bound where there are such."""
    sizes = sorted(known)
    over = next((place for place, size in enumerate(sizes) if known[size].peak.total > bound), len(sizes) - 1)
    above = max(over, 1)
    return sizes[above - 1], sizes[above]


def _crossing(low: RankMemory, high: RankMemory, at: tuple[int, int], bound: float) -> int:
    """The largest size at which every place of the line through both stays within the bound."""
    most = float(_MOST)
    for place, kinds in low.places.items():
        if place not in high.places:
            continue
        here, there = sum(kinds.values()), sum(high.places[place].values())
        slope = (there - here) / (at[1] - at[0])
        if slope > 0:
            most = min(most, at[0] + (bound - here) / slope)
        elif here > bound:
            most = 0.0
    return max(0, math.floor(most + 1e-9))
