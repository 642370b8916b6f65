"""Scores while training: those that the evaluate verb gives for the checkpoint, and nothing else of the run changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from launch import STEP_TOKENS, STEPS, composer, done, refused, rows, train_arguments, verb

from medlm_recipes.callbacks.events import read_events
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.config.train import TrainConfig
from medlm_recipes.errors import ConfigError, DataError
from medlm_recipes.evaluation.evaluate import evaluate

RECIPE = "yamls/evaluate/likelihood.yaml"
SCORED_AT = [20 * STEP_TOKENS, STEPS * STEP_TOKENS]


# Generates; no model of this size answers readably.
OPEN = """
task: open
dataset_path: json
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer_idx}}"
generation_kwargs: {do_sample: false, max_gen_toks: 6, until: ["###"]}
metric_list: [{metric: exact_match}]
"""


def evaluations(line: Path, place: Path) -> dict[str, list[str]]:
    """Name -> an evaluate recipe and overrides, of which one generates."""
    (place / "open.yaml").write_text(OPEN)
    likelihood = [RECIPE, f"benchmark={line}/world/benchmark/test.jsonl"]
    return {"likelihood": likelihood, "open": [*likelihood, f"task={place}/open.yaml", "limit=5", "max_unparsed=0"]}


def by_verb(line: Path, run: Path, name: str, tokens: int, out: Path) -> Path:
    own = evaluations(line, run.parent)[name][1:]
    evaluate(
        load_config(EvaluateConfig, RECIPE, [*own, f"checkpoint={run}/checkpoints/tok{tokens}", f"out={out}"]), False
    )
    return out


def samples(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]


def arguments(line: Path, run: Path) -> list[str]:
    at = ",".join(f"{tokens}tok" for tokens in SCORED_AT)
    scored = json.dumps(evaluations(line, run.parent))
    return train_arguments(line, run, f"evaluate={scored}", f"evaluate_at=[{at}]")


@pytest.fixture(scope="module")
def run(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ranks under FSDP2, each with half of the weights."""
    folder = tmp_path_factory.mktemp("live") / "run"
    done(composer(2, "train", *arguments(line, folder)))
    return folder


def test_training_is_what_it_is_without(run: Path, trained: Path) -> None:
    assert [row["loss"] for row in rows(run)] == [row["loss"] for row in rows(trained)]
    assert rows(run, "validation") == rows(trained, "validation")


def test_the_verb_finds_the_same_scores_for_the_checkpoint(
    run: Path, line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = [row for row in read_rows(run / "metrics.jsonl") if row["split"] == "evaluation"]
    assert [(row["source"], row["tokens"]) for row in written] == [("likelihood", tokens) for tokens in SCORED_AT]
    for row in written:
        live = run / f"evaluations/likelihood/tok{row['tokens']}"
        apart = by_verb(line, run, "likelihood", row["tokens"], tmp_path / live.name)
        for name in ("results.json", "manifest.json"):
            assert (live / name).read_text() == (apart / name).read_text()
        assert len(samples(live)) == 72
        for ours, theirs in zip(samples(live), samples(apart), strict=True):
            assert ours.pop("log_likelihoods") == pytest.approx(theirs.pop("log_likelihoods"), abs=1e-4)
            assert ours == theirs
        found = json.loads((live / "results.json").read_text())
        score = found["scores"]["acc"]
        assert (row["value"], row["standard_error"]) == (score["value"], score["standard_error"])
        assert found["tokens"] == row["tokens"]
        capsys.readouterr()
        by_verb(line, run, "likelihood", row["tokens"], live)
        assert "nothing to do" in capsys.readouterr().out


def test_unreadable_answers_do_not_end_the_run(run: Path, line: Path, tmp_path: Path) -> None:
    events = [event for event in read_events(run) if event["kind"] == "not_scored"]
    assert [(event["evaluation"], event["tokens"]) for event in events] == [("open", tokens) for tokens in SCORED_AT]
    assert all("marked invalid" in event["error"] for event in events)
    with pytest.raises(DataError, match="marked invalid"):
        by_verb(line, run, "open", SCORED_AT[-1], tmp_path / "open")
    ours = samples(run / f"evaluations/open/tok{SCORED_AT[-1]}")
    assert ours == samples(tmp_path / "open") and all(sample["texts"][0] for sample in ours)


def test_what_cannot_be_scored_is_refused_before_the_run_begins(line: Path, tmp_path: Path) -> None:
    missing = f"evaluate={{medqa: [{RECIPE}, benchmark={tmp_path}/nothing]}}"
    refused(verb("train", *train_arguments(line, tmp_path / "run", missing)), "nothing")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["evaluate={medqa: [limit=3]}"], "medqa: write [recipe.yaml, key=value, ...]"),
        ([f"evaluate={{a: [{RECIPE}]}}", "evaluate_at=[7tok]"], "7tok is none of budgets"),
        ([f"evaluate={{a: [{RECIPE}]}}", "parallel.fsdp_version=1"], "cannot be scored"),
        (["evaluate_at=[20480tok]"], "of no use without evaluate"),
    ],
)
def test_keys_that_do_not_fit_are_refused(overrides: list[str], said: str, tmp_path: Path) -> None:
    recipe_file, *given = train_arguments(tmp_path, tmp_path / "run", *overrides)
    with pytest.raises(ConfigError) as refusal:
        load_config(TrainConfig, recipe_file, given)
    assert said in str(refusal.value)
