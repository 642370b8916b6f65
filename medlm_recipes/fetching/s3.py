"""Listing of a public S3 bucket by its ListObjectsV2 interface over plain HTTP(S)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from lxml import etree

from medlm_recipes.fetching.transport import FetchError, Transport


@dataclass(frozen=True)
class S3Object:
    key: str
    etag: str
    bytes: int | None


def list_objects(transport: Transport, bucket: str, prefix: str) -> Iterator[S3Object]:
    """Every object of a bucket under a prefix, in the order of the keys, a thousand a request."""
    for page in _pages(transport, bucket, {"prefix": prefix}):
        for entry in page.iterfind("{*}Contents"):
            size = entry.findtext("{*}Size", "")
            yield S3Object(
                _decoded(page, entry.findtext("{*}Key", "")),
                entry.findtext("{*}ETag", ""),
                int(size) if size.isdecimal() else None,
            )


def list_folders(transport: Transport, bucket: str, prefix: str) -> list[str]:
    """The prefixes one level below `prefix`, each with its last slash."""
    return [
        _decoded(page, entry.text or "")
        for page in _pages(transport, bucket, {"prefix": prefix, "delimiter": "/"})
        for entry in page.iterfind("{*}CommonPrefixes/{*}Prefix")
    ]


def _decoded(page: Any, key: str) -> str:
    return unquote_plus(key) if page.findtext("{*}EncodingType") == "url" else key


def _pages(transport: Transport, bucket: str, query: dict[str, str]) -> Iterator[Any]:
    # Without the encoding, a key with a control character would make the page no XML.
    parameters = {"list-type": "2", "encoding-type": "url", **query}
    while True:
        content = transport.get(bucket, parameters)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
        try:
            page = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            raise FetchError(f"{bucket}: does not answer as an S3 bucket ({error})") from None
        if etree.QName(page).localname != "ListBucketResult":
            raise FetchError(
                f"{bucket}: answers with <{etree.QName(page).localname}> where a bucket's listing was expected"
            )
        yield page
        token = page.findtext("{*}NextContinuationToken")
        if page.findtext("{*}IsTruncated") != "true":
            return
        if not token or token == parameters.get("continuation-token"):
            raise FetchError(f"{bucket}: its listing does not go on where it was cut")
        parameters["continuation-token"] = token
