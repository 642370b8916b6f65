"""The largest micro-batch whose peak stays within a bound."""

import math
from collections.abc import Callable

from medlm_recipes.preflight.memory_simulator import RankMemory


def largest_micro_batch(simulate: Callable[[int], RankMemory], start: int, bound: float, straight_from: int) -> int:
    """The largest micro-batch with a peak of at most `bound` bytes; 0 when not even one sequence stays below it.

    Every place grows in a straight line from the micro-batch `straight_from` on, which fills two chunks of the
    fused loss; below, the line says too much. So two simulations say all, and `start`, where they say that it
    is too large, is simulated itself.
    """
    low = max(start, straight_from)
    found = _crossing(simulate(low), simulate(2 * low), (low, 2 * low), bound)
    if found < start < low and simulate(start).peak.total <= bound:
        return start
    return found


def _crossing(low: RankMemory, high: RankMemory, at: tuple[int, int], bound: float) -> int:
    """The largest size at which every place of the line through both stays within the bound."""
    most = math.inf
    for place, kinds in low.places.items():
        if place not in high.places:
            continue
        here, there = sum(kinds.values()), sum(high.places[place].values())
        slope = (there - here) / (at[1] - at[0])
        if slope > 0:
            most = min(most, at[0] + (bound - here) / slope)
        elif here > bound:
            return 0
    return max(0, math.floor(most + 1e-9))
