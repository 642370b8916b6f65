"""How sure a score is, and whether two differ."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from medlm_recipes.config.compare import CompareConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.comparison import compare_results
from medlm_recipes.evaluation.intervals import difference, estimate, p_above


def folder(path: Path, answers: dict[str, list[float]], **others: Any) -> Path:
    """An evaluate folder with these scores, a list over seeds a question."""
    path.mkdir()
    flat = [score for own in answers.values() for score in own]
    score = {"value": float(np.mean(flat)), "standard_error": 0.1, "p_above_chance": 0.5}
    results = {
        **{"task": "t", "protocol": "likelihood", "benchmark": "medqa", "n": len(answers), "chance": 0.25},
        **{"scores": {"acc": score}, "hashes": {"benchmark": "b"}, "valid": True},
    }
    (path / "results.json").write_text(json.dumps(results | others))
    lines = [
        json.dumps({"id": name, "acc": one, "prompt_hash": f"{others.get('protocol', '')}{name}{at}"}) + "\n"
        for name, own in answers.items()
        for at, one in enumerate(own)
    ]
    (path / "samples.jsonl").write_text("".join(lines))
    return path


def compared(tmp_path: Path, a: Path, b: Path) -> dict[str, Any]:
    out = tmp_path / "compared"
    compare_results(load_config(CompareConfig, "yamls/compare/paired.yaml", [f"a={a}", f"b={b}", f"out={out}"]), False)
    return json.loads((out / "comparison.json").read_text())


def test_mcnemar_counts_only_what_one_of_both_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2 against 8: p is twice the binomial tail, (1 + 10 + 45) / 1024 * 2."""
    a = {str(at): [1.0 if at < 42 else 0.0] for at in range(100)}
    b = {str(at): [1.0 if at < 40 or 42 <= at < 50 else 0.0] for at in range(100)}
    found = compared(tmp_path, folder(tmp_path / "a", a), folder(tmp_path / "b", b))
    assert found["p"] == pytest.approx(2 * 56 / 1024) and found["p_by"] == "mcnemar"
    assert (found["only_a"], found["only_b"], found["n"]) == (2, 8, 100)
    assert found["difference"] == pytest.approx(0.06) and found["same_prompts"]
    low, high = found["interval"]
    assert low < 0.06 < high and high - low == pytest.approx(4 * found["standard_error"], rel=0.15)
    assert "better on 8 questions, worse on 2" in capsys.readouterr().out


def test_several_seeds_are_compared_by_swapping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = {str(at): [0.0, float(at % 2)] for at in range(60)}
    b = {str(at): [1.0, float(at % 2)] for at in range(60)}
    found = compared(tmp_path, folder(tmp_path / "a", a), folder(tmp_path / "b", b, protocol="meditron-topk"))
    assert found["p_by"] == "permutation" and found["p"] < 1e-3 and found["difference"] == 0.5
    assert not found["same_prompts"] and "the prompts differ" in capsys.readouterr().out


def test_equal_answers_are_not_called_certainly_equal(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", {str(at): [1.0] for at in range(50)})
    found = compared(tmp_path, a, a)
    assert found["p"] == 1 and found["difference"] == 0
    assert found["interval"][1] == -found["interval"][0] > 0.05


def test_what_cannot_be_paired_is_refused(tmp_path: Path) -> None:
    answers = {str(at): [1.0] for at in range(10)}
    a = folder(tmp_path / "a", answers)
    for name, others, kept, message in (
        ("other", {"hashes": {"benchmark": "c"}}, 10, "answers another benchmark"),
        ("fewer", {}, 9, "answers other questions .* 1 are in one only, such as 9"),
        ("invalid", {"valid": False, "invalid_because": "it babbles"}, 10, "marked invalid: it babbles"),
    ):
        b = folder(tmp_path / name, dict(list(answers.items())[:kept]), **others)
        with pytest.raises(DataError, match=message):
            compared(tmp_path, a, b)
    with pytest.raises(DataError, match="no such file"):
        compared(tmp_path, a, tmp_path / "nowhere")
    (a / "samples.jsonl").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        compared(tmp_path, a, folder(tmp_path / "b", answers))
    with pytest.raises(ConfigError, match="metric: f1: a has acc"):
        config = load_config(CompareConfig, "yamls/compare/paired.yaml", [f"a={a}", f"b={a}", "metric=f1"])
        compare_results(config, False)


def test_the_interval_is_the_bootstraps() -> None:
    scores = [1.0] * 70 + [0.0] * 130
    found = estimate(scores)
    peer = bootstrap((scores,), np.mean, method="percentile", n_resamples=9_999, batch=500, random_state=3)
    assert found.interval == pytest.approx(tuple(peer.confidence_interval), abs=0.006)
    assert found.standard_error == pytest.approx((0.35 * 0.65 / 199) ** 0.5) and found.interval_by == "bootstrap"
    assert estimate(scores) == found


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_score_at_the_end_of_the_scale_has_an_error(value: float) -> None:
    """Wilson's interval of none of n ends at z^2 / (n + z^2)."""
    found = estimate([value] * 40)
    z = norm.ppf(0.975)
    width = z**2 / (40 + z**2)
    assert found.interval == pytest.approx((1 - width, 1) if value else (0, width))
    assert found.standard_error == pytest.approx(width / 2 / z, rel=1e-4) and found.interval_by == "wilson"
    assert estimate([value]).standard_error > 0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    drawn = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        low, high = estimate((drawn.random(150) < 0.4).astype(float).tolist()).interval
        held += low <= 0.4 <= high
    assert 0.90 < held / 300 < 0.98


def test_p_against_guessing_is_exact() -> None:
    assert p_above([1.0, 1.0, 0.0], 0.5) == pytest.approx(0.5)  # 4 of 8 outcomes
    assert p_above([1.0, 1.0, 2 / 3], 0.5) == pytest.approx(0.5)  # rounded down to two
    assert difference([0.0, 0.0, 1.0]).value == pytest.approx(1 / 3)
