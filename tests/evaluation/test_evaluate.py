import json
from pathlib import Path

import pytest
import torch
from launch import STEP_TOKENS, STEPS, composer, done, recipe, refused, verb

from medlm_recipes.tokenization.loading import load_tokenizer

TASK = "yamls/evaluate/tasks/likelihood.yaml"


def arguments(line: Path, checkpoint: Path, out: Path, *overrides: str) -> list[str]:
    benchmark = line / "world/benchmark/test.jsonl"
    return [
        "yamls/quickstart/evaluate.yaml",
        f"checkpoint={checkpoint}",
        f"benchmark={benchmark}",
        f"out={out}",
        *overrides,
    ]


@pytest.fixture(scope="module")
def checkpoint(trained: Path) -> Path:
    return trained / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"


@pytest.fixture(scope="module")
def scored(line: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluation") / "one"
    done(recipe("evaluate", *arguments(line, checkpoint, out)))
    return out


def read(folder: Path) -> tuple[dict, list[dict]]:
    samples = [json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]
    return json.loads((folder / "results.json").read_text()), samples


def test_results_account_for_every_question(line: Path, scored: Path) -> None:
    results, samples = read(scored)
    questions = (line / "world/benchmark/test.jsonl").read_text().splitlines()
    assert results["n"] == len(samples) == len(questions) == 72
    assert [sample["index"] for sample in samples] == list(range(72))
    assert results["chance"] == 0.25 and results["tokens"] == STEPS * STEP_TOKENS and results["valid"]
    assert results["too_long"]["questions"] == 0 and results["unparsed_rate"] == results["unanswered"] == 0
    score = results["scores"]["acc"]
    assert score["value"] == sum(sample["acc"] for sample in samples) / 72
    assert score["standard_error"] == pytest.approx((score["value"] * (1 - score["value"]) / 71) ** 0.5)
    assert 0 <= score["p_above_chance"] <= 1
    assert score["interval"][0] <= score["value"] <= score["interval"][1] and score["interval_by"] == "bootstrap"
    assert str(line) not in json.dumps(results)  # no paths of this machine


def test_likelihoods_are_those_of_the_model(line: Path, checkpoint: Path, scored: Path) -> None:
    """Against a bare loop over the checkpoint's model: the sum of the option's token log-probabilities."""
    from medlm_recipes.training.checkpoints import load_model
    from medlm_recipes.training.run_folder import tokenizer_of

    model, tokenizer = load_model(checkpoint), load_tokenizer(tokenizer_of(checkpoint))
    _, samples = read(scored)
    questions = [json.loads(text) for text in (line / "world/benchmark/test.jsonl").read_text().splitlines()]
    for question, sample in list(zip(questions, samples, strict=True))[:12]:
        stem = tokenizer.encode(question["question"])
        for option, found in zip(question["options"].values(), sample["log_likelihoods"], strict=True):
            ids = tokenizer.encode(f"{question['question']} {option}")
            assert ids[: len(stem)] == stem
            with torch.no_grad():
                log_probabilities = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
            expected = sum(log_probabilities[at - 1, ids[at]].item() for at in range(len(stem), len(ids)))
            assert found == pytest.approx(expected, abs=1e-4)


def test_two_ranks_give_the_same_scores_in_the_same_order(
    line: Path, checkpoint: Path, scored: Path, tmp_path: Path
) -> None:
    done(composer(2, "evaluate", *arguments(line, checkpoint, tmp_path / "two")))
    (one, one_samples), (two, two_samples) = read(scored), read(tmp_path / "two")
    assert one == two
    for a, b in zip(one_samples, two_samples, strict=True):
        assert a["prompt_hash"] == b["prompt_hash"]
        assert a["log_likelihoods"] == pytest.approx(b["log_likelihoods"], abs=1e-4)


def test_unfit_checkpoints_and_tasks_are_refused(line: Path, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    refused(verb("evaluate", *arguments(line, trained, out)), str(trained))
    refused(verb("evaluate", *arguments(line, line, out)), "neither a checkpoint")
    bad = tmp_path / "task.yaml"
    bad.write_text("task: x\noutput_type: loglikelihood_rolling\n")
    checkpoint = trained / "checkpoints" / f"tok{STEPS * STEP_TOKENS}"
    message = refused(verb("evaluate", *arguments(line, checkpoint, out, f"task={bad}")), "multiple_choice")
    assert "loglikelihood_rolling" in message and not out.exists()
