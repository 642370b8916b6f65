"""What the tries of a request do when the server asks for time, and what a recipe may say of a server."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from launch import ROOT

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.config.loading import load_config
from medlm_recipes.errors import ConfigError
from medlm_recipes.fetching.transport import seconds_of


def test_retry_after_is_a_number_of_seconds_or_a_date() -> None:
    now = datetime.now(UTC)
    assert seconds_of("120") == 120
    assert 55 < seconds_of(format_datetime(now + timedelta(minutes=1), usegmt=True)) <= 60
    assert seconds_of(format_datetime(now - timedelta(minutes=1), usegmt=True)) == 0
    for nonsense in ("", "soon", "-5", "1.5", "Fri, 99 Foo 2026"):
        assert seconds_of(nonsense) == 0


@pytest.mark.parametrize(
    ("recipe", "override", "words"),
    [
        ("pubmed_baseline", "url=ftp://ftp.ncbi.nlm.nih.gov/pubmed/", "must begin with https:// or http://"),
        ("pubmed_baseline", "url=https://me:secret@h/", "must be a plain address"),
        ("pubmed_baseline", "url=https://h/?token=1", "must be a plain address"),
        ("pubmed_baseline", "url=http://h:99999/", "Port out of range"),
        ("pubmed_baseline", "url='http://h/a b'", "must have no spaces"),
        ("pubmed_baseline", "url=''", "must be given for source pubmed"),
        ("pubmed_updates", "first=7 last=6", "7 lies above last 6"),
        ("pmc_oa", "pmc.licenses=[oa_com]", "did you mean oa_comm?"),
        ("pmc_oa", "pmc.licenses=[]", "must not be empty; there are oa_comm"),
        ("hub", "hub.dataset=''", "must be given for source hub"),
        ("hub", "first=1", "choose them with hub.files"),
    ],
)
def test_impossible_recipes_are_refused(recipe: str, override: str, words: str) -> None:
    given = override.split(" ") if "first" in override else [override]
    with pytest.raises(ConfigError) as caught:
        load_config(FetchConfig, Path(ROOT / f"yamls/fetch/{recipe}.yaml"), ["out=x", *given])
    assert words in str(caught.value)
