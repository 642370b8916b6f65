"""What counts as trouble: pure judgements on numbers that all ranks have agreed on."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from medlm_recipes.config.guard import GuardKeys

_NORMAL = 1.4826  # standard deviations of a normal distribution in one median absolute deviation
_LOSS_FLOOR = 0.005  # least deviation as a share of the median: a flat window would make a spike of anything
_NORM_FLOOR = 0.05


@dataclass(frozen=True)
class Measures:
    """One step: the mean loss and the worst micro-batch's of every rank (nats a token), the norm of all ranks."""

    losses: list[float]
    worst: list[float]
    gradient_norm: float


@dataclass(frozen=True)
class Finding:
    """One kind of trouble; `threshold` is what its value should not have passed, None where none applies."""

    kind: str
    what: str
    threshold: float | None


class RobustLimit:
    """Median + k deviations over the last good values; infinite until `warmup` of them have been seen."""

    def __init__(self, window: int, warmup: int, deviations: float, floor: float) -> None:
        self.values: deque[float] = deque(maxlen=window)
        self.seen = 0
        self.warmup = warmup
        self.deviations = deviations
        self.floor = floor

    def add(self, value: float) -> None:
        self.values.append(value)
        self.seen += 1

    def limit(self) -> float:
        if self.seen < self.warmup:
            return math.inf
        middle = median(self.values)
        deviation = _NORMAL * median(abs(value - middle) for value in self.values)
        return middle + self.deviations * max(deviation, self.floor * abs(middle))

    def state_dict(self) -> dict[str, Any]:
        return {"values": list(self.values), "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = deque(state["values"], maxlen=self.values.maxlen)
        self.seen = state["seen"]


class StepJudge:
    """Trouble of one training step, against the good steps before it."""

    def __init__(self, keys: GuardKeys) -> None:
        def limit(deviations: float, floor: float) -> RobustLimit:
            return RobustLimit(keys.window, keys.warmup, deviations, floor)

        self.limits = {
            "loss": limit(keys.loss_deviations, _LOSS_FLOOR),
            "worst": limit(keys.loss_deviations, _LOSS_FLOOR),
            "gradient_norm": limit(keys.gradient_norm_deviations, _NORM_FLOOR),
        }

    def findings(self, step: Measures) -> list[Finding]:
        """Everything wrong with a step; a non-finite one is not judged any further."""
        bad = [rank for rank, worst in enumerate(step.worst) if not math.isfinite(worst + step.losses[rank])]
        if bad:
            return [Finding("non_finite", f"loss is not finite on {_ranks(bad)}", None)]
        if not math.isfinite(step.gradient_norm):
            return [Finding("non_finite", f"gradient norm is {step.gradient_norm}, every loss finite", None)]
        return list(self._spikes(step))

    def accept(self, step: Measures) -> None:
        """Let a step whose update is taken count among the recent ones; a non-finite one never does."""
        values = self._values(step)
        if all(math.isfinite(value) for value in values.values()):
            for name, value in values.items():
                self.limits[name].add(value)

    def state_dict(self) -> dict[str, Any]:
        return {name: limit.state_dict() for name, limit in self.limits.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, limit in self.limits.items():
            limit.load_state_dict(state[name])

    def _spikes(self, step: Measures) -> Iterator[Finding]:
        values = self._values(step)
        limits = {name: limit.limit() for name, limit in self.limits.items()}
        over = {name: limit for name, limit in limits.items() if values[name] > limit}
        if "loss" in over:
            yield Finding("loss_spike", f"mean loss {values['loss']:.4f} above {over['loss']:.4f}", over["loss"])
        elif "worst" in over:
            rank = step.worst.index(values["worst"])
            what = f"a micro-batch's loss {values['worst']:.4f} on rank {rank} above {over['worst']:.4f}"
            yield Finding("loss_spike", what, over["worst"])
        if "gradient_norm" in over:
            limit = over["gradient_norm"]
            yield Finding("gradient_norm_spike", f"gradient norm {step.gradient_norm:.4g} above {limit:.4g}", limit)

    def _values(self, step: Measures) -> dict[str, float]:
        return {
            "loss": sum(step.losses) / len(step.losses),
            "worst": max(step.worst),
            "gradient_norm": step.gradient_norm,
        }


class ValidationJudge:
    """Slow rise: the last `rising_validations` of a source all above its best perplexity by a margin."""

    def __init__(self, keys: GuardKeys) -> None:
        self.count = keys.rising_validations
        # Losses are logarithms: a share of a perplexity is a difference of losses.
        self.margin = math.log1p(keys.rising_margin)
        self.best: dict[str, float] = {}
        self.above: dict[str, int] = {}

    def findings(self, losses: dict[str, float]) -> dict[str, Finding]:
        """Judge one validation, loss (nats a token) by source, and remember it. A NaN is above any limit."""
        return {source: found for source, loss in losses.items() if (found := self._judge(source, loss))}

    def improved(self, losses: dict[str, float]) -> list[str]:
        """The sources whose best a validation is; asked before it is judged."""
        return [source for source, loss in losses.items() if loss <= self.best.get(source, math.inf)]

    def state_dict(self) -> dict[str, Any]:
        return {"best": dict(self.best), "above": dict(self.above)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.above = dict(state["best"]), dict(state["above"])

    def _judge(self, source: str, loss: float) -> Finding | None:
        limit = self.best.get(source, math.inf) + self.margin
        self.above[source] = 0 if loss <= limit else self.above.get(source, 0) + 1
        if math.isfinite(loss):
            self.best[source] = min(loss, self.best.get(source, math.inf))
        if self.above[source] < self.count:
            return None
        best = limit - self.margin
        what = f"{source}: loss {loss:.4f}, the last {self.above[source]} above {limit:.4f} (best {best:.4f})"
        return Finding("rising_perplexity", what, limit)


def _ranks(ranks: list[int]) -> str:
    return f"rank {ranks[0]}" if len(ranks) == 1 else f"ranks {', '.join(map(str, ranks))}"
