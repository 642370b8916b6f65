"""The quickstart on a smaller world, every verb as a user types it: more tokens must score higher."""

import json
from itertools import pairwise
from pathlib import Path

from launch import composer, done, recipe

BUDGETS = ["200_000tok", "400_000tok"]


def test_more_tokens_lower_perplexity_and_answer_above_chance(tmp_path: Path) -> None:
    out = tmp_path / "quickstart"
    world = ["drugs=12", "diseases=6", "abstracts=6_000"]
    done(recipe("generate_closed_world", "yamls/quickstart/world.yaml", f"out={out}/world", *world))
    corpus = [f"inputs={out}/world/pubmed", f"out={out}/documents"]
    done(recipe("prepare_corpus", "yamls/quickstart/corpus.yaml", *corpus))
    tokenizer = [f"documents={out}/documents", f"out={out}/tokenizer", "vocab_size=800"]
    done(recipe("train_tokenizer", "yamls/quickstart/tokenizer.yaml", *tokenizer))
    shards = [f"documents={out}/documents", f"tokenizer={out}/tokenizer", f"out={out}/shards"]
    done(recipe("convert_text_to_mds", "yamls/quickstart/shards.yaml", *shards))
    train = [
        f"run={out}/run",
        f"shards={out}/shards",
        f"tokenizer={out}/tokenizer",
        "model.n_layer=2",
        "optimizer.lr=4e-3",
        "scheduler.warmup=100_000tok",
        "max_duration=800_000tok",
        f"budgets=[{','.join(BUDGETS)}]",
    ]
    done(composer(2, "train", "yamls/quickstart/train.yaml", *train))
    sweep = [
        f"out={out}/sweep",
        f"train_overrides=[{','.join(quoted(train))}]",
        f"evaluate_overrides=[benchmark={out}/world/benchmark/test.jsonl]",
    ]
    report = done(recipe("sweep", "yamls/quickstart/sweep.yaml", *sweep))
    assert str(out / "sweep/report.html") in report.stdout
    swept = json.loads((out / "sweep/sweep.json").read_text())
    (series,), (size,) = swept["series"], swept["findings"]["sizes"]
    points = series["points"]
    perplexities = [point["validation"]["pubmed-abstracts"]["perplexity"] for point in points]
    assert len(points) == 3 and all(later < earlier for earlier, later in pairwise(perplexities)), perplexities
    assert size["falls"] == {"pubmed-abstracts": True}
    largest = json.loads((out / f"run/evaluations/closed-world/tok{points[-1]['tokens']}/results.json").read_text())
    assert largest["scores"]["acc"]["p_above_chance"] < 0.01, largest["scores"]
    assert "nothing to do" in done(recipe("sweep", "yamls/quickstart/sweep.yaml", *sweep)).stdout
    checkpoint = f"checkpoint={out}/run/checkpoints/tok{points[-1]['tokens']}"
    done(recipe("export", "yamls/export/huggingface.yaml", checkpoint, f"out={out}/export"))
    assert (out / "export/model.safetensors").is_file()


def quoted(overrides: list[str]) -> list[str]:
    """Overrides as elements of a YAML list on the command line; a list inside one needs the quotes."""
    return [f'"{override}"' for override in overrides]
