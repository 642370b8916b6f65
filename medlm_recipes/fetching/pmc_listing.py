"""Four ways to list PMC's open-access bucket: two layouts, each by its own index or page by page.

The present layout is described in the bucket's README.txt, the daily inventory in S3's manual; the
classic one held `<group>/xml/all/PMC<n>.xml` and a file list a group.
"""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_plus

from medlm_recipes.config.fetch import FetchConfig
from medlm_recipes.errors import DataError
from medlm_recipes.fetching.download import bring
from medlm_recipes.fetching.expected import Expected, md5_of_etag
from medlm_recipes.fetching.pmc_catalogue import Article, Catalogue
from medlm_recipes.fetching.s3 import list_folders, list_objects
from medlm_recipes.fetching.transport import FetchError, Transport

_METADATA = re.compile(r"metadata/PMC(\d{1,18})\.(\d{1,9})\.json")
_OWN_METADATA = re.compile(r"PMC(\d{1,18})\.(\d{1,9})/PMC\1\.\2\.json")
_CLASSIC = re.compile(r"xml/all/PMC(\d{1,18})\.xml")
_DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\dZ")


def address_of(config: FetchConfig, key: str) -> str:
    """Where an object of the bucket is fetched from."""
    return f"{config.url.rstrip('/')}/{quote(config.pmc.prefix + key)}"


def classic_folder(group: str) -> str:
    return f"{group}/xml/all/"


def list_articles(config: FetchConfig, transport: Transport, folder: Path) -> tuple[Catalogue, str]:
    """Layout articles: every article version, by its metadata object, and what the listing is.

    folder: for the inventory's files. Raises DataError for a bucket without articles or inventory.
    """
    if config.pmc.listing == "bucket":
        return _metadata_objects(config, transport), "the bucket's objects"
    return _inventory(config, transport, folder)


def list_classic(config: FetchConfig, transport: Transport, folder: Path) -> tuple[Catalogue, str]:
    """Layout classic: every article of the wanted licence groups, whose places in the recipe are the groups.

    folder: gets the file lists under their own names. Raises DataError as `list_articles` does.
    """
    catalogue, by_bucket = Catalogue(), config.pmc.listing == "bucket"
    for place, group in enumerate(config.pmc.licenses):
        if by_bucket:
            prefix = f"{config.pmc.prefix}{group}/"
            for one in list_objects(transport, config.url, prefix + "xml/all/"):
                if match := _CLASSIC.fullmatch(one.key.removeprefix(prefix)):
                    catalogue.add(int(match[1]), 0, group=place, etag=one.etag, size=one.bytes)
        else:
            key = f"{group}/xml/metadata/csv/{group}.filelist.csv"
            name = Path(key).name
            bring(transport, folder, name, address_of(config, key), Expected)
            _read_file_list(catalogue, folder / name, group, place)
    _refuse_empty(catalogue, config, "xml/all/PMC<n>.xml")
    return catalogue, "the bucket's objects" if by_bucket else "the file lists"


def metadata_key(article: Article) -> str:
    """Layout articles: key of the metadata, which stands in a folder of all, or else in the article's own (group 1)."""
    name = f"{article.pmcid}.{article.version}"
    return f"{name}/{name}.json" if article.group else f"metadata/{name}.json"


def _metadata_objects(config: FetchConfig, transport: Transport) -> Catalogue:
    """The articles by `metadata/`, or, in a copy that has none, by the metadata in their own folders."""
    catalogue = Catalogue()
    for group, (prefix, form) in enumerate((("metadata/", _METADATA), ("PMC", _OWN_METADATA))):
        for one in list_objects(transport, config.url, config.pmc.prefix + prefix):
            if match := form.fullmatch(one.key.removeprefix(config.pmc.prefix)):
                catalogue.add(int(match[1]), int(match[2]), group=group, etag=one.etag)
        if len(catalogue):
            break
    _refuse_empty(catalogue, config, "metadata/PMC<n>.<version>.json")
    return catalogue


def _inventory(config: FetchConfig, transport: Transport, folder: Path) -> tuple[Catalogue, str]:
    root = config.pmc.prefix + config.pmc.inventory
    dates = [one.removeprefix(root).rstrip("/") for one in list_folders(transport, config.url, root)]
    newest = max((date for date in dates if _DATED.fullmatch(date)), default=None)
    if newest is None:
        raise DataError(
            f"{config.url}: has no inventory under {root}; set pmc.listing=bucket, or pmc.inventory rightly"
        )
    url = address_of(config, f"{config.pmc.inventory}{newest}/manifest.json")
    shards, columns = _read_inventory_manifest(url, transport.get(url))
    catalogue = Catalogue()
    for number, shard in enumerate(shards):
        name, address = f"{number:03}.csv.gz", address_of(config, shard.key.removeprefix(config.pmc.prefix))
        bring(transport, folder, name, address, shard.expected)
        with _readable(folder / name, address) as rows:
            for row in rows:
                key = unquote_plus(row[columns["Key"]]).removeprefix(config.pmc.prefix)
                if match := _METADATA.fullmatch(key):
                    catalogue.add(int(match[1]), int(match[2]), etag=row[columns["ETag"]])
        (folder / name).unlink()
    _refuse_empty(catalogue, config, "metadata/PMC<n>.<version>.json")
    return catalogue, f"the inventory of {newest}"


@dataclass(frozen=True)
class _Shard:
    """A CSV file of the inventory."""

    key: str
    md5: str | None

    def expected(self) -> Expected:
        return Expected(md5=self.md5)


def _read_inventory_manifest(url: str, content: bytes) -> tuple[list[_Shard], dict[str, int]]:
    """The inventory's CSV files and the place of each column."""
    try:
        manifest = json.loads(content)
        columns = {name.strip(): place for place, name in enumerate(manifest["fileSchema"].split(","))}
        shards = [_Shard(str(one["key"]), md5_of_etag(str(one.get("MD5checksum")))) for one in manifest["files"]]
        if manifest["fileFormat"] != "CSV" or not columns.keys() >= {"Key", "ETag"}:
            raise ValueError(f"its files are {manifest['fileFormat']} of {manifest['fileSchema']}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FetchError(f"{url}: no manifest of an S3 inventory in CSV with Key and ETag ({error})") from None
    return shards, columns


def _read_file_list(catalogue: Catalogue, path: Path, group: str, place: int) -> None:
    with _readable(path, path.name) as rows:
        columns = {name.strip().lower(): at for at, name in enumerate(next(rows, []))}
        if not columns.keys() >= {"key", "etag"}:
            raise FetchError(f"{path.name}: no file list of PMC: its first line names no Key and ETag")
        retracted = columns.get("retracted")
        for row in rows:
            match = _CLASSIC.search(row[columns["key"]])
            if match and row[columns["key"]].endswith(classic_folder(group) + f"PMC{match[1]}.xml"):
                is_retracted = retracted is not None and row[retracted].strip().lower() in ("yes", "true", "1")
                catalogue.add(int(match[1]), 0, group=place, etag=row[columns["etag"]], retracted=is_retracted)


@contextmanager
def _readable(path: Path, what: str) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV file, gzipped or not. Raises FetchError for what is none."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as text:
        try:
            yield (row for row in csv.reader(text) if row)
        except (csv.Error, UnicodeDecodeError, IndexError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FetchError(f"{what}: cannot be read as CSV ({error})") from None


def _refuse_empty(catalogue: Catalogue, config: FetchConfig, form: str) -> None:
    if not len(catalogue):
        raise DataError(
            f"{config.url}: its listing has no {config.pmc.prefix}{form}; see pmc.layout ({config.pmc.layout}), "
            f"pmc.listing ({config.pmc.listing}) and pmc.prefix"
        )
