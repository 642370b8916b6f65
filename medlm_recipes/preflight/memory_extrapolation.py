"""From peaks at two depths, or two depths and two micro-batches, to those of any.

Whatever a rank holds at one point of its step grows in a straight line with the depth of the model, and
with the micro-batch at a given depth: parameters, gradients and states by block, activations by block and
sequence. So each place's peak is carried over by kind, and the largest is taken last: which place it is
may change. The first two and last two blocks stand for those between them, as what lies there grows or
shrinks from block to block.
"""

from dataclasses import dataclass

Kinds = dict[str, float]
"""Bytes by kind (memory_kinds.KINDS)."""

Place = tuple[str, str, int | None]
"""phase; module, its block's number left open; and the block, from the end where it is below 0."""

DEPTHS = (4, 8)
"""Depths that are simulated for deeper models: within 1 % of the whole, where 2 and 4 are not."""


@dataclass(frozen=True)
class Peak:
    """Where most is held at once (phase of the step, module) and bytes by kind."""

    phase: str
    module: str
    kinds: Kinds

    @property
    def total(self) -> float:
        return sum(self.kinds.values())


def straight(
    low: dict[Place, Kinds], high: dict[Place, Kinds], at: tuple[float, float], to: float
) -> dict[Place, Kinds]:
    """Peaks at `to` on the line through those at the two points `at`; places that one of them lacks are left out."""
    share = (to - at[0]) / (at[1] - at[0])
    return {
        place: {kind: kinds[kind] + share * (high[place][kind] - kinds[kind]) for kind in kinds}
        for place, kinds in low.items()
        if place in high
    }


def largest(places: dict[Place, Kinds], depth: int) -> Peak:
    (phase, module, block), kinds = max(places.items(), key=lambda entry: sum(entry[1].values()))
    if block is not None:
        module = module.format(block=block % depth)
    return Peak(phase, module, kinds)


def by_place(peaks: list[tuple[str, str, Kinds]], blocks: str, depth: int) -> dict[Place, Kinds]:
    """A simulation's peaks (phase, module, kinds); `blocks` is the name of the list of blocks.

    Of the blocks the first two and the last two are kept.
    """
    found: dict[Place, Kinds] = {}
    for phase, module, kinds in peaks:
        place: Place = (phase, module, None)
        if module.startswith(f"{blocks}."):
            number, _, rest = module.removeprefix(f"{blocks}.").partition(".")
            block = int(number)
            if 2 <= block < depth - 2:
                continue
            place = (phase, f"{blocks}.{{block}}" + (f".{rest}" if rest else ""), block if block < 2 else block - depth)
        found[place] = kinds
    return found
