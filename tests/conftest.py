"""A tiny closed world, taken once through the real stages; the tests of later stages start from it."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from launch import composer, done, recipe, train_arguments
from tokenization.llama_form import save_llama_form

from medlm_recipes.corpus.document import read_documents


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that launch come first: one of them at the end would leave a worker of two idle."""
    items.sort(key=lambda item: not {"composer", "composer_script", "start"} & vars(item.module).keys())  # type: ignore[attr-defined]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that all of pytest's workers read: the first that asks for it makes it, while the others wait."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done_file = root / name, root / f"{name}.done"
    with open(root / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done_file.exists():
            make(folder)
            done_file.touch()
    return folder


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with world/, documents/, tokenizer/ and shards/ of a world that the quickstart's recipes made."""
    return made_once(tmp_path_factory, "line", make_line)


def make_line(out: Path) -> None:
    world = ["drugs=24", "diseases=8", "abstracts=2_000", "citations_per_file=500"]
    done(recipe("generate_closed_world", "yamls/quickstart/world.yaml", f"out={out}/world", *world))
    documents = [f"inputs={out}/world/pubmed", f"out={out}/documents", "validation_fraction=0.1"]
    done(recipe("prepare_corpus", "yamls/quickstart/corpus.yaml", *documents))
    tokenizer = [f"documents={out}/documents", f"out={out}/tokenizer", "vocab_size=800"]
    done(recipe("train_tokenizer", "yamls/quickstart/tokenizer.yaml", *tokenizer))
    shards = [f"documents={out}/documents", f"tokenizer={out}/tokenizer", f"out={out}/shards"]
    done(recipe("convert_text_to_mds", "yamls/quickstart/shards.yaml", *shards))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URL of an empty bucket of an S3 server on this machine, which launches find too."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("S3_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    httpx.post(f"http://{host}:{port}/moto-api/reset").raise_for_status()  # its servers of one process share objects
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="runs")
    yield "s3://runs"
    server.stop()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No hub. Its library keeps the sessions that it opened meanwhile, which refuse ever after: they go."""
    import datasets
    import huggingface_hub.constants
    from huggingface_hub.utils import reset_sessions

    for module in (datasets.config, huggingface_hub.constants):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    reset_sessions()
    yield
    reset_sessions()


@pytest.fixture(scope="session")
def marked(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The line's text with GAP-Replay's markers, its tokenizer in Llama 2's form: 790 tokens in base/, 804 extended."""
    out = tmp_path_factory.mktemp("marked")
    texts = [document.text for document in read_documents(line / "documents", "train", "pubmed-abstracts")]
    save_llama_form(out / "base", texts[:600], 790)
    (out / "text").mkdir()
    with open(out / "text" / "marked.jsonl", "w") as stream:
        for text in texts:
            title, rest = text.split(maxsplit=1)
            text = f"[bib_ref]{title}, Smith[/bib_ref] {rest} <|im_start|></s>"
            stream.write(json.dumps({"text": text, "meta": {"pile_set_name": "PubMed Abstracts"}}) + "\n")
    tokenizer = [f"base={out}/base", f"out={out}/tokenizer"]
    done(recipe("train_tokenizer", "yamls/tokenizer/meditron.yaml", *tokenizer))
    documents = [f"inputs=[{out}/text]", f"out={out}/documents"]
    done(recipe("prepare_corpus", "yamls/corpus/pile.yaml", *documents))
    shards = [f"documents={out}/documents", f"tokenizer={out}/tokenizer", f"out={out}/shards", "sequence_length=128"]
    done(recipe("convert_text_to_mds", "yamls/shards/meditron-7b.yaml", *shards))
    return out


@pytest.fixture(scope="session")
def trained(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run on two ranks under FSDP2, with sharded checkpoints."""
    return made_once(tmp_path_factory, "trained", lambda run: done(composer(2, "train", *train_arguments(line, run))))


@pytest.fixture(scope="session")
def one_rank(line: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on one rank, the bare model with its own loss: what every way of laying it over ranks must equal."""
    aside = [f"validation_shards={line}/shards", "loggers.tensorboard=true"]  # more to look at, nothing to compute
    keys = ["parallel.fsdp=false", "model.loss=plain", *aside]
    return made_once(
        tmp_path_factory, "one_rank", lambda run: done(composer(1, "train", *train_arguments(line, run, *keys)))
    )
