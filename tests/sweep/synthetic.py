"""Sweeps without runs: losses that follow a known curve, with noise, and answers that get better with tokens."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from medlm_recipes.sweep.collect import Sweep
from medlm_recipes.sweep.comparison import Other, compare
from medlm_recipes.sweep.findings import find
from medlm_recipes.sweep.forms import Where, effective_tokens
from medlm_recipes.sweep.points import Observed, Point, Score, Target, Validation
from medlm_recipes.sweep.report import write_report
from medlm_recipes.sweep.summary import recommend, summarize

E, A, ALPHA, B, BETA = 1.69, 406.4, 0.34, 410.7, 0.28
"""Hoffmann et al. 2022, equation 10."""

GUESSING = 0.25


def where(tokens: np.ndarray, unique: float = 1e15, parameters: float = 1.0) -> Where:
    count = len(tokens)
    return Where(np.asarray(tokens, dtype=float), np.full(count, unique), np.full(count, float(parameters)))


def series(
    size: str = "small",
    seed: int = 17,
    budgets: tuple[float, ...] = (1e9, 2e9, 4e9, 8e9, 16e9, 32e9),
    parameters: int = 125_000_000,
    pass_tokens: float = 1e12,
    noise: float = 0.003,
    sources: tuple[str, ...] = ("pubmed",),
    benchmarks: tuple[str, ...] = ("medqa",),
    questions: int = 300,
    price: float | None = None,
    lower: float = 0.0,
) -> Observed:
    """One size and seed. noise: relative; price: dollars a token; lower: taken off every loss."""
    chance = np.random.default_rng([seed, parameters])
    hard = np.random.default_rng(0).normal(size=questions)  # the same questions for everybody
    tokens = np.array(budgets)
    worth = effective_tokens(tokens, np.full(len(tokens), pass_tokens), 15.4)
    points = []
    for count, fresh in zip(tokens, worth, strict=True):
        validation = {}
        for index, source in enumerate(sources):
            loss = E + 0.2 * index + A * parameters**-ALPHA + B * fresh**-BETA - lower
            loss *= math.exp(noise * chance.normal())
            validation[source] = Validation(loss, math.exp(loss), loss / math.log(2) / 3.9)
        scores = {}
        for index, name in enumerate(benchmarks):
            ability = 0.9 * math.log10(fresh / 2e9) + 0.1 * lower - 0.4 * index
            share = GUESSING + (1 - GUESSING) / (1 + np.exp(hard + 1.0 - ability))
            answers = (chance.random(questions) < share).astype(int)
            scores[name] = score(answers, name)
        points.append(Point(int(count), int(count) // 2**20, count / pass_tokens, validation, scores))
    name = f"{size}-seed{seed}"
    return Observed(name, size, seed, parameters, int(pass_tokens), points, 6.0 * parameters, price)


def score(answers: np.ndarray, name: str = "medqa") -> Score:
    from scipy.stats import binomtest

    n, value = len(answers), float(np.mean(answers))
    p = float(binomtest(int(sum(answers)), n, GUESSING, alternative="greater").pvalue)
    error = (value * (1 - value) / (n - 1)) ** 0.5
    return Score(value, error, n, GUESSING, p, answers=" ".join(map(str, answers)), questions=name)


def gap(one: Observed, tokens: float, **values: object) -> Observed:
    """The series with other values of one budget's point."""
    return replace(one, points=[replace(point, **values) if point.tokens == tokens else point for point in one.points])  # type: ignore[arg-type]


def sweep(
    observed: list[Observed],
    name: str = "closed-world",
    gain_enough: float = 0.01,
    targets: tuple[Target, ...] = (),
    others: tuple[Other, ...] = (),
    design: str = "branch",
) -> Sweep:
    findings = find(observed, gain_enough, list(targets))
    own = Other(name, design, "t" * 64, observed, findings)
    return Sweep(
        name=name,
        design=design,
        gain_enough=gain_enough,
        tokenizer=own.tokenizer,
        train={},
        evaluate={},
        made={"model": "gpt2, 125,000,000 parameters: 12 blocks, 12 heads, 768 wide; vocabulary 28,896",
              "hashes": "shards 0123456789ab, tokenizer ba9876543210"},
        series=observed,
        findings=findings,
        recommendation=recommend(findings, gain_enough),
        summary=summarize(findings),
        comparisons=[compare(own, other) for other in others],
    )  # fmt: skip


def other(observed: list[Observed], name: str = "earlier", tokenizer: str = "t" * 64) -> Other:
    return Other(name, "checkpoints", tokenizer, observed, find(observed, 0.01, []))


def written(compared: Sweep, folder: Path) -> str:
    folder.mkdir()
    write_report(compared, folder)
    return (folder / "report.html").read_text()
