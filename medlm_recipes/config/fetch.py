"""Keys of fetch_corpus."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from medlm_recipes.config.fields import at_least, each, key, not_empty, one_of, positive, section

LICENSES = ["oa_comm", "oa_noncomm", "oa_other", "author_manuscript"]


def address(value: Any) -> None:
    """A server's address as recipes and manifests may hold it."""
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0):
        raise ValueError("must begin with https:// or http:// and a host")
    if not value.isprintable() or " " in value:
        raise ValueError("must have no spaces")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be a plain address: no user, password, query or fragment")


@dataclass
class RetryConfig:
    attempts: int = key(
        "tries of a request in a row that bring no new byte before its file is given up", 8, check=at_least(1)
    )
    pause: float = key(
        "seconds before the first retry; doubled for each further one, less up to half by chance", 1.0, check=positive
    )
    longest_pause: float = key(
        "seconds that a pause may last; a server that asks for a longer one is given up", 300.0, check=positive
    )
    timeout: float = key("seconds that a server may keep silent", 60.0, check=positive)
    downloads: int = key("downloads of a file whose checksum is wrong before it is put aside", 3, check=at_least(1))


@dataclass
class PmcConfig:
    layout: str = key(
        "articles: a folder an article version with metadata as JSON (PMC's bucket since 2026); classic: a folder a "
        "licence group with file lists (the bucket until August 2026, and mirrors of it)",
        "articles",
        check=one_of("articles", "classic"),
    )
    listing: str = key(
        "index: the bucket's own list (the daily inventory, or the file lists); bucket: ask the bucket page by page",
        "index",
        check=one_of("index", "bucket"),
    )
    prefix: str = key("what stands before every key of the bucket, like mirror/pmc/", "")
    inventory: str = key(
        "layout articles: folder of the daily inventories",
        "inventory-reports/pmc-oa-opendata/metadata/",
        check=not_empty,
    )
    licenses: list[str] = key(
        "licence groups to fetch: oa_comm (CC0, CC BY, CC BY-SA, CC BY-ND), oa_noncomm (CC BY-NC, -SA, -ND), oa_other "
        "(open access without a Creative Commons code), author_manuscript (text mining only)",
        ["oa_comm"],
        check=each(one_of(*LICENSES)),
    )


@dataclass
class HubConfig:
    dataset: str = key("id of a dataset on the hub, like epfl-llm/guidelines", "")
    revision: str = key(
        "branch, tag or commit; the manifest records the commit that it stood for", "main", check=not_empty
    )
    files: list[str] = key("patterns of the files to fetch, like data/*.jsonl", ["*"], check=not_empty)


@dataclass
class FetchConfig:
    source: str = key(
        "pubmed: a folder of NLM's pubmedYYnNNNN.xml.gz with .md5 companions; pmc_oa: PMC's open-access bucket; "
        "hub: a dataset of the Hugging Face hub (a token is taken from the environment's HF_TOKEN)",
        check=one_of("pubmed", "pmc_oa", "hub"),
    )
    url: str = key(
        "address of the folder, of the bucket, or of the hub (empty: the environment's HF_ENDPOINT, or huggingface.co)",
        "",
        check=address,
    )
    out: str = key("folder to fill; what stands there and is verified is kept", check=not_empty)
    first: int | None = key("pubmed: lowest file number; pmc_oa: lowest PMCID; null: no limit", None, check=at_least(0))
    last: int | None = key(
        "pubmed: highest file number; pmc_oa: highest PMCID; null: no limit", None, check=at_least(0)
    )
    limit: int | None = key(
        "only the first so many files (pmc_oa: articles, before the choice of licences); null: all",
        None,
        check=at_least(1),
    )
    connections: int = key("files fetched side by side", 4, check=at_least(1))
    retry: RetryConfig = section(RetryConfig, "what happens when a server does not deliver")
    pmc: PmcConfig = section(PmcConfig, "source pmc_oa: where things stand in the bucket, and which are wanted")
    hub: HubConfig = section(HubConfig, "source hub: which dataset")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.source != "hub" and not self.url:
            yield "url", f"must be given for source {self.source}"
        if self.source == "hub" and not self.hub.dataset:
            yield "hub.dataset", "must be given for source hub, like epfl-llm/guidelines"
        if self.source == "hub" and (self.first, self.last) != (None, None):
            yield "first", "files of the hub have no numbers; choose them with hub.files"
        if self.first is not None and self.last is not None and self.first > self.last:
            yield "first", f"{self.first} lies above last {self.last}"
        if self.source == "pmc_oa" and not self.pmc.licenses:
            yield "pmc.licenses", f"must not be empty; there are {', '.join(LICENSES)}"
