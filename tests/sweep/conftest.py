"""Benches as fixtures."""

from pathlib import Path

import pytest
from sweep_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "bench")


@pytest.fixture
def finished(bench: Bench) -> Bench:
    """A bench with all checkpoints, metrics and evaluations: falling perplexity, the first change noise."""
    for tokens, right in zip(bench.budgets, (65, 74, 150), strict=True):
        bench.make_checkpoint(tokens)
        bench.make_evaluation(tokens, right)
    bench.make_metrics(dict(zip(bench.budgets, (4.0, 3.5, 3.2), strict=True)))
    return bench
