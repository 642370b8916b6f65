"""Scores while training: those that the evaluate verb gives for the checkpoint, and nothing else of the run changes."""

import json
from pathlib import Path

import pytest
from launch import STEP_TOKENS, STEPS, composer, done, recipe, refused, rows, train_arguments

from medlm_recipes.callbacks.events import read_events
from medlm_recipes.callbacks.metrics import read_rows
from medlm_recipes.config.evaluate import EvaluateConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.evaluation.evaluate import evaluate

RECIPE = "yamls/evaluate/likelihood.yaml"
SCORED_AT = [20 * STEP_TOKENS, STEPS * STEP_TOKENS]


def arguments(line: Path, run: Path) -> list[str]:
    benchmark = f"benchmark={line}/world/benchmark/test.jsonl"
    chain = "task=yamls/evaluate/tasks/meditron-cot.yaml"  # which no model of this size answers readably
    few = ["limit=3", "max_gen_toks=4", "max_unparsed=0"]
    evaluations = {"likelihood": [RECIPE, benchmark], "chain": [RECIPE, benchmark, chain, *few]}
    at = ",".join(f"{tokens}tok" for tokens in SCORED_AT)
    return train_arguments(line, run, f"evaluate={json.dumps(evaluations)}", f"evaluate_at=[{at}]")


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
    folders = sorted((run / "evaluations/likelihood").iterdir())
    assert {folder.name for folder in folders} == {f"tok{tokens}" for tokens in SCORED_AT}
    written = [row for row in read_rows(run / "metrics.jsonl") if row["split"] == "evaluation"]
    for live, row in zip(folders, sorted(written, key=lambda row: row["tokens"]), strict=True):
        by_verb = tmp_path / live.name
        given = [f"checkpoint={run}/checkpoints/{live.name}", f"benchmark={line}/world/benchmark/test.jsonl"]
        evaluate(load_config(EvaluateConfig, RECIPE, [*given, f"out={by_verb}"]), dry_run=False)
        assert (live / "results.json").read_text() == (by_verb / "results.json").read_text()
        assert (live / "manifest.json").read_text() == (by_verb / "manifest.json").read_text()
        ours, theirs = ([json.loads(text) for text in (folder / "samples.jsonl").read_text().splitlines()]
                        for folder in (live, by_verb))  # fmt: skip
        assert len(ours) == 72
        for one, other in zip(ours, theirs, strict=True):
            assert one.pop("log_likelihoods") == pytest.approx(other.pop("log_likelihoods"), abs=1e-4)
            assert one == other
        found = json.loads((live / "results.json").read_text())
        assert row["value"] == found["scores"]["acc"]["value"] and row["source"] == "likelihood"
        assert row["tokens"] == found["tokens"] and row["standard_error"] > 0
        capsys.readouterr()
        evaluate(load_config(EvaluateConfig, RECIPE, [*given, f"out={live}"]), dry_run=False)
        assert "nothing to do" in capsys.readouterr().out


def test_unreadable_answers_do_not_end_the_run(run: Path) -> None:
    events = [event for event in read_events(run) if event["kind"] == "not_scored"]
    assert [(event["evaluation"], event["tokens"]) for event in events] == [("chain", tokens) for tokens in SCORED_AT]
    assert all("marked invalid" in event["error"] for event in events)


def test_what_cannot_be_scored_is_refused_before_the_run_begins(line: Path, tmp_path: Path) -> None:
    missing = f"evaluate={{medqa: [{RECIPE}, benchmark={tmp_path}/nothing]}}"
    refused(recipe("train", *train_arguments(line, tmp_path / "run", missing)), "nothing")
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
    from medlm_recipes.config.train import TrainConfig
    from medlm_recipes.errors import ConfigError

    recipe_file, *given = train_arguments(tmp_path, tmp_path / "run", *overrides)
    with pytest.raises(ConfigError) as refusal:
        load_config(TrainConfig, recipe_file, given)
    assert said in str(refusal.value)
