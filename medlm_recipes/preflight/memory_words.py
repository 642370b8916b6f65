"""A memory report as lines for people."""

from collections.abc import Iterator

from medlm_recipes.preflight.memory import ESTIMATED, Alternative, MemoryReport
from medlm_recipes.preflight.memory_extrapolation import Peak
from medlm_recipes.preflight.memory_verdict import GIB

PHASES = {
    "forward": "forward pass",
    "head": "output layer and loss",
    "head backward": "backward pass of the loss",
    "backward": "backward pass",
    "recompute": "recomputation of a block",
    "optimizer": "optimizer step",
    "validation": "validation",
    "validation head": "output layer and loss in validation",
}
"""phase of a step, as the ledger names it -> in words"""


def memory_lines(report: MemoryReport) -> Iterator[str]:
    """The verdict, the peak by kind, the micro-batch that fits, what other settings change, and the notes."""
    yield f"memory      {report.verdict.word}: {report.verdict.reason}"
    how = "estimated by a closed form, not simulated" if report.method == ESTIMATED else "simulated"
    yield f"            peak in the {_place(report.peak)} ({how})"
    for kind, size in sorted(report.peak.kinds.items(), key=lambda entry: -entry[1]):
        if size >= 0.005 * GIB:
            yield f"            {kind:<20}{size / GIB:>8.2f} GiB"
    if report.estimate and report.method != ESTIMATED:
        yield f"            a closed form gives {report.estimate.total / GIB:.1f} GiB as a cross-check"
    if report.largest_micro_batch is not None:
        yield (
            f"            largest micro-batch that fits: {_size(report.largest_micro_batch)}; of those that divide a "
            f"rank's share of global_batch: {_size(report.largest_even_micro_batch)}"
        )
    for other in report.alternatives:
        yield f"            {_settings(other)}: {other.peak.total / GIB:.1f} GiB, {other.verdict.word}{_most(other)}"
    for note in report.notes:
        yield f"            note: {note}"


def _place(peak: Peak) -> str:
    phase = PHASES[peak.phase]
    return f"{phase}, {peak.module}" if peak.module and "head" not in peak.phase else phase


def _size(micro_batch: int | None) -> str:
    return str(micro_batch) if micro_batch else "none"


def _settings(other: Alternative) -> str:
    return " ".join(f"parallel.{name}={str(value).lower()}" for name, value in other.settings.items())


def _most(other: Alternative) -> str:
    return "" if other.largest_micro_batch is None else f"; largest micro-batch {_size(other.largest_micro_batch)}"
