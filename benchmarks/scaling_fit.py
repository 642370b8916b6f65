"""How often the sweep's intervals hold the truth, and how far its curves miss their largest budget.

    python benchmarks/scaling_fit.py [TRIALS]

Draws TRIALS (default 200) synthetic sweeps a line from Hoffmann et al. 2022's published curve with normal noise
on the logarithm of each loss, fits them as the sweep verb does, and prints the share of 90 % intervals that
hold the truth, for the parameters, the loss at the largest budget and at ten times of it, the next doubling's
gain, and the measurement at the largest budget foretold without it, with the size of that error. The last
line does the same by the usual bootstrap (residuals redrawn, percentiles), to show why it is not used.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from medlm_recipes.sweep.fitting import Estimate, Fitted, NoFit
from medlm_recipes.sweep.forms import Where, joint_form, tokens_form

E, A, ALPHA, B, BETA = 1.69, 406.4, 0.34, 410.7, 0.28
RESAMPLES = 200


@dataclass(frozen=True)
class Case:
    """budgets doubling up to 300B tokens, seeds, relative noise of a loss and of a whole run, sizes."""

    budgets: int
    seeds: int = 1
    noise: float = 0.003
    shift: float = 0.0
    sizes: tuple[float, ...] = (2.6e9,)

    def points(self) -> tuple[Where, np.ndarray, np.ndarray]:
        """Where, the true losses, and the run that each is of."""
        rows = [
            (3e11 / 2**step, size, run)
            for run, size in enumerate(size for size in self.sizes for _ in range(self.seeds))
            for step in reversed(range(self.budgets))
        ]
        tokens, sizes, runs = np.array(rows).T
        where = Where(tokens, np.full(len(rows), 1e15), sizes)
        return where, truth(where), runs.astype(int)

    def __str__(self) -> str:
        shift = f", runs {self.shift:.1%}" if self.shift else ""
        return f"{len(self.sizes)} x {self.seeds} x {self.budgets}, {self.noise:.1%}{shift}"


CASES = (
    Case(5),
    Case(6),
    Case(8),
    Case(6, noise=0.01),
    Case(3, seeds=3),
    Case(5, seeds=3),
    Case(5, seeds=2, shift=0.004),
    Case(5, seeds=3, shift=0.004),
    Case(5, sizes=(125e6, 350e6, 760e6)),
    Case(5, seeds=2, sizes=(125e6, 350e6, 760e6, 1.3e9), shift=0.002),
)


def truth(where: Where) -> np.ndarray:
    return E + A * where.parameters**-ALPHA + B * where.tokens**-BETA


def at(tokens: float, size: float) -> Where:
    return Where(np.array([tokens]), np.array([1e15]), np.array([size]))


def holds(estimate: Estimate, value: float) -> bool:
    assert estimate.low is not None and estimate.high is not None
    return estimate.low <= value <= estimate.high


def trial(case: Case, chance: np.random.Generator) -> dict[str, float]:
    where, true, runs = case.points()
    noise = chance.normal(size=len(true)) * case.noise + (chance.normal(size=runs.max() + 1) * case.shift)[runs]
    losses = true * np.exp(noise)
    size, last = max(case.sizes), float(where.tokens.max())
    joint = len(case.sizes) > 1
    form: Callable[[Where], object] = joint_form if joint else tokens_form
    fitted = Fitted(form(where), where, losses, runs)  # type: ignore[arg-type]
    constant = E if joint else E + A * size**-ALPHA
    gain = float((truth(at(last, size)) - truth(at(2 * last, size)))[0])
    found = {
        "E": holds(fitted.coefficient("E"), constant),
        "B": holds(fitted.coefficient("B"), B),
        "beta": holds(fitted.exponent("beta"), BETA),
        "largest": holds(fitted.loss_at(at(last, size)), truth(at(last, size))[0]),
        "10 x": holds(fitted.loss_at(at(10 * last, size)), truth(at(10 * last, size))[0]),
        "gain": holds(fitted.fall(at(last, size), at(2 * last, size)), gain),
    }
    out = (where.tokens == last) & (where.parameters == size)
    if case.budgets > 4 or joint or (case.seeds > 1 and case.budgets > 3):
        rest = where.only(~out)
        smaller = Fitted(form(rest), rest, losses[~out], runs[~out])  # type: ignore[arg-type]
        predicted, seen = smaller.measurement_at(at(last, size), runs[out]), float(losses[out].mean())
        found |= {"held out": holds(predicted, seen), "error": abs(seen - predicted.value)}
        assert predicted.low is not None and predicted.high is not None
        found["half"] = (predicted.high - predicted.low) / 2
    return {name: float(value) for name, value in found.items()}


def percentile_trial(case: Case, chance: np.random.Generator) -> dict[str, float]:
    """The usual way: refit curves with redrawn residuals, take the 5th and the 95th percentile."""
    where, true, _ = case.points()
    middle, last, size = float(np.exp(np.log(where.tokens).mean())), float(where.tokens.max()), case.sizes[0]
    losses = true * np.exp(chance.normal(size=len(true)) * case.noise)

    def refit(values: np.ndarray, start: np.ndarray) -> np.ndarray:
        def residuals(theta: np.ndarray) -> np.ndarray:
            return np.log(theta[0] + theta[1] * (where.tokens / middle) ** -theta[2]) - np.log(values)

        return least_squares(residuals, start, bounds=([0, 0, 0.01], [np.inf, np.inf, 3])).x

    def curve(theta: np.ndarray, tokens: float | np.ndarray) -> np.ndarray:
        return np.asarray(theta[0] + theta[1] * (np.asarray(tokens) / middle) ** -theta[2])

    best = refit(losses, np.array([2.0, 0.5, 0.3]))
    residuals = np.log(losses) - np.log(curve(best, where.tokens))
    drawn = np.array([
        refit(curve(best, where.tokens) * np.exp(chance.choice(residuals, len(residuals))), best)
        for _ in range(RESAMPLES)
    ])  # fmt: skip
    asked = {
        "E": (drawn[:, 0], E + A * size**-ALPHA),
        "B": (drawn[:, 1] * middle ** drawn[:, 2], B),
        "beta": (drawn[:, 2], BETA),
        "largest": (np.array([curve(one, last) for one in drawn]), truth(at(last, size))[0]),
        "10 x": (np.array([curve(one, 10 * last) for one in drawn]), truth(at(10 * last, size))[0]),
    }
    return {name: float(np.quantile(own, 0.05) <= value <= np.quantile(own, 0.95))
            for name, (own, value) in asked.items()}  # fmt: skip


COLUMNS = ("E", "B", "beta", "largest", "10 x", "gain", "held out")


def line(what: str, trials: int, one: Callable[[np.random.Generator], dict[str, float]]) -> None:
    start, failed = time.process_time(), 0
    collected: dict[str, list[float]] = defaultdict(list)
    for number in range(trials):
        try:
            for name, value in one(np.random.default_rng([7, number])).items():
                collected[name].append(value)
        except NoFit:
            failed += 1
    shares = "".join(f"{np.mean(collected[name]):9.3f}" if name in collected else f"{'-':>9}" for name in COLUMNS)
    error = (
        f"{np.median(collected['error']):9.4f} of {np.median(collected['half']):.4f}" if "error" in collected else ""
    )
    pace = (time.process_time() - start) / trials
    print(
        f"{what:28}{shares}{error:>20}  {1000 * pace:5.0f} ms{f', {failed} not fitted' if failed else ''}", flush=True
    )


def main() -> None:
    trials = int(sys.argv[1]) if sys.argv[1:] else 200
    print(f"{'sizes x seeds x budgets':28}{''.join(f'{name:>9}' for name in COLUMNS)}{'error, half interval':>22}")
    for case in CASES:
        line(str(case), trials, lambda chance, case=case: trial(case, chance))  # type: ignore[misc]
    line("percentiles, 1 x 1 x 6, 0.3%", trials, lambda chance: percentile_trial(Case(6), chance))


if __name__ == "__main__":
    main()
