"""What a preflight found, whole: for people in the terminal and in a page, for job scripts as JSON."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.optim.learning_rate import learning_rate
from medlm_recipes.preflight.check import FAIL, NOT_CHECKED, PASS, WARN, Check
from medlm_recipes.preflight.data import DataUse, Disk, Loading
from medlm_recipes.preflight.facts import SHARDS, UNKNOWN, Facts
from medlm_recipes.preflight.memory import ESTIMATED, Alternative, MemoryReport
from medlm_recipes.preflight.memory_extrapolation import Peak
from medlm_recipes.preflight.memory_verdict import GIB
from medlm_recipes.preflight.time import TimeEstimate
from medlm_recipes.token_math import in_words, steps_to
from medlm_recipes.training.plan import TrainPlan
from medlm_recipes.training.schedule_curve import landmarks


@dataclass(frozen=True)
class Run:
    """What is planned. model: in words. parameters: None when they are not known here. Tokens throughout."""

    model: str
    parameters: int | None
    vocab_size: int
    sequence_length: int
    facts_from: str
    device: str | None
    hosts: int
    ranks: int
    step_tokens: int
    start: int
    end: int
    steps: int


@dataclass(frozen=True)
class Landmark:
    """step: counted from 1; None at the end. tokens: seen before it. rate: the learning rate that it takes."""

    name: str
    step: int | None
    tokens: int
    rate: float


@dataclass(frozen=True)
class Report:
    """memory, time: None where `missing` says why, by the name of the field; loading goes with time.

    host_bytes: of the first host's memory, or of each one's, that the weights take while they are read.
    rates: the learning rate at evenly spaced moments, from the start of the run to its end.
    """

    run: Run
    memory: MemoryReport | None
    time: TimeEstimate | None
    data: DataUse
    disk: Disk | None
    host_bytes: int | None
    loading: Loading | None
    schedule: list[Landmark]
    rates: list[float]
    checks: list[Check]
    missing: dict[str, str]

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if check.outcome == FAIL]

    @property
    def verdict(self) -> str:
        """In a line."""
        counts = {
            outcome: sum(check.outcome == outcome for check in self.checks)
            for outcome in (FAIL, WARN, NOT_CHECKED, PASS)
        }
        told = ", ".join(f"{count} {_PLURALS[outcome]}" for outcome, count in counts.items() if count)
        return f"{'do not launch' if self.failed else 'nothing speaks against launching'}: checks: {told}"

    def as_json(self) -> dict[str, Any]:
        found = {"verdict": "fail" if self.failed else "pass", "said": self.verdict} | asdict(self)
        if self.memory:
            found["memory"] |= {"peak_bytes": self.memory.peak.total}
        return found


_RATES = 240  # enough for a smooth curve
_PLURALS = {FAIL: "failed", WARN: "to look at", NOT_CHECKED: "not made", PASS: "passed"}


def run_of(config: TrainConfig, facts: Facts, model: str, parameters: int | None) -> Run:
    plan = facts.plan
    return Run(
        model=model,
        parameters=parameters,
        vocab_size=plan.vocab_size,
        sequence_length=plan.sequence_length,
        facts_from=SHARDS if facts.data_from == SHARDS else "the recipe's preflight keys",
        device=config.hardware.device,
        hosts=config.hardware.nodes,
        ranks=facts.ranks,
        step_tokens=plan.step_tokens,
        start=plan.start,
        end=plan.end,
        steps=steps_to(plan.end - plan.start, plan.step_tokens),
    )


def schedule_of(config: TrainConfig, plan: TrainPlan) -> list[Landmark]:
    return [
        Landmark(
            name,
            tokens // plan.step_tokens + 1 if tokens < plan.end else None,
            tokens,
            learning_rate(config.scheduler, config.optimizer.lr, tokens, plan.end),
        )
        for tokens, name in landmarks(config, plan)
    ]


def rates_of(config: TrainConfig, plan: TrainPlan) -> list[float]:
    moments = (plan.start + (plan.end - plan.start) * number // _RATES for number in range(_RATES + 1))
    return [learning_rate(config.scheduler, config.optimizer.lr, tokens, plan.end) for tokens in moments]


def as_text(report: Report) -> str:
    """For the terminal."""
    lines = [
        *_run_lines(report.run),
        *_memory_lines(report),
        *_time_lines(report),
        *_data_lines(report),
        *_check_lines(report.checks),
    ]
    return "\n".join([*lines, "", f"{'VERDICT':<10}{report.verdict}"])


def _run_lines(run: Run) -> Iterator[str]:
    yield f"{'RUN':<10}{run.model}"
    yield f"{'':<10}vocabulary {run.vocab_size:,}, rows of {run.sequence_length:,} tokens (by {run.facts_from})"
    on = f"{run.ranks} x {run.device} on {counted(run.hosts, 'host')}" if run.device else "no cluster named"
    yield f"{'':<10}{on}; {in_words(run.end - run.start)} tokens in {run.steps:,} steps of {run.step_tokens:,}"


def _memory_lines(report: Report) -> Iterator[str]:
    memory = report.memory
    yield ""
    if memory is None:
        yield f"{'MEMORY':<10}not simulated: {report.missing['memory']}"
        return
    yield f"{'MEMORY':<10}{memory.verdict.word}: {in_gib(memory.peak.total)} of {in_gib(memory.usable)} at the peak"
    yield f"{'':<10}{where(memory.peak)}, by {memory.method}" + beside(memory)
    kinds = sorted(memory.peak.kinds.items(), key=lambda kind: -kind[1])
    yield f"{'':<10}" + ", ".join(f"{name} {size / GIB:.1f}" for name, size in kinds if size >= 0.05 * GIB)
    if memory.largest_micro_batch is not None:
        yield f"{'':<10}{largest(memory.largest_micro_batch, memory.largest_even_micro_batch)}"
    for other in memory.alternatives:
        more = "" if other.largest_micro_batch is None else f", micro-batch up to {other.largest_micro_batch}"
        yield f"{'':<10}with {settings(other)}: {in_gib(other.peak.total)}, {other.verdict.word}{more}"
    for note in memory.notes:
        yield f"{'':<10}note: {note}"


_PHASES = {
    "forward": "the forward pass",
    "head": "the output layer and loss",
    "head backward": "the backward pass of output layer and loss",
    "backward": "the backward pass",
    "recompute": "a block's second forward pass",
    "optimizer": "the optimizer's step",
    "validation": "validation",
    "validation head": "the output layer in validation",
}


def where(peak: Peak) -> str:
    block = f" of {peak.module}" if "." in peak.module else ""
    return f"in {_PHASES.get(peak.phase, peak.phase)}{block}"


def beside(memory: MemoryReport) -> str:
    if memory.method == ESTIMATED or memory.estimate is None:
        return ""
    return f" (closed form: {in_gib(memory.estimate.total)})"


def largest(micro_batch: int, even: int | None) -> str:
    if not micro_batch:
        return "micro-batch of one sequence does not fit with room to spare"
    laid = f"; {even} is the largest that divides a rank's share" if even and even != micro_batch else ""
    return f"micro-batch up to {micro_batch} fits with room to spare{laid}"


def settings(other: Alternative) -> str:
    """As on the command line."""
    return " ".join(f"parallel.{name}={str(value).lower()}" for name, value in other.settings.items())


def _time_lines(report: Report) -> Iterator[str]:
    time = report.time
    yield ""
    if time is None:
        yield f"{'TIME':<10}not estimated: {report.missing['time']}"
        return
    between = f"{in_days(time.low)} to {in_days(time.high)}"
    yield f"{'TIME':<10}{in_days(time.seconds)} ({between}), without validation and saving"
    per_rank = time.tokens_per_second / report.run.ranks
    yield f"{'':<10}{time.tokens_per_second:,.0f} tokens/s, {per_rank:,.0f} a GPU, MFU {time.mfu:.1%}"
    shares = ", ".join(f"{name} {share:.0%}" for name, share in time.parts.items() if share >= 0.005)
    yield f"{'':<10}of it {shares}"
    cost = "preflight.price_per_gpu_hour is not given" if time.cost is None else f"{time.cost:,.0f}"
    yield f"{'COST':<10}{time.gpu_hours:,.0f} GPU-hours; {time.kwh / 1000:,.1f} MWh at most; cost: {cost}"
    for note in time.notes:
        yield f"{'':<10}note: {note}"


def _data_lines(report: Report) -> Iterator[str]:
    use, disk, loading = report.data, report.disk, report.loading
    yield ""
    if use.known_from == UNKNOWN:
        yield f"{'DATA':<10}not known: no shards, and no preflight.train_tokens"
    else:
        yield f"{'DATA':<10}{use.passes:.2f} passes of {use.pass_tokens:,} tokens (by {use.known_from})"
        yield f"{'':<12}{'source':<24}{'tokens':>18}{'share':>9}{'trained on':>18}{'epochs':>9}"
        for one in use.sources:
            numbers = f"{one.tokens:>18,}{one.share:>9.2%}{one.trained_on:>18,}{one.epochs:>9.2f}"
            yield f"{'':<12}{one.source:<24}{numbers}"
    if disk:
        each, needed = in_bytes(disk.checkpoint), in_bytes(disk.needed)
        yield f"{'DISK':<10}{counted(disk.saved, 'checkpoint')} of {each}; {disk.standing} at once at most: {needed}"
        if disk.shards:
            stored = f"; {in_bytes(disk.stored)} as they lie there" if disk.stored else ""
            yield f"{'':<10}shards: {in_bytes(disk.shards)} unpacked{stored}"
    if report.host_bytes:
        yield f"{'HOST':<10}{in_bytes(report.host_bytes)} of a host's memory for the weights while they are read"
    if loading:
        rate = f"{loading.tokens:,.0f} tokens/s, {loading.rows:,.0f} rows/s, {loading.bytes / 1e6:,.1f} MB/s"
        yield f"{'LOADING':<10}{rate} a host"


def _check_lines(checks: list[Check]) -> Iterator[str]:
    yield ""
    for number, check in enumerate(checks):
        first, *rest = textwrap.wrap(check.found, 80)
        yield f"{'CHECKS' if not number else '':<10}{check.outcome:<12}{check.name:<17}{first}"
        for line in rest:
            yield f"{'':<39}{line}"


def counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def in_days(seconds: float) -> str:
    """Seconds in words: 3.2 days, 5.1 hours, 12 minutes."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} seconds"


def in_gib(size: float | None) -> str:
    """As GPUs' memory is told."""
    return "unknown" if size is None else f"{size / GIB:.1f} GiB"


def in_bytes(size: int) -> str:
    """Decimal, as disks are sold: 31 GB."""
    for unit, one in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size / 1000:.3g} kB"
