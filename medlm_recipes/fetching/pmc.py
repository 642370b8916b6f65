"""PMC's open-access articles in JATS, from its public bucket in either layout."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.fetching.download import PART, bring
from medlm_recipes.fetching.expected import Expected, md5_of_etag
from medlm_recipes.fetching.pmc_catalogue import Article, local_name
from medlm_recipes.fetching.pmc_listing import (
    address_of,
    classic_folder,
    list_articles,
    list_classic,
    metadata_key,
)
from medlm_recipes.fetching.source import Job, Outcome
from medlm_recipes.fetching.transport import FetchError, Transport

FILE_LISTS = "filelists"
"""Folder for the classic layout's file lists, which tell licence and retraction of every article."""

RETRACTED = "retracted, and fetched"

# PMC's three groups of its open-access subset (https://pmc.ncbi.nlm.nih.gov/tools/openftlist/).
_COMMERCIAL = ("CC0", "CC BY", "CC BY-SA", "CC BY-ND")
_NON_COMMERCIAL = ("CC BY-NC", "CC BY-NC-SA", "CC BY-NC-ND")
_VERSION_OF_LICENSE = re.compile(r"\s+\d+(\.\d+)*$")


def license_group(metadata: Mapping[str, Any]) -> str:
    """The group of an article by its metadata; `not_open_access` when it belongs to none."""
    code = _VERSION_OF_LICENSE.sub("", str(metadata.get("license_code") or "").strip().upper())
    if code in _COMMERCIAL:
        return "oa_comm"
    if code in _NON_COMMERCIAL:
        return "oa_noncomm"
    if metadata.get("is_pmc_openaccess") is True:
        return "oa_other"
    return "author_manuscript" if metadata.get("is_manuscript") is True else "not_open_access"


class ArticlesSource:
    """Layout articles: `metadata/PMC<n>.<v>.json`, whose licence decides, then `PMC<n>.<v>/PMC<n>.<v>.xml`.

    Fetched are the newest versions, metadata and text, under names without a version.
    """

    endings: tuple[str, ...] = (".xml",)

    def __init__(self, config: FetchConfig, transport: Transport, lists: Path) -> None:
        self._config, self._transport = config, transport
        catalogue, listing = list_articles(config, transport, lists)
        self._articles = catalogue.choose(config)
        self.count = len(self._articles)
        self.what = (
            f"{config.url}: {self.count:,} articles by {listing}, which tells neither sizes nor licences; "
            f"each one's metadata decides whether it is {' or '.join(config.pmc.licenses)}"
        )

    @property
    def facts(self) -> Mapping[str, Any]:
        return {}

    def jobs(self) -> Iterator[Job]:
        for one in self._articles:
            yield Job(local_name("xml", one.number, ".xml"), address_of(self._config, metadata_key(one)), entry=one)

    def fetch(self, job: Job, out: Path) -> Outcome:
        article: Article = job.entry
        name = local_name("metadata", article.number, ".json")
        # The bucket may be newer than its listing, so the answer's own ETag decides.
        listed = Expected(md5=article.md5, etag=True)
        described = bring(self._transport, out, name, job.url, lambda: listed)
        metadata = _read_metadata(job.url, (out / name).read_bytes(), article)
        group = license_group(metadata)
        if group not in self._config.pmc.licenses:
            return Outcome([described], not_wanted=group)
        if not metadata.get("xml_url"):
            return Outcome([described], not_wanted="no_xml")
        key, md5 = _xml_object(job.url, metadata["xml_url"], article)
        known = Expected(md5=md5, etag=md5 is None)
        text = bring(self._transport, out, job.name, address_of(self._config, key), lambda: known)
        return Outcome([described, text], notes=(RETRACTED,) if metadata.get("is_retracted") is True else ())

    def finish(self, out: Path) -> None:
        pass


def _read_metadata(url: str, content: bytes, article: Article) -> Mapping[str, Any]:
    try:
        metadata = json.loads(content)
    except ValueError as error:
        raise FetchError(f"{url}: not JSON ({error})") from None
    if not isinstance(metadata, dict) or metadata.get("pmcid") != article.pmcid:
        raise FetchError(f"{url}: not the metadata of {article.pmcid}")
    return metadata


def _xml_object(url: str, xml_url: Any, article: Article) -> tuple[str, str | None]:
    """Key and MD5 of an article's text, from an address like s3://bucket/PMC1.1/PMC1.1.xml?md5=…"""
    parts = urlsplit(str(xml_url))
    folder = f"{article.pmcid}.{article.version}"
    name = parts.path.rsplit("/", 1)[-1]
    if not parts.path.endswith(f"/{folder}/{name}") or not re.fullmatch(r"[\w.-]+\.xml", name):
        raise FetchError(f"{url}: its xml_url {xml_url!r} is no .xml of {folder}/")
    return f"{folder}/{name}", md5_of_etag(parse_qs(parts.query).get("md5", [""])[0])


class ClassicSource:
    """Layout classic: `<group>/xml/all/PMC<n>.xml`; the file lists with licences and retractions are kept beside."""

    endings: tuple[str, ...] = (".xml",)

    def __init__(self, config: FetchConfig, transport: Transport, lists: Path) -> None:
        self._config, self._transport, self._lists = config, transport, lists
        catalogue, listing = list_classic(config, transport, lists)
        self._articles = catalogue.choose(config)
        self.count = len(self._articles)
        self.what = f"{config.url}: {self.count:,} articles of {', '.join(config.pmc.licenses)} by {listing}"

    @property
    def facts(self) -> Mapping[str, Any]:
        return {}

    def jobs(self) -> Iterator[Job]:
        for one in self._articles:
            key = f"{classic_folder(self._config.pmc.licenses[one.group])}{one.pmcid}.xml"
            yield Job(local_name("xml", one.number, ".xml"), address_of(self._config, key), one.bytes, one)

    def fetch(self, job: Job, out: Path) -> Outcome:
        article: Article = job.entry
        listed = Expected(bytes=article.bytes, md5=article.md5, etag=True)
        text = bring(self._transport, out, job.name, job.url, lambda: listed)
        return Outcome([text], notes=(RETRACTED,) if article.retracted else ())

    def finish(self, out: Path) -> None:
        for path in sorted(self._lists.iterdir()):
            kept = out / FILE_LISTS / path.name
            kept.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, kept.with_name(kept.name + PART))
            kept.with_name(kept.name + PART).replace(kept)
