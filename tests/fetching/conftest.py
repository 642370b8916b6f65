"""A server, and the verb pointed at it with pauses too short to notice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fetch_server import SHORT, Fetch, Server, serving
from launch import ROOT

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.fetching.fetch import fetch_corpus
from medlm_recipes.manifest import UNFINISHED, read_manifest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own server is reached without the proxy that a machine may have."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@pytest.fixture
def fetch() -> Fetch:
    """Runs a shipped recipe with overrides in this process; returns the manifest's facts."""

    def run(recipe: str, url: str, out: Path, *overrides: str, dry_run: bool = False) -> dict[str, Any]:
        given = [f"url={url}", f"out={out}", *SHORT, *overrides]
        fetch_corpus(load_config(FetchConfig, ROOT / f"yamls/fetch/{recipe}.yaml", given), dry_run)
        if dry_run:
            return {}
        assert not (out / UNFINISHED).exists()
        return read_manifest(out, "fetch_corpus").facts

    return run
