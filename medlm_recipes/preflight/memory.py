"""Whether a recipe fits the memory of its GPUs: simulated, judged, and what other settings would change."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from medlm_recipes.config.train import TrainConfig
from medlm_recipes.preflight.memory_closed_form import closed_form, straight_from
from medlm_recipes.preflight.memory_extrapolation import Peak
from medlm_recipes.preflight.memory_search import largest_micro_batch
from medlm_recipes.preflight.memory_setup import RankSetup, setup_of
from medlm_recipes.preflight.memory_simulator import RankMemory, SimulationError, Simulator
from medlm_recipes.preflight.memory_verdict import (
    Verdict,
    judge,
    most_that_fits,
    usable_memory,
    workspaces,
)

SIMULATED, ESTIMATED = "simulation", "closed form"


@dataclass(frozen=True)
class Alternative:
    """Other settings of the recipe (key of parallel -> value) and what they come to.

    largest_micro_batch: the largest that fits without being tight, 0 when none does.
    """

    settings: dict[str, Any]
    peak: Peak
    verdict: Verdict
    largest_micro_batch: int | None


@dataclass(frozen=True)
class MemoryReport:
    """Bytes throughout.

    method: SIMULATED, or ESTIMATED where the simulation cannot run, for the reason in `notes`.
    peak: where most is in use at once. phases: phase of the step -> its own peak. usable: memory of the
    device, None when unknown. estimate: the closed form's peak beside the simulation's, None for a model
    that it does not know. largest_micro_batch: the largest that fits without being tight (0: none);
    largest_even_micro_batch: the largest of those that divides a rank's share of the global batch.
    """

    method: str
    parameters: int | None
    peak: Peak
    phases: dict[str, Peak]
    usable: float | None
    verdict: Verdict
    estimate: Peak | None
    largest_micro_batch: int | None
    largest_even_micro_batch: int | None
    alternatives: list[Alternative] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def memory_report(
    config: TrainConfig, vocab_size: int, sequence_length: int, end_of_text: int, ranks: int, simulator: Simulator
) -> MemoryReport:
    """What a rank of the recipe holds on the GPU that `hardware.device` names, and the verdict.

    vocab_size: tokens of the shards' tokenizer; sequence_length: tokens a row. Raises ConfigError for a
    model that cannot be built, SimulationError where neither the simulation nor the closed form knows it.
    """
    setup = setup_of(config, vocab_size, sequence_length, end_of_text, ranks)
    device = config.hardware.device
    share = config.global_batch // config.parallel.data_ranks(ranks)
    question = _Question(simulator, setup, usable_memory(device), workspaces(device))
    try:
        report = question.simulated(share, config.hardware.nodes)
    except SimulationError as error:
        report = question.estimated(share, config.hardware.nodes, error)
    return replace(report, notes=[*report.notes, *_notes(config)])


class _Question:
    """A setup on a device, and the simulations that have been made of it."""

    def __init__(self, simulator: Simulator, setup: RankSetup, usable: float | None, workspace: float) -> None:
        self.simulator = simulator
        self.setup = setup
        self.usable = usable
        self.workspace = workspace
        self.made: dict[str, RankMemory] = {}

    def simulated(self, share: int, nodes: int) -> MemoryReport:
        setup = self.setup
        memory = self.memory(setup)
        peak = self.with_workspace(memory.peak)
        largest = self.largest(lambda size: self.memory(replace(setup, micro_batch=size)))
        return MemoryReport(
            method=SIMULATED,
            parameters=memory.parameters,
            peak=peak,
            phases={phase: self.with_workspace(one) for phase, one in memory.phases().items()},
            usable=self.usable,
            verdict=judge(peak.total, self.usable),
            estimate=closed_form(setup),
            largest_micro_batch=largest,
            largest_even_micro_batch=_even(share, largest),
            alternatives=[self.alternative(settings) for settings in _others(setup, nodes)],
        )

    def estimated(self, share: int, nodes: int, why: SimulationError) -> MemoryReport:
        """The same by the closed form; raises `why` for a model that it does not know."""
        peak = closed_form(self.setup)
        if peak is None:
            raise why

        def other(settings: dict[str, Any]) -> Alternative:
            setup = replace(self.setup, **settings)
            found = _formula(setup)
            return Alternative(settings, found, judge(found.total, self.usable), self.largest_by_formula(setup))

        largest = self.largest_by_formula(self.setup)
        return MemoryReport(
            method=ESTIMATED,
            parameters=None,
            peak=peak,
            phases={},
            usable=self.usable,
            verdict=judge(peak.total, self.usable),
            estimate=peak,
            largest_micro_batch=largest,
            largest_even_micro_batch=_even(share, largest),
            alternatives=[other(settings) for settings in _others(self.setup, nodes)],
            notes=[f"not simulated ({why}); the figures are a closed form's"],
        )

    def largest_by_formula(self, setup: RankSetup) -> int | None:
        if self.usable is None:
            return None
        sizes = range(1, 4097)
        return bisect_right(
            sizes, most_that_fits(self.usable), key=lambda size: _formula(replace(setup, micro_batch=size)).total
        )

    def alternative(self, settings: dict[str, Any]) -> Alternative:
        other = replace(self.setup, **settings)
        memory = self.memory(other)
        if settings.keys() == {"replicas"}:  # which changes nothing that a micro-batch does

            def at(size: int) -> RankMemory:
                return self.memory(replace(self.setup, micro_batch=size)).moved(self.memory(self.setup), memory)

            largest = self.largest(at)
        else:
            largest = self.largest(lambda size: self.memory(replace(other, micro_batch=size)))
        peak = self.with_workspace(memory.peak)
        return Alternative(settings, peak, judge(peak.total, self.usable), largest)

    def memory(self, setup: RankSetup) -> RankMemory:
        name = repr(setup)
        if name not in self.made:
            self.made[name] = self.simulator.memory(setup)
        return self.made[name]

    def largest(self, at: Callable[[int], RankMemory]) -> int | None:
        if self.usable is None:
            return None
        bound = most_that_fits(self.usable) - self.workspace
        return largest_micro_batch(at, self.setup.micro_batch, bound, straight_from(self.setup))

    def with_workspace(self, peak: Peak) -> Peak:
        return replace(peak, kinds=peak.kinds | {"temporary": peak.kinds["temporary"] + self.workspace})


def _formula(setup: RankSetup) -> Peak:
    peak = closed_form(setup)
    assert peak is not None, "asked for a model whose shape is known"
    return peak


def _others(setup: RankSetup, nodes: int) -> list[dict[str, Any]]:
    """Settings beside the recipe's: activation checkpointing the other way, and hybrid sharding or none."""
    if setup.sharding == "none":
        return []
    others: list[dict[str, Any]] = [{"activation_checkpointing": not setup.activation_checkpointing}]
    if setup.replicas > 1:
        others.append({"replicas": 1})
    elif nodes > 1 and setup.tensor_parallel == 1:
        others.append({"replicas": nodes})
    return others


def _even(share: int, largest: int | None) -> int | None:
    if largest is None:
        return None
    return max((size for size in range(1, min(share, largest) + 1) if share % size == 0), default=0)


def _notes(config: TrainConfig) -> list[str]:
    """Where the run is simulated as something close to it."""
    notes = []
    if config.parallel.fsdp and config.parallel.fsdp_version == 1:
        notes.append("FSDP1 is simulated as FSDP2; its flat parameters take up to one block more")
    if config.model.compile:
        notes.append("model.compile is simulated without: kernels that torch.compile fuses keep less")
    if config.model.attention in ("auto", "flash_attention_2"):
        notes.append("attention is simulated as SDPA; flash-attn keeps no more")
    return notes
