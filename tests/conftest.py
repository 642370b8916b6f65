"""A tiny closed world, taken once through the real stages; the tests of later stages start from it."""

from pathlib import Path

import pytest
from launch import composer, done, recipe, train_arguments


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with world/, documents/, tokenizer/ and shards/ of a world that the quickstart's recipes made."""
    out = tmp_path_factory.mktemp("line")
    world = ["drugs=24", "diseases=8", "abstracts=2_000", "citations_per_file=500"]
    done(recipe("generate_closed_world", "yamls/quickstart/world.yaml", f"out={out}/world", *world))
    documents = [f"inputs={out}/world/pubmed", f"out={out}/documents", "validation_fraction=0.1"]
    done(recipe("prepare_corpus", "yamls/quickstart/corpus.yaml", *documents))
    tokenizer = [f"documents={out}/documents", f"out={out}/tokenizer", "vocab_size=800"]
    done(recipe("train_tokenizer", "yamls/quickstart/tokenizer.yaml", *tokenizer))
    shards = [f"documents={out}/documents", f"tokenizer={out}/tokenizer", f"out={out}/shards"]
    done(recipe("convert_text_to_mds", "yamls/quickstart/shards.yaml", *shards))
    return out


@pytest.fixture(scope="session")
def trained(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run on two ranks under FSDP2, with sharded checkpoints."""
    run = tmp_path_factory.mktemp("trained") / "run"
    done(composer(2, "train", *train_arguments(line, run)))
    return run


@pytest.fixture(scope="session")
def one_rank(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on one rank, the bare model with its own loss: what every way of laying it over ranks must equal."""
    run = tmp_path_factory.mktemp("one_rank") / "run"
    aside = [f"validation_shards={line}/shards", "loggers.tensorboard=true"]  # more to look at, nothing to compute
    done(composer(1, "train", *train_arguments(line, run, "parallel.fsdp=false", "model.loss=plain", *aside)))
    return run
