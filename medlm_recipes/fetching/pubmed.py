"""NLM's folders of PubMed citations: pubmedYYnNNNN.xml.gz, each with a `.md5` companion."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from lxml import etree, html

from medlm_recipes.checksums import COMPANION, parse_companion
from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.errors import DataError
from medlm_recipes.fetching.download import bring
from medlm_recipes.fetching.expected import Expected
from medlm_recipes.fetching.source import Job, Outcome
from medlm_recipes.fetching.transport import FetchError, Transport

_NAME = re.compile(r"pubmed\d{2}n(\d{4,})\.xml\.gz")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_NOT_COMPARED = "without .md5 companion: only gzip's own checksum was compared"


@dataclass(frozen=True)
class Listed:
    """A file of a listing. bytes: None where none is shown, rounded as Apache rounds it (83M)."""

    name: str
    bytes: int | None


class PubmedSource:
    """A folder of citations, as its listing shows it. Raises DataError when it shows none."""

    endings: tuple[str, ...] = (".xml.gz",)

    def __init__(self, config: FetchConfig, transport: Transport, lists: Path) -> None:
        self._transport = transport
        self._url = config.url if config.url.endswith("/") else config.url + "/"
        listed = parse_listing(transport.get(self._url), self._url)
        self._with_companion = {one.name.removesuffix(COMPANION) for one in listed if one.name.endswith(COMPANION)}
        files = [one for one in listed if _NAME.fullmatch(one.name)]
        if not files:
            raise DataError(
                f"{self._url}: lists no pubmedYYnNNNN.xml.gz; give NLM's baseline or updatefiles folder as url"
            )
        self._files = [one for one in files if _within(one.name, config)][: config.limit]
        if not self._files:
            raise DataError(f"{self._url}: lists {files[0].name} to {files[-1].name}, none of them from first to last")
        self.count = len(self._files)
        self.what = f"{self._url}: {self.count:,} files, {self._files[0].name} to {self._files[-1].name}"

    @property
    def facts(self) -> Mapping[str, Any]:
        return {}

    def jobs(self) -> Iterator[Job]:
        return (Job(one.name, self._url + one.name, one.bytes) for one in self._files)

    def fetch(self, job: Job, out: Path) -> Outcome:
        companion = b""

        def expected() -> Expected:
            nonlocal companion
            if job.name not in self._with_companion:
                return Expected(gzip=True)
            companion = self._transport.get(job.url + COMPANION)
            md5 = parse_companion(companion)
            if md5 is None:
                raise FetchError(f"{job.url}{COMPANION}: names no MD5 ({companion[:80]!r})")
            return Expected(md5=md5)

        file = bring(self._transport, out, job.name, job.url, expected)
        if not companion:
            return Outcome([file], notes=(_NOT_COMPARED,))
        _write(out / f"{job.name}{COMPANION}", companion)
        return Outcome([file])

    def finish(self, out: Path) -> None:
        pass


def parse_listing(page: bytes, url: str) -> list[Listed]:
    """The files that a server's listing of the folder `url` links to, by name, each once.

    Apache's two forms and nginx's are read; links out of the folder, to folders and with queries are left out.
    """
    try:
        document = html.document_fromstring(page)
    except (ValueError, etree.ParserError):
        return []
    found: dict[str, Listed] = {}
    for link in document.iter("a"):
        try:
            target = urljoin(url, link.get("href") or "")
            name = unquote(urlsplit(target).path.rsplit("/", 1)[-1])
        except ValueError:
            continue
        if target == url + name and name:
            found.setdefault(name, Listed(name, _size(link)))
    return [found[name] for name in sorted(found)]


def _size(link: Any) -> int | None:
    """The last word of the link's line or table row, when it is a size."""
    row = next(link.iterancestors("tr"), None)
    words = (link.tail or "" if row is None else " ".join(cell.text_content() for cell in row)).split()
    match = _SIZE.fullmatch(words[-1]) if words else None
    return int(float(match[1]) * _UNITS[match[2].upper()]) if match else None


def _within(name: str, config: FetchConfig) -> bool:
    match = _NAME.fullmatch(name)
    assert match
    number = int(match[1])
    return (config.first is None or number >= config.first) and (config.last is None or number <= config.last)


def _write(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all, unless it is there already."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        aside = path.with_name(path.name + ".part")
        aside.write_bytes(content)
        aside.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from None
